"""What of our own schemathesis has, which loads this file by the name in its configuration."""

import os
import re
from typing import Any, Final

import schemathesis

from api.gateway.schemas import ID_PATTERN

# What no schema can say of a value: that an earlier answer gave the cursor, that a URL leads somewhere safe,
# that the game has the mode, that a date is in the calendar, which of two members it needs, how long and deep
# free JSON may be, and which numbers it has. And JSON Schema takes 100.0 for an integer, where no float is an
# amount here.
BEYOND_SCHEMAS: Final = re.compile(
    r"(query\.)?(cursor|after|expires_at|jurisdiction|([a-z]+_)?url|events\.\d+\.(at|data)): "
    r"|.* has no such mode"
    r"|Name event_ids"
    r"|The body is not valid JSON: (a number is too long|it is nested too deeply)$"
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


@schemathesis.hook
def before_call(ctx: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """What a call changes stays among the parties of this test."""
    if (case.method, case.path) == ("PUT", "/v1/platform/operators/{operator_id}"):
        _switch_one_operator_alone(case)
    if case.path.startswith("/v1/operator/webhooks"):
        _send_events_to_a_receiver(case)


def _switch_one_operator_alone(case: schemathesis.Case[Any]) -> None:
    """Ids that earlier answers listed are tried too, and those are operators of all the tests."""
    asked = str(case.path_parameters.get("operator_id"))
    if re.fullmatch(ID_PATTERN, asked):
        case.path_parameters["operator_id"] = os.environ["SPARE_OPERATOR"]


def _send_events_to_a_receiver(case: schemathesis.Case[Any]) -> None:
    """Where nobody listens, each event would be tried again and again beside all the other tests."""
    if isinstance(case.body, dict) and str(case.body.get("url")).startswith("https://"):
        case.body["url"] = os.environ["RECEIVER"]
