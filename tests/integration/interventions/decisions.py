"""A person's decisions about a round, and what became of it."""

from typing import Any, Final
from uuid import uuid4

from contracts.interventions import (
    Action,
    InterveneRequest,
    Intervention,
    InterventionResult,
    InterventionVerdict,
)
from contracts.rounds import Bet
from contracts.views import RoundView
from storage import interventions, rounds
from tests.integration.wallet.seats import WalletSeat
from tests.support.ledger import Seat

REASON: Final = "the wallet's ticket 4711 says so"
VOIDED: Final = "voided-by-operator"
STAKE: Final = 100
WIN: Final = 250


async def decide(
    seat: Seat, bet: Bet, action: Action, *, intervention_id: str | None = None, pool: Any = None
) -> InterventionResult:
    decision = Intervention(
        intervention_id=intervention_id or str(uuid4()), action=action, reason=REASON, actor="key:tests"
    )
    return await interventions.intervene(
        pool or seat.database.pool, InterveneRequest(bet=bet, intervention=decision)
    )


async def accepted(seat: Seat, bet: Bet, action: Action) -> InterventionResult:
    intervened = await decide(seat, bet, action)
    assert intervened.verdict is InterventionVerdict.ACCEPTED
    return intervened


async def is_refused(seat: Seat, bet: Bet, action: Action) -> None:
    before = await round_of(seat, bet)
    intervened = await decide(seat, bet, action)
    assert intervened.verdict is InterventionVerdict.REFUSED
    assert await round_of(seat, bet) == before


async def round_of(seat: Seat, bet: Bet) -> RoundView | None:
    return await rounds.find(seat.database.pool, bet.key)


async def stands(seat: Seat, bet: Bet) -> RoundView:
    view = await round_of(seat, bet)
    assert view is not None
    return view


async def on_record(seat: Seat, bet: Bet) -> list[tuple[str, str | None, str]]:
    rows = await seat.database.pool.fetch(
        "SELECT * FROM interventions WHERE player_key = $1 AND round_id = $2 ORDER BY created_at",
        bet.key.player_key,
        bet.key.round_id,
    )
    assert all((row["reason"], row["actor"]) == (REASON, "key:tests") for row in rows)
    return [(row["action"], row["state_before"], row["verdict"]) for row in rows]


async def settling(seat: WalletSeat, bet: Bet) -> RoundView:
    """A round whose win the wallet has not taken."""
    await seat.pending(bet)
    return (await seat.record(bet, WIN)).view
