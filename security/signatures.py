"""Detached Ed25519 signatures over raw body bytes, with the key's id beside them."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from security.keyring import KeySection, UnknownKey


class SignatureInvalid(Exception):
    """The signature does not fit these bytes and this key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`value` is the 64-byte signature as base64."""

    key_id: str
    value: str


class Signer:
    """Signs with a section's active key. Deterministic: the same bytes give the same signature."""

    def __init__(self, section: KeySection) -> None:
        self._key = section.signing_key()
        self._key_id = section.active

    def sign(self, body: bytes) -> Signature:
        return Signature(key_id=self._key_id, value=base64.b64encode(self._key.sign(body)).decode())


class SignatureVerifier:
    """Checks signatures with public keys alone, so receivers of events need no secret."""

    def __init__(self, public_keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = dict(public_keys)

    def verify(self, body: bytes, *, key_id: str, value: str) -> None:
        """Returns when `value` is the signature of exactly `body`. Raises SignatureInvalid or UnknownKey."""
        key = self._keys.get(key_id)
        if key is None:
            raise UnknownKey(f"no public key {key_id[:64]!r}")
        try:
            key.verify(base64.b64decode(value, validate=True), body)
        except (InvalidSignature, ValueError, binascii.Error):
            raise SignatureInvalid("the signature does not fit the body") from None
