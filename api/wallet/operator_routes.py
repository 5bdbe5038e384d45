"""The Wallet API over HTTP: the operator's side, with deposits, withdrawals, balances and statements."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from api.gateway.authentication import Deps, Operator
from api.gateway.caller import REPLAYED
from api.gateway.paging import cursor, position
from api.gateway.problems import Problem, problems
from api.gateway.schemas import PROBLEM_RESPONSES, Currency, Moment, PlayerIdInPath, balance_money, repeat
from api.gateway.strict_json import StrictRoute
from api.services import Services
from api.wallet.schemas import (
    Deposit,
    Deposited,
    OperatorBalance,
    StatementPage,
    Withdrawal,
    Withdrawn,
    statement_item,
)
from contracts import failures
from contracts.audit import By
from contracts.movements import StatementFilter, WithdrawalView
from contracts.views import DepositView, OperatorCaller

router = APIRouter(
    prefix="/v1/operator",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


@router.post(
    "/players/{player_id}/deposits",
    tags=["Wallet API"],
    status_code=201,
    response_model=Deposited,
    responses={**repeat(Deposited), **problems("id-reused", "limit-exceeded", "wrong-state")},
)
async def deposit(
    player_id: PlayerIdInPath, body: Deposit, operator: Operator, services: Deps
) -> JSONResponse:
    """Credits the player, once per transaction id. An id names one deposit or one withdrawal of the player,
    for ever: what was used for the one is refused for the other. Refused where the operator's own wallet
    keeps the money."""
    _need_our_ledger(operator, services)
    done = await services.wallet.deposit(
        operator_id=operator.operator_id,
        player_id=player_id,
        transaction_id=body.transaction_id,
        amount=body.amount.amount,
        currency=body.amount.currency,
        by=By(operator.actor),
    )
    if done.result == "reused":
        raise Problem(
            failures.ID_REUSED, "This transaction id belongs to another deposit or withdrawal of the player."
        )
    if done.result == "too-much":
        raise Problem(
            "limit-exceeded",
            "A deposit may bring a balance to 2^52 - 1 minor units at most.",
            balance=balance_money(done.available, body.amount.currency),
        )
    return _moved(body, done)


@router.post(
    "/players/{player_id}/withdrawals",
    tags=["Wallet API"],
    status_code=201,
    response_model=Withdrawn,
    responses={
        **repeat(Withdrawn),
        **problems("not-found", "id-reused", "insufficient-funds", "wrong-state"),
    },
)
async def withdraw(
    player_id: PlayerIdInPath, body: Withdrawal, operator: Operator, services: Deps
) -> JSONResponse:
    """Pays out to the player, once per transaction id, and never out of what open rounds hold. An id names
    one deposit or one withdrawal of the player, for ever. A refusal is not remembered: the same withdrawal
    may come again when the balance covers it. Refused where the operator's own wallet keeps the money."""
    _need_our_ledger(operator, services)
    done = await services.wallet.withdraw(
        operator_id=operator.operator_id,
        player_id=player_id,
        transaction_id=body.transaction_id,
        amount=body.amount.amount,
        currency=body.amount.currency,
        by=By(operator.actor),
    )
    if done is None:
        raise Problem("not-found", "There is no such player; the first session or deposit makes one.")
    if done.result == "reused":
        raise Problem(
            failures.ID_REUSED, "This transaction id belongs to another deposit or withdrawal of the player."
        )
    if done.result == failures.INSUFFICIENT_FUNDS:
        raise Problem(
            failures.INSUFFICIENT_FUNDS,
            "The available balance does not cover the withdrawal.",
            balance=balance_money(done.available, body.amount.currency),
        )
    return _moved(body, done)


def _need_our_ledger(operator: OperatorCaller, services: Services) -> None:
    if services.wallet.kept_elsewhere(operator.operator_id):
        raise Problem("wrong-state", "The operator's own wallet keeps its players' money: turn to that.")


def _moved(body: Deposit | Withdrawal, done: DepositView | WithdrawalView) -> JSONResponse:
    replayed = done.result == "replayed"
    answer = {
        "transaction_id": body.transaction_id,
        "balance": balance_money(done.available, body.amount.currency),
    }
    return JSONResponse(answer, 200 if replayed else 201, headers=REPLAYED if replayed else None)


@router.get(
    "/players/{player_id}/balance",
    tags=["Wallet API"],
    response_model=OperatorBalance,
    responses=problems("not-found", "wrong-state"),
)
async def balance(
    player_id: PlayerIdInPath, currency: Annotated[Currency, Query()], operator: Operator, services: Deps
) -> JSONResponse:
    """The player's balance in one currency, with what open rounds hold. Refused where the operator's own
    wallet keeps the money: that is where to ask, for our ledger only mirrors the rounds under way."""
    _need_our_ledger(operator, services)
    found = await services.wallet.balance(
        operator_id=operator.operator_id, player_id=player_id, currency=currency
    )
    if found is None:
        raise Problem("not-found", "The player has no account in this currency.")
    return JSONResponse(
        {
            "balance": balance_money(found.available, currency),
            "held": balance_money(found.held, currency),
            "total": balance_money(found.balance, currency),
        }
    )


@router.get(
    "/players/{player_id}/statement",
    tags=["Wallet API"],
    response_model=StatementPage,
    responses=problems("not-found"),
)
async def statement(
    player_id: PlayerIdInPath,
    operator: Operator,
    services: Deps,
    currency: Annotated[Currency | None, Query(description="one wallet; all when not given")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="at or after")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=64)] = None,
) -> JSONResponse:
    """The postings on the player's accounts, newest first."""
    player_key = await services.wallet.find(operator_id=operator.operator_id, player_id=player_id)
    if player_key is None:
        raise Problem("not-found", "There is no such player; the first session or deposit makes one.")
    wanted = StatementFilter(player_key=player_key, currency=currency, since=since, until=until)
    entries, following = await services.wallet.statement(wanted, before=position(cursor_), limit=limit)
    return JSONResponse(
        {"items": [statement_item(entry) for entry in entries], "next_cursor": cursor(following)}
    )
