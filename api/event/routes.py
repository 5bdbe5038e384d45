"""The Event API over HTTP: events that a game client reports, and an operator's feed of all that happened."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from api.event import calls
from api.event.schemas import EventPage, EventsAccepted, TellEvents
from api.gateway.authentication import AnySession, Deps, GameServer
from api.gateway.caller import respond
from api.gateway.paging import cursor, position
from api.gateway.problems import problems
from api.gateway.schemas import PROBLEM_RESPONSES
from api.gateway.strict_json import StrictRoute
from events.catalogue import envelope

router = APIRouter(prefix="/v1", tags=["Event API"], route_class=StrictRoute, responses=PROBLEM_RESPONSES)


@router.get("/operator/events", response_model=EventPage)
async def feed(
    operator: GameServer,
    services: Deps,
    after: Annotated[str | None, Query(max_length=64, description="a next_cursor")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """The operator's events, oldest first, each as the broker carries it; from the first one without `after`.
    A page may be short: go on with its next_cursor, at the end again and again. Incidents are no part of it:
    they are no facts about a player."""
    events, following = await services.feed.page(
        operator_id=operator.operator_id, after=position(after), limit=limit
    )
    # The very bytes that the broker carries, so that a consumer of both can compare them.
    items = b",".join(envelope(event) for event in events)
    body = b'{"items":[%b],"next_cursor":"%b"}' % (items, str(cursor(following)).encode())
    return Response(body, media_type="application/json")


@router.post(
    "/game/events",
    status_code=202,
    response_model=EventsAccepted,
    responses=problems("id-reused", "too-many-requests"),
)
# Its name is in the OpenAPI document, as the operation gameTell.
async def tell(body: TellEvents, caller: AnySession) -> JSONResponse:
    """Records what the game client tells of itself, for its operator: all of the call or nothing, and each
    event once by its id. The same again is accepted and does nothing; an id with other contents is refused. A
    session may report 300 events a minute."""
    return respond(await calls.report_events(body, caller))
