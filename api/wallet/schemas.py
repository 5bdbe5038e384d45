"""Players' money as requests and answers have it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from api.gateway.schemas import CallerId, Money, MoneyIn, StrictModel, balance_money, moment, money
from contracts.movements import StatementEntry


class Movement(StrictModel):
    """What deposits and withdrawals have in common."""

    transaction_id: CallerId
    amount: MoneyIn


class Deposit(Movement):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"transaction_id": "t-1001", "amount": {"amount": 5_000, "currency": "EUR"}}]
        }
    )


class Withdrawal(Movement):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"transaction_id": "t-1002", "amount": {"amount": 1_000, "currency": "EUR"}}]
        }
    )


class BalanceOut(BaseModel):
    balance: Money


class OperatorBalance(BaseModel):
    """`balance` is available; `held` is reserved by open rounds; `total` is both. All of our own ledger."""

    balance: Money
    held: Money
    total: Money


class Moved(BaseModel):
    transaction_id: str
    balance: Money


class Deposited(Moved):
    pass


class Withdrawn(Moved):
    pass


class StatementItem(BaseModel):
    """`amount` is negative when it left the player; `balance` is what was available right after.
    `reference` is the round's id for a stake or a win, the transaction id otherwise. `position` counts the
    player's postings in all currencies: 1, 2, 3, ..."""

    position: int
    kind: str
    reference: str
    amount: Money
    balance: Money
    at: datetime


class StatementPage(BaseModel):
    items: list[StatementItem]
    next_cursor: str | None


def statement_item(entry: StatementEntry) -> dict[str, Any]:
    """A posting as the player's operator sees it."""
    return {
        "position": entry.position,
        "kind": entry.kind,
        "reference": entry.reference,
        "amount": money(entry.amount, entry.currency),
        "balance": balance_money(entry.balance, entry.currency),
        "at": moment(entry.created_at),
    }
