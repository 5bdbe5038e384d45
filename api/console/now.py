"""What is open, late or wrong at this moment: a page, and the stream that moves its numbers."""

import json
from typing import Final

import asyncpg
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.console.console import COOKIE, of, reads
from api.console.live import OVER, Live
from api.console.pages import HEADERS, POLICY, money, page
from api.console.panels import clock, document, panels
from api.console.sessions import Session
from overview.now import Now, look
from timeline.wording import amounts_as

# Of this page alone: its one script, and the stream.
LIVE_POLICY: Final = f"{POLICY}; script-src 'self'; connect-src 'self'"
STREAM: Final = {**HEADERS, "content-type": "text/event-stream", "x-accel-buffering": "no"}


@reads
async def now_page(request: Request, session: Session) -> Response:
    """Whole without the script, and as old as its loading then."""
    found = await _look(of(request).pool, session.operator_id)
    headers = {"content-security-policy": LIVE_POLICY}
    return page("now.html", headers=headers, session=session, panels=panels(found), as_of=clock(found.moment))


async def now_events(request: Request) -> Response:
    """Whoever has no session is told so in the stream, which is all that a browser reads of it. Opening one
    is no use of the session, nor is watching."""
    live: Live = request.app.state.live
    secret = request.cookies.get(COOKIE, "")
    session = (await of(request).lasting([secret])).get(secret)
    if request.method == "HEAD":
        return Response(headers=STREAM)
    if session is None:
        return Response(OVER, headers=STREAM)
    if not live.takes_more:
        return Response(status_code=503, headers=HEADERS)
    return StreamingResponse(live.messages(secret=secret, operator_id=session.operator_id), headers=STREAM)


async def numbers(pool: asyncpg.Pool, operator_id: str) -> str:
    """One look, as one line of JSON for all browsers of the operator."""
    return json.dumps(document(await _look(pool, operator_id)), separators=(",", ":"))


async def _look(pool: asyncpg.Pool, operator_id: str) -> Now:
    with amounts_as(money):
        return await look(pool, operator_id)
