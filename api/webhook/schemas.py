"""Webhooks as requests and answers have them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.gateway.schemas import StrictModel, moment
from contracts.webhooks import DeadDelivery, WebhookStatus
from events.catalogue import EVENT_TYPES, INCIDENT_OPENED

WebhookUrl = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_WebhookType = Annotated[str, Field(json_schema_extra={"enum": sorted(EVENT_TYPES - {INCIDENT_OPENED})})]
EventTypes = Annotated[list[_WebhookType], Field(min_length=1, max_length=20)]


class CreateWebhook(StrictModel):
    """`types` are the events to send; all of them when not given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://203.0.113.1/croupier", "types": ["round.settled"]}]}
    )

    url: WebhookUrl
    types: EventTypes | None = None


class ChangeWebhook(StrictModel):
    """What is not named stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False}]})

    url: WebhookUrl | None = None
    types: EventTypes | None = None
    enabled: bool | None = None


class ReplayEvents(StrictModel):
    """Either the ids of dead events, or all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"all_dead": True}]})

    event_ids: Annotated[list[Annotated[UUID, Field(strict=False)]], Field(max_length=100)] | None = None
    all_dead: bool = False


class WebhookOut(BaseModel):
    """`disabled` says why nothing is sent: `by-operator`, or `gone` when the endpoint answered 410. `pending`
    events are being sent again, `dead` ones were given up. `last_error` is the latest failure, whatever came
    of it."""

    webhook_id: str
    url: str
    types: list[str] | None
    enabled: bool
    disabled: Literal["by-operator", "gone"] | None
    pending: int
    dead: int
    last_success_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    created_at: datetime
    updated_at: datetime


class WebhookCreated(WebhookOut):
    """`secret` is `whsec_...`; it is shown once, here."""

    secret: str


class WebhookList(BaseModel):
    items: list[WebhookOut]


class DeadEvent(BaseModel):
    """An event that was given up after so many attempts, and what the last one came to."""

    event_id: str
    type: str
    subject: str
    occurred_at: datetime
    attempts: int
    last_error: str
    dead_at: datetime


class DeadEventPage(BaseModel):
    items: list[DeadEvent]
    next_cursor: str | None


class ReplayedEvents(BaseModel):
    """How many events were begun anew."""

    replayed: int


class WebhookTested(BaseModel):
    """Whether the endpoint took the test, and if not, why, in the words of `last_error`."""

    event_id: str
    delivered: bool
    error: str | None
    took_ms: int


def webhook_body(status: WebhookStatus) -> dict[str, Any]:
    """A webhook as its operator sees it, without its secret."""
    webhook = status.webhook
    return {
        "webhook_id": webhook.key.webhook_id,
        "url": webhook.url,
        "types": None if webhook.types is None else list(webhook.types),
        "enabled": webhook.disabled is None,
        "disabled": webhook.disabled and webhook.disabled.value,
        "pending": status.pending,
        "dead": status.dead,
        "last_success_at": moment(status.last_success_at),
        "last_error": status.last_error,
        "last_error_at": moment(status.last_error_at),
        "created_at": moment(webhook.created_at),
        "updated_at": moment(webhook.updated_at),
    }


def dead_event_item(dead: DeadDelivery) -> dict[str, Any]:
    """An event that a webhook never took."""
    return {
        "event_id": dead.event_id,
        "type": dead.type,
        "subject": dead.subject,
        "occurred_at": moment(dead.occurred_at),
        "attempts": dead.attempts,
        "last_error": dead.last_error,
        "dead_at": moment(dead.dead_at),
    }
