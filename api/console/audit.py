"""The audit log: every act of an operator's people and programs, and what became of decisions."""

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import of, reads
from api.console.pages import game_path, message, money, page, player_path, round_path, webhook_path
from api.console.sessions import Session
from contracts.actors import ACTOR_LIMIT
from contracts.audit import AuditEntry, Kind
from contracts.interventions import Action
from contracts.sessions import DEMO
from storage import audit

PAGE_LIMIT: Final = 50
ROUNDS: Final = frozenset(action.value for action in Action)
PLAYERS: Final = frozenset({Kind.PLAYER_BLOCKED, Kind.PLAYER_UNBLOCKED, Kind.DEPOSIT, Kind.WITHDRAWAL})
GAMES: Final = frozenset({Kind.GAME_ENABLED, Kind.GAME_DISABLED})
# What the detail of an entry is called, where it is shown as it stands.
SAID: Final = {
    "transaction_id": "transaction",
    "url": "URL",
    "types": "events",
    "event_ids": "events",
    "scope": "scope",
    "name": "name",
    "brand": "brand",
    "expires_at": "ends",
    "new_key_id": "new key",
    "overlap_s": "seconds until the old one ends",
    "error": "answer",
}


@reads
async def audit_page(request: Request, session: Session) -> Response:
    """Newest first; with `actor`, those of one person, with `kind`, those of one kind."""
    query = request.query_params
    actor, kind, before = query.get("actor", "").strip(), query.get("kind", "").strip(), query.get("before")
    problem = None
    if len(actor) > ACTOR_LIMIT or not actor.isprintable():
        problem = f"actor: at most {ACTOR_LIMIT} printable characters"
    if kind and kind not in {known.value for known in Kind}:
        problem = f"kind: one of {', '.join(known.value for known in Kind)}"
    place = None
    try:
        place = None if before is None else UUID(before)
    except ValueError:
        problem = "before: go on from a page of the audit log"
    if problem:
        return message("No such list", problem, status=400, session=session)
    found = await audit.listed(
        of(request).pool,
        operator_id=session.operator_id,
        kinds=[Kind(kind)] if kind else [*Kind],
        actor=actor or None,
        before=place,
        limit=PAGE_LIMIT + 1,
    )
    shown, more = found[:PAGE_LIMIT], None
    if len(found) > PAGE_LIMIT:
        more = "/console/audit?" + urlencode({"actor": actor, "kind": kind, "before": shown[-1].entry_id})
    return page(
        "audit.html",
        session=session,
        entries=[(one, path(one, session), said(one)) for one in shown],
        kinds=[known.value for known in Kind],
        actor=actor,
        kind=kind,
        more=more,
    )


def path(entry: AuditEntry, session: Session) -> str | None:
    """The page of what the act was done to; None for keys, which only an administrator sees."""
    if entry.kind in ROUNDS:
        return round_path(entry.subject, entry.player_id or "", DEMO if entry.demo else "real")
    if entry.kind in PLAYERS:
        return player_path(entry.subject)
    if entry.kind in GAMES:
        return game_path(entry.subject)
    if entry.kind.startswith("webhook-"):
        return webhook_path(entry.subject)
    return "/console/keys" if session.scope == "admin" else None


def said(entry: AuditEntry) -> str:
    """What there is to say beside the kind, in words."""
    detail, words = entry.detail, []
    if entry.kind in ROUNDS:
        return f"the round was {entry.state_before or 'not stored yet'}"
    if "amount" in detail:
        words.append(money(detail["amount"], detail["currency"]))
    if "enabled" in detail:
        words.append("enabled" if detail["enabled"] else "disabled")
    if "all_dead" in detail:
        words.append("all that were dead")
    for name, called in SAID.items():
        if (value := detail.get(name)) is not None:
            words.append(f"{called} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return "; ".join(words)
