"""The ledger's part of rounds whose money an operator's own wallet keeps, and the addresses of those wallets.

Each statement calls one function of `storage/functions/` and is one transaction of its own.
"""

# ruff: noqa: S608 - the statements are put together from numbered arguments

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

import asyncpg

from contracts.actions import ActionVerdict, PlayerAction
from contracts.failures import bounded
from contracts.rounds import Bet, Resolution, RoundKey
from contracts.views import RoundView, Settlement
from contracts.wallet import WalletAnswer, WalletRequest
from storage.bets import bet_arguments, bet_parameter
from storage.rounds import round_view, settlement

BEGIN_BET: Final = f"SELECT (standing).*, verdict FROM begin_wallet_bet_v1({bet_parameter(2)}, $1)"
ACCEPT_BET: Final = f"SELECT (standing).*, verdict FROM accept_wallet_bet_v1({bet_parameter(2)}, $1)"
DECLINE_BET: Final = (
    f"SELECT (standing).*, verdict FROM decline_wallet_bet_v1({bet_parameter(4)}, $1, $2, $3)"
)
BEGIN_RELEASE: Final = (
    f"SELECT (standing).*, verdict FROM begin_wallet_release_v1({bet_parameter(3)}, $1, $2)"
)
RECORD_RESULT: Final = (
    "SELECT (closed).*, event_data, being_released FROM record_wallet_result_v1($1, $2, $3, $4, $5)"
)
CLOSE: Final = "SELECT (closed).*, event_data FROM settle_round_v1($1, $2, NULL, NULL, true, $3)"
RELEASE: Final = f"SELECT * FROM release_round_v1({bet_parameter(4)}, $1, $2, true, $3)"
BEGIN_ACTION: Final = (
    "SELECT (standing).*, verdict, amount"
    " FROM begin_wallet_action_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
ACCEPT_ACTION: Final = "SELECT (standing).*, verdict FROM accept_wallet_action_v1($1, $2, $3, $4, $5)"
REFUSE_ACTION: Final = "SELECT (standing).*, verdict FROM refuse_wallet_action_v1($1, $2, $3, $4, $5)"
END_ACTION: Final = "SELECT (standing).*, verdict FROM end_wallet_action_v1($1, $2, $3, $4)"
# Of the round's actions, those whose bets may be at the wallet; also those that a restore has lost.
ACTION_BETS: Final = """
    SELECT action_id FROM wallet_action_bets
    WHERE player_key = $1 AND round_id = $2
      AND (outcome IS NULL OR outcome = 'taken' OR refusal = 'round-lost') ORDER BY asked_at
"""
# The rollbacks of the round that the wallet has taken.
ROLLED_BACK: Final = """
    SELECT DISTINCT transaction_id FROM wallet_attempts
    WHERE player_key = $1 AND round_id = $2 AND call = 'rollback'
      AND (verdict = 'accepted' OR code = 'rolled-back')
"""
RECORD_ATTEMPT: Final = (
    "SELECT record_wallet_attempt_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
)
ALL: Final = """
    SELECT operator_id, url, dialect, sealed_secrets, local, connect_ms, read_ms, total_ms, calls,
           several_bets
    FROM operator_wallets WHERE unset_at IS NULL
"""
OF_OPERATOR: Final = f"{ALL} AND operator_id = $1"
UNSET: Final = "SELECT unset_operator_wallet_v2($1, $2)"
SET: Final = "SELECT set_operator_wallet_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
KNOWN_OPERATOR: Final = "SELECT EXISTS (SELECT 1 FROM operators WHERE id = $1)"


class Verdict(StrEnum):
    """The ledger's decision about a round, before or after its wallet is asked."""

    STANDS = "stands"
    """The round is stored, and is answered as it stands."""
    ASK = "ask"
    """The wallet may be asked for the stake."""
    RELEASING = "releasing"
    """The round is on its way to void, and has no row yet."""
    UNCERTAIN = "uncertain"
    """The wallet refused, but may have taken an earlier attempt, or may take one yet."""
    ROLLBACK = "rollback"
    """The rollback must be sent to the wallet."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`view` is set exactly when the verdict is `stands`."""

    verdict: Verdict
    view: RoundView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDecision:
    """The ledger's decision about an action, with the round after it: ASK or ROLLBACK while the wallet has to
    be asked, and None with the action's own `verdict` when it stands. `amount` is what it costs, in minor
    units."""

    step: Verdict | None
    verdict: ActionVerdict | None
    view: RoundView | None
    amount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWallet:
    """A row of operator_wallets. Limits that are None are the dialect's; times in milliseconds.
    `several_bets` says that the wallet takes several bets of one round."""

    operator_id: str
    url: str
    dialect: str
    sealed_secrets: str = field(repr=False)
    local: bool
    connect_ms: int | None = None
    read_ms: int | None = None
    total_ms: int | None = None
    calls: int | None = None
    several_bets: bool = True


async def begin_bet(pool: asyncpg.Pool, bet: Bet, transaction_id: str) -> Decision:
    """Decides STANDS, ASK or RELEASING. Raises asyncpg.NoDataFoundError for a player, an account or a session
    that is not there."""
    return _decision(await pool.fetchrow(BEGIN_BET, transaction_id, *bet_arguments(bet)))


async def accept_bet(pool: asyncpg.Pool, bet: Bet, *, balance: int | None) -> Decision:
    """Decides STANDS or RELEASING after the wallet has taken the stake. `balance` is the wallet's, in minor
    units."""
    return _decision(await pool.fetchrow(ACCEPT_BET, balance, *bet_arguments(bet)))


async def decline_bet(
    pool: asyncpg.Pool, bet: Bet, *, failure_code: str, failure_detail: str | None, balance: int | None
) -> Decision:
    """Decides STANDS, RELEASING or UNCERTAIN after the wallet has refused the stake, or was never reached."""
    arguments = (failure_code, failure_detail, balance, *bet_arguments(bet))
    return _decision(await pool.fetchrow(DECLINE_BET, *arguments))


async def record_result(
    pool: asyncpg.Pool, key: RoundKey, resolution: Resolution | None
) -> tuple[Settlement, bool]:
    """Commits the result, unless there is one or the round is being released, which the flag says. A round of
    our own ledger is closed. Raises asyncpg.NoDataFoundError when there is no such round."""
    result: tuple[Any, ...] = (None, None, None)
    if resolution is not None:
        result = (resolution.outcome, resolution.win, resolution.actions)
    row = await pool.fetchrow(RECORD_RESULT, key.player_key, key.round_id, *result)
    return settlement(row), row["being_released"]


async def close(pool: asyncpg.Pool, key: RoundKey, *, balance: int | None) -> Settlement:
    """Closes a round whose recorded win the wallet has taken."""
    return settlement(await pool.fetchrow(CLOSE, key.player_key, key.round_id, balance))


async def begin_release(pool: asyncpg.Pool, bet: Bet, *, failure_code: str, failure_detail: str) -> Decision:
    """Decides STANDS or ROLLBACK. After ROLLBACK no result of the round is recorded, and the round keeps the
    first decision's failure code and detail."""
    arguments = (failure_code, failure_detail, *bet_arguments(bet))
    return _decision(await pool.fetchrow(BEGIN_RELEASE, *arguments))


async def release(
    pool: asyncpg.Pool, bet: Bet, *, failure_code: str, failure_detail: str, balance: int | None
) -> RoundView:
    """Closes a round as void whose bet the wallet has rolled back, for the reason that was given first."""
    arguments = (failure_code, failure_detail, balance, *bet_arguments(bet))
    return round_view(await pool.fetchrow(RELEASE, *arguments))


async def begin_action(
    pool: asyncpg.Pool, key: RoundKey, action: PlayerAction, transaction_id: str, *, several_bets: bool
) -> ActionDecision:
    """Decides before the wallet is asked. A choice that costs nothing is taken at once."""
    arguments = (*_action_arguments(key, action), action.by, action.request_id, action.after)
    row = await pool.fetchrow(BEGIN_ACTION, *arguments, transaction_id, several_bets)
    return _action_decision(row, row["amount"])


async def accept_action(
    pool: asyncpg.Pool, key: RoundKey, action: PlayerAction, *, balance: int | None
) -> ActionDecision:
    """Takes the action after the wallet has taken its bet, or decides ROLLBACK. `balance` is the wallet's, in
    minor units."""
    arguments = (key.player_key, key.round_id, action.action_id, action.request_id, balance)
    return _action_decision(await pool.fetchrow(ACCEPT_ACTION, *arguments))


async def refuse_action(
    pool: asyncpg.Pool, key: RoundKey, action: PlayerAction, refusal: ActionVerdict | None
) -> ActionDecision:
    """Decides after the wallet has refused the action's bet, or was never reached; `refusal` is None when it
    is unknown whether the wallet took it. ASK says that it is asked once more."""
    arguments = (key.player_key, key.round_id, action.action_id, action.request_id, refusal)
    return _action_decision(await pool.fetchrow(REFUSE_ACTION, *arguments))


async def end_action(pool: asyncpg.Pool, key: RoundKey, action: PlayerAction) -> ActionDecision:
    """Closes an action whose bet the wallet has rolled back: the round waits with the same choices."""
    arguments = (key.player_key, key.round_id, action.action_id, action.request_id)
    return _action_decision(await pool.fetchrow(END_ACTION, *arguments))


async def action_bets(pool: asyncpg.Pool, key: RoundKey) -> list[str]:
    """The ids of the actions whose bets may be at the wallet, in the order in which it was asked for them."""
    return [row["action_id"] for row in await pool.fetch(ACTION_BETS, key.player_key, key.round_id)]


async def rolled_back(pool: asyncpg.Pool, key: RoundKey) -> frozenset[str]:
    """The transaction ids of the round's rollbacks that its wallet has taken."""
    rows = await pool.fetch(ROLLED_BACK, key.player_key, key.round_id)
    return frozenset(row["transaction_id"] for row in rows)


async def record_attempt(
    pool: asyncpg.Pool, key: RoundKey, request: WalletRequest, answer: WalletAnswer, *, took_us: int
) -> bool:
    """Records an attempt. Returns whether it is the first of its transaction with this verdict."""
    first: bool = await pool.fetchval(
        RECORD_ATTEMPT,
        key.player_key,
        key.round_id,
        request.call.value,
        request.transaction_id,
        request.amount,
        answer.verdict.value,
        answer.code,
        answer.balance,
        answer.wallet_transaction_id,
        answer.duplicate,
        answer.sent,
        took_us,
        bounded(answer.detail),
    )
    return first


async def read_all(pool: asyncpg.Pool) -> list[StoredWallet]:
    """The wallets of all operators that have one."""
    return [StoredWallet(**dict(row)) for row in await pool.fetch(ALL)]


async def find(pool: asyncpg.Pool, operator_id: str) -> StoredWallet | None:
    """The operator's own wallet, if it has one."""
    row = await pool.fetchrow(OF_OPERATOR, operator_id)
    return None if row is None else StoredWallet(**dict(row))


UnsetVerdict = Literal["unset", "no-wallet", "enabled", "sessions-open", "rounds-open", "not-compared"]


async def unset(pool: asyncpg.Pool, operator_id: str, *, uncompared: bool = False) -> UnsetVerdict:
    """Lets our ledger keep the money of the operator's players, or decides what stands in the way. With
    `uncompared` also where its statement was not compared to its end."""
    verdict: UnsetVerdict = await pool.fetchval(UNSET, operator_id, uncompared)
    return verdict


async def store(pool: asyncpg.Pool, wallet: StoredWallet, *, bets_as_before: bool = False) -> bool:
    """Sets or replaces the operator's wallet. With `bets_as_before` one that is there keeps its
    `several_bets`, and a new one takes several. Returns False when there is no such operator."""
    if not await pool.fetchval(KNOWN_OPERATOR, wallet.operator_id):
        return False
    await pool.execute(
        SET,
        wallet.operator_id,
        wallet.url,
        wallet.dialect,
        wallet.sealed_secrets,
        wallet.local,
        wallet.connect_ms,
        wallet.read_ms,
        wallet.total_ms,
        wallet.calls,
        None if bets_as_before else wallet.several_bets,
    )
    return True


def _action_arguments(key: RoundKey, action: PlayerAction) -> tuple[Any, ...]:
    chosen = action.chosen
    return (key.player_key, key.round_id, action.action_id, chosen.action, chosen.params)


def _action_decision(row: Mapping[str, Any], amount: int = 0) -> ActionDecision:
    said = row["verdict"]
    view = None if said == ActionVerdict.NOT_FOUND else round_view(row)
    if said in (Verdict.ASK, Verdict.ROLLBACK):
        return ActionDecision(step=Verdict(said), verdict=None, view=view, amount=amount)
    return ActionDecision(step=None, verdict=ActionVerdict(said), view=view)


def _decision(row: Mapping[str, Any]) -> Decision:
    verdict = Verdict(row["verdict"])
    return Decision(verdict, round_view(row) if verdict is Verdict.STANDS else None)
