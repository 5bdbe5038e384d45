"""What Temporal stores is sealed: payloads and failure texts, with the key's id beside them."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from contracts.payloads import PayloadConverter
from security.keyring import Keyring, UnknownKey
from security.sealing import SealBroken, Sealer

# The names that Temporal's own encryption samples use, so that its tools recognise a sealed payload.
ENCODING_KEY: Final = "encoding"
ENCODING: Final = b"binary/encrypted"
KEY_ID_KEY: Final = "encryption-key-id"

# Keeps a sealed payload from being taken for anything else that the same key might ever seal.
_BOUND_TO: Final = b"croupier:temporal-payload:1"


class PayloadRefused(Exception):
    """A payload that this installation did not seal."""


# What a sealed payload may raise that this keyring does not open.
CANNOT_OPEN: Final = (UnknownKey, SealBroken, PayloadRefused)


class EncryptionCodec(PayloadCodec):
    """Seals every payload whole, its metadata too, with AES-256-GCM under the active payload key.

    Decoding fails closed: an unknown key, a changed byte and a payload in the clear are all refused.
    Whoever reaches Temporal's frontend without the keyring could otherwise inject an input or an Update
    in the clear and have it believed. Temporal needs no exception: the payloads it makes by itself (markers
    of local activities, for instance) never pass through a codec.

    Sealing a round's payloads takes microseconds, so it runs on the event loop: a thread hop costs more.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._sealer = Sealer(keyring.payload)
        self._metadata = {ENCODING_KEY: ENCODING, KEY_ID_KEY: self._sealer.active_key_id.encode()}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises PayloadRefused, UnknownKey or SealBroken."""
        return [self._open(payload) for payload in payloads]

    def _seal(self, payload: Payload) -> Payload:
        sealed = self._sealer.seal(payload.SerializeToString(), bound_to=_BOUND_TO)
        return Payload(metadata=self._metadata, data=sealed)

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata.get(ENCODING_KEY) != ENCODING:
            raise PayloadRefused(
                "a payload is not encrypted: it was not made with this installation's keyring"
            )
        key_id = payload.metadata.get(KEY_ID_KEY, b"").decode("ascii", "replace")
        plain = self._sealer.open(payload.data, key_id=key_id, bound_to=_BOUND_TO)
        return Payload.FromString(plain)


def data_converter(keyring: Keyring) -> DataConverter:
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
