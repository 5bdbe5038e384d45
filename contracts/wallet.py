"""Calls of an operator's wallet and the meaning of its answers, independent of the wallet's dialect."""

from dataclasses import dataclass
from enum import StrEnum


class WalletCall(StrEnum):
    AUTHENTICATE = "authenticate"
    BALANCE = "balance"
    BET = "bet"
    WIN = "win"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRequest:
    """One call. `amount` is in minor units of `currency`, for bet and win. `transaction_id` names the
    movement for ever, and is None for calls that move nothing; `bet_transaction_id` is the bet that a win or
    a rollback belongs to."""

    call: WalletCall
    operator_id: str
    player_id: str
    session_id: str
    currency: str
    round_id: str | None = None
    game_id: str | None = None
    transaction_id: str | None = None
    bet_transaction_id: str | None = None
    amount: int | None = None


class WalletVerdict(StrEnum):
    """`unknown` says that it is uncertain whether the wallet took the call: it is asked again."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class WalletRefusal(StrEnum):
    """Why a wallet refuses, in our terms; docs/platform/wallet.md says when."""

    SESSION_EXPIRED = "session-expired"
    INSUFFICIENT_FUNDS = "insufficient-funds"
    PLAYER_BLOCKED = "player-blocked"
    UNKNOWN_TRANSACTION = "unknown-transaction"
    ID_REUSED = "id-reused"
    ROLLED_BACK = "rolled-back"
    ALREADY_WON = "already-won"
    CURRENCY_MISMATCH = "currency-mismatch"
    INVALID = "invalid"
    BAD_SIGNATURE = "bad-signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletAnswer:
    """`code` is a WalletRefusal for a refusal, and says what went wrong for an unknown outcome (`timeout`,
    `connection-lost`, `status-503`, `not-json`, ...). `balance` is in minor units, below 0 for a player who
    owes, and None where the wallet did not say one that can be shown; `balance_stored` says that it is the
    one after the first call, which a wallet repeated and which may be old. `detail` is bounded text without
    secrets, for the person who reads it. `sent` is False when it is certain that not one byte of the call
    left us, so that nothing can have moved."""

    verdict: WalletVerdict
    code: str | None = None
    balance: int | None = None
    balance_stored: bool = False
    wallet_transaction_id: str | None = None
    duplicate: bool = False
    detail: str = ""
    sent: bool = True
