"""Properties of a message as no client library would write them."""

import functools
from typing import Final

from aio_pika.abc import AbstractChannel
from aiormq import spec

# The flag that stands for a property; its field follows in the order of the flags.
CONTENT_TYPE: Final = 0x8000
HEADERS: Final = 0x2000
DELIVERY_MODE: Final = 0x1000
PRIORITY: Final = 0x0800
CORRELATION_ID: Final = 0x0400
REPLY_TO: Final = 0x0200
MESSAGE_ID: Final = 0x0080
TIMESTAMP: Final = 0x0040
TYPE: Final = 0x0020


class RawProperties(spec.Basic.Properties):
    """Each field is written as the bytes that are given for its flag."""

    def __init__(self, fields: dict[int, bytes]) -> None:
        super().__init__()
        ordered = sorted(fields.items(), reverse=True)
        flags = functools.reduce(lambda all_, flag: all_ | flag, fields, 0)
        self._encoded = flags.to_bytes(2, "big") + b"".join(field for _, field in ordered)

    def marshal(self) -> bytes:
        return self._encoded


def short(text: bytes) -> bytes:
    return len(text).to_bytes(1, "big") + text


def table(*entries: tuple[bytes, bytes]) -> bytes:
    """Of names, and values that begin with the letter of their type."""
    content = b"".join(short(name) + value for name, value in entries)
    return len(content).to_bytes(4, "big") + content


def long_text(text: bytes) -> bytes:
    """A value of a table."""
    return b"S" + len(text).to_bytes(4, "big") + text


NESTED: Final = functools.reduce(lambda inner, _: table((b"a", b"F" + inner)), range(2_000), table())


async def publish_raw(
    channel: AbstractChannel, exchange: str, key: str, body: bytes, fields: dict[int, bytes]
) -> None:
    """Publishes a persistent message with these fields."""
    underlay = await channel.get_underlay_channel()
    properties = RawProperties({DELIVERY_MODE: b"\x02", **fields})
    # The library reads the id that it looks for returned messages by.
    properties.message_id = "raw"
    await underlay.basic_publish(body, exchange=exchange, routing_key=key, properties=properties)
