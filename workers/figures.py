"""The figures of the whole database, which one program asks for: rounds that are open or wait for their
wallet, and transactions that hold things up. Each reads what is so now, and never the history."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import asyncpg
from prometheus_client import Gauge

from contracts.rounds import RoundState
from contracts.wallet import WalletCall
from runtime import metrics
from storage.open_rounds import open_rounds
from storage.settling import settling
from workers.long_transactions import LongTransactions

ROUNDS_OPEN: Final = Gauge(
    "croupier_rounds_open",
    "Rounds that hold their stake, by the state that they are in.",
    ["operator", "state"],
)
OPEN_AGE_SECONDS: Final = Gauge(
    "croupier_rounds_open_oldest_age_seconds",
    "How long ago the oldest of these rounds was bet, or played on by its player.",
    ["operator", "state"],
)
ROUNDS_SETTLING: Final = Gauge(
    "croupier_rounds_settling",
    "Rounds whose win or rollback their operator's wallet has not taken.",
    ["operator", "call"],
)
SETTLING_AGE_SECONDS: Final = Gauge(
    "croupier_rounds_settling_oldest_age_seconds",
    "How long ago the oldest of these rounds was bet.",
    ["operator", "call"],
)

OPEN_STATES: Final = tuple(state.value for state in RoundState if not state.final)
CALLS: Final = (WalletCall.WIN.value, WalletCall.ROLLBACK.value)


class Figures:
    """Its figures are all at 0 for an operator of whom nothing is found."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._transactions = LongTransactions(clock)

    async def check(self, pool: asyncpg.Pool) -> None:
        """Asks, and sets the gauges."""
        await self._transactions.check(pool)
        by_state = [(one.operator_id, one.state, one.rounds, one.age_s) for one in await open_rounds(pool)]
        by_call = [(one.operator_id, one.call.value, one.rounds, one.age_s) for one in await settling(pool)]
        _set(by_state, OPEN_STATES, ROUNDS_OPEN, OPEN_AGE_SECONDS)
        _set(by_call, CALLS, ROUNDS_SETTLING, SETTLING_AGE_SECONDS)


def _set(
    found: Iterable[tuple[str, str, int, float]], kinds: Iterable[str], counts: Gauge, ages: Gauge
) -> None:
    """Adds up what has one label, and takes the oldest of it."""
    number: defaultdict[tuple[str, str], int] = defaultdict(int)
    oldest: defaultdict[tuple[str, str], float] = defaultdict(float)
    for operator_id, kind, rounds, age_s in found:
        label = metrics.OPERATORS.of(operator_id), kind
        number[label] += rounds
        oldest[label] = max(oldest[label], age_s)
    for operator in metrics.OPERATORS.labels():
        for kind in kinds:
            counts.labels(operator, kind).set(number[operator, kind])
            ages.labels(operator, kind).set(oldest[operator, kind])
