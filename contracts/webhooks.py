"""Webhooks: an operator's endpoints, the state of each event's delivery, and the steps by name."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from contracts.steps import Step

WEBHOOK_QUEUE: Final = "croupier-webhooks"
# A person waits for a test, and the other queue may have thousands of events to send again.
WEBHOOK_TEST_QUEUE: Final = "croupier-webhook-tests"
# The workflows' names, as histories show them and as they are started.
WEBHOOK_WORKFLOW: Final = "Webhook"
DELIVERY_WORKFLOW: Final = "WebhookDelivery"
TEST_WORKFLOW: Final = "WebhookTest"

# The type of the event that is sent as a test. It is in no feed.
TEST_EVENT: Final = "webhook.test"

# How many of an operator's webhooks there may be, disabled ones included.
WEBHOOKS_LIMIT: Final = 10
# Events of one webhook that are being retried at once. Beyond it the endpoint counts as down: the other
# events wait in the feed, which holds any number of them, and not as a workflow each.
RETRYING_LIMIT: Final = 50

# The errors that are retried after a pause: an event was not delivered; as many as may be are being retried,
# or are under way to the endpoint.
NOT_DELIVERED: Final = "NotDelivered"
HELD_BACK: Final = "HeldBack"


class Disabled(StrEnum):
    """Why nothing is sent to a webhook."""

    BY_OPERATOR = "by-operator"
    GONE = "gone"
    """The endpoint answered 410 Gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookKey:
    """A webhook's id, with its operator's."""

    operator_id: str
    webhook_id: str

    @property
    def workflow_id(self) -> str:
        return f"webhook:{self.operator_id}:{self.webhook_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook as it is stored. `types` is None for all. `sealed_secrets` opens for this webhook alone;
    `cursor` is how far in the operator's event feed it has come, as storage.feed has it."""

    key: WebhookKey
    url: str
    types: tuple[str, ...] | None
    sealed_secrets: str = field(repr=False)
    disabled: Disabled | None
    cursor: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChanges:
    """What an operator changes; None leaves it as it is. `types` counts only with `set_types`, and is None
    for all types then."""

    url: str | None = None
    set_types: bool = False
    types: tuple[str, ...] | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStatus:
    """A webhook and how it fares: how many events are being retried, and how many were given up. `last_error`
    is the latest failure, also of an event that came through afterwards."""

    webhook: Webhook
    pending: int
    dead: int
    last_success_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to one webhook, after its first attempt failed. `replay` counts how often it was
    restarted after it was dead: what an earlier run of its workflow still does has no effect on a later
    one."""

    key: WebhookKey
    event_id: str
    replay: int

    @property
    def workflow_id(self) -> str:
        return f"webhook:{self.key.webhook_id}:{self.event_id}:{self.replay}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadDelivery:
    """An event that was given up, until it is replayed. `position` orders the webhook's dead events."""

    position: int
    event_id: str
    type: str
    subject: str
    occurred_at: datetime
    attempts: int
    last_error: str
    dead_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """The pauses between attempts double from `first_s` up to `longest_s`; after `patience_s`, all in
    seconds, the event is dead."""

    first_s: int
    longest_s: int
    patience_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOrder:
    """What a delivery's workflow is started with."""

    delivery: Delivery
    retries: Retries


class DispatchResult(StrEnum):
    """Why a turn of sending ended. An activity that is held back raises HELD_BACK instead."""

    GO_ON = "go-on"
    """The activity's time was over; there may be more."""
    OVER = "over"
    """The webhook is disabled, or is no more."""


class AttemptResult(StrEnum):
    """The result of an attempt. A failed one raises NOT_DELIVERED instead, and one that was not
    made HELD_BACK."""

    DELIVERED = "delivered"
    OVER = "over"
    """Nothing is left to deliver: another attempt delivered it, or the webhook was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOrder:
    """A test event for one webhook, with its id and its time (RFC 3339, UTC)."""

    __test__ = False  # no test for pytest

    key: WebhookKey
    event_id: str
    occurred_at: str

    @property
    def workflow_id(self) -> str:
        return f"webhook-test:{self.key.webhook_id}:{self.event_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """`error` is None exactly when the endpoint took it; `found` is False when there is no such webhook."""

    __test__ = False

    found: bool
    error: str | None
    took_ms: int


# The steps' names are in histories, and stay.
DISPATCH: Final = Step("webhook-pump", WebhookKey, DispatchResult)
ATTEMPT: Final = Step("webhook-attempt", Delivery, AttemptResult)
DEAD_LETTER: Final = Step("webhook-bury", Delivery, bool)
TEST: Final = Step("webhook-test", TestOrder, TestResult)
