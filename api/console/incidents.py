"""Incidents of an operator, each with what it means and what is left to do."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import of, reads
from api.console.pages import page
from api.console.sessions import Session
from contracts.reconciliation import IncidentKind
from storage import incidents
from timeline.wording import compact

LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class Runbook:
    """As docs/sre/incidents.md has it, for whoever is at the operator's."""

    differs: str
    does: str
    left: str


RUNBOOKS: Final = {
    IncidentKind.WORKFLOW_LOST: Runbook(
        "The round is open, and nothing brings it to its end: its workflow was terminated, or was forgotten.",
        "Its workflow is restarted, and goes on from what is stored.",
        "Nothing, if it resolves within minutes. If it stays, tell whoever runs Croupier.",
    ),
    IncidentKind.WORKFLOW_FAILED: Runbook(
        "The round's workflow has failed, which none should.",
        "Its workflow is restarted.",
        "Tell whoever runs Croupier, with the id of the round: its time line says why.",
    ),
    IncidentKind.STUCK: Runbook(
        "The round has been open for an hour, and its workflow runs.",
        "Nothing: it waits for something else.",
        "Open the round: it says what it waits for. When that is your wallet, mend it, or decide.",
    ),
    IncidentKind.EVENT_MISSING: Runbook(
        "An event was published, and the statistics never got it.",
        "It is published again, with the same id.",
        "Nothing, if it resolves. If it stays, tell whoever runs Croupier.",
    ),
    IncidentKind.WALLET_DIFFERS: Runbook(
        "Your wallet and our ledger do not say the same about a transaction.",
        "Nothing: money is not moved to make books fit.",
        "Compare both sides in the details with your wallet's books, and correct the one that is wrong.",
    ),
    IncidentKind.LOST_ROUND: Runbook(
        "The ledger was put back to a moment before the round, or before it went on.",
        "The round is settled by your wallet's statement.",
        "Nothing, if it resolves. If it stays, tell whoever runs Croupier.",
    ),
}


@reads
async def incidents_page(request: Request, session: Session) -> Response:
    """Those that are open, newest first; with `all`, those that have resolved too."""
    resolved_too = "all" in request.query_params
    found = await incidents.of_operator(
        of(request).pool, session.operator_id, resolved_too=resolved_too, limit=LIMIT
    )
    return page(
        "incidents.html",
        session=session,
        incidents=[(one, RUNBOOKS[one.finding.kind], compact(one.finding.detail)) for one in found],
        resolved_too=resolved_too,
        limit=LIMIT,
    )
