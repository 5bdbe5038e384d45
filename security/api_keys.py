"""API keys of operators and the platform: `crk_<id>_<secret>`; only a hash of the secret is ever stored."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

# What a key is for: `game` for servers that open sessions and read, `operator` for all that an operator does,
# `admin` for that and the operator's keys.
KeyScope = Literal["game", "operator", "admin"]
SCOPES: Final[tuple[KeyScope, ...]] = ("game", "operator", "admin")
# For whoever runs the casino: it makes operators and switches them, and is no operator's key.
PlatformScope = Literal["platform"]
PLATFORM: Final[PlatformScope] = "platform"

_SECRET_BYTES: Final = 32
_KEY_ID_BYTES: Final = 8
# Fixed widths, because base64url may itself contain the underscore that separates the parts.
_FORM: Final = re.compile(r"crk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


class ApiKeyInvalid(Exception):
    """The presented text does not have the form of an API key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiKey:
    """A key at the one moment when its text exists. Store `key_id` and `secret_hash`; show `text` once."""

    text: str = field(repr=False)
    key_id: str  # public: finds the row
    secret_hash: str = field(repr=False)  # SHA-256, 64 hex digits


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedApiKey:
    """A key as a request presents it: find the stored key by `key_id`, then compare with `matches`."""

    key_id: str
    secret_hash: str = field(repr=False)

    def matches(self, stored_hash: str) -> bool:
        """Whether this is the key whose hash is stored, in a time that does not depend on the answer."""
        return hmac.compare_digest(self.secret_hash.encode(), stored_hash.encode())


def new_api_key() -> NewApiKey:
    key_id = secrets.token_hex(_KEY_ID_BYTES)
    text = f"crk_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return NewApiKey(text=text, key_id=key_id, secret_hash=_hash(text))


def parse_api_key(text: str) -> PresentedApiKey:
    """Raises ApiKeyInvalid, whose text does not quote the presented text."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ApiKeyInvalid("not an API key")
    return PresentedApiKey(key_id=match[1], secret_hash=_hash(text))


def _hash(text: str) -> str:
    """SHA-256 over the whole text of the key, so the id is bound to the secret.

    A fast hash is right here: slow ones make guessing a person's password dear, but 256 random bits
    cannot be guessed at any speed, and this runs on every request of an operator.
    """
    return hashlib.sha256(text.encode()).hexdigest()
