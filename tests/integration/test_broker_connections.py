"""What the metrics say of connections to the broker."""

import asyncio
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel
from aiormq import spec
from prometheus_client import REGISTRY

from events.connection import BrokerConnection
from tests.integration.events_on_broker import until

NAME = "a test of metrics"


def shown(what: str) -> float | None:
    return REGISTRY.get_sample_value(f"croupier_broker_{what}", {"connection": NAME})


async def _nothing(channel: AbstractChannel) -> None:
    pass


async def test_a_connection_is_shown_as_open_and_as_blocked_by_an_alarm(amqp_url: str) -> None:
    """The client library keeps it to itself whether the broker has blocked it."""

    async def use(channel: AbstractChannel) -> None:
        over.established()
        await asyncio.Event().wait()

    over = BrokerConnection(amqp_url, name=NAME, declare=_nothing, use=use, longest_pause_seconds=1.0)
    over.start()
    try:
        await until(lambda: shown("connected") == 1)
        assert shown("blocked") == 0
        assert over._connection is not None
        transport = over._connection.transport
        assert transport is not None
        library: Any = transport.connection
        await library._Connection__handle_connection_blocked(spec.Connection.Blocked(reason="low on disk"))
        assert (shown("connected"), shown("blocked")) == (1, 1)
        await library._Connection__handle_connection_unblocked(spec.Connection.Unblocked())
        assert shown("blocked") == 0
    finally:
        await over.close()
    assert (shown("connected"), shown("blocked")) == (0, 0)


@pytest.mark.parametrize("url", ["amqp://guest:guest@127.0.0.1:9/"])
async def test_a_broker_that_is_away_is_shown(url: str) -> None:
    over = BrokerConnection(url, name=NAME, declare=_nothing, use=_nothing, longest_pause_seconds=1.0)
    over.start()
    try:
        await until(lambda: over.down)
        assert (shown("connected"), shown("blocked")) == (0, 0)
    finally:
        await over.close()
