"""What a failing link raises, at whatever point it is noticed."""

import asyncio
import gc

import aio_pika
import pytest
from aio_pika.exceptions import ChannelInvalidStateError
from aiormq.base import FutureStore

from compose import probes
from compose.problems import NotReady
from events.broker import LinkLost, link_errors_as_one


@pytest.mark.parametrize(
    "error",
    [ChannelInvalidStateError(), ConnectionResetError(), TimeoutError(), RuntimeError("no transport")],
    ids=lambda error: type(error).__name__,
)
def test_each_error_of_a_link_is_one_and_the_same(error: Exception) -> None:
    with pytest.raises(LinkLost, match=type(error).__name__), link_errors_as_one():
        raise error


async def test_a_write_that_waits_when_the_link_is_lost_has_lost_it_too() -> None:
    """The client library gives no reason, and no kind of error."""
    loop = asyncio.get_running_loop()
    store = FutureStore(loop=loop)
    waits = store.create_future()
    await store.reject_all(None)
    with pytest.raises(LinkLost), link_errors_as_one():
        await waits


def test_an_error_of_ours_is_left_as_it_is() -> None:
    with pytest.raises(ValueError, match="ours"), link_errors_as_one():
        raise ValueError("ours")


async def test_a_probe_that_is_dropped_leaves_no_connection_to_the_garbage_collector() -> None:
    """The library would close it in a coroutine, which nobody awaits when no loop runs at that moment."""

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    def left() -> int:
        return sum(isinstance(one, aio_pika.Connection) and not one.is_closed for one in gc.get_objects())

    before = left()
    gc.disable()
    try:
        async with await asyncio.start_server(drop, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            with pytest.raises(NotReady):
                await probes.amqp(f"amqp://user:password@{host}:{port}/")
        assert left() <= before
    finally:
        gc.enable()
