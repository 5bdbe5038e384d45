"""Signatures in the form of Standard Webhooks (https://www.standardwebhooks.com): an id, a time and a
signature over the raw bytes of a body. That project's library has no Ed25519, which operators may ask for.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
TOLERANCE_S: Final = 300
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
PUBLIC_KEY_PREFIX: Final = "whpk_"
SIGNATURES_LIMIT: Final = 16


class WebhookRefused(Exception):
    """The headers do not prove that a holder of the key sent exactly this body, lately."""


class WebhookKey(Protocol):
    """A key that signs: `version` and base64 stand in the header as `version,signature`."""

    @property
    def version(self) -> str: ...

    def sign(self, content: bytes) -> bytes: ...


class WebhookCheck(Protocol):
    """A key that checks."""

    @property
    def version(self) -> str: ...

    def fits(self, content: bytes, signature: bytes) -> bool: ...


@dataclass(frozen=True, slots=True, repr=False)
class SharedSecret:
    """HMAC-SHA256: both sides hold the same bytes, written as `whsec_` and base64."""

    secret: bytes
    version: str = "v1"

    @classmethod
    def parse(cls, text: str) -> "SharedSecret":
        """Raises ValueError, which never quotes the secret."""
        secret = _decoded(text.removeprefix(SECRET_PREFIX))
        if not 24 <= len(secret) <= 64:
            raise ValueError("a webhook secret has 24 to 64 bytes")
        return cls(secret)

    def sign(self, content: bytes) -> bytes:
        return hmac.digest(self.secret, content, hashlib.sha256)

    def fits(self, content: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(content), signature)


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """Ed25519: only we can sign."""

    key: Ed25519PrivateKey
    version: str = "v1a"

    @property
    def public_text(self) -> str:
        """The half that checks, as PublicKey.parse reads it."""
        return PUBLIC_KEY_PREFIX + base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    def sign(self, content: bytes) -> bytes:
        return self.key.sign(content)


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """Ed25519: anybody can check. Written as `whpk_` and base64."""

    key: Ed25519PublicKey
    version: str = "v1a"

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Raises ValueError."""
        return cls(Ed25519PublicKey.from_public_bytes(_decoded(text.removeprefix(PUBLIC_KEY_PREFIX))))

    def fits(self, content: bytes, signature: bytes) -> bool:
        try:
            self.key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


def signed_headers(
    keys: Sequence[WebhookKey], *, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers. `timestamp` is in seconds since 1970; several keys sign while one is rotated."""
    content = _content(message_id, str(timestamp), body)
    signatures = [f"{key.version},{base64.b64encode(key.sign(content)).decode()}" for key in keys]
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(signatures),
    }


def verify(
    checks: Sequence[WebhookCheck], headers: Mapping[str, str], body: bytes, *, now: Callable[[], float]
) -> str:
    """Returns the message's id. `headers` has lower-case names. Raises WebhookRefused when a header is
    missing, the time is more than TOLERANCE_S seconds away, or no signature fits."""
    message_id, timestamp, signatures = (
        headers.get(name, "") for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    )
    if not message_id or not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12:
        raise WebhookRefused("the webhook headers are missing or malformed")
    if abs(now() - int(timestamp)) > TOLERANCE_S:
        raise WebhookRefused("the time of the signature is too far away")
    content = _content(message_id, timestamp, body)
    for part in signatures.split(" ")[:SIGNATURES_LIMIT]:
        version, _, encoded = part.partition(",")
        if any(check.version == version and _fits(check, content, encoded) for check in checks):
            return message_id
    raise WebhookRefused("no signature fits the body")


def _fits(check: WebhookCheck, content: bytes, encoded: str) -> bool:
    try:
        return check.fits(content, _decoded(encoded))
    except ValueError:
        return False


def _content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
