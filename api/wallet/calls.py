"""The player's balance, by whichever transport it is asked for."""

from typing import Any

from api.gateway.caller import Caller, Reply
from api.gateway.problems import Problem
from api.gateway.schemas import balance_money
from api.wallet.service import NoAccount, WalletSilent
from contracts import failures
from contracts.views import RoundView


async def balance(caller: Caller) -> Reply:
    """What the player can bet."""
    try:
        return Reply(200, {"balance": await _balance(caller)})
    except WalletSilent:
        raise Problem(failures.WALLET_FAILED, "The operator's wallet does not say; ask again.") from None


async def balance_or_null(caller: Caller) -> dict[str, Any] | None:
    """A wallet that is silent for a moment keeps no player from an open round."""
    try:
        return await _balance(caller)
    except WalletSilent:
        return None


async def balance_after(view: RoundView, caller: Caller) -> dict[str, Any] | None:
    """What a balance's message says after the caller's round, or None where the operator's own wallet did not
    send it with the round: that wallet is not asked again by each socket. Raises Problem."""
    if caller.services.wallet.in_our_ledger(caller.claims):
        return (await balance(caller)).body
    return None if view.balance is None else {"balance": balance_money(view.balance, view.currency)}


async def _balance(caller: Caller) -> dict[str, Any]:
    """Raises WalletSilent."""
    try:
        return balance_money(await caller.services.wallet.available(caller.claims), caller.claims.currency)
    except NoAccount:
        raise Problem("unauthenticated", "The session is not known here.") from None
