"""Webhooks: how each fares, its deliveries with request and answer, and what may be done about them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import Console, acts, of, reads
from api.console.drawing import duration
from api.console.forms import Form, FormRefused
from api.console.operator_api import ApiAway, ApiRefused
from api.console.pages import message, page, redirect, webhook_path
from api.console.sessions import Session
from api.gateway.paging import cursor, position
from api.gateway.problems import Problem
from events.catalogue import CONTENT_TYPE, envelope, request_of
from storage import webhook_views
from storage.webhook_views import WebhookView

PAGE_LIMIT: Final = 50
NOT_FOUND: Final = "You have no webhook of this id, or it was deleted. The list has those that you have."
NO_EVENT: Final = "This webhook takes no event of this id. Its page has those that it takes."
REPLAYED: Final = "What was replayed is being sent again."
REPLAYED_LATER: Final = "What was replayed is sent again when the webhook is enabled."
WAITS: Final = " The webhook is disabled: that is when it is enabled again."
NONE_DEAD: Final = "Nothing was sent again: of what you named, nothing was given up any more."
ONLY_READS: Final = "You only read here: the scope operator or admin does this."


@dataclass(frozen=True, slots=True)
class Act:
    """`does` says what comes of it, `done` what has come. `body` is sent to the webhook's address
    and `path`."""

    title: str
    does: str
    done: str
    method: str
    path: str = ""
    body: dict[str, Any] | None = None


ACTS: Final = {
    "enable": Act(
        "Enable the webhook",
        "Its events are sent again: those that waited meanwhile first, oldest before newest.",
        "Enabled: what waited is being sent.",
        "PATCH",
        body={"enabled": True},
    ),
    "disable": Act(
        "Disable the webhook",
        "Nothing is sent until it is enabled again: new events wait in the feed, and so do those that failed."
        " The three days of those that were being retried go on.",
        "Disabled: nothing is sent.",
        "PATCH",
        body={"enabled": False},
    ),
    "test": Act(
        "Send a test",
        "One signed event of the type webhook.test is sent to the URL, once, also while the webhook is"
        " disabled. It is in no feed, and is not repeated.",
        "",
        "POST",
        "/test",
    ),
    "replay": Act(
        "Replay the event",
        "The event is sent again, as if for the first time, under the same id.",
        REPLAYED,
        "POST",
        "/replay",
    ),
    "replay-all": Act(
        "Replay all dead events",
        "Every event that was given up is sent again, as if for the first time, under its id.",
        REPLAYED,
        "POST",
        "/replay",
        {"all_dead": True},
    ),
}


@reads
async def webhooks_page(request: Request, session: Session) -> Response:
    found = await webhook_views.listed(of(request).pool, operator_id=session.operator_id)
    return page("webhooks.html", session=session, webhooks=[(one, _lag(one)) for one in found])


@reads
async def webhook_page(request: Request, session: Session) -> Response:
    """One look goes back over so many events of the operator; the page leads on from there."""
    console = of(request)
    found = await _find(console, session, request)
    if found is None:
        return message("No such webhook", NOT_FOUND, status=404, session=session)
    try:
        before = position(request.query_params.get("cursor"))
    except Problem:
        text = "cursor: go on from a page of the deliveries"
        return message("No such page", text, status=400, session=session)
    return await _shown(console, session, found, before=before, done=session.take_told())


@reads
async def delivery_page(request: Request, session: Session) -> Response:
    """The request as it is sent with each attempt, and the last answer that was no success."""
    console = of(request)
    found, event_id = await _find(console, session, request), _event_id(request.path_params["event_id"])
    if found is None:
        return message("No such webhook", NOT_FOUND, status=404, session=session)
    known = event_id and await webhook_views.delivery(
        console.pool, operator_id=session.operator_id, webhook_id=found.webhook_id, event_id=event_id
    )
    if not known:
        return message("No such delivery", NO_EVENT, status=404, session=session)
    delivery, event = known
    sent = {"content-type": CONTENT_TYPE, "webhook-id": event.event_id}
    if (request_id := request_of(event)) is not None:
        sent["x-request-id"] = request_id
    return page(
        "delivery.html",
        session=session,
        webhook=found,
        path=webhook_path(found.webhook_id),
        one=delivery,
        sent=sent,
        body=json.dumps(json.loads(envelope(event)), indent=2),
    )


@acts
async def act_on_webhook(request: Request, session: Session, form: Form) -> Response:
    """Says what the act does; `confirmed`, asks the API for it as the person who signed in."""
    console, name = of(request), form.get("act", "")
    found, act = await _find(console, session, request), ACTS.get(name)
    if found is None or act is None:
        return message("No such webhook", NOT_FOUND, status=404, session=session)
    if not session.decides:
        raise FormRefused(403, ONLY_READS)
    body = act.body
    if name == "replay":
        event_id = _event_id(form.get("event_id", ""))
        if event_id is None:
            return message("No such delivery", NO_EVENT, status=404, session=session)
        body = {"event_ids": [str(event_id)]}
    if form.get("confirmed") != "yes":
        return page(
            "confirm.html",
            session=session,
            here="webhooks",
            title=act.title,
            does=act.does + (WAITS if found.disabled and name.startswith("replay") else ""),
            facts={"URL": found.url, "Event": form.get("event_id", "")},
            action=f"{webhook_path(found.webhook_id)}/act",
            fields={"act": name, "event_id": form.get("event_id", "")},
            back=webhook_path(found.webhook_id),
        )
    then = "Look at the webhook before you do it again."
    path = f"/v1/operator/webhooks/{quote(found.webhook_id, safe='')}{act.path}"
    try:
        answer = await console.api.act(session.key, act.method, path, then=then, json=body)
    except ApiRefused as refused:
        return await _shown(console, session, found, problem=str(refused), status=refused.status)
    except ApiAway as away:
        return await _shown(console, session, found, problem=str(away), status=503)
    if answer.get("replayed") == 0:
        return await _shown(console, session, found, problem=NONE_DEAD, status=409)
    if name == "test":
        return page("webhook_tested.html", session=session, webhook=found, test=answer)
    session.told = REPLAYED_LATER if found.disabled and act.done == REPLAYED else act.done
    return redirect(webhook_path(found.webhook_id))


async def _shown(
    console: Console,
    session: Session,
    found: WebhookView,
    *,
    before: int | None = None,
    done: str | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    deliveries, following = await webhook_views.deliveries(
        console.pool,
        operator_id=session.operator_id,
        webhook_id=found.webhook_id,
        before=before,
        limit=PAGE_LIMIT,
    )
    path = webhook_path(found.webhook_id)
    return page(
        "webhook.html",
        status=status,
        session=session,
        webhook=found,
        path=path,
        lag=_lag(found),
        deliveries=deliveries,
        before=before,
        older=None if following is None else f"{path}?{urlencode({'cursor': cursor(following)})}",
        done=done,
        problem=problem,
    )


async def _find(console: Console, session: Session, request: Request) -> WebhookView | None:
    wanted = request.path_params["webhook_id"]
    for one in await webhook_views.listed(console.pool, operator_id=session.operator_id):
        if one.webhook_id == wanted:
            return one
    return None


def _lag(webhook: WebhookView) -> str | None:
    """How old the oldest event is that it has not come to, in words."""
    return None if webhook.behind_since is None else duration(datetime.now(UTC) - webhook.behind_since)


def _event_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
