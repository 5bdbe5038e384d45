"""The list of an operator's rounds, by filters in its address, and the same as CSV."""

from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.console.cells import line
from api.console.console import Console, of, reads
from api.console.filters import Filters, filters
from api.console.pages import HEADERS, message, minute, page
from api.console.sessions import Session
from api.gateway.paging import cursor
from contracts.rounds import RoundState
from contracts.views import RoundFilter, RoundView
from overview.model import RoundPage

PAGE_LIMIT: Final = 50
CSV_LIMIT: Final = 10_000
CSV_PAGE: Final = 500
COLUMNS: Final = (
    *("round_id", "player_id", "game_id", "game_version", "mode", "state", "currency"),
    *("staked_minor", "win_minor", "failure_code", "created_at", "closed_at", "session_id"),
)


@reads
async def rounds_page(request: Request, session: Session) -> Response:
    """Newest first. One look searches a window of the history; where that has few, the page says how far
    back it has come, and leads on."""
    console, asked = of(request), filters(request.query_params)
    about: dict[str, Any] = {
        "session": session,
        "filters": asked,
        "states": list(RoundState),
        "csv_limit": CSV_LIMIT,
    }
    if asked.problems:
        return page("rounds.html", status=400, found=None, more=None, **about)
    found = await console.rounds.page(
        await _wanted(console, session, asked), before=asked.before, limit=PAGE_LIMIT
    )
    more = None
    if found.following is not None:
        more = f"/console/rounds?{asked.query}&cursor={cursor(found.following)}"
    return page("rounds.html", found=found, more=more, **about)


@reads
async def rounds_csv(request: Request, session: Session) -> Response:
    """The newest CSV_LIMIT rounds of the list."""
    console, asked = of(request), filters(request.query_params)
    if asked.problems:
        return message("No such list", "; ".join(asked.problems), status=400, session=session)
    headers = {**HEADERS, "content-disposition": 'attachment; filename="rounds.csv"'}
    wanted = await _wanted(console, session, asked)
    # Before the answer begins: what is wrong can still be said.
    first = await console.rounds.page(wanted, limit=CSV_PAGE)
    lines = _lines(console, wanted, first)
    return StreamingResponse(lines, headers=headers, media_type="text/csv; charset=utf-8")


async def _wanted(console: Console, session: Session, asked: Filters) -> RoundFilter:
    player_id, key = asked.values["player_id"], None
    if player_id:
        key = await console.rounds.player_key(session.operator_id, player_id, demo=asked.demo)
    return asked.wanted(session.operator_id, key)


async def _lines(console: Console, wanted: RoundFilter, found: RoundPage) -> AsyncIterator[str]:
    yield line(COLUMNS)
    left = CSV_LIMIT
    while True:
        for view in found.rounds:
            yield _line(view)
        left -= len(found.rounds)
        if found.following is None or not left:
            return
        found = await console.rounds.page(wanted, before=found.following, limit=min(left, CSV_PAGE))


def _line(view: RoundView) -> str:
    return line(
        (
            view.key.round_id,
            view.player_id,
            view.game_id,
            view.game_version,
            "demo" if view.demo else "real",
            view.state.value,
            view.currency,
            view.staked,
            view.win,
            view.failure_code,
            minute(view.created_at),
            "" if view.closed_at is None else minute(view.closed_at),
            view.session_id,
        )
    )
