"""The operator's calls about its webhooks: where its events are sent to, and those that did not get there."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from api.gateway.authentication import Deps, Operator
from api.gateway.paging import cursor, position
from api.gateway.problems import Problem, problems, unavailable
from api.gateway.schemas import PROBLEM_RESPONSES
from api.gateway.strict_json import StrictRoute
from api.services import Services
from api.webhook.schemas import (
    ChangeWebhook,
    CreateWebhook,
    DeadEventPage,
    ReplayedEvents,
    ReplayEvents,
    WebhookCreated,
    WebhookList,
    WebhookOut,
    WebhookTested,
    dead_event_item,
    webhook_body,
)
from api.webhook.service import TooManyWebhooks, WebhookInvalid
from contracts.audit import By
from contracts.views import OperatorCaller
from contracts.webhooks import WEBHOOKS_LIMIT, WebhookChanges, WebhookKey, WebhookStatus
from runtime.unavailable import Cause
from runtime.webhook_workflows import NobodySent

router = APIRouter(
    prefix="/v1/operator/webhooks",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
    tags=["Event API"],
)

WebhookId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@router.post("", status_code=201, response_model=WebhookCreated, responses=problems("limit-exceeded"))
async def create(body: CreateWebhook, operator: Operator, services: Deps) -> JSONResponse:
    """Sends the operator's events to `url` from now on. The secret that signs them is shown here alone."""
    try:
        made = await services.webhooks.create(
            operator_id=operator.operator_id, url=body.url, types=body.types, by=By(operator.actor)
        )
    except WebhookInvalid as problem:
        raise Problem("invalid", str(problem)) from None
    except TooManyWebhooks:
        raise Problem(
            "limit-exceeded", f"There are {WEBHOOKS_LIMIT} webhooks already: delete one first."
        ) from None
    return JSONResponse({**webhook_body(made.status), "secret": made.secret}, 201)


@router.get("", response_model=WebhookList)
async def webhooks(operator: Operator, services: Deps) -> JSONResponse:
    """The operator's webhooks, and how each fares."""
    found = await services.webhooks.listed(operator_id=operator.operator_id)
    return JSONResponse({"items": [webhook_body(status) for status in found]})


@router.get("/{webhook_id}", response_model=WebhookOut, responses=problems("not-found"))
async def webhook(webhook_id: WebhookId, operator: Operator, services: Deps) -> JSONResponse:
    """One webhook, and how it fares."""
    return JSONResponse(webhook_body(await _found(_key(operator, webhook_id), services)))


@router.patch("/{webhook_id}", response_model=WebhookOut, responses=problems("not-found"))
async def change(
    webhook_id: WebhookId, body: ChangeWebhook, operator: Operator, services: Deps
) -> JSONResponse:
    """Changes what is named and nothing else. While it is disabled its events wait, and are sent when it is
    enabled again. `"types": null` is for all types."""
    changes = WebhookChanges(
        url=body.url,
        types=None if body.types is None else tuple(body.types),
        set_types="types" in body.model_fields_set,
        enabled=body.enabled,
    )
    try:
        changed = await services.webhooks.change(_key(operator, webhook_id), changes, by=By(operator.actor))
    except WebhookInvalid as problem:
        raise Problem("invalid", str(problem)) from None
    return JSONResponse(webhook_body(_there(changed)))


@router.delete("/{webhook_id}", status_code=204, responses=problems("not-found"))
async def delete(webhook_id: WebhookId, operator: Operator, services: Deps) -> Response:
    """Ends it, with all that has not been delivered. The events stay in the feed."""
    if not await services.webhooks.delete(_key(operator, webhook_id), by=By(operator.actor)):
        raise _missing()
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate-secret", response_model=WebhookCreated, responses=problems("not-found"))
async def rotate_secret(webhook_id: WebhookId, operator: Operator, services: Deps) -> JSONResponse:
    """A new secret, shown here alone. For 24 hours the one before signs too, so that a receiver can change
    over at any time between."""
    made = await services.webhooks.rotate_secret(_key(operator, webhook_id), by=By(operator.actor))
    if made is None:
        raise _missing()
    return JSONResponse({**webhook_body(made.status), "secret": made.secret})


@router.get("/{webhook_id}/dead", response_model=DeadEventPage, responses=problems("not-found"))
async def dead(
    webhook_id: WebhookId,
    operator: Operator,
    services: Deps,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=64)] = None,
) -> JSONResponse:
    """The events that were given up, in the order in which they first failed."""
    key = _key(operator, webhook_id)
    await _found(key, services)
    items, following = await services.webhooks.dead(key, after=position(cursor_), limit=limit)
    return JSONResponse(
        {"items": [dead_event_item(item) for item in items], "next_cursor": cursor(following)}
    )


@router.post(
    "/{webhook_id}/replay", status_code=202, response_model=ReplayedEvents, responses=problems("not-found")
)
async def replay(
    webhook_id: WebhookId, body: ReplayEvents, operator: Operator, services: Deps
) -> JSONResponse:
    """Begins dead events anew: those that are named, or all. What is not dead is left as it is."""
    if body.all_dead == bool(body.event_ids):
        raise Problem("invalid", 'Name event_ids, or say "all_dead": true.')
    key = _key(operator, webhook_id)
    await _found(key, services)
    wanted = None if body.all_dead else [str(event_id) for event_id in body.event_ids or ()]
    replayed = await services.webhooks.replay(key, wanted, by=By(operator.actor))
    return JSONResponse({"replayed": replayed}, 202)


@router.post("/{webhook_id}/test", response_model=WebhookTested, responses=problems("not-found"))
async def send_test(webhook_id: WebhookId, operator: Operator, services: Deps) -> JSONResponse:
    """Sends one signed event of the type `webhook.test` to the URL, once, and says what came of it. A
    disabled webhook is sent one too. The event is in no feed, and changes nothing about the webhook."""
    order = await services.webhooks.new_test(_key(operator, webhook_id), by=By(operator.actor))
    if order is None:
        raise _missing()
    try:
        sent = await services.webhook_tests.send(order)
    except NobodySent:
        raise unavailable(Cause.UNANSWERED, "Look at the endpoint before you send another.") from None
    if not sent.found:
        raise _missing()
    return JSONResponse(
        {
            "event_id": order.event_id,
            "delivered": sent.error is None,
            "error": sent.error,
            "took_ms": sent.took_ms,
        }
    )


def _key(operator: OperatorCaller, webhook_id: str) -> WebhookKey:
    return WebhookKey(operator_id=operator.operator_id, webhook_id=webhook_id)


async def _found(key: WebhookKey, services: Services) -> WebhookStatus:
    return _there(await services.webhooks.find(key))


def _there(found: WebhookStatus | None) -> WebhookStatus:
    if found is None:
        raise _missing()
    return found


def _missing() -> Problem:
    return Problem("not-found", "There is no such webhook.")
