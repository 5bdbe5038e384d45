"""The secrets that sign what an operator's webhook is sent: made here, sealed, rotated with an overlap."""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from security.keyring import Keyring
from security.sealing import TextSealer
from security.standard_webhooks import SECRET_PREFIX, SharedSecret

SECRET_BYTES: Final = 32
# Of those that are replaced, this many still sign: each is one more signature in the header of every message.
OLDER_LIMIT: Final = 2


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """`text` is `whsec_...`. `until`, in seconds since 1970, is when it stops signing; None for the current
    one."""

    text: str = field(repr=False)
    until: int | None = None


def new_secret() -> WebhookSecret:
    text = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return WebhookSecret(text)


def rotated(
    known: Sequence[WebhookSecret], new: WebhookSecret, *, now: int, overlap_s: int
) -> tuple[WebhookSecret, ...]:
    """The secrets with `new` as the current one; the one before goes on for `overlap_s` seconds."""
    older = [
        WebhookSecret(secret.text, now + overlap_s if secret.until is None else secret.until)
        for secret in known
    ]
    valid = [secret for secret in older if secret.until is not None and secret.until > now]
    return (new, *valid[:OLDER_LIMIT])


def signing_keys(known: Sequence[WebhookSecret], *, now: int) -> list[SharedSecret]:
    """Those that sign at `now`, the current one first."""
    return [SharedSecret.parse(secret.text) for secret in known if secret.until is None or secret.until > now]


class WebhookVault:
    """Seals a webhook's secrets, bound to their webhook and operator."""

    def __init__(self, keyring: Keyring) -> None:
        self._sealer = TextSealer(keyring.payload)

    def seal(self, known: Sequence[WebhookSecret], *, operator_id: str, webhook_id: str) -> str:
        plain = json.dumps([[secret.text, secret.until] for secret in known]).encode()
        return self._sealer.seal(plain, bound_to=_bound_to(operator_id, webhook_id))

    def open(self, sealed_secrets: str, *, operator_id: str, webhook_id: str) -> tuple[WebhookSecret, ...]:
        """Raises SealBroken or UnknownKey."""
        opened = self._sealer.open(sealed_secrets, bound_to=_bound_to(operator_id, webhook_id))
        return tuple(WebhookSecret(text, until) for text, until in json.loads(opened))


def _bound_to(operator_id: str, webhook_id: str) -> bytes:
    return f"croupier:webhook:1:{operator_id}:{webhook_id}".encode()
