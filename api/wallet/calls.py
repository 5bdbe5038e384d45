"""The player's balance, by whichever transport it is asked for."""

from typing import Any

from api.gateway.caller import Caller, Reply
from api.gateway.problems import Problem
from api.gateway.schemas import money
from api.wallet.service import NoAccount, WalletSilent
from contracts import failures


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


async def _balance(caller: Caller) -> dict[str, Any]:
    """Raises WalletSilent."""
    try:
        return money(await caller.services.wallet.available(caller.claims), caller.claims.currency)
    except NoAccount:
        raise Problem("unauthenticated", "The session is not known here.") from None
