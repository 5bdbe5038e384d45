"""What Temporal stores is sealed: payloads and failure texts, with the key's id beside them."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from contracts.payloads import PayloadConverter
from security.keyring import KeySection
from security.payload_seal import CANNOT_OPEN, PayloadRefused, PayloadSealer


class HasPayloadKeys(Protocol):
    """A keyring, or the one section of it that is read here."""

    @property
    def payload(self) -> KeySection: ...


class EncryptionCodec(PayloadCodec):
    """Seals every payload under the active payload key.

    Decoding fails closed: an unknown key, a changed byte and a payload in the clear are all refused.
    Whoever reaches Temporal's frontend without the keyring could otherwise inject an input or an Update
    in the clear and have it believed. Temporal needs no exception: the payloads it makes by itself (markers
    of local activities, for instance) never pass through a codec.

    Sealing a round's payloads takes microseconds, so it runs on the event loop: a thread hop costs more.
    """

    def __init__(self, keyring: HasPayloadKeys) -> None:
        self._sealer = PayloadSealer(keyring.payload)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._sealer.seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises PayloadRefused, UnknownKey or SealBroken."""
        return [self._sealer.open(payload) for payload in payloads]


def data_converter(keyring: HasPayloadKeys) -> DataConverter:
    """The converter for every client, worker and replayer of this installation.

    Failures keep their type and whether they may be retried, which Temporal itself needs to read; their
    message, stack and details are sealed.
    """
    return dataclasses.replace(
        DataConverter.default,
        payload_converter_class=PayloadConverter,
        payload_codec=EncryptionCodec(keyring),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


__all__ = ["CANNOT_OPEN", "EncryptionCodec", "HasPayloadKeys", "PayloadRefused", "data_converter"]
