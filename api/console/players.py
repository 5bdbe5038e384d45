"""Players: balances and holds, sessions with their limits, the statement, and whether they may bet."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import Console, acts, of, reads
from api.console.forms import REASON_WANTED, Form, FormRefused, reason_of
from api.console.operator_api import ApiAway, ApiRefused
from api.console.pages import message, money, page, player_path, redirect
from api.console.sessions import Session
from contracts.audit import Kind
from contracts.interventions import REASON_LIMIT
from contracts.movements import StatementFilter
from contracts.sessions import DEMO
from storage import players, sessions, statement
from storage.players import PlayerFacts
from storage.sessions import SessionFacts

SESSIONS_LIMIT: Final = 20
ENTRIES_LIMIT: Final = 50
LARGEST: Final = 2**63 - 1
PLACE: Final = re.compile(r"[0-9]{1,19}")
NOT_FOUND: Final = (
    "You have no player of this id with this money: who has demo money alone is found under demo. Ids are"
    " exact; the first session or deposit makes a player."
)


@reads
async def find_page(request: Request, session: Session) -> Response:
    """A form, which leads to the player."""
    player_id, mode = (request.query_params.get(name, "").strip() for name in ("player_id", "mode"))
    if player_id:
        return redirect(player_path(player_id, mode or "real"))
    return page("players.html", session=session)


@reads
async def player_page(request: Request, session: Session) -> Response:
    """With `before`, the statement from there on."""
    modes = (request.query_params["mode"],) if "mode" in request.query_params else ("real", DEMO)
    if modes[0] not in ("real", DEMO):
        return message("No such page", "mode: real or demo", status=400, session=session)
    found = None
    for mode in modes:
        found = found or await _find(request, session, mode)
    if found is None:
        return message("No such player", NOT_FOUND, status=404, session=session)
    before = request.query_params.get("before", "")
    if before and not (PLACE.fullmatch(before) and int(before) <= LARGEST):
        text = "before: go on from a page of the statement"
        return message("No such page", text, status=400, session=session)
    return await _shown(of(request), session, found, before=int(before) if before else None)


@acts
async def switch_player(request: Request, session: Session, form: Form) -> Response:
    """Blocks the player, or lets the player bet again, through the API."""
    console, mode, wanted = of(request), form.get("mode", "real"), form.get("blocked")
    found = await _find(request, session, mode)
    if found is None or wanted not in ("yes", "no") or mode not in ("real", DEMO):
        return message("No such player", NOT_FOUND, status=404, session=session)
    if not session.decides:
        raise FormRefused(403, "You only read here: the scope operator or admin blocks players.")
    if (reason := reason_of(form)) is None:
        return await _shown(console, session, found, problem=REASON_WANTED, status=422)
    try:
        await console.api.switch_player(
            session.key, player_id=found.player_id, blocked=wanted == "yes", reason=reason
        )
    except ApiRefused as refused:
        return await _shown(console, session, found, problem=str(refused), status=refused.status)
    except ApiAway as away:
        return await _shown(console, session, found, problem=str(away), status=503)
    return redirect(player_path(found.player_id, mode))


async def _find(request: Request, session: Session, mode: str) -> PlayerFacts | None:
    player_id = request.path_params["player_id"]
    if not player_id.isprintable():
        return None
    return await players.facts(
        of(request).pool, operator_id=session.operator_id, player_id=player_id, demo=mode == DEMO
    )


async def _shown(
    console: Console,
    session: Session,
    found: PlayerFacts,
    *,
    before: int | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    pool, key, mode = console.pool, found.player_key, DEMO if found.demo else "real"
    wanted = StatementFilter(player_key=key)
    entries, following = await statement.page(pool, wanted, before=before, limit=ENTRIES_LIMIT)
    opened = await sessions.of_player(pool, key, limit=SESSIONS_LIMIT)
    return page(
        "player.html",
        status=status,
        session=session,
        player=found,
        mode=mode,
        path=player_path(found.player_id, mode),
        switch=f"/console/players/{quote(found.player_id, safe='')}/switch",
        balances=await players.balances(pool, key),
        sessions=[(one, list(_limits(one))) for one in opened],
        sessions_limit=SESSIONS_LIMIT,
        entries=entries,
        older=None if following is None else f"{player_path(found.player_id, mode)}&before={following}",
        before=before,
        problem=problem,
        reason_limit=REASON_LIMIT,
        acts=f"/console/audit?{urlencode({'kind': Kind.PLAYER_BLOCKED.value})}",
    )


def _limits(session: SessionFacts) -> Iterator[str]:
    """In words, each that there is."""
    limits, currency = session.limits or {}, session.currency
    if (most := limits.get("max_stake")) is not None:
        yield f"stakes up to {money(most, currency)}"
    if (stakes := limits.get("stakes")) is not None:
        yield f"stakes of {', '.join(money(stake, currency) for stake in stakes)}"
    if (loss := limits.get("loss_limit")) is not None:
        yield f"loses up to {money(loss, currency)}, and has lost {money(session.lost, currency)}"
    if (longest := limits.get("max_session_s")) is not None:
        yield f"lasts up to {longest} s"
    if (pause := limits.get("min_cycle_ms")) is not None:
        yield f"{pause} ms from one round to the next"
