"""Every way a round can fail, by name, once: what steps raise and what a round's `failure.code` says."""

from typing import Final

# A round that is refused before money moves ends `declined` with one of these codes.
INSUFFICIENT_FUNDS: Final = "insufficient-funds"
ROUND_OPEN: Final = "round-open"
SESSION_EXPIRED: Final = "session-expired"
PLAYER_BLOCKED: Final = "player-blocked"
GAME_DISABLED: Final = "game-disabled"
ID_REUSED: Final = "id-reused"
CURRENCY_MISMATCH: Final = "currency-mismatch"
WALLET_FAILED: Final = "wallet-failed"
# Of the session's limits; `failure_detail` says which, as 25_limits.sql has it.
LIMIT_EXCEEDED: Final = "limit-exceeded"
STAKE_NOT_ALLOWED: Final = "stake-not-allowed"

# A round whose stake was (or may have been) held and is released ends `void` with one of these.
RESERVE_UNCERTAIN: Final = "reserve-uncertain"
RESOLVE_FAILED: Final = "resolve-failed"
ROUND_CANCELLED: Final = "round-cancelled"
# The operator's wallet refused the win of a recorded result, because it had rolled the bet back.
ROLLED_BACK: Final = "rolled-back"
# The player did not decide in time, and the round's rules release the stakes then.
ABANDONED: Final = "abandoned"
# A manual intervention voided the round. The ledger's functions use this code, and those around it, by these
# names.
VOIDED_BY_OPERATOR: Final = "voided-by-operator"
# The ledger was restored to a moment before the round, or before it went on.
ROUND_LOST: Final = "round-lost"

# In which state each code is found: none is found in both.
OF_DECLINED: Final = frozenset(
    {
        *(INSUFFICIENT_FUNDS, ROUND_OPEN, SESSION_EXPIRED, PLAYER_BLOCKED, GAME_DISABLED, ID_REUSED),
        *(CURRENCY_MISMATCH, WALLET_FAILED, LIMIT_EXCEEDED, STAKE_NOT_ALLOWED),
    }
)
OF_VOID: Final = frozenset(
    {
        *(RESERVE_UNCERTAIN, RESOLVE_FAILED, ROUND_CANCELLED, ROLLED_BACK, ABANDONED, VOIDED_BY_OPERATOR),
        ROUND_LOST,
    }
)

# Errors that every retry would meet again: the activity raises them non-retryable.
GAME_ERROR: Final = "GameError"
LEDGER_CONFLICT: Final = "LedgerConflict"
WALLET_UNCERTAIN: Final = "WalletUncertain"
# A round that was to be settled is being released instead.
WALLET_RELEASING: Final = "WalletReleasing"
NON_RETRYABLE: Final = (GAME_ERROR, LEDGER_CONFLICT, WALLET_UNCERTAIN, WALLET_RELEASING)

# An action that the workflow's validator refuses: the message is the verdict.
ACTION_REFUSED: Final = "ActionRefused"
# A manual intervention that the workflow's validator refuses.
INVALID_INTERVENTION: Final = "InvalidIntervention"

# An operator's wallet has not taken a win or a rollback yet: the call is repeated without end.
WALLET_PENDING: Final = "WalletPending"
# With these a step waits for an operator's wallet, and for nothing else.
OF_A_WALLET: Final = (WALLET_PENDING, WALLET_UNCERTAIN)

# Error text is cut to this length before it becomes a payload, a row or a log line.
DETAIL_LIMIT: Final = 300


def bounded(text: str) -> str:
    """`text` cut to DETAIL_LIMIT characters."""
    return text if len(text) <= DETAIL_LIMIT else text[: DETAIL_LIMIT - 1] + "…"


def one_line(text: str) -> str:
    """`text` in one bounded line, with nothing in it that a terminal would obey."""
    return bounded("".join(c if c.isprintable() else " " for c in text))


def error_line(error: BaseException) -> str:
    """The error's type, and what it says if it says anything, in one bounded line."""
    said = str(error).strip()
    return one_line(f"{type(error).__name__}: {said}") if said else type(error).__name__
