"""The Wallet API over HTTP: the game client's side."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.gateway.authentication import AnySession
from api.gateway.caller import respond
from api.gateway.problems import problems
from api.gateway.schemas import PROBLEM_RESPONSES
from api.gateway.strict_json import StrictRoute
from api.wallet import calls
from api.wallet.schemas import BalanceOut

router = APIRouter(
    prefix="/v1/game",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


@router.get("/balance", tags=["Wallet API"], response_model=BalanceOut, responses=problems("wallet-failed"))
async def balance(caller: AnySession) -> JSONResponse:
    """What the player can bet: the balance less what open rounds hold. Where the operator's own wallet keeps
    the money, what that says."""
    return respond(await calls.balance(caller))
