"""A round is computed once more from its seed: what comes of one that is not as recorded, or cannot be."""

from typing import Any, Final

import pytest

from api.result.replay import Replays
from contracts.views import RoundView
from games.registry import Registry
from security.keyring import Keyring
from security.seeds import SeedVault
from storage import rounds
from storage.database import Database
from tests.support.ledger import KEYRING, Seat, take_seat

CHOICE: Final = {"direction": "over", "target": 4_999}
OWN: Final = SeedVault(KEYRING)


@pytest.fixture
async def seat(database: Database) -> Seat:
    return await take_seat(database, balance=1_000)


async def settled(seat: Seat, outcome: dict[str, Any], win: int, **changes: Any) -> RoundView:
    bet = seat.bet(choice=CHOICE, **changes)
    await seat.reserve(bet)
    await rounds.settle(seat.database.pool, bet.key, outcome, win)
    found = await rounds.find(seat.database.pool, bet.key)
    assert found is not None
    return found


async def test_a_round_that_is_not_what_its_seed_gives_is_named(seat: Seat) -> None:
    replays = Replays(Registry.load(), OWN)
    wrong = await replays.replay(await settled(seat, {"roll": 1}, 7))
    assert wrong.why is not None
    assert "not what is recorded" in wrong.why
    assert wrong.outcome is not None
    assert wrong.win is not None


async def test_what_cannot_be_computed_says_why(seat: Seat) -> None:
    view = await settled(seat, {"roll": 1}, 7)
    bet = seat.bet(choice=CHOICE)
    open_ = await seat.reserve(bet)
    gone = await settled(await take_seat(seat.database, balance=1_000), {"roll": 1}, 7, game_version="0.0.1")
    for replays, of, why in (
        (Replays(Registry.load(), SeedVault(Keyring.generate())), view, "seed does not open here"),
        (Replays(Registry.load(), OWN), open_, "only settled rounds"),
        (Replays(Registry.load(), OWN), gone, "Version 0.0.1 of the game is not installed"),
    ):
        replayed = await replays.replay(of)
        assert (replayed.outcome, replayed.win) == (None, None)
        assert replayed.why is not None
        assert why in replayed.why
