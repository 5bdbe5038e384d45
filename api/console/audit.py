"""The audit log: every decision of an operator's people about rounds, and what the ledger made of it."""

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import of, reads
from api.console.pages import message, page
from api.console.sessions import Session
from contracts.actors import ACTOR_LIMIT
from storage import interventions

PAGE_LIMIT: Final = 50


@reads
async def audit_page(request: Request, session: Session) -> Response:
    """Newest first; with `actor`, those of one person."""
    actor, before = request.query_params.get("actor", "").strip(), request.query_params.get("before")
    if len(actor) > ACTOR_LIMIT or not actor.isprintable():
        text = f"actor: at most {ACTOR_LIMIT} printable characters"
        return message("No such list", text, status=400, session=session)
    try:
        place = None if before is None else UUID(before)
    except ValueError:
        text = "before: go on from a page of the audit log"
        return message("No such list", text, status=400, session=session)
    found = await interventions.listed(
        of(request).pool,
        operator_id=session.operator_id,
        actor=actor or None,
        before=place,
        limit=PAGE_LIMIT + 1,
    )
    shown, more = found[:PAGE_LIMIT], None
    if len(found) > PAGE_LIMIT:
        more = "/console/audit?" + urlencode({"actor": actor, "before": shown[-1].intervention_id})
    return page("audit.html", session=session, decisions=shown, actor=actor, more=more)
