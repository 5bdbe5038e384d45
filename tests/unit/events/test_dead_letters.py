"""A dead letter is its message, with the reason and the first routing key in headers of ours."""

from types import SimpleNamespace
from typing import Any, cast

from aio_pika import DeliveryMode

from contracts.failures import DETAIL_LIMIT
from events import topology
from events.dead_letters import dead_letter


class FakeChannel:
    """Both the channel and its exchange."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Any, str]] = []

    async def get_exchange(self, name: str, *, ensure: bool) -> "FakeChannel":
        assert not ensure
        self.name = name
        return self

    async def publish(self, message: Any, key: str, *, mandatory: bool, timeout: float | None) -> None:  # noqa: ASYNC109
        assert mandatory
        self.published.append((self.name, message, key))


def received(**properties: Any) -> Any:
    known: dict[str, Any] = dict.fromkeys(("content_type", "correlation_id", "message_id", "type", "app_id"))
    return SimpleNamespace(**{"routing_key": "acme.dice.round.settled", **known, **properties})


async def test_a_dead_letter_carries_the_reason_beside_the_headers_it_is_given() -> None:
    channel = FakeChannel()
    message = received(message_id="e-1", type="round.settled", content_type="text/plain")
    await dead_letter(
        cast(Any, channel),
        topology.STATISTICS,
        message,
        "because " + "x" * 10_000,
        body=b"body",
        headers={"theirs": 1},
    )
    ((exchange, letter, key),) = channel.published
    assert (exchange, key) == ("croupier.dead", "croupier.statistics.dead")
    assert (letter.body, letter.message_id, letter.type) == (b"body", "e-1", "round.settled")
    assert letter.delivery_mode == DeliveryMode.PERSISTENT
    assert set(letter.headers) == {"theirs", "croupier-reason", "croupier-routing-key"}
    assert letter.headers["croupier-routing-key"] == "acme.dice.round.settled"
    assert letter.headers["croupier-reason"].startswith("because xxx")
    assert len(letter.headers["croupier-reason"]) <= DETAIL_LIMIT


async def test_a_reason_that_came_with_the_message_is_replaced() -> None:
    channel = FakeChannel()
    await dead_letter(
        cast(Any, channel),
        topology.STATISTICS,
        received(),
        "ours",
        body=b"",
        headers={"croupier-reason": "theirs"},
    )
    ((_, letter, _),) = channel.published
    assert letter.headers["croupier-reason"] == "ours"
