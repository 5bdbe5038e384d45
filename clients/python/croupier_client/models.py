"""What the casino answers, as frozen dataclasses. Members that a later server adds are ignored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class RoundState(StrEnum):
    """`settled`, `declined` and `void` are final."""

    PENDING = "pending"
    AWAITING_CHOICE = "awaiting_choice"
    SETTLING = "settling"
    SETTLED = "settled"
    DECLINED = "declined"
    VOID = "void"

    @property
    def final(self) -> bool:
        return self in (RoundState.SETTLED, RoundState.DECLINED, RoundState.VOID)

    @property
    def under_way(self) -> bool:
        """Neither final nor the player's turn: the casino is at it."""
        return self in (RoundState.PENDING, RoundState.SETTLING)


@dataclass(frozen=True, slots=True)
class Money:
    """`amount` in minor units: cents for EUR, satoshi for BTC."""

    amount: int
    currency: str

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(_integer(body["amount"]), str(body["currency"]))


@dataclass(frozen=True, slots=True)
class GameRef:
    id: str
    version: str


@dataclass(frozen=True, slots=True)
class GameInfo:
    """`choice` is the JSON Schema of a bet's choice, or None; `rules` is empty in listings."""

    id: str
    version: str
    title: str
    modes: Mapping[str, Any]
    stakes: tuple[int, ...]
    max_win: int
    choice: Mapping[str, Any] | None
    rules: Mapping[str, Any]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            id=body["id"],
            version=body["version"],
            title=body["title"],
            modes=body["modes"],
            stakes=tuple(body["stakes"]),
            max_win=body["max_win"],
            choice=body["choice"],
            rules=body.get("rules", {}),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice that an open round offers. `params` maps each parameter to the allowed values; `debit` is the
    cost."""

    action: str
    params: Mapping[str, tuple[str | int | bool, ...]]
    debit: Money

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        params = {name: tuple(values) for name, values in body["params"].items()}
        return cls(body["action"], params, Money.parse(body["debit"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenAction:
    """An action that was taken in a round; `by` is "timer" where the timer decided for a player who stayed
    away."""

    action_id: str
    action: str
    params: Mapping[str, str | int | bool]
    debit: Money
    by: str
    at: datetime

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            action_id=body["action_id"],
            action=body["action"],
            params=body["params"],
            debit=Money.parse(body["debit"]),
            by=body["by"],
            at=datetime.fromisoformat(body["at"]),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a strategy answers to an open round."""

    action: str
    params: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Fairness:
    """What the draw was made from; the server seed is revealed when the seed is rotated."""

    server_seed_hash: str | None
    client_seed: str | None
    nonce: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A round as it stands. `failure_code` says why it was declined or void."""

    round_id: str
    state: RoundState
    game: GameRef
    mode: str
    stake: Money
    win: Money
    balance: Money | None
    outcome: Mapping[str, Any] | None
    choices: tuple[Choice, ...]
    decide_by: datetime | None
    actions: tuple[TakenAction, ...]
    fairness: Fairness
    sequence: int | None
    created_at: datetime | None
    settled_at: datetime | None
    failure_code: str | None
    # What only the operator sees, such as wallet_attempts, and what later servers add.
    more: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        failure = body["failure"]
        return cls(
            round_id=body["round_id"],
            state=RoundState(body["state"]),
            game=GameRef(body["game"]["id"], body["game"]["version"]),
            mode=body["mode"],
            stake=Money.parse(body["stake"]),
            win=Money.parse(body["win"]),
            balance=_optional(Money.parse, body["balance"]),
            outcome=body["outcome"],
            choices=tuple(Choice.parse(choice) for choice in body["choices"]),
            decide_by=_moment(body["decide_by"]),
            actions=tuple(TakenAction.parse(action) for action in body["actions"]),
            fairness=Fairness(
                body["fairness"]["server_seed_hash"],
                body["fairness"]["client_seed"],
                body["fairness"]["nonce"],
            ),
            sequence=body["sequence"],
            created_at=_moment(body["created_at"]),
            settled_at=_moment(body["settled_at"]),
            failure_code=None if failure is None else failure["code"],
            more={name: value for name, value in body.items() if name not in _ROUND_MEMBERS},
        )


_ROUND_MEMBERS = frozenset(
    {"round_id", "state", "game", "mode", "stake", "win", "balance", "outcome", "choices", "decide_by"}
    | {"actions", "fairness", "sequence", "created_at", "settled_at", "failure"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`balance` is None while the operator's own wallet does not say it; `open_round` is a round to go on
    with. `server_seed_hash` commits to the draws before they are made."""

    session_id: str
    player_id: str
    game: GameInfo
    currency: str
    mode: str
    balance: Money | None
    limits: Mapping[str, Any]
    open_round: str | None
    server_seed_hash: str
    client_seed: str
    next_nonce: int
    expires_at: datetime

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            session_id=body["session_id"],
            player_id=body["player"]["id"],
            game=GameInfo.parse(body["game"]),
            currency=body["currency"],
            mode=body["mode"],
            balance=_optional(Money.parse, body["balance"]),
            limits=body["limits"],
            open_round=body["open_round"],
            server_seed_hash=body["fairness"]["server_seed_hash"],
            client_seed=body["fairness"]["client_seed"],
            next_nonce=body["fairness"]["next_nonce"],
            expires_at=datetime.fromisoformat(body["expires_at"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealedSeed:
    """`server_seed` is hex; `last_nonce` is None when nothing was drawn from it."""

    server_seed: str
    server_seed_hash: str
    client_seed: str
    last_nonce: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRotation:
    revealed: RevealedSeed
    next_server_seed_hash: str
    next_client_seed: str

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        old, following = body["revealed"], body["next"]
        return cls(
            revealed=RevealedSeed(
                server_seed=old["server_seed"],
                server_seed_hash=old["server_seed_hash"],
                client_seed=old["client_seed"],
                last_nonce=old["last_nonce"],
            ),
            next_server_seed_hash=following["server_seed_hash"],
            next_client_seed=following["client_seed"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """`token` is a secret: it goes to the player's game client and nowhere else."""

    session_id: str
    token: str = field(repr=False)
    launch_url: str = field(repr=False)
    expires_at: datetime

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            session_id=body["session_id"],
            token=body["token"],
            launch_url=body["launch_url"],
            expires_at=datetime.fromisoformat(body["expires_at"]),
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """A deposit or a withdrawal, and what was available after it."""

    transaction_id: str
    balance: Money

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(body["transaction_id"], Money.parse(body["balance"]))


@dataclass(frozen=True, slots=True)
class Balance:
    """`balance` is available, `held` is reserved by open rounds, `total` is both."""

    balance: Money
    held: Money
    total: Money

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(Money.parse(body["balance"]), Money.parse(body["held"]), Money.parse(body["total"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """A line of a player's statement: `amount` is negative when it left the player."""

    position: int
    kind: str
    reference: str
    amount: Money
    balance: Money
    at: datetime

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            position=body["position"],
            kind=body["kind"],
            reference=body["reference"],
            amount=Money.parse(body["amount"]),
            balance=Money.parse(body["balance"]),
            at=datetime.fromisoformat(body["at"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A CloudEvent. `sequence` is the player's, without gaps, and None for what is no player's."""

    id: str
    type: str
    subject: str
    time: datetime
    sequence: int | None
    data: Mapping[str, Any]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            id=body["id"],
            type=body["type"],
            subject=body["subject"],
            time=datetime.fromisoformat(body["time"]),
            sequence=body.get("sequence"),
            data=body["data"],
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; `next_cursor` leads on."""

    items: tuple[T, ...]
    next_cursor: str | None


def page_of(parse: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], Page[T]]:
    return lambda body: Page(tuple(parse(item) for item in body["items"]), body["next_cursor"])


def _integer(value: object) -> int:
    """Money that is no integer is no money."""
    if type(value) is not int:
        raise TypeError("an amount is not an integer")
    return value


def _optional(parse: Callable[[Mapping[str, Any]], T], body: Mapping[str, Any] | None) -> T | None:
    return None if body is None else parse(body)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
