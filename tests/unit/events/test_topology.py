import re

import pytest

from contracts.events import RecordedEvent
from events.catalogue import EVENT_TYPES, INCIDENT_OPENED, ROUND_SETTLED, ROUND_VOID, routing_key
from events.topology import INCIDENTS, STATISTICS, ConsumerQueue


def matches(pattern: str, key: str) -> bool:
    """Whether a topic binding without # takes a routing key: a star stands for exactly one word."""
    return re.fullmatch(pattern.replace(".", r"\.").replace("*", "[^.]*"), key) is not None


@pytest.mark.parametrize("type_", sorted(EVENT_TYPES))
def test_each_queue_of_ours_hears_of_its_own_events_and_of_nothing_else(type_: str) -> None:
    event = RecordedEvent(
        event_id="e", type=type_, operator_id="acme", game_id="dice", subject="r", sequence=1,
        occurred_at="2026-11-22T16:00:00Z", data="{}",
    )  # fmt: skip
    heard = any(matches(binding, routing_key(event)) for binding in STATISTICS.bindings)
    assert heard == (type_ in (ROUND_SETTLED, ROUND_VOID))
    taken = any(matches(binding, routing_key(event)) for binding in INCIDENTS.bindings)
    assert taken == (type_ == INCIDENT_OPENED)


def test_every_consumer_queue_has_a_grave_and_a_limit() -> None:
    queue = ConsumerQueue(name="webhooks", bindings=())
    assert queue.dead_name == "webhooks.dead"
    assert queue.arguments["x-queue-type"] == "quorum"
    assert queue.arguments["x-dead-letter-routing-key"] == "webhooks.dead"
    # RabbitMQ before 4.0 has no limit of its own, so a queue without one would hand poison out for ever.
    assert queue.arguments["x-delivery-limit"] > 20
