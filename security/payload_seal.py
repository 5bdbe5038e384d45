"""One payload, sealed whole and opened again, under the keyring's payload section alone."""

from typing import Final

from temporalio.api.common.v1 import Payload

from security.keyring import KeySection, UnknownKey
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


class PayloadSealer:
    """Seals a payload, its metadata too, with AES-256-GCM under the section's active key."""

    def __init__(self, section: KeySection) -> None:
        self._sealer = Sealer(section)
        self._metadata = {ENCODING_KEY: ENCODING, KEY_ID_KEY: self._sealer.active_key_id.encode()}

    def seal(self, payload: Payload) -> Payload:
        sealed = self._sealer.seal(payload.SerializeToString(), bound_to=_BOUND_TO)
        return Payload(metadata=self._metadata, data=sealed)

    def open(self, payload: Payload) -> Payload:
        """Raises PayloadRefused, UnknownKey or SealBroken."""
        if payload.metadata.get(ENCODING_KEY) != ENCODING:
            raise PayloadRefused(
                "a payload is not encrypted: it was not made with this installation's keyring"
            )
        plain = self._sealer.open(payload.data, key_id=key_id_of(payload), bound_to=_BOUND_TO)
        return Payload.FromString(plain)


def key_id_of(payload: Payload) -> str:
    """Of the key that has sealed it, as whoever made it says."""
    return payload.metadata.get(KEY_ID_KEY, b"").decode("ascii", "replace")
