"""AES-256-GCM under one section of the keyring: the only place that handles nonces."""

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.keyring import KeySection

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_TEXT_FORM: Final = "v1"


class SealBroken(Exception):
    """The sealed bytes were changed, cut, or belong to something else."""


class Sealer:
    """Seals with the section's active key and opens with any of its keys.

    A sealed value is nonce (12 random bytes), ciphertext, tag (16 bytes). Random nonces are safe for 2^32
    values under one key (NIST SP 800-38D, 8.3); a round seals about eight payloads, so rotate the payload
    key at the latest every 500 million rounds.
    """

    def __init__(self, section: KeySection) -> None:
        self._section = section
        # The key schedule is set up once: it costs more than sealing a small value.
        self._ciphers = {key_id: AESGCM(key) for key_id, key in section.keys.items()}
        self._active = self._ciphers[section.active]
        self.active_key_id = section.active

    def seal(self, plain: bytes, *, bound_to: bytes) -> bytes:
        """Seals `plain` with the active key. `bound_to` is not stored: `open` must name the same bytes."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._active.encrypt(nonce, plain, bound_to)

    def open(self, sealed: bytes, *, key_id: str, bound_to: bytes) -> bytes:
        """What `seal` was given. Raises UnknownKey or SealBroken."""
        try:
            cipher = self._ciphers[key_id]
        except KeyError:
            raise self._section.unknown(key_id) from None
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise SealBroken("a sealed value is too short")
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
        except InvalidTag:
            raise SealBroken("a sealed value was changed or belongs to something else") from None


class TextSealer:
    """Seals as a text that names its key, for a column: `v1.<key id>.<base64url>`. What it is bound to is the
    row it stands in: copied to another's row it does not open."""

    def __init__(self, section: KeySection) -> None:
        self._sealer = Sealer(section)

    def seal(self, plain: bytes, *, bound_to: bytes) -> str:
        sealed = self._sealer.seal(plain, bound_to=bound_to)
        return f"{_TEXT_FORM}.{self._sealer.active_key_id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, text: str, *, bound_to: bytes) -> bytes:
        """Raises UnknownKey or SealBroken."""
        form, _, rest = text.partition(".")
        key_id, _, encoded = rest.partition(".")
        if form != _TEXT_FORM:
            raise SealBroken("a sealed text is not v1.<key id>.<data>")
        try:
            sealed = base64.b64decode(encoded, altchars=b"-_", validate=True)
        except binascii.Error:
            raise SealBroken("a sealed text is not base64url") from None
        return self._sealer.open(sealed, key_id=key_id, bound_to=bound_to)
