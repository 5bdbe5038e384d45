"""An operator's webhooks: made, changed, their secrets rotated, their dead events replayed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import uuid4

import asyncpg

from contracts.audit import By
from contracts.webhooks import DeadDelivery, TestOrder, WebhookChanges, WebhookKey, WebhookStatus
from events.catalogue import EVENT_TYPES, INCIDENT_OPENED
from outbound.addresses import check_url
from security.keyring import UnknownKey
from security.sealing import SealBroken
from security.webhook_secrets import WebhookVault, new_secret, rotated
from storage import webhooks as stored
from storage.outbox import occurred_at

# The types that an operator may choose. Incidents are the platform's, and in no operator's feed.
WEBHOOK_TYPES: Final = EVENT_TYPES - {INCIDENT_OPENED}
# How long the secret before goes on signing beside the new one.
OVERLAP_S: Final = 24 * 3600


class WebhookInvalid(Exception):
    """The webhook cannot be as it is wanted. The text says why, and quotes nothing."""


class TooManyWebhooks(Exception):
    """The operator has as many as it may have."""


class FeedEnd(Protocol):
    """storage.feed.Feed is one."""

    async def end(self) -> int: ...


@dataclass(frozen=True, slots=True)
class MadeWebhook:
    """A webhook at the one moment when its secret is shown."""

    status: WebhookStatus
    secret: str = field(repr=False)


class WebhookService:
    """`local` lets URLs lead to this machine or network, and be without TLS."""

    def __init__(self, pool: asyncpg.Pool, feed: FeedEnd, vault: WebhookVault, *, local: bool) -> None:
        self._pool = pool
        self._feed = feed
        self._vault = vault
        self._local = local

    async def create(self, *, operator_id: str, url: str, types: Sequence[str] | None, by: By) -> MadeWebhook:
        """A webhook for what happens from now on. Raises WebhookInvalid and TooManyWebhooks."""
        self._check(url, types)
        key = WebhookKey(operator_id=operator_id, webhook_id=uuid4().hex)
        secret = new_secret()
        made = await stored.create(
            self._pool,
            key,
            url=url,
            types=types,
            sealed_secrets=self._vault.seal([secret], operator_id=operator_id, webhook_id=key.webhook_id),
            cursor=await self._feed.end(),
            by=by,
        )
        if made is None:
            raise TooManyWebhooks
        status = WebhookStatus(
            webhook=made, pending=0, dead=0, last_success_at=None, last_error=None, last_error_at=None
        )
        return MadeWebhook(status, secret.text)

    async def listed(self, *, operator_id: str) -> list[WebhookStatus]:
        return await stored.listed(self._pool, operator_id=operator_id)

    async def find(self, key: WebhookKey) -> WebhookStatus | None:
        return await stored.status(self._pool, key)

    async def change(self, key: WebhookKey, changes: WebhookChanges, *, by: By) -> WebhookStatus | None:
        """None when there is none. Raises WebhookInvalid."""
        self._check(changes.url, changes.types)
        await stored.change(self._pool, key, changes, by=by)
        return await self.find(key)

    async def rotate_secret(self, key: WebhookKey, *, by: By) -> MadeWebhook | None:
        """A new secret; the one before goes on for OVERLAP_S. None when there is no such webhook."""
        while (found := await stored.find(self._pool, key)) is not None:
            bound = {"operator_id": key.operator_id, "webhook_id": key.webhook_id}
            secret = new_secret()
            try:
                known = self._vault.open(found.sealed_secrets, **bound)
            except (SealBroken, UnknownKey):
                known = ()  # what does not open signs nothing, and this is how the webhook comes back
            changed = rotated(known, secret, now=int(time.time()), overlap_s=OVERLAP_S)
            sealed = self._vault.seal(changed, **bound)
            # Somebody else may have rotated it meanwhile: then this one comes after theirs.
            if await stored.change_secrets(
                self._pool, key, found=found.sealed_secrets, sealed_secrets=sealed, by=by
            ):
                status = await self.find(key)
                return None if status is None else MadeWebhook(status, secret.text)
        return None

    async def delete(self, key: WebhookKey, *, by: By) -> bool:
        """Whether there was such a webhook."""
        return await stored.delete(self._pool, key, by=by)

    async def dead(
        self, key: WebhookKey, *, after: int | None, limit: int
    ) -> tuple[list[DeadDelivery], int | None]:
        """At most `limit`, and where the next page begins."""
        return await stored.dead_page(self._pool, key, after=after or 0, limit=limit)

    async def replay(self, key: WebhookKey, event_ids: Sequence[str] | None, *, by: By) -> int:
        """Restarts dead events, all of them for None. Returns how many there were."""
        return await stored.replay(self._pool, key, event_ids, by=by)

    async def new_test(self, key: WebhookKey, *, by: By) -> TestOrder | None:
        """A test to send. It is recorded before it is: what was sent then always has an entry. None when
        there is no such webhook."""
        if not await stored.note_test(self._pool, key, by=by):
            return None
        return TestOrder(key=key, event_id=str(uuid4()), occurred_at=occurred_at(datetime.now(UTC)))

    def _check(self, url: str | None, types: Sequence[str] | None) -> None:
        if url is not None:
            try:
                check_url(url, local=self._local)
            except ValueError:
                raise WebhookInvalid(
                    "url: https, a public host, a port and a path if any, and nothing else"
                ) from None
        if types is not None and (not types or set(types) - WEBHOOK_TYPES):
            raise WebhookInvalid(f"types: at least one of {', '.join(sorted(WEBHOOK_TYPES))}")
