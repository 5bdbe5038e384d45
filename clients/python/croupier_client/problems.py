"""The casino's problem documents as exceptions: one class for each code that a program may act on."""

from collections.abc import Mapping
from typing import Any, Final


class CroupierError(Exception):
    """Anything that this package raises."""


class Unanswered(CroupierError):
    """Nobody answered with certainty for as long as the patience lasted. What was sent may be done: the
    same call with the same `ids`, such as round_id="...", is safe at any later time and gets the first
    answer. Without them it would be a second one. The last answer, if there was any, is the cause.
    `unfinished` is what was seen last of a round that is still pending or settling, and None otherwise."""

    def __init__(self, what: str, ids: Mapping[str, str] | None = None, *, unfinished: Any = None) -> None:
        self.ids = dict(ids or {})
        self.unfinished = unfinished
        same = ", ".join(f"{name}={value!r}" for name, value in self.ids.items())
        with_ids = f" with {same}" if same else ""
        super().__init__(f"{what}: no certain answer; the same call{with_ids} is safe later")


class Problem(CroupierError):
    """The casino refused. `members` holds what the case adds, such as `open_round` or `balance`."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("code", "unknown"))
        self.title = str(body.get("title", ""))
        self.detail = str(body.get("detail", ""))
        self.request_id = str(body.get("request_id", ""))
        self.members = {name: value for name, value in body.items() if name not in _KNOWN}
        super().__init__(f"{self.code}: {self.detail}")


_KNOWN: Final = frozenset({"type", "title", "status", "detail", "code", "request_id"})


class Unauthenticated(Problem):
    """The token or key is missing or not valid."""


class SessionExpired(Problem):
    """The session takes no more bets: the operator opens a new one."""


class InsufficientFunds(Problem):
    """The balance does not cover it; `members["balance"]` is what there is."""


class Forbidden(Problem):
    """Not allowed: the key's scope, a blocked player, a game that is switched off, a session of another game
    or currency than the round's."""


class LimitExceeded(Forbidden):
    """A limit of the session would be exceeded."""


class NotFound(Problem):
    """There is nothing of this name."""


class WrongState(Problem):
    """The state of things does not allow it."""


class RoundOpen(WrongState):
    """Another round of this game is open: `members["open_round"]`. Finish it first."""


class RoundClosed(WrongState):
    """The round is over."""


class RoundLost(WrongState):
    """The ledger was restored to a moment before the round. Its stake is back, or will be; bet with a new
    id."""


class Invalid(Problem):
    """The request is not valid; sending it again will not help."""


class IdReused(Invalid):
    """The id names another request already: take a new one."""


class StakeNotAllowed(Invalid):
    """The stake is not on the game's ladder."""


class UnknownChoice(Invalid):
    """The game does not take this choice."""


class WalletFailed(Problem):
    """The operator's wallet did not answer as agreed."""


BY_CODE: Final[Mapping[str, type[Problem]]] = {
    "unauthenticated": Unauthenticated,
    "session-expired": SessionExpired,
    "insufficient-funds": InsufficientFunds,
    "forbidden": Forbidden,
    "game-disabled": Forbidden,
    "player-blocked": Forbidden,
    "limit-exceeded": LimitExceeded,
    "not-found": NotFound,
    "wrong-state": WrongState,
    "round-open": RoundOpen,
    "round-closed": RoundClosed,
    "round-lost": RoundLost,
    "invalid": Invalid,
    "currency-mismatch": Invalid,
    "id-reused": IdReused,
    "stake-not-allowed": StakeNotAllowed,
    "unknown-choice": UnknownChoice,
    "wallet-failed": WalletFailed,
}


# Statuses of a client's error that say nothing about the request itself.
NOT_YET: Final = frozenset({408, 425, 429})


def is_refusal(status: int, document: Mapping[str, Any]) -> bool:
    """Returns whether a problem document says for certain that the request was refused, by whatever transport
    it came. The same request may well be taken in a moment otherwise."""
    if status == 502:  # a bet that was declined for its wallet's sake is on record: its round is named
        return "round_id" in document
    return 400 <= status < 500 and status not in NOT_YET


def problem(status: int, body: Mapping[str, Any]) -> Problem:
    """The exception of a problem document."""
    return BY_CODE.get(str(body.get("code")), Problem)(status, body)
