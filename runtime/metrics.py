"""The ingress's metrics, and what is the same in every program's. Labels never carry an id of a player.

The other programs define their own beside their work, so that no program shows a figure it does not have.
Every value of a label is known before it is counted: a counter whose first sample is 1 shows no increase.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import product
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from contracts import failures, steps
from contracts.rounds import RoundState
from contracts.wallet import WalletCall, WalletVerdict
from runtime.unavailable import UNAVAILABLE, Cause

LATENCY_BUCKETS_S: Final = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10)
# Of what has many series, where the question is whether it is slow.
FEW_BUCKETS_S: Final = (0.01, 0.05, 0.1, 0.5, 1, 2, 5)

OTHER: Final = "other"
FAST: Final = "fast"
DURABLE: Final = "durable"
CLOSED_STATES: Final = tuple(state.value for state in RoundState if state.final)
NOT_ASKED: Final = "not-asked"
WALLET_OUTCOMES: Final = (*(verdict.value for verdict in WalletVerdict), NOT_ASKED)
FAST_STEPS: Final = tuple(
    step.name for step in (steps.RESERVE, steps.RESOLVE, steps.OPEN, steps.ACT, steps.SETTLE, steps.EMIT)
)
DURABLE_STEPS: Final = (*FAST_STEPS, steps.RELEASE.name, steps.INTERVENE.name)
# The problems with which a bet is refused: by its game, by the ledger or a wallet, and by admission.
BET_CODES: Final = (
    *("invalid", "unknown-choice", "overloaded", failures.STAKE_NOT_ALLOWED, failures.LIMIT_EXCEEDED),
    *(failures.INSUFFICIENT_FUNDS, failures.ROUND_OPEN, failures.SESSION_EXPIRED, failures.PLAYER_BLOCKED),
    *(failures.GAME_DISABLED, failures.ID_REUSED, failures.CURRENCY_MISMATCH, failures.WALLET_FAILED),
    failures.ROUND_LOST,
)
RESOURCES: Final = ("requests", "bets", "commands", "connections", "sockets")
OF_OPERATORS: Final = ("requests", "bets", "commands")

ROUNDS_CLOSED: Final = Counter(
    "croupier_rounds_closed_total",
    "Rounds this process saw reach their end.",
    ["operator", "game", "state"],
)
BET_SECONDS: Final = Histogram(
    "croupier_bet_duration_seconds",
    "From a bet's arrival to its answer, by the answer's status.",
    ["status"],
    buckets=LATENCY_BUCKETS_S,
)
STEP_SECONDS: Final = Histogram(
    "croupier_step_duration_seconds",
    "Where a round's time goes: `place` is from the bet's start to its answer; `start` is Temporal's reply, "
    "`reserve`, `resolve`, `settle` and `emit` are the steps themselves. `emit` comes after the answer.",
    ["step", "path"],
    buckets=(0.0005, 0.001, 0.002, 0.005, *LATENCY_BUCKETS_S[1:]),
)
BETS_REFUSED: Final = Counter("croupier_bets_refused_total", "Bets that were refused.", ["code"])
PROBLEMS: Final = Counter(
    "croupier_problems_total",
    "Problems that were answered, by their code and over which transport: `http`, `socket` or `queue`.",
    ["code", "transport"],
)
HTTP_REQUESTS: Final = Counter(
    "croupier_http_requests_total",
    "Answers over HTTP, by the route's template and the class of the status. `unmatched` is no route, or an"
    " answer before there was one.",
    ["method", "route", "code"],
)
HTTP_SECONDS: Final = Histogram(
    "croupier_http_request_duration_seconds",
    "From a request's head to its answer's.",
    ["method", "route"],
    buckets=FEW_BUCKETS_S,
)
REQUESTS_LIMITED: Final = Counter(
    "croupier_requests_limited_total",
    "Requests answered with 429, by the limit: `address`, `session`, `key`, or `failures` of an address.",
    ["limit"],
)
CONNECTIONS_ENDED: Final = Counter(
    "croupier_connections_ended_total",
    "Connections that we ended: `full` or `address-full` at once; for a `head` or `body` that did not come "
    "in time, an answer `unread`, a message `too-large`, or `malformed`.",
    ["reason"],
)
ADMISSION_IN_USE: Final = Gauge(
    "croupier_admission_in_use",
    "What is served or held now: `requests`, `bets`, `commands` of the queue, `connections`, `sockets`.",
    ["resource"],
)
ADMISSION_LIMIT: Final = Gauge(
    "croupier_admission_limit", "How much of it this process serves or holds at once.", ["resource"]
)
OPERATOR_OVERDUE: Final = Gauge(
    "croupier_operator_calls_overdue",
    "Bets and commands of an operator that have waited for a service for more than a second.",
    ["operator"],
)
OPERATOR_REFUSED: Final = Counter(
    "croupier_operator_calls_refused_total",
    "Calls refused because their operator alone has nearly all there is: `requests`, `bets` or `commands`.",
    ["operator", "resource"],
)
GAME_FAILURES: Final = Counter(
    "croupier_game_failures_total",
    "Rounds that a game gave no outcome for, and processes of games that were lost.",
    ["game"],
)
GAME_HEALTHY: Final = Gauge(
    "croupier_game_healthy", "0 from a game's failure to its next answer, else 1.", ["game", "version"]
)
WALLET_CALLS: Final = Counter(
    "croupier_wallet_calls_total",
    "Calls of operators' own wallets, by outcome: `accepted`, `refused`, `unknown`; `not-asked` for want of "
    "a place, or with an open breaker.",
    ["operator", "call", "outcome"],
)
WALLET_CALL_SECONDS: Final = Histogram(
    "croupier_wallet_call_duration_seconds",
    "How long operators' wallets take to answer, or were waited for in vain.",
    ["operator"],
    buckets=FEW_BUCKETS_S,
)
WALLET_BREAKER_OPEN: Final = Gauge(
    "croupier_wallet_breaker_open",
    "1 while an operator's wallet is left alone, for it gave no certain answer; 0 otherwise.",
    ["operator"],
)
WALLET_WAITING: Final = Gauge(
    "croupier_wallet_calls_waiting", "Calls that wait for a connection slot.", ["operator"]
)
COMMANDS: Final = Counter(
    "croupier_commands_total",
    "Commands from the queue, by what came of them: `round`, `problem`, or `parked` for what is no command.",
    ["outcome"],
)


def at_zero(metric: MetricWrapperBase, *values: Iterable[str]) -> None:
    """Makes the series of every combination of its labels' values."""
    for labels in product(*values):
        metric.labels(*labels)


class KnownLabels:
    """The values that a label may have: the first `limit` that are learned, and `other` for all later ones.
    Who `follows` hears of each value once, `other` included, and makes its series. A call without an operator
    is one of others."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[str, str] = {}
        self._followers: list[Callable[[str], None]] = []

    def allow(self, limit: int) -> None:
        """From now on. What is learned stays learned."""
        self._limit = limit

    def follow(self, follower: Callable[[str], None]) -> None:
        self._followers.append(follower)
        for value in self.labels():
            follower(value)

    def labels(self) -> tuple[str, ...]:
        """Every value by now."""
        return OTHER, *self._known

    def of(self, value: str) -> str:
        """The label of `value`, which is learned while there is room."""
        label = self._known.get(value)
        return self._learn(value) if label is None else label

    def _learn(self, value: str) -> str:
        if len(self._known) >= self._limit or not value:
            return OTHER
        self._known[value] = value
        for follower in self._followers:
            follower(value)
        return value


# As many as the setting metrics_operators allows: workers/known_operators.py.
OPERATORS: Final = KnownLabels(50)


@lru_cache(maxsize=2048)
def of_step(step: str, path: str = FAST) -> Histogram:
    """A step's series: finding it by its labels each time would cost more than counting."""
    return STEP_SECONDS.labels(step, path)


@lru_cache(maxsize=64)
def of_bet(status: int) -> Histogram:
    return BET_SECONDS.labels(str(status))


@lru_cache(maxsize=256)
def of_problem(code: str, transport: str) -> Counter:
    return PROBLEMS.labels(code, transport)


@lru_cache(maxsize=32)
def in_use(resource: str) -> Gauge:
    return ADMISSION_IN_USE.labels(resource)


@lru_cache(maxsize=4096)
def of_wallet_call(operator: str, call: str, outcome: str) -> Counter:
    return WALLET_CALLS.labels(operator, call, outcome)


@lru_cache(maxsize=1024)
def of_wallet_time(operator: str) -> Histogram:
    return WALLET_CALL_SECONDS.labels(operator)


class RoundsClosed:
    """Counts ends of rounds by operator, installed game and state."""

    def __init__(self, games: Iterable[str]) -> None:
        self._games = frozenset(games)
        self._series: dict[tuple[str, str, str], Counter] = {}
        OPERATORS.follow(lambda operator: at_zero(ROUNDS_CLOSED, [operator], self._games, CLOSED_STATES))

    def count(self, operator_id: str, game_id: str, state: str) -> None:
        labels = OPERATORS.of(operator_id), game_id if game_id in self._games else OTHER, state
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = ROUNDS_CLOSED.labels(*labels)
        series.inc()


def limit(resource: str, most: int) -> None:
    ADMISSION_LIMIT.labels(resource).set(most)


def of_a_wallet(operator: str) -> None:
    """The series of an operator with a wallet of its own."""
    at_zero(WALLET_CALLS, [operator], (call.value for call in WalletCall), WALLET_OUTCOMES)
    for metric in (WALLET_CALL_SECONDS, WALLET_BREAKER_OPEN, WALLET_WAITING):
        metric.labels(operator)


def of_an_ingress(problem_codes: Iterable[str]) -> None:
    """The series of an ingress, at 0."""
    at_zero(BET_SECONDS, ("200", "201", "202"))
    at_zero(BETS_REFUSED, BET_CODES)
    at_zero(PROBLEMS, problem_codes, ("http", "socket", "queue"))
    at_zero(UNAVAILABLE, (cause.value for cause in Cause))
    at_zero(REQUESTS_LIMITED, ("address", "session", "key", "failures"))
    at_zero(CONNECTIONS_ENDED, ("full", "address-full", "head", "body", "unread", "too-large", "malformed"))
    at_zero(COMMANDS, ("round", "problem", "parked"))
    for gauge in (ADMISSION_IN_USE, ADMISSION_LIMIT):
        at_zero(gauge, RESOURCES)
    at_zero(STEP_SECONDS, ("place", "start", *FAST_STEPS), (FAST,))
    at_zero(STEP_SECONDS, DURABLE_STEPS, (DURABLE,))
    OPERATORS.follow(lambda operator: at_zero(OPERATOR_REFUSED, [operator], OF_OPERATORS))
    OPERATORS.follow(lambda operator: at_zero(OPERATOR_OVERDUE, [operator]))
