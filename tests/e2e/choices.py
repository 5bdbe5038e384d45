"""Rounds that wait for their player: opened as a test needs them, and acted on."""

from typing import Any
from uuid import uuid4

import httpx

from games.lucky_fruits import GAME
from games.protocol import Wager
from games.recompute import recompute
from security.seeds import SeedVault, commitment, new_server_seed
from tests.e2e.parties import Player, checked_round

SEED_ID = "SELECT seed_id FROM sessions WHERE id = $1"


async def act(player: Player, round_id: str, action: str, **params: Any) -> httpx.Response:
    action_id = params.pop("action_id", None) or uuid4().hex
    body = {"action_id": action_id, "action": action, "params": params}
    return await player.call("POST", f"/rounds/{round_id}/actions", json=body)


async def open_round(player: Player, offers: str = "gamble") -> dict[str, Any]:
    """A round that offers the action."""
    await plan(player, offers)
    response = await player.bet()
    assert response.status_code == 201, response.text
    round_ = checked_round(response)
    assert offers in actions_of(round_)
    return round_


async def plan(player: Player, offers: str) -> None:
    """Gives the session a new server seed, whose first round offers the action: nothing is left to chance."""
    client_seed, gateway = uuid4().hex, player.operator.gateway
    assert (await player.call("POST", "/seed", json={"client_seed": client_seed})).status_code == 200
    server_seed = next(seed for seed in iter(new_server_seed, None) if offers in _first(seed, client_seed))
    seed_id = await gateway.database.pool.fetchval(SEED_ID, player.session_id)
    await gateway.database.pool.execute(
        "UPDATE seeds SET sealed_server_seed = $2, server_seed_hash = $3 WHERE id = $1",
        seed_id,
        SeedVault(gateway.keyring).seal(seed_id, server_seed),
        commitment(server_seed),
    )


def _first(server_seed: bytes, client_seed: str) -> list[str]:
    """What the first round of the seeds offers."""
    bet = Wager(stake=100, mode="base", choice=None)
    step = recompute(GAME, bet, server_seed=server_seed, client_seed=client_seed, nonce=0)
    return [] if step.offer is None else [choice.action for choice in step.offer.choices]


def actions_of(round_: dict[str, Any]) -> list[str]:
    return [choice["action"] for choice in round_["choices"]]
