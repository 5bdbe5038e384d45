"""What the wallet's book is made of: its tables, its entries, and what it says to a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.wallet import WalletRefusal

AMOUNT_LIMIT: Final = 2**63 - 1
OPENING: Final = "opening"

SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS players (
    operator_id TEXT NOT NULL,
    player_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    balance INTEGER NOT NULL CHECK (typeof(balance) = 'integer' AND balance >= 0),
    blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    PRIMARY KEY (operator_id, player_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended_sessions (
    operator_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    PRIMARY KEY (operator_id, session_id)
) WITHOUT ROWID;
-- `amount` is what the call asked for, `moved` what it did to the balance, `balance` what that left. The
-- rollback of a bet that never came is an entry that moved nothing: the tombstone that the late bet meets.
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    operator_id TEXT NOT NULL,
    player_id TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    call TEXT NOT NULL CHECK (call IN ('opening', 'bet', 'win', 'rollback')),
    round_id TEXT,
    game_id TEXT,
    bet_transaction_id TEXT,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (typeof(amount) = 'integer' AND amount >= 0),
    moved INTEGER NOT NULL CHECK (typeof(moved) = 'integer'),
    balance INTEGER NOT NULL CHECK (typeof(balance) = 'integer' AND balance >= 0),
    ends_bet INTEGER NOT NULL CHECK (ends_bet IN (0, 1)),
    at_ms INTEGER NOT NULL,
    UNIQUE (operator_id, transaction_id, player_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS a_bet_ends_once
    ON entries (operator_id, player_id, bet_transaction_id) WHERE ends_bet = 1;
CREATE INDEX IF NOT EXISTS entries_of_a_round ON entries (round_id);
CREATE INDEX IF NOT EXISTS entries_of_a_player ON entries (player_id);
CREATE INDEX IF NOT EXISTS entries_by_transaction ON entries (transaction_id);
CREATE TRIGGER IF NOT EXISTS entries_never_change BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries never change'); END;
CREATE TRIGGER IF NOT EXISTS entries_never_go BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries never go'); END;
COMMIT;
"""

ENTRY_COLUMNS: Final = (
    "number, operator_id, player_id, transaction_id, call, round_id, game_id, bet_transaction_id, currency,"
    " amount, moved, balance, ends_bet, at_ms"
)
# What a statement can be narrowed to; `after` is the number of the last entry that the reader has.
FILTERS: Final[Mapping[str, str]] = {
    "after": "number > :after",
    "operator_id": "operator_id = :operator_id",
    "player_id": "player_id = :player_id",
    "round_id": "round_id = :round_id",
    "transaction_id": "transaction_id = :transaction_id",
    "from_ms": "at_ms >= :from_ms",
    "to_ms": "at_ms < :to_ms",
}


class Refused(Exception):
    """The call was not taken and nothing moved. `balance` is in minor units, and None where it is unknown."""

    def __init__(self, code: WalletRefusal, balance: int | None = None) -> None:
        super().__init__(code.value)
        self.code = code
        self.balance = balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The call was taken, now or earlier (`duplicate`). `balance` is in minor units of `currency`."""

    balance: int
    currency: str
    wallet_transaction_id: str | None = None
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Player:
    """An account. `balance` is in minor units of `currency`."""

    currency: str
    balance: int
    blocked: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that was taken, or the opening of an account; it never changes. `moved` is the amount it added
    to the balance, negative for a bet; `balance` is what that left. `at_ms`: milliseconds since 1970."""

    number: int
    operator_id: str
    player_id: str
    transaction_id: str
    call: str
    round_id: str | None
    game_id: str | None
    bet_transaction_id: str | None
    currency: str
    amount: int
    moved: int
    balance: int
    ends_bet: int
    at_ms: int


class RepeatBalance(StrEnum):
    """Which balance the answer to a repeated call has: that of the first answer, or today's."""

    STORED = "stored"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a wallet is free to choose. `new_players` is the balance (minor units of `currency`) with which a
    player is opened on first sight; None refuses those whom nobody opened. Without `survives_power_cuts` an
    answer survives the process, but perhaps not the machine, and calls take a fraction of the time."""

    currency: str = "EUR"
    new_players: int | None = None
    repeat_balance: RepeatBalance = RepeatBalance.LIVE
    survives_power_cuts: bool = True
