"""Operators as requests and answers of the platform have them."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.gateway.schemas import CallerId, OneLine, StrictModel, moment
from contracts.views import OperatorRecord

OPERATOR_NAME_LIMIT: Final = 100  # characters
OperatorName = Annotated[OneLine, StringConstraints(min_length=1, max_length=OPERATOR_NAME_LIMIT)]


class NewOperator(StrictModel):
    """`operator_id` is a part of workflow ids and a word of routing keys, and never changes. `name` is for
    people; the id when it is not given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"operator_id": "acme", "name": "Acme Casino"}]}
    )

    operator_id: CallerId
    name: OperatorName | None = None


class SwitchOperator(StrictModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True}]})

    enabled: Annotated[bool, Field(strict=True)]


class OperatorOut(BaseModel):
    """`disabled_at` is null while the operator is enabled."""

    operator_id: str
    name: str
    enabled: bool
    created_at: datetime
    disabled_at: datetime | None


class OperatorPage(BaseModel):
    items: list[OperatorOut]
    next_cursor: str | None


def operator_body(operator: OperatorRecord) -> dict[str, Any]:
    """An operator as the platform sees it."""
    return {
        "operator_id": operator.operator_id,
        "name": operator.name,
        "enabled": operator.disabled_at is None,
        "created_at": moment(operator.created_at),
        "disabled_at": moment(operator.disabled_at),
    }
