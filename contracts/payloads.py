"""The contracts in Temporal's payloads: plain JSON, as the SDK's own converter writes it.

msgspec writes and reads a dataclass in a few microseconds, where the SDK's converter walks it in Python: that
was a sixth of a round's CPU in the ingress.
"""

from typing import Any, Final

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    BinaryNullPayloadConverter,
    BinaryPlainPayloadConverter,
    CompositePayloadConverter,
    EncodingPayloadConverter,
    JSONProtoPayloadConverter,
)

_METADATA: Final = {"encoding": b"json/plain"}


class JsonConverter(EncodingPayloadConverter):
    """Reads into the requested type. Unknown fields are left out, so that a newer program may add one; a
    missing field without a default is refused."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        """Raises TypeError for what JSON cannot carry."""
        return Payload(metadata=_METADATA, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Raises msgspec.ValidationError for another type and msgspec.DecodeError for invalid JSON."""
        return msgspec.json.decode(payload.data, type=Any if type_hint is None else type_hint)


class PayloadConverter(CompositePayloadConverter):
    """The encodings of this project's payloads: null, bytes, and JSON for all else. Messages are Temporal's
    own, with which a workflow answers what its web interface asks: its current details, for instance."""

    def __init__(self) -> None:
        super().__init__(
            BinaryNullPayloadConverter(),
            BinaryPlainPayloadConverter(),
            JSONProtoPayloadConverter(),
            JsonConverter(),
        )
