"""A check of our own for schemathesis, which loads this file by the name in SCHEMATHESIS_HOOKS."""

import re
from typing import Any, Final

import schemathesis

# What no schema can say of a value: that an earlier answer gave the cursor, that a text can be printed, that
# the game has the mode, that a date is in the calendar, which of two members it needs. And JSON Schema takes
# 100.0 for an integer, where no float is an amount here.
BEYOND_SCHEMAS: Final = re.compile(
    r"(query\.)?(cursor|after|expires_at|reason|jurisdiction|url|events\.\d+\.at): "
    r"|.* has no such mode"
    r"|Name event_ids"
    r"|.*: Input should be a valid integer$"
)


@schemathesis.check
def nothing_that_fits_the_description_is_invalid(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """A request that fits may be refused for the state of things (402, 422 `id-reused`), but not as
    `invalid`: then the description says less than the server asks for."""
    if response.status_code != 422 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    problem = response.json()
    if problem["code"] == "invalid":
        assert BEYOND_SCHEMAS.match(problem["detail"]), problem["detail"]
