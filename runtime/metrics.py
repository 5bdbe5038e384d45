"""The ingress's metrics. Labels never carry an id of a player.

The other programs define their own beside their work, so that no program shows a figure it does not have.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS_S: Final = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10)

ROUNDS_CLOSED: Final = Counter(
    "croupier_rounds_closed_total", "Rounds this process saw reach their end.", ["game", "state"]
)
BET_SECONDS: Final = Histogram(
    "croupier_bet_seconds",
    "From a bet's arrival to its answer, by how it was answered.",
    ["answer"],
    buckets=LATENCY_BUCKETS_S,
)
STAGE_SECONDS: Final = Histogram(
    "croupier_stage_seconds",
    "Where a round's time goes: `place` is from the bet's start to its answer; `start` is Temporal's reply, "
    "`reserve`, `resolve`, `settle` and `emit` are the steps themselves. `emit` comes after the answer.",
    ["stage"],
    buckets=(0.0005, 0.001, 0.002, 0.005, *LATENCY_BUCKETS_S[1:]),
)
BETS_REFUSED: Final = Counter("croupier_bets_refused_total", "Bets that were refused.", ["code"])
REQUESTS_LIMITED: Final = Counter(
    "croupier_requests_limited_total",
    "Requests answered with 429, by the limit: `address`, `session`, `key`, or `failures` of an address.",
    ["limit"],
)
CONNECTIONS: Final = Gauge("croupier_connections", "Connections that are open.")
CONNECTIONS_ENDED: Final = Counter(
    "croupier_connections_ended_total",
    "Connections that we ended: `full` or `address-full` at once; for a `head` or `body` that did not come "
    "in time, an answer `unread`, a message `too-large`, or `malformed`.",
    ["why"],
)
GAME_FAILURES: Final = Counter(
    "croupier_game_failures_total",
    "Rounds that a game gave no outcome for, and processes of games that were lost.",
    ["game"],
)
GAME_HEALTHY: Final = Gauge(
    "croupier_game_healthy",
    "0 from a game's failure to its next answer, then 1; no series for a game that never failed.",
    ["game", "version"],
)
WALLET_CALLS: Final = Counter(
    "croupier_wallet_calls_total",
    "Calls of operators' own wallets, by outcome: `accepted`, `refused`, `unknown`; `not-asked` for want of "
    "a place, or with an open breaker.",
    ["operator", "call", "verdict"],
)
WALLET_CALL_SECONDS: Final = Histogram(
    "croupier_wallet_call_seconds",
    "How long operators' wallets take to answer, or were waited for in vain.",
    ["call"],
    buckets=LATENCY_BUCKETS_S,
)
WALLET_BREAKER_OPEN: Final = Gauge(
    "croupier_wallet_breaker_open",
    "1 while an operator's wallet is left alone, for it gave no certain answer; 0 otherwise.",
    ["operator"],
)
WALLET_WAITING: Final = Gauge(
    "croupier_wallet_waiting", "Calls that wait for a connection slot.", ["operator"]
)
COMMANDS: Final = Counter(
    "croupier_commands_total",
    "Commands from the queue, by what came of them: `round`, `problem`, or `parked` for what is no command.",
    ["answer"],
)
COMMANDS_CONNECTED: Final = Gauge("croupier_commands_connected", "1 while commands are taken from the queue.")
OPEN_REQUESTS: Final = Gauge("croupier_open_requests", "Requests being served.")
OPEN_BETS: Final = Gauge("croupier_open_bets", "Bets being served.")
OPEN_COMMANDS: Final = Gauge("croupier_open_commands", "Commands that are held, from the queue.")
OPERATOR_OVERDUE: Final = Gauge(
    "croupier_operator_overdue",
    "Bets and commands of an operator that have waited for a service for more than a second.",
    ["operator"],
)
OPERATOR_REFUSED: Final = Counter(
    "croupier_operator_refused_total",
    "Calls refused because their operator alone has nearly all there is: `requests`, `bets` or `commands`.",
    ["operator", "what"],
)
OPEN_SOCKETS: Final = Gauge("croupier_open_sockets", "WebSockets of game clients.")
