"""Payloads for people, as Temporal's tools send them: each is opened for itself, and where one does not open
stands the reason."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from security.keyring import KEY_ID_LIMIT, KeySection, UnknownKey
from security.payload_seal import (
    CANNOT_OPEN,
    ENCODING,
    ENCODING_KEY,
    PayloadRefused,
    PayloadSealer,
    key_id_of,
)
from security.sealing import SealBroken

# Of Temporal's own converters: what has one of these is to be read without a key.
PLAIN: Final = frozenset(
    {b"json/plain", b"binary/plain", b"binary/null", b"json/protobuf", b"binary/protobuf"}
)
JSON: Final = {ENCODING_KEY: b"json/plain"}
ENCODING_SHOWN: Final = 64
# A page of a history has 1,000 events, each with a few payloads. Ten thousand take half a second to open.
PAYLOADS_LIMIT: Final = 10_000


class PayloadsMalformed(Exception):
    """The text is not `{"payloads": [...]}` in proto3 JSON."""


class TooManyPayloads(Exception):
    """More than PAYLOADS_LIMIT in one call: even empty ones take memory."""


@dataclass(frozen=True, slots=True)
class Converted:
    """The payloads in the order in which they came, in the same form, and how many had which outcome:
    `opened`, `plain` for one that was not sealed, `unreadable`, `sealed`."""

    text: str
    outcomes: Counter[str]


class PayloadReader:
    """Shows what programs refuse, too: those act on what they open, by security/payload_codec.py alone."""

    def __init__(self, section: KeySection) -> None:
        self._sealer = PayloadSealer(section)

    def decode(self, body: bytes) -> Converted:
        """Raises PayloadsMalformed and TooManyPayloads."""
        return _converted([self._read(payload) for payload in _parsed(body)])

    def encode(self, body: bytes) -> Converted:
        """Raises PayloadsMalformed and TooManyPayloads."""
        return _converted([(self._sealer.seal(payload), "sealed") for payload in _parsed(body)])

    def _read(self, payload: Payload) -> tuple[Payload, str]:
        encoding = payload.metadata.get(ENCODING_KEY, b"")
        if encoding in PLAIN:
            return payload, "plain"
        try:
            if encoding != ENCODING:
                raise PayloadRefused
            return self._sealer.open(payload), "opened"
        except CANNOT_OPEN as error:
            why = json.dumps({"unreadable": _why(payload, error)})
            return Payload(metadata=JSON, data=why.encode()), "unreadable"


def _parsed(body: bytes) -> Sequence[Payload]:
    """What a newer tool adds to a payload is left out."""
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise PayloadsMalformed
        given = document.get("payloads")
        if isinstance(given, list) and len(given) > PAYLOADS_LIMIT:
            raise TooManyPayloads
        return json_format.ParseDict(document, Payloads(), ignore_unknown_fields=True).payloads
    except (json_format.ParseError, ValueError, RecursionError):
        raise PayloadsMalformed from None


def _converted(read: Sequence[tuple[Payload, str]]) -> Converted:
    payloads = Payloads(payloads=[payload for payload, _ in read])
    text = json_format.MessageToJson(payloads, indent=None)
    return Converted(text, Counter(outcome for _, outcome in read))


def _why(payload: Payload, error: Exception) -> str:
    """What it names comes from outside, so it is cut."""
    key_id = key_id_of(payload)[:KEY_ID_LIMIT]
    match error:
        case UnknownKey():
            return (
                f"this installation has no payload key {key_id!r}: another installation has sealed it,"
                " or the key was removed (docs/sre/keys.md)"
            )
        case SealBroken():
            return f"it was changed, or sealed with another key of the id {key_id!r}"
        case _:
            encoding = payload.metadata.get(ENCODING_KEY, b"").decode("ascii", "replace")[:ENCODING_SHOWN]
            return f"its encoding {encoding!r} is none that this installation or Temporal makes"
