"""Properties that no client library would write are kept as far as they can be, and cost their own message
alone."""

from decimal import Decimal
from typing import Any

import pytest
from pamqp import decode, encode

from events import odd_properties
from events.odd_properties import LEFT_OUT_HEADER, TABLE_BYTES, is_text, readable, writable


@pytest.fixture(autouse=True)
def _enduring() -> None:
    odd_properties.endure()


def decoded(kind: str, value: bytes) -> Any:
    return decode.by_type(value, kind)


def test_what_is_no_utf_8_keeps_its_bytes_and_cannot_be_sent_on_by_accident() -> None:
    length, value = decoded("shortstr", b"\x06to-\xff\xfe\x80more")
    assert length == 7
    assert value.encode(errors="surrogateescape") == b"to-\xff\xfe\x80"
    assert not is_text(value)
    assert readable(value) == "to-"
    with pytest.raises(UnicodeEncodeError):
        encode.short_string(value)


@pytest.mark.parametrize("text", ["", "plain", "ü€😀", "\x00\n"])
def test_text_stays_what_it_is(text: str) -> None:
    value = text.encode()
    assert decoded("shortstr", bytes([len(value)]) + value) == (len(value) + 1, text)
    assert is_text(text)
    assert readable(text) == text
    assert readable(None) is None


def test_a_table_that_costs_too_much_to_decode_is_left_out() -> None:
    for content in (b"\x01aA" + (TABLE_BYTES).to_bytes(4, "big") + b"V" * TABLE_BYTES, b"\x01a?"):
        table = len(content).to_bytes(4, "big") + content
        assert decoded("table", table) == (len(table), {LEFT_OUT_HEADER: f"{len(content)} bytes"})


def test_a_copy_has_the_headers_that_can_be_written() -> None:
    headers: dict[str, Any] = {
        "text": "t",
        "number": 7,
        "nothing": None,
        "bytes": b"\xff\xfe\x00\x01",
        "bytes inside": [b"\xff"],
        "a number too large to write": Decimal(2**32 - 1),
        "CC": ["croupier.commands.dead"],
        "BCC": ["elsewhere"],
    }
    kept = writable(headers)
    assert kept == {"text": "t", "number": 7, "nothing": None, "bytes": bytearray(b"\xff\xfe\x00\x01")}
    # As they were read, so a person finds what was sent.
    assert decoded("table", encode.field_table(kept)) == (len(encode.field_table(kept)), kept)
