"""The verifier in the browser gives the outcomes of the server, for many rounds of every game."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any, Final

import pytest

from games.checks import ladder, play_round
from games.dice import TARGETS
from games.draws import HmacDraws
from games.protocol import Chosen, Game, Step, Wager
from games.registry import BUILT_IN, load_plugin, summary
from runtime.settings import PROJECT_ROOT
from tests.e2e.node import node

ROUNDS: Final = 250
GAMES: Final = [load_plugin(plugin) for plugin in BUILT_IN]
LINES_LIMIT: Final = 100


def wager_of(game: Game, chance: random.Random) -> Wager:
    choice = None
    if game.choice_schema is not None:
        direction = chance.choice(sorted(TARGETS))
        choice = {"direction": direction, "target": chance.randint(*TARGETS[direction])}
    return Wager(stake=chance.choice(ladder(game, "base")), choice=choice)


def played(
    game: Game, wager: Wager, seeds: dict[str, Any], chance: random.Random
) -> tuple[Step, list[Chosen]]:
    """A round to its end: each offer is met with one of its choices."""
    taken: list[Chosen] = []
    while True:
        step = play_round(game, wager, HmacDraws(**seeds), taken)
        if step.offer is None:
            return step, taken
        choice = chance.choice(step.offer.choices)
        params = {name: chance.choice(values) for name, values in choice.params.items()}
        taken.append(Chosen(action=choice.action, params=params))


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.id)
async def test_it_gives_the_same_outcomes(game: Game, tmp_path: Path) -> None:
    chance, asked, expected = random.Random(16), [], []
    kinds = set()
    for nonce in range(ROUNDS):
        wager = wager_of(game, chance)
        client_seed = f"a:b:ü-{nonce}" if nonce % 5 == 0 else f"seed_{nonce}"
        server_seed = chance.randbytes(32)
        seeds = {"server_seed": server_seed, "client_seed": client_seed, "nonce": nonce}
        step, actions = played(game, wager, seeds, chance)
        kinds |= {action.action for action in actions}
        chosen = [{"action": taken.action, "params": taken.params} for taken in actions]
        bet = {"stake": wager.stake, "choice": wager.choice, "actions": chosen}
        draws = {"serverSeed": server_seed.hex(), "clientSeed": client_seed, "nonce": nonce}
        asked.append({"game": summary(game) | {"rules": game.rules}, "bet": bet, "draws": draws})
        hash_ = hashlib.sha256(server_seed).hexdigest()
        expected.append({"outcome": step.outcome, "win": step.win, "hash": hash_})
    file = tmp_path / "rounds.json"
    file.write_text(json.dumps(asked), encoding="utf-8")
    script = PROJECT_ROOT / "tests" / "unit" / "pages" / "recompute.mjs"
    answers = json.loads(await node("--no-warnings", str(script), str(file)))
    assert answers == expected
    assert any(answer["win"] for answer in answers)
    if game.id == "lucky-fruits":
        assert kinds == {"pick", "gamble", "raise", "collect"}
    if game.id == "fruit-lines":
        assert any(len(answer["outcome"]["spins"]) > 1 for answer in answers)


def test_it_is_short_enough_to_be_read() -> None:
    verifier = PROJECT_ROOT / "pages" / "shared" / "verifier.js"
    assert len(verifier.read_text(encoding="utf-8").splitlines()) < LINES_LIMIT
