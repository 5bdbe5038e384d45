"""What an operator sees of this moment, in one look: its own rounds, wallet, events, webhooks and incidents.

Of the platform as a whole there is what says nothing of other operators: since when the broker has not taken
an event. Whether queues have dead letters is the broker's to say, which a console is not connected to; an
event that the statistics never got shows as one that is not counted, and then as an incident.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from contracts.wallet import WalletVerdict
from overview import overdue
from overview.model import Stuck
from overview.rounds import OLDER_THAN
from storage import now as stored
from storage import stuck
from storage.now import Call, OpenIncidents, Pace, Unpublished, WebhookNow
from storage.stuck import OpenNow

OVERDUE_LIMIT: Final = 5
# What a call says that was not made because the wallet has given no certain answer for a while: the breaker
# of the process that would have made it is open.
LEFT_ALONE: Final = "wallet-away"


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletNow:
    """The newest calls of an operator's wallet: how many, by what came of them, and how long the answers
    took. `left_alone` is when the last call was not made because the wallet is left alone, None when it was
    made."""

    dialect: str
    calls: int
    since: datetime | None
    accepted: int
    refused: int
    unknown: int
    not_asked: int
    half: timedelta | None
    most: timedelta | None
    left_alone: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """One operator's, as of `moment`. `overdue` has the first few of `overdue_rounds`; `wallet` is None for
    an operator without one of its own."""

    moment: datetime
    open_rounds: list[OpenNow]
    overdue: list[Stuck]
    overdue_rounds: int
    pace: Pace
    wallet: WalletNow | None
    unpublished: Unpublished
    uncounted_since: datetime | None
    webhooks: list[WebhookNow]
    incidents: list[OpenIncidents]


async def look(pool: asyncpg.Pool, operator_id: str) -> Now:
    """One statement after the other, so that a look takes one connection. Raises what asyncpg raises, and
    OSError, when the database does not answer."""
    moment = datetime.now(UTC)
    before = moment - OLDER_THAN
    rounds, all_rounds = await stuck.rounds(pool, operator_id, before=before, limit=OVERDUE_LIMIT)
    bets, all_bets = await stuck.bets(pool, operator_id, before=before, limit=OVERDUE_LIMIT)
    longest = sorted((*rounds, *bets), key=lambda one: one.since)[:OVERDUE_LIMIT]
    dialect = await stored.wallet_dialect(pool, operator_id)
    calls = [] if dialect is None else await stored.calls(pool, operator_id)
    return Now(
        moment=moment,
        open_rounds=await stuck.now(pool, operator_id, moment=moment),
        overdue=[overdue.stuck(one) for one in longest],
        overdue_rounds=all_rounds + all_bets,
        pace=await stored.pace(pool, operator_id, moment=moment),
        wallet=None if dialect is None else wallet_now(dialect, calls),
        unpublished=await stored.unpublished(pool, operator_id),
        uncounted_since=await stored.uncounted_since(pool, operator_id, moment=moment),
        webhooks=await stored.webhooks(pool, operator_id),
        incidents=await stored.incidents(pool, operator_id),
    )


def wallet_now(dialect: str, calls: Sequence[Call]) -> WalletNow:
    """Of calls in their order, newest first."""
    sent = [call for call in calls if call.sent]
    verdicts = [call.verdict for call in sent]
    took = sorted(call.took_us for call in sent)
    last = calls[0] if calls else None
    return WalletNow(
        dialect=dialect,
        calls=len(calls),
        since=calls[-1].created_at if calls else None,
        accepted=verdicts.count(WalletVerdict.ACCEPTED),
        refused=verdicts.count(WalletVerdict.REFUSED),
        unknown=verdicts.count(WalletVerdict.UNKNOWN),
        not_asked=len(calls) - len(sent),
        half=_within(took, 50),
        most=_within(took, 95),
        left_alone=last.created_at if last is not None and last.code == LEFT_ALONE else None,
    )


def _within(took_us: Sequence[int], percent: int) -> timedelta | None:
    """What so many of a hundred took at most."""
    if not took_us:
        return None
    return timedelta(microseconds=took_us[(len(took_us) * percent + 99) // 100 - 1])
