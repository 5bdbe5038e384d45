"""The parts that all schemas share: ids, money, moments, and the problem document.

A request is checked exactly. An answer's schema says what OpenAPI describes; the function beside it makes the
body of a stored thing, so a field of an answer is named in one file.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from api.gateway.problems import problems
from contracts.currencies import exponent, known
from contracts.interventions import REASON_LIMIT
from contracts.texts import ONE_LINE, is_one_line

ID_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$"
# `$` is the very end here (Rust's syntax, and ECMAScript's in OpenAPI): a trailing newline does not pass.
# Ids that callers choose: they are idempotency keys, parts of workflow ids and words of routing keys.
CallerId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
PlayerIdInPath = Annotated[str, Path(pattern=ID_PATTERN)]


def _known(currency: str) -> str:
    """Checks that the currency has an exponent, without which amounts have no meaning. Raises
    UnknownCurrency, a ValueError."""
    exponent(currency)
    return currency


def _one_line(text: str) -> str:
    """Raises ValueError in words that say more to people than the pattern."""
    if not is_one_line(text):
        raise ValueError("one line of printable characters")
    return text


OneLine = Annotated[str, AfterValidator(_one_line), Field(json_schema_extra={"pattern": ONE_LINE})]
# Why something is done: it is kept for good.
Reason = Annotated[OneLine, StringConstraints(min_length=1, max_length=REASON_LIMIT)]

Currency = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z][A-Z0-9]{2,9}$"),
    AfterValidator(_known),
    Field(json_schema_extra={"enum": sorted(known())}),
]
GameId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
# The largest integer that every JSON client reads exactly.
LARGEST_SHOWN: Final = 2**53 - 1
Amount = Annotated[int, Field(strict=True, gt=0, le=LARGEST_SHOWN)]


def _rfc3339(value: object) -> object:
    """Pydantic alone would take a number for seconds since 1970, and a date for its midnight."""
    if not isinstance(value, str) or re.fullmatch(RFC_3339, value) is None:
        raise ValueError("a time as in RFC 3339, such as 2026-11-22T16:56:52Z")
    return value


RFC_3339: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)


def _in_utc(value: datetime) -> datetime:
    """Some times of the years 1 and 9999 have no equal in UTC, as which the database keeps them."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time between the years 1 and 9999 in UTC") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_in_utc)]


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MoneyIn(StrictModel):
    """`amount` in minor units of `currency`."""

    amount: Amount
    currency: Currency


class Money(BaseModel):
    """`amount` in minor units of `currency`."""

    amount: int
    currency: str


class ProblemOut(BaseModel):
    """RFC 9457. Clients switch on `code`; `detail` is for people. Further members as the case needs."""

    model_config = ConfigDict(extra="allow", title="Problem")
    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    retry_after: int = Field(default=0, description="whole seconds, with a status of 429 or 503")
    round_id: str = Field(default="", description="the round that was declined")
    open_round: str | None = Field(default=None, description="the round to finish first")
    balance: Money | None = Field(default=None, description="what is available")


# What every router says of its errors: the edge middleware refuses what is too large, compressed or too
# much, and a bug is a 500.
PROBLEM_RESPONSES: Final = problems(
    "too-large", "unsupported-media-type", "too-many-requests", "internal", "overloaded"
)


def headers(*names: str) -> dict[str, Any]:
    """What a response says of its headers; api/gateway/openapi.py describes each."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def repeat(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """For the `responses` of a route that does a thing once: how it answers the same request again."""
    description = "A repeat: the first answer again"
    return {200: {"model": model, "description": description, "headers": headers("Idempotent-Replayed")}}


def money(amount: int, currency: str) -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def balance_money(amount: int, currency: str) -> dict[str, Any]:
    """A balance as clients are shown it. Only wins lift one above LARGEST_SHOWN: deposits end far below."""
    return money(min(amount, LARGEST_SHOWN), currency)


def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
