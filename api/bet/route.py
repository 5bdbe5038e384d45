"""The route that every round comes in by, which reads its request itself.

FastAPI describes it in OpenAPI from its function's signature, as any other; what it would do with that
signature at each request (solving dependencies, stacks for cleaning up after them) takes as long as all the
rest of the way in. Here are the same reads, checks and refusals, and who asks is settled before what.
"""

import json
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from api.bet.schemas import PlaceBet
from api.gateway import authentication
from api.gateway.admission import Admission
from api.gateway.strict_json import StrictRequest, StrictRoute, check_media_type, check_query


class BetRoute(StrictRoute):
    """For a function with the parameters `body` and `caller`."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises what the application answers with a problem document."""
        if scope["method"] != "POST":
            await super().handle(scope, receive, send)  # refuses it
            return
        request = StrictRequest(scope, receive)
        services = await authentication.services(request)
        credentials = await authentication.SESSION_TOKEN(request)
        caller = await authentication.live_session(request, credentials, services)
        check_query(request, ())
        body = await _read(request)
        admission: Admission = request.app.state.admission
        async with admission.bet(caller.claims.operator_id):
            response = await self.endpoint(body=body, caller=caller)
        await response(scope, receive, send)


async def _read(request: StrictRequest) -> PlaceBet:
    """Raises Problem for another media type, else RequestValidationError with the errors of FastAPI."""
    await check_media_type(request)
    errors: list[dict[str, Any]] = [{"type": "missing", "loc": ("body",), "msg": "Field required"}]
    try:
        if await request.body():
            return PlaceBet.model_validate(await request.json(), from_attributes=True)
    except ValidationError as invalid:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in invalid.errors(include_url=False)]
    except json.JSONDecodeError as broken:
        errors = [{"type": "json_invalid", "loc": ("body",), "msg": "", "ctx": {"error": broken.msg}}]
    raise RequestValidationError(errors)
