"""Every table, as SQLModel classes: the schema's one source, from which migrations are checked.

Rows of money are written by the functions in `storage/functions/` alone; the classes here describe
them, and the cold paths (sessions, history, audits) read through them.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

# States in which a round still holds its stake. The same list stands in the partial index below,
# in the database's function `is_open`, and in contracts.rounds (every state that is not final).
OPEN_STATES = "('pending', 'awaiting_choice', 'settling')"


def _key() -> Any:
    return Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))


def _now() -> Any:
    return Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    )


def _time() -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=True))


def _reference(target: str, *, index: bool = False) -> Any:
    return Field(sa_column=Column(BigInteger, ForeignKey(target), nullable=False, index=index))


def _amount(default: str | None = None) -> Any:
    return Field(sa_column=Column(BigInteger, nullable=False, server_default=default))


class Operator(SQLModel, table=True):
    """A platform that sends players. While it is disabled it opens no session, and its keys only read."""

    __tablename__ = "operators"
    id: str = Field(primary_key=True)
    name: str
    created_at: datetime = _now()
    disabled_at: datetime | None = _time()


class ApiKey(SQLModel, table=True):
    """An operator's key, or one of the platform, which has no operator. Only its hash is here; the key itself
    is shown once, when it is made."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("scope IN ('game', 'operator', 'admin', 'platform')", name="api_key_scope"),
        CheckConstraint(
            "(scope = 'platform') = (operator_id IS NULL)", name="api_key_of_operator_or_platform"
        ),
    )
    id: str = Field(primary_key=True)
    operator_id: str | None = Field(default=None, foreign_key="operators.id")
    secret_hash: str  # SHA-256, in hex
    scope: str
    created_at: datetime = _now()
    expires_at: datetime | None = _time()
    revoked_at: datetime | None = _time()
    brand: str | None = None  # that of each session which it opens
    name: str | None = None  # what its operator calls it


class Player(SQLModel, table=True):
    """An operator's player: the head of the event sequence and of the hash chain. Locking this row is
    how everything that touches one player's money waits for its turn."""

    __tablename__ = "players"
    __table_args__ = (UniqueConstraint("operator_id", "player_id", "demo"),)
    id: int = _key()
    operator_id: str = Field(foreign_key="operators.id")
    player_id: str
    # A player with demo money is another player: with a row, a lock, a chain and accounts of its own.
    demo: bool = Field(sa_column_kwargs={"server_default": text("false")})
    blocked: bool = Field(sa_column_kwargs={"server_default": text("false")})
    sequence: int = _amount("0")
    chain_length: int = _amount("0")
    chain_head: bytes = Field(
        sa_column=Column(LargeBinary, nullable=False, server_default=text(r"'\x'::bytea"))
    )
    created_at: datetime = _now()


class Account(SQLModel, table=True):
    """A side of the double entry. Players' accounts keep a running balance and the part of it that is
    held; the house's, the cash account's and the operator's wallet's keep none, or every round would queue on
    their rows. `play` is where demo money comes from, and the house of the rounds that are played with it."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("player_key", "currency"),
        Index(
            "one_shared_account_per_kind",
            "operator_id",
            "kind",
            "currency",
            unique=True,
            postgresql_where=text("player_key IS NULL"),
        ),
        CheckConstraint("kind IN ('player', 'house', 'cash', 'wallet', 'play')", name="account_kind"),
        CheckConstraint("(kind = 'player') = (player_key IS NOT NULL)", name="player_account_has_player"),
        CheckConstraint("(kind = 'player') = (balance IS NOT NULL)", name="player_account_has_balance"),
        CheckConstraint("held >= 0 AND (balance IS NULL OR balance >= held)", name="never_overdrawn"),
    )
    id: int = _key()
    operator_id: str = Field(foreign_key="operators.id")
    kind: str
    player_key: int | None = Field(
        default=None, sa_column=Column(BigInteger, ForeignKey("players.id"), nullable=True)
    )
    currency: str
    balance: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    held: int = _amount("0")
    created_at: datetime = _now()


class GameSession(SQLModel, table=True):
    """A player at a game. `seed_id` names the seed pair its next round draws from, `limits` what it allows
    (contracts.limits, null when nothing is limited), `lost` its net loss where there is a loss limit."""

    __tablename__ = "sessions"
    id: str = Field(primary_key=True)
    operator_id: str = Field(foreign_key="operators.id")
    player_key: int = _reference("players.id", index=True)
    account_id: int = _reference("accounts.id")
    game_id: str
    currency: str
    mode: str
    seed_id: str = Field(foreign_key="seeds.id")
    created_at: datetime = _now()
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    ended_at: datetime | None = _time()
    jurisdiction: str | None = None
    limits: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    lost: int = _amount("0")
    brand: str | None = None


class GameSwitch(SQLModel, table=True):
    """Whether an operator offers a game; one without a row is offered."""

    __tablename__ = "game_switches"
    operator_id: str = Field(primary_key=True, foreign_key="operators.id")
    game_id: str = Field(primary_key=True)
    enabled: bool
    updated_at: datetime = _now()


class RoundStart(SQLModel, table=True):
    """When a player last began a round of a game, in a session that asks for a time between two of them. One
    row for each, so that no bet searches all rounds for the one before it."""

    __tablename__ = "round_starts"
    player_key: int = Field(
        sa_column=Column(BigInteger, ForeignKey("players.id"), primary_key=True, nullable=False)
    )
    game_id: str = Field(primary_key=True)
    started_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class Seed(SQLModel, table=True):
    """A server seed, sealed, with its public commitment, the client's seed and the next nonce. `previous_id`
    is the seed that was revealed when this one took its place. From one that is retired nothing more is
    drawn: the ledger was restored, and players may know what comes of it."""

    __tablename__ = "seeds"
    id: str = Field(primary_key=True)
    player_key: int = _reference("players.id")
    sealed_server_seed: str
    server_seed_hash: str
    client_seed: str
    next_nonce: int = _amount("0")
    created_at: datetime = _now()
    revealed_at: datetime | None = _time()
    previous_id: str | None = Field(default=None, foreign_key="seeds.id", unique=True)
    retired_at: datetime | None = _time()


class Round(SQLModel, table=True):
    """The permanent record of a round. Once its state is final, a trigger refuses every change.

    Its foreign keys name only rows of its own player: a key to the operator would take a share lock on
    one row in every round of that operator, and the player already belongs to it.
    """

    __tablename__ = "rounds"
    __table_args__ = (
        # The round id first, so that a round is found by its id alone too.
        UniqueConstraint("round_id", "player_key"),
        UniqueConstraint("seed_id", "nonce"),
        Index(
            "one_open_round_per_player_and_game",
            "player_key",
            "game_id",
            unique=True,
            postgresql_where=text(f"state IN {OPEN_STATES}"),
        ),
        # Newest first. Of -id, since the primary key gives the order of id as well, and a planner that takes
        # it walks over everybody's later rounds to find those of an operator that has been quiet.
        # Rounds with demo money have an index of their own, or a page of the others would walk over them.
        Index("rounds_of_operator", "operator_id", text("(- id)"), postgresql_where=text("NOT demo")),
        Index("demo_rounds_of_operator", "operator_id", text("(- id)"), postgresql_where=text("demo")),
        Index("rounds_of_player", "player_key", text("(- id)")),
        # Few among the many that settle, which this index costs nothing.
        Index(
            "rounds_without_settlement",
            "operator_id",
            "state",
            text("(- id)"),
            postgresql_where=text("state IN ('declined', 'void') AND NOT demo"),
        ),
        # The same of every operator's, for whoever runs the platform.
        Index(
            "rounds_without_settlement_of_all",
            "state",
            text("(- id)"),
            postgresql_where=text("state IN ('declined', 'void') AND NOT demo"),
        ),
        CheckConstraint("stake > 0 AND win >= 0", name="amounts_in_range"),
        CheckConstraint("extra >= 0 AND (extra = 0 OR actions > 0)", name="extra_in_range"),
    )
    id: int = _key()
    operator_id: str
    player_key: int = _reference("players.id")
    player_id: str
    account_id: int = _reference("accounts.id")
    session_id: str = Field(foreign_key="sessions.id")
    round_id: str
    game_id: str
    game_version: str
    currency: str
    mode: str
    stake: int = _amount()
    choice: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    request_id: str
    seed_id: str | None = Field(default=None, foreign_key="seeds.id")
    nonce: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    state: str
    outcome: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    win: int = _amount("0")
    balance: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    sequence: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    event_id: UUID | None = Field(default=None)
    failure_code: str | None = None
    failure_detail: str | None = None
    created_at: datetime = _now()
    closed_at: datetime | None = _time()
    demo: bool = Field(sa_column_kwargs={"server_default": text("false")})  # demo money
    jurisdiction: str | None = None
    extra: int = _amount("0")  # what actions cost besides the stake
    actions: int = Field(sa_column_kwargs={"server_default": text("0")})
    # contracts.choices.Offer, exactly while the round waits for its player; null decide_by: without end.
    offer: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    decide_by: datetime | None = _time()
    brand: str | None = None  # its session's


class RoundAction(SQLModel, table=True):
    """What a player, or the timer, decided in a round that offered it: the 1st, 2nd, ... of the round.
    Append-only."""

    __tablename__ = "round_actions"
    __table_args__ = (
        UniqueConstraint("player_key", "round_id", "action_id"),
        CheckConstraint("debit >= 0", name="debit_in_range"),
    )
    player_key: int = Field(
        sa_column=Column(BigInteger, ForeignKey("players.id"), primary_key=True, nullable=False)
    )
    round_id: str = Field(primary_key=True)
    ordinal: int = Field(primary_key=True)
    action_id: str
    action: str
    params: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    debit: int = _amount()
    taken_by: str  # "player" or "timer"
    request_id: str
    taken_at: datetime = _now()


class Transfer(SQLModel, table=True):
    """An amount moved from one account to another; a link in the player's hash chain. Append-only."""

    __tablename__ = "transfers"
    __table_args__ = (
        UniqueConstraint("player_key", "kind", "reference", "step"),
        UniqueConstraint("player_key", "position"),
        # A transaction id names one deposit or one withdrawal of the player, for ever.
        Index(
            "one_movement_per_transaction_id",
            "player_key",
            "reference",
            unique=True,
            postgresql_where=text("kind IN ('deposit', 'withdrawal')"),
        ),
        # A statement's page, of one currency and between any two moments.
        Index("transfers_of_wallet", "player_key", "currency", "created_at", "position"),
        CheckConstraint("amount > 0", name="transfer_moves_something"),
        CheckConstraint("debit_account <> credit_account", name="transfer_has_two_sides"),
        CheckConstraint(
            "kind IN ('stake', 'win', 'deposit', 'withdrawal', 'collected', 'paid', 'returned', 'play')",
            name="transfer_kind",
        ),
    )
    id: int = _key()
    player_key: int = _reference("players.id")
    position: int = _amount()  # 1, 2, 3, ... in the player's chain
    kind: str
    reference: str  # the round's id, the operator's transaction id, or the session that demo money is for
    step: int = Field(sa_column_kwargs={"server_default": text("0")})
    debit_account: int = _amount()  # loses the amount
    credit_account: int = _amount()  # gains the amount
    amount: int = _amount()
    currency: str
    available_after: int = _amount()  # the player's balance less holds, once this transfer was in
    previous_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class Posting(SQLModel, table=True):
    """One side of a transfer: minus on the account that loses, plus on the one that gains. Append-only.

    There is no foreign key to accounts: checking it would take a share lock on the house's row in every
    round of every player. The functions that write postings read the account first.
    """

    __tablename__ = "postings"
    __table_args__ = (CheckConstraint("amount <> 0", name="posting_moves_something"),)
    transfer_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("transfers.id"), primary_key=True, nullable=False)
    )
    account_id: int = Field(sa_column=Column(BigInteger, primary_key=True, nullable=False))
    amount: int = _amount()
    currency: str


class OutboxEvent(SQLModel, table=True):
    """An event that the transaction which made it true also recorded. `published_at` is set once, after
    the broker's confirm; the partial index is all that the sweeper ever reads."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("player_key", "sequence"),
        # Of -id, as those of rounds are.
        Index("outbox_of_operator", "operator_id", text("(- id)")),
        Index("outbox_unpublished", "id", postgresql_where=text("published_at IS NULL")),
    )
    id: int = _key()
    event_id: UUID = Field(unique=True)
    type: str
    operator_id: str
    player_key: int = _reference("players.id")
    game_id: str
    subject: str
    sequence: int = _amount()
    data: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    occurred_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    published_at: datetime | None = _time()


class GameEvent(SQLModel, table=True):
    """An event that a game client reported, once by its own id: `digest` is the SHA-256 of its contents, in
    hex. The contents are in the outbox."""

    __tablename__ = "game_events"
    __table_args__ = (Index("game_events_of_session", "session_id", "created_at"),)
    player_key: int = Field(
        sa_column=Column(BigInteger, ForeignKey("players.id"), primary_key=True, nullable=False)
    )
    event_id: str = Field(primary_key=True)
    session_id: str = Field(foreign_key="sessions.id")
    digest: str
    created_at: datetime = _now()


class InboxEvent(SQLModel, table=True):
    """Events a consumer has applied: its key makes a second delivery do nothing."""

    __tablename__ = "inbox"
    consumer: str = Field(primary_key=True)
    event_id: UUID = Field(primary_key=True)
    applied_at: datetime = _now()


class GameStatistics(SQLModel, table=True):
    """What the statistics consumer adds up. Amounts in minor units of `currency`."""

    __tablename__ = "game_statistics"
    operator_id: str = Field(primary_key=True)
    game_id: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    rounds: int = _amount("0")  # settled
    voids: int = _amount("0")
    stake: int = _amount("0")
    win: int = _amount("0")


class OperatorWallet(SQLModel, table=True):
    """Where the wallet is that keeps the money of an operator's players; an operator without a row, or with
    one that is unset, has none, and its players' money is in our ledger. The secrets are sealed, bound to the
    operator. Limits that are null are the dialect's; times in milliseconds."""

    __tablename__ = "operator_wallets"
    operator_id: str = Field(primary_key=True, foreign_key="operators.id")
    url: str
    dialect: str
    sealed_secrets: str
    local: bool = Field(sa_column_kwargs={"server_default": text("false")})
    connect_ms: int | None = None
    read_ms: int | None = None
    total_ms: int | None = None
    calls: int | None = None  # at once
    several_bets: bool = Field(sa_column_kwargs={"server_default": text("false")})  # of one round
    updated_at: datetime = _now()
    unset_at: datetime | None = _time()


class WalletBet(SQLModel, table=True):
    """A stake that an operator's wallet was, or is about to be, asked for. `releasing` says that the round is
    on its way to void, `resolved_at` that it has ended."""

    __tablename__ = "wallet_bets"
    __table_args__ = (
        # The round exists only once the wallet has taken the stake, so that its own index comes too late.
        Index(
            "one_wallet_bet_per_player_and_game",
            "player_key",
            "game_id",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
        ),
        # For entries of a statement whose wallet has a shorter id of the round.
        Index(
            "wallet_bets_of_long_rounds",
            "player_key",
            "transaction_id",
            postgresql_where=text("length(round_id) > 32"),
        ),
    )
    player_key: int = Field(
        sa_column=Column(BigInteger, ForeignKey("players.id"), primary_key=True, nullable=False)
    )
    round_id: str = Field(primary_key=True)
    game_id: str
    stake: int = _amount()
    currency: str
    transaction_id: str  # of the bet
    asks: int = _amount("1")  # how often the wallet was, or was about to be, asked
    balance: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))  # after the bet
    releasing: bool = Field(sa_column_kwargs={"server_default": text("false")})
    release_code: str | None = None  # the failure code of the first decision to release
    release_detail: str | None = None
    # The fields of contracts.rounds.Bet, so that a round that Temporal has lost can be restarted.
    bet: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    asked_at: datetime = _now()
    resolved_at: datetime | None = _time()


class WalletActionBet(SQLModel, table=True):
    """What an action costs, as a bet that an operator's wallet was, or is about to be, asked for. `outcome`
    is null while that is open, then taken, declined or rolled-back; `refusal` is then the verdict that the
    player gets, null for one that was taken."""

    __tablename__ = "wallet_action_bets"
    __table_args__ = (
        ForeignKeyConstraint(["player_key", "round_id"], ["wallet_bets.player_key", "wallet_bets.round_id"]),
        Index(
            "one_open_action_bet_per_round",
            "player_key",
            "round_id",
            unique=True,
            postgresql_where=text("outcome IS NULL"),
        ),
        Index(
            "wallet_action_bets_of_long_rounds",
            "player_key",
            "transaction_id",
            postgresql_where=text("length(round_id) > 32"),
        ),
        CheckConstraint("amount > 0", name="action_bet_moves_something"),
        CheckConstraint("outcome IN ('taken', 'declined', 'rolled-back')", name="action_bet_outcome"),
        CheckConstraint("(outcome IS NULL) = (resolved_at IS NULL)", name="action_bet_ends_once"),
    )
    player_key: int = Field(sa_column=Column(BigInteger, primary_key=True, nullable=False))
    round_id: str = Field(primary_key=True)
    action_id: str = Field(primary_key=True)
    action: str
    params: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    amount: int = _amount()
    taken_by: str
    request_id: str
    transaction_id: str  # of the bet
    asks: int = _amount("1")  # how often the wallet was, or was about to be, asked
    releasing: bool = Field(sa_column_kwargs={"server_default": text("false")})
    outcome: str | None = None
    refusal: str | None = None
    asked_at: datetime = _now()
    resolved_at: datetime | None = _time()


class WalletAttempt(SQLModel, table=True):
    """The result of one call of an operator's wallet, as contracts.wallet names it. Append-only."""

    __tablename__ = "wallet_attempts"
    __table_args__ = (Index("wallet_attempts_of_round", "player_key", "round_id"),)
    id: int = _key()
    player_key: int = _reference("players.id")
    round_id: str
    call: str
    transaction_id: str
    amount: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    verdict: str
    code: str | None = None
    balance: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    wallet_transaction_id: str | None = None
    duplicate: bool
    sent: bool
    took_us: int = _amount()
    detail: str
    created_at: datetime = _now()


class Intervention(SQLModel, table=True):
    """A manual intervention in a round, as contracts.interventions names it, and whether the ledger
    accepted it. Append-only; `state_before` is null for a round that had no row yet."""

    __tablename__ = "interventions"
    __table_args__ = (
        Index("interventions_of_round", "player_key", "round_id"),
        Index("interventions_by_kind", "operator_id", "action", "created_at", "id"),
        Index("interventions_by_actor", "operator_id", "actor", "action", "created_at", "id"),
        Index(
            "interventions_decided_outside",
            "operator_id",
            "created_at",
            postgresql_where=text("verdict = 'accepted' AND action IN ('paid-outside', 'refunded-outside')"),
        ),
        CheckConstraint(
            "action IN ('retry-now', 'paid-outside', 'refunded-outside', 'void')", name="intervention_action"
        ),
        CheckConstraint("verdict IN ('accepted', 'refused')", name="intervention_verdict"),
        CheckConstraint("length(reason) BETWEEN 1 AND 300", name="intervention_has_reason"),
    )
    id: UUID = Field(primary_key=True)
    operator_id: str
    player_key: int = _reference("players.id")
    round_id: str
    action: str
    reason: str
    actor: str
    state_before: str | None = None
    verdict: str
    created_at: datetime = _now()


class AuditLog(SQLModel, table=True):
    """An act that was accepted, as contracts.audit names it; decisions about rounds are in `interventions`.
    `operator_id` is null for what is the platform's own. Append-only."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("audit_log_by_kind", "operator_id", "kind", "created_at", "id"),
        Index("audit_log_by_actor", "operator_id", "actor", "kind", "created_at", "id"),
        CheckConstraint("length(actor) BETWEEN 1 AND 100", name="audit_has_actor"),
        CheckConstraint("length(reason) BETWEEN 1 AND 300", name="audit_reason"),
    )
    id: UUID = Field(primary_key=True, sa_column_kwargs={"server_default": text("gen_random_uuid()")})
    operator_id: str | None = None
    actor: str
    kind: str
    subject: str
    detail: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    reason: str | None = None
    created_at: datetime = _now()


class IncidentRow(SQLModel, table=True):
    """A difference that reconciliation found. Its id is its event's. `acted_at` is when something was last
    done about it; it resolves when a later run finds the difference gone."""

    __tablename__ = "incidents"
    __table_args__ = (
        Index(
            "one_open_incident_per_subject",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
        ),
        Index("incidents_unpublished", "opened_at", postgresql_where=text("published_at IS NULL")),
        Index("incidents_by_time", "opened_at"),
        Index("lost_rounds", "subject", postgresql_where=text("kind = 'lost-round'")),
    )
    id: UUID = Field(primary_key=True)
    kind: str
    subject: str
    operator_id: str
    player_key: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    round_id: str | None = None
    game_id: str | None = None
    detail: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    opened_at: datetime = _now()
    acted_at: datetime = _now()
    resolved_at: datetime | None = _time()
    published_at: datetime | None = _time()


class LedgerEpoch(SQLModel, table=True):
    """The time from one restore of this database to the next. It is on the server and timeline that it was
    noticed on, and nobody plays before `opened_at`. `gap` is how far every sequence skipped ahead of the
    epoch before, `last_event` the outbox's last place then, `restored_to` when the ledger was last written
    before that; the first epoch follows no restore."""

    __tablename__ = "ledger_epochs"
    __table_args__ = (CheckConstraint("(gap = 0) = (restored_to IS NULL)", name="first_epoch_follows_none"),)
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False))
    system_identifier: int = _amount()
    timeline: int = _amount()
    gap: int = _amount()
    last_event: int = _amount()
    restored_to: datetime | None = _time()
    noticed_at: datetime = _now()
    opened_at: datetime | None = _time()


class ReconciliationMark(SQLModel, table=True):
    """How far one of reconciliation's checks has come: an id or a time, as its step writes it."""

    __tablename__ = "reconciliation_marks"
    name: str = Field(primary_key=True)
    mark: str


class WebhookRow(SQLModel, table=True):
    """Where an operator wants its events sent to. `types` is null for all; `disabled` says why nothing is
    sent; `cursor` is how far in the event feed it has come; `pumped_at` is when sending was last taken up,
    null when it shall be taken up at once. The secrets are sealed, bound to the row."""

    __tablename__ = "webhooks"
    __table_args__ = (
        Index("webhooks_of_operator", "operator_id"),
        CheckConstraint("disabled IN ('by-operator', 'gone')", name="webhook_disabled"),
    )
    id: str = Field(primary_key=True)
    operator_id: str = Field(foreign_key="operators.id")
    url: str
    types: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text), nullable=True))
    sealed_secrets: str
    disabled: str | None = None
    cursor: int = _amount()
    pumped_at: datetime | None = _time()
    last_success_at: datetime | None = _time()
    last_error: str | None = None
    last_error_at: datetime | None = _time()
    created_at: datetime = _now()
    updated_at: datetime = _now()


class WebhookDelivery(SQLModel, table=True):
    """An event that did not get to a webhook at once: `pending` while it is retried, `dead` when it was given
    up. What was delivered has no row. `handed_over_at` is when a workflow took it over."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        Index("webhook_deliveries_by_state", "webhook_id", "state", "id"),
        Index("webhook_deliveries_pending", "handed_over_at", postgresql_where=text("state = 'pending'")),
        CheckConstraint("state IN ('pending', 'dead')", name="webhook_delivery_state"),
        CheckConstraint("(state = 'dead') = (dead_at IS NOT NULL)", name="webhook_delivery_dead_at"),
    )
    id: int = _key()
    webhook_id: str = Field(foreign_key="webhooks.id", ondelete="CASCADE")
    event_id: UUID
    state: str
    replay: int = Field(sa_column_kwargs={"server_default": text("0")})
    attempts: int
    last_error: str
    created_at: datetime = _now()
    handed_over_at: datetime | None = _time()
    dead_at: datetime | None = _time()


class SchemaVersion(SQLModel, table=True):
    """One row: the schema that this database has, whole, and the oldest schema whose programs it serves."""

    __tablename__ = "schema_version"
    __table_args__ = (CheckConstraint("one", name="schema_version_is_one_row"),)
    one: bool = Field(default=True, primary_key=True, sa_column_kwargs={"server_default": text("true")})
    version: str
    serves_from: str


class SchemaObject(SQLModel, table=True):
    """A function, view, trigger or block of rights that storage/functions/ made: the digest of its text, and
    the last schema whose files had it."""

    __tablename__ = "schema_objects"
    key: str = Field(primary_key=True)
    digest: str
    version: str
