"""What lies among the dead letters holds no session token, in whatever form its sender wrote it; they come
there side by side."""

import asyncio
import hashlib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from events import command_consumer, connection
from events.command_consumer import PARKED_BYTES, CommandConsumer, _Link, parked_body
from security.keyring import Keyring
from security.tokens import TokenIssuer
from tests.support.conditions import HANG_S
from tests.unit.api.transports.test_queue import CLAIMS

TOKEN = TokenIssuer(Keyring.generate()).issue(CLAIMS)
REMOVED = "removed-" + hashlib.sha256(TOKEN.encode()).hexdigest()[:12]


@pytest.mark.parametrize("text", ["{}", '{{"session_token": "{}", "stake": 1}}', '{{"token": "{}"', "{} {}"])
def test_a_token_is_removed_wherever_it_stands(text: str) -> None:
    parked = parked_body(text.format(TOKEN, TOKEN).encode(), None)
    assert parked == text.format(REMOVED, REMOVED).encode()


def test_a_token_in_utf_16_is_removed() -> None:
    parked = parked_body(f'{{"session_token": "{TOKEN}"}}'.encode("utf-16-le"), None)
    assert TOKEN not in parked.replace(b"\0", b"").decode()
    assert REMOVED in parked.decode("latin-1")


@pytest.mark.parametrize("left", [20, 100, 300])
def test_a_token_that_the_limit_cuts_is_removed(left: int) -> None:
    parked = parked_body(b" " * (PARKED_BYTES - left) + TOKEN.encode(), None)
    assert TOKEN[:19].encode() not in parked
    assert b"removed-" in parked


def test_nothing_is_left_of_what_is_compressed() -> None:
    assert parked_body(b"\x1f\x8b", "gzip") == b""


def test_other_text_stays_as_it_is() -> None:
    text = b'not JSON \xff {"session_token": "short", "eyJ": 1}'
    assert parked_body(text, "UTF-8") == text


class DeadLetters:
    """Takes a dead letter for good only once `at_once` of them are on their way together."""

    def __init__(self, at_once: int) -> None:
        self.together = asyncio.Barrier(at_once)
        self.under_way: list[str] = []

    async def __call__(self, _channel: Any, _queue: Any, message: Any, _why: str, **_: Any) -> None:
        assert message.message_id is None or message.message_id not in self.under_way
        self.under_way.append(message.message_id)
        async with asyncio.timeout(HANG_S):
            await self.together.wait()
        self.under_way.remove(message.message_id)


@pytest.mark.parametrize("ids", [[None] * 6, ["a", "b", "c", "a", "b", "c"]])
async def test_dead_letters_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch, ids: list[str | None]
) -> None:
    """But for those of one id, by which the client library would confuse them."""
    monkeypatch.setattr(command_consumer, "dead_letter", DeadLetters(at_once=3))
    link = _Link(cast(Any, None))
    messages = [SimpleNamespace(message_id=id_, body=b"", content_encoding=None) for id_ in ids]
    consumer = CommandConsumer("amqp://unused", handler=cast(Any, None), prefetch=24)
    await asyncio.gather(*(consumer._park(cast(Any, message), "why", link) for message in messages))


async def test_a_command_that_fails_as_nobody_foresaw_leaves_the_queue_alone() -> None:
    """Given back it would come again, and those in hand beside it would go back with it each time."""
    rejected: list[bool] = []

    async def reject(*, requeue: bool) -> None:
        rejected.append(requeue)

    async def handler(_command: Any) -> Any:
        raise ZeroDivisionError

    properties = dict.fromkeys(("reply_to", "correlation_id", "content_type", "content_encoding"))
    message = SimpleNamespace(routing_key="rounds.submit", body=b"", reject=reject, **properties)
    link = _Link(cast(Any, None))
    consumer = CommandConsumer("amqp://unused", handler=handler, prefetch=24)
    await consumer._guarded(consumer._serve, cast(Any, message), link)
    assert rejected == [False]
    assert not link.lost.is_set()


class Subscriptions:
    """Both a channel and its queue: notes what is subscribed, and with which prefetch."""

    def __init__(self) -> None:
        self.prefetch = 0
        self.open: list[int] = []
        self.changed = asyncio.Event()

    async def set_qos(self, *, prefetch_count: int, timeout: float) -> None:  # noqa: ASYNC109
        self.prefetch = prefetch_count

    async def get_queue(self, name: str, *, ensure: bool) -> "Subscriptions":
        assert (name, ensure) == ("croupier.commands", False)
        return self

    async def consume(self, _take: Any, *, timeout: float) -> str:  # noqa: ASYNC109
        self.open.append(self.prefetch)
        self.changed.set()
        return "tag"

    async def cancel(self, tag: str, *, timeout: float) -> None:  # noqa: ASYNC109
        assert tag == "tag"
        self.open.pop()
        self.changed.set()

    async def next(self) -> list[int]:
        async with asyncio.timeout(HANG_S):
            await self.changed.wait()
        self.changed.clear()
        return self.open


async def test_while_most_in_hand_are_being_parked_others_are_taken_beside_them() -> None:
    broker = Subscriptions()
    link = _Link(cast(Any, broker))
    consumer = CommandConsumer("amqp://unused", handler=cast(Any, None), prefetch=4)
    taking = asyncio.create_task(consumer._take_more(link))
    with link.being_parked(), link.being_parked():
        await asyncio.sleep(0)
        assert broker.open == [], "half of them are not most"
        with link.being_parked():
            assert await broker.next() == [command_consumer.WHILE_PARKING]
    assert await broker.next() == []
    with link.being_parked(), link.being_parked(), link.being_parked():
        assert await broker.next() == [command_consumer.WHILE_PARKING]
        link.ending.set()
        assert await broker.next() == [], "no more at its end"
    async with asyncio.timeout(HANG_S):
        await taking
    assert not link.lost.is_set()


async def test_a_subscription_is_made_anew_once_it_is_silent_and_nothing_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is under way would otherwise hold up the commands that come next."""
    monkeypatch.setattr(connection, "RENEW_SECONDS", 0.01)
    link = _Link(cast(Any, None))
    consumer = CommandConsumer("amqp://unused", handler=cast(Any, None), prefetch=4)
    link.begin(_over(link.ending))  # stands for what takes more
    over = asyncio.Event()
    link.begin(_over(over))
    silent = asyncio.create_task(consumer._until_silent(link))
    await asyncio.wait({silent}, timeout=0.1)
    assert not silent.done()
    over.set()
    async with asyncio.timeout(HANG_S):
        await silent
    await link.abandon()


async def _over(event: asyncio.Event) -> None:
    await event.wait()
