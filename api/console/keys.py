"""The operator's API keys: which there are, new ones, each shown once, and their end."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import acts, of, reads
from api.console.forms import Form, FormRefused
from api.console.operator_api import ApiAway, ApiRefused
from api.console.pages import message, page, redirect
from api.console.sessions import Session
from contracts.texts import is_one_line
from contracts.views import ApiKeyRecord
from storage import operators

NAME_LIMIT: Final = 60  # as api.operator.schemas has it
DAYS_LIMIT: Final = 3_650
DAYS: Final = re.compile(r"[0-9]{1,4}")
SCOPES: Final = {
    "game": "opens and ends sessions, and reads; a viewer here",
    "operator": "also moves money, decides about rounds and has webhooks; support here",
    "admin": "also makes and revokes keys; an admin here",
}
ONLY_ADMINS: Final = (
    "A key of the scope admin sees the keys of your operator, makes new ones and revokes them."
)
SENT_BEFORE: Final = (
    "This form was sent before, and makes no second key. One that you did not note down is in the list:"
    " revoke it, and make another."
)
REVOKED: Final = "Revoked: within ten seconds it opens nothing any more."
NOT_FOUND: Final = "Your operator has no key of this id. The list has those that it has."


@reads
async def keys_page(request: Request, session: Session) -> Response:
    if session.scope != "admin":
        return message("Not for this key", ONLY_ADMINS, status=403, session=session)
    return await _shown(request, session, done=session.take_told())


@acts
async def create_key(request: Request, session: Session, form: Form) -> Response:
    """Shows the key in the answer to the form: it is in no address, and in no page to be opened again. A
    browser that goes back to it sends the form anew, and gets no second key."""
    _need_admin(session)
    name, scope, days = (form.get(field, "").strip() for field in ("name", "scope", "days"))
    problem = _problem(name, scope, days)
    if problem:
        return await _shown(request, session, problem=problem, status=422)
    once = form.get("once", "")
    if form.get("confirmed") != "yes" or not once:
        facts = {
            "Name": name,
            "Scope": f"{scope}: {SCOPES[scope]}",
            "Ends": f"in {days} days" if days else "never",
        }
        return page(
            "confirm.html",
            session=session,
            here="keys",
            title="Make the key",
            does="The key is shown once, on the next page: have a place for it at hand.",
            facts=facts,
            action="/console/keys/create",
            fields={"name": name, "scope": scope, "days": days, "once": secrets.token_urlsafe(12)},
            back="/console/keys",
        )
    if once in session.sent:
        return await _shown(request, session, problem=SENT_BEFORE, status=409)
    session.sent.add(once)
    wanted: dict[str, Any] = {"scope": scope, "name": name}
    if days:
        wanted["expires_at"] = f"{datetime.now(UTC) + timedelta(days=int(days)):%Y-%m-%dT%H:%M:%SZ}"
    then = "A key may have been made: look at the list, and revoke what you do not know."
    try:
        made = await of(request).api.act(session.key, "POST", "/v1/operator/keys", then=then, json=wanted)
    except ApiRefused as refused:
        return await _shown(request, session, problem=str(refused), status=refused.status)
    except ApiAway as away:
        return await _shown(request, session, problem=str(away), status=503)
    return page("key_made.html", session=session, made=made, name=name)


@acts
async def revoke_key(request: Request, session: Session, form: Form) -> Response:
    """Says whose end it is; `confirmed`, ends the key through the API."""
    _need_admin(session)
    key_id = request.path_params["key_id"]
    found = next((one for one in await _listed(request, session) if one.key_id == key_id), None)
    if found is None:
        return message("No such key", NOT_FOUND, status=404, session=session)
    if form.get("confirmed") != "yes":
        own = "" if key_id != session.key_id else " You have signed in with it, and are signed out."
        return page(
            "confirm.html",
            session=session,
            here="keys",
            title="Revoke the key",
            does=f"Within ten seconds it opens nothing any more, for good.{own}",
            facts={"Key": key_id, "Name": found.name or "none", "Scope": found.scope},
            action=f"/console/keys/{key_id}/revoke",
            fields={},
            back="/console/keys",
        )
    then = "Look at the list before you do it again."
    try:
        await of(request).api.act(session.key, "DELETE", f"/v1/operator/keys/{key_id}", then=then)
    except ApiRefused as refused:
        return await _shown(request, session, problem=str(refused), status=refused.status)
    except ApiAway as away:
        return await _shown(request, session, problem=str(away), status=503)
    session.told = REVOKED
    return redirect("/console/keys")


async def _shown(
    request: Request,
    session: Session,
    *,
    done: str | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    return page(
        "keys.html",
        status=status,
        session=session,
        keys=await _listed(request, session),
        scopes=SCOPES,
        name_limit=NAME_LIMIT,
        days_limit=DAYS_LIMIT,
        listed_limit=operators.LISTED_LIMIT,
        done=done,
        problem=problem,
    )


async def _listed(request: Request, session: Session) -> list[ApiKeyRecord]:
    return await operators.list_keys(of(request).pool, operator_id=session.operator_id)


def _need_admin(session: Session) -> None:
    if session.scope != "admin":
        raise FormRefused(403, ONLY_ADMINS)
    if session.disabled:
        raise FormRefused(403, "Your operator is disabled: no key is made or revoked now.")


def _problem(name: str, scope: str, days: str) -> str | None:
    if len(name) > NAME_LIMIT or not is_one_line(name):
        return (
            f"Give the key a name, in one line of at most {NAME_LIMIT} characters: whose it is, or what for."
        )
    if scope not in SCOPES:
        return f"Choose a scope: {', '.join(SCOPES)}."
    if days and not (DAYS.fullmatch(days) and 0 < int(days) <= DAYS_LIMIT):
        return f"Days: a whole number from 1 to {DAYS_LIMIT}, or nothing for a key without an end."
    return None
