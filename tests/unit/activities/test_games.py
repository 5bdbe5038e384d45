"""What a game's failure becomes: a reason without draws, once for each round, and a health that is seen."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, cast

import pytest
from temporalio.exceptions import ApplicationError

from activities import games
from activities.games import GameActivities
from contracts.choices import Chosen
from contracts.rounds import Bet, DrawReference, ResolveRequest, RoundKey
from games.protocol import Game
from games.registry import Registry, UnknownGame
from hosting.health import GameHealth
from hosting.lane import GameOutOfOrder
from security.keyring import Keyring
from security.seeds import SeedVault
from tests.support.bad_games import CHOOSER, PUPPET

VAULT: Final = SeedVault(Keyring.generate())
BET: Final = Bet(
    key=RoundKey(operator_id="o", player_key=1, round_id="r"), player_id="p", account_id=1, session_id="s",
    game_id="puppet", game_version="1.0.0", currency="EUR", stake=100, mode="base", choice={"do": "win"},
    request_id="q",
)  # fmt: skip
DRAW: Final = DrawReference(
    seed_id="seed", sealed_server_seed=VAULT.seal("seed", b"s" * 32), client_seed="c", nonce=0
)


def round_of(deed: str, round_id: str = "r", **changes: Any) -> ResolveRequest:
    key = replace(BET.key, round_id=round_id)
    return ResolveRequest(bet=replace(BET, key=key, choice={"do": deed}, **changes), draw=DRAW)


class Watch:
    def __init__(self) -> None:
        self.failures: list[str] = []
        self.changes: list[bool] = []

    def failed(self, game_id: str) -> None:
        self.failures.append(game_id)

    def healthy(self, game_id: str, version: str, *, healthy: bool) -> None:
        self.changes.append(healthy)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def activities(watch: Watch) -> GameActivities:
    return GameActivities(Registry((PUPPET, CHOOSER)), VAULT, GameHealth(watch))


def fails_for_good(why: str) -> AbstractContextManager[pytest.ExceptionInfo[ApplicationError]]:
    return pytest.raises(ApplicationError, match=why, check=lambda error: error.non_retryable)


async def test_a_failure_is_told_without_draws_and_a_repeat_does_not_play_again(
    activities: GameActivities, watch: Watch
) -> None:
    request = round_of("tell")
    for _ in range(3):
        with fails_for_good(r"^GameError: puppet 1\.0\.0 raised ValueError at bad_games\.py:\d+$"):
            await activities.resolve(request)
    assert watch.failures == ["puppet"]


@pytest.mark.parametrize("deed", ["nul", "surrogate", "leave", "huge", "no-step"])
async def test_a_game_is_unhealthy_until_its_next_answer(
    activities: GameActivities, watch: Watch, deed: str
) -> None:
    for number in range(2):
        with fails_for_good(r"^GameError: puppet 1\.0\.0 "):
            await activities.resolve(round_of(deed, f"r-{number}"))
    assert (watch.failures, watch.changes) == (["puppet", "puppet"], [False])
    for number in range(2):
        assert (await activities.resolve(round_of("win", f"w-{number}"))).win == 200
    assert watch.changes == [False, True]


async def test_only_so_many_failures_are_remembered(
    activities: GameActivities, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(games, "FAILED_REMEMBERED", 2)
    for round_id in ("a", "b", "c", "c", "a"):
        with fails_for_good("GameError"):
            await activities.resolve(round_of("tell", round_id))
    assert len(watch.failures) == 4, "the last one was forgotten, and plays again"


async def test_a_version_that_is_not_here_may_be_elsewhere(activities: GameActivities) -> None:
    with pytest.raises(UnknownGame):
        await activities.resolve(round_of("win", game_version="0.9.0"))


async def test_while_a_game_rests_a_bet_is_released_and_an_action_waits(
    activities: GameActivities, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resting(game: Game, *_: Any) -> Any:
        raise GameOutOfOrder(f"{game.id} is out of order")

    monkeypatch.setattr(games, "play_round", resting)
    with fails_for_good("puppet is out of order"):
        await activities.resolve(round_of("win"))
    acted = replace(round_of("win", game_id="chooser"), actions=[Chosen(action="stop")])
    with pytest.raises(GameOutOfOrder):
        await activities.resolve(acted)
    monkeypatch.undo()
    acted = replace(acted, bet=replace(acted.bet, choice=None))
    assert (await activities.resolve(acted)).win == 100
    assert cast(Any, watch.failures) == []
