"""The ledger's views of stored rows: rounds, sessions, balances, deposits, API keys."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal

from contracts.choices import AskedAction, Chosen, Offer, OpenRound
from contracts.events import RecordedEvent
from contracts.rounds import STORED_OF_BET, Bet, DrawReference, RoundKey, RoundState
from contracts.sessions import DEMO


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundView:
    """A round as it is stored. Amounts are minor units of `currency`; `balance` is the player's available
    balance right after the round closed. It is None while the round is open, and where the operator's wallet
    said none that can be shown; below 0 where that says so.

    `stake` is the bet's, `extra` what further actions cost. `actions` counts those, and `taken` has them:
    action_id, action, params, debit, by and at. While the round waits for its player, `offer` is what it
    offers, until `decide_by` (None: without end), and `asked` the action that an operator's wallet is being
    asked for."""

    key: RoundKey
    player_id: str
    account_id: int
    session_id: str
    game_id: str
    game_version: str
    currency: str
    mode: str
    stake: int
    choice: dict[str, Any] | None
    request_id: str
    state: RoundState
    outcome: dict[str, Any] | None
    win: int
    balance: int | None
    sequence: int | None
    event_id: str | None
    failure_code: str | None
    failure_detail: str | None
    seed_id: str | None
    sealed_server_seed: str | None
    server_seed_hash: str | None
    client_seed: str | None
    nonce: int | None
    created_at: datetime
    closed_at: datetime | None
    demo: bool = False
    jurisdiction: str | None = None
    extra: int = 0
    actions: int = 0
    offer: Offer | None = None
    decide_by: datetime | None = None
    left_s: float | None = None
    taken: list[dict[str, Any]] | None = None
    asked: AskedAction | None = None
    brand: str | None = None

    @property
    def staked(self) -> int:
        """All that the round took from its player."""
        return self.stake + self.extra

    @property
    def open(self) -> OpenRound | None:
        """The offer that the round waits on, None when it does not wait."""
        if self.state is not RoundState.AWAITING_CHOICE:
            return None
        assert self.offer is not None
        return OpenRound(offer=self.offer, actions=self.actions, left_s=self.left_s, asked=self.asked)

    @property
    def draw(self) -> DrawReference | None:
        """Where its randomness comes from, None when it is closed."""
        if self.state.final:
            return None
        assert self.seed_id is not None
        assert self.sealed_server_seed is not None
        assert self.client_seed is not None
        assert self.nonce is not None
        return DrawReference(
            seed_id=self.seed_id,
            sealed_server_seed=self.sealed_server_seed,
            client_seed=self.client_seed,
            nonce=self.nonce,
        )

    @property
    def chosen(self) -> list[Chosen]:
        """The actions that were taken, in their order."""
        return [Chosen(action=taken["action"], params=taken["params"]) for taken in self.taken or ()]

    @property
    def begun_only(self) -> bool:
        """Whether nothing but the bet is known: nothing is held, and the round has no row yet."""
        return self.state is RoundState.PENDING and self.seed_id is None

    @property
    def bet(self) -> Bet:
        """The bet that the round began with: enough to restart its workflow when Temporal has lost it."""
        return Bet(**{name: getattr(self, name) for name in STORED_OF_BET})

    def answers(self, bet: Bet) -> bool:
        """Returns whether `bet` is the request that made this round, or an honest repeat of it."""
        return (
            self.key == bet.key
            and self.account_id == bet.account_id
            and self.game_id == bet.game_id
            and self.mode == bet.mode
            and self.stake == bet.stake
            and self.choice == bet.choice
        )


def round_begun(bet: Bet, at: datetime | None = None) -> RoundView:
    """The round of which nothing but its bet is known, and when it began where that is known too."""
    nothing = dict.fromkeys(RoundView.__slots__)
    known = {name: getattr(bet, name) for name in STORED_OF_BET}
    empty = {"state": RoundState.PENDING, "win": 0, "extra": 0, "actions": 0, "created_at": at}
    return RoundView(**{**nothing, **known, **empty})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The result of a settle. `event` is the round's event when this very call closed the round. It is None
    for a round that was closed before, whose event may be published already."""

    view: RoundView
    event: RecordedEvent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """A session with its current seed pair's public half."""

    session_id: str
    operator_id: str
    player_id: str
    player_key: int
    account_id: int
    game_id: str
    currency: str
    mode: str
    server_seed_hash: str
    client_seed: str
    next_nonce: int
    expires_at: datetime
    ended_at: datetime | None
    created_at: datetime | None = None  # None before it is stored
    jurisdiction: str | None = None
    limits: dict[str, Any] | None = None  # contracts.limits.SessionLimits as JSON; None when there are none
    lost: int = 0  # the net loss so far in minor units, counted where there is a loss limit
    enabled: bool = True  # whether the operator offers the game at this moment
    brand: str | None = None  # of the operator's: a label that its rounds and events carry

    @property
    def demo(self) -> bool:
        return self.mode == DEMO

    @property
    def ends_by(self) -> datetime | None:
        """When the longest time that the session may last is over; None without such a limit."""
        longest_s = (self.limits or {}).get("max_session_s")
        if longest_s is None or self.created_at is None:
            return None
        return self.created_at + timedelta(seconds=longest_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceView:
    """A player's balance, in minor units: `held` is reserved by open rounds, `available` is the rest."""

    currency: str
    balance: int
    held: int

    @property
    def available(self) -> int:
        return self.balance - self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositView:
    """`result` is deposited, replayed (an honest repeat), reused (the id belongs to another deposit) or
    too-much (no client could show such a balance)."""

    result: str
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyView:
    """A key as stored: the hash is compared in memory, never sent anywhere. `operator_id` is empty for a key
    of the platform, which belongs to no operator. `disabled` is whether the operator is. `brand` is that of
    each session which the key opens, None for any."""

    key_id: str
    operator_id: str
    secret_hash: str  # SHA-256, in hex
    scope: str
    expires_at: datetime | None = None
    disabled: bool = False
    brand: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCaller:
    """Who calls for an operator, or for the platform, whose `operator_id` is empty: by an API key, or as a
    person whom an issuer vouches for. `actor` is how records name them (contracts/actors.py). `disabled` is
    whether the operator is. `brand` is that of each session which they open, None for any."""

    actor: str
    operator_id: str
    scope: str
    disabled: bool = False
    brand: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRecord:
    """An operator as the platform sees it. `disabled_at` is None while it is enabled."""

    operator_id: str
    name: str
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRecord:
    """An operator's key as its administrator sees it. `name` is what they call it, `active` whether it opens
    anything now."""

    key_id: str
    name: str | None
    scope: str
    brand: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedApiKey:
    """A new key, at the one moment when its text exists. `replaces` is the key that it is to take the place
    of, which ends at `replaced_until`."""

    key_id: str
    text: str = field(repr=False)
    scope: str
    expires_at: datetime | None = None
    brand: str | None = None
    replaces: str | None = None
    replaced_until: datetime | None = None


class Operators(Enum):
    """What stands where an operator's id would, for whoever runs the platform. Nobody sees what is every
    operator's because something was left out."""

    ALL = "all"


EVERY_OPERATOR: Final = Operators.ALL
Tenant = str | Literal[Operators.ALL]


def operator_or_none(tenant: Tenant) -> str | None:
    """As statements take it: None for every operator."""
    return None if isinstance(tenant, Operators) else tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFilter:
    """A filter of rounds; None does not filter. Times are of the rounds' starts: from `since`, and before
    `until`. Amounts are in minor units: of all that a round took, and of its win."""

    operator_id: Tenant
    player_key: int | None = None
    round_id: str | None = None
    game_id: str | None = None
    state: RoundState | None = None
    since: datetime | None = None
    until: datetime | None = None
    demo: bool = False  # those of demo money, or those of real money; never both
    brand: str | None = None
    failure_code: str | None = None
    currency: str | None = None
    staked_at_least: int | None = None
    win_at_least: int | None = None
