"""What a failing link raises, at whatever point it is noticed."""

import asyncio

import pytest
from aio_pika.exceptions import ChannelInvalidStateError
from aiormq.base import FutureStore

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
