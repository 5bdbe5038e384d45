"""A player's hash chain, computed independently of the database that wrote it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

GENESIS = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One transfer as it stands in the ledger, in the order of `position`."""

    player_key: int
    position: int
    kind: str
    reference: str
    step: int
    debit_account: int
    credit_account: int
    amount: int
    currency: str
    created_at: datetime
    previous_hash: bytes
    hash: bytes


def digest(previous: bytes, link: Link) -> bytes:
    """SHA-256 over the previous hash and the transfer's fields joined by `|`; storage/functions/20_ledger.sql
    has the same in SQL."""
    at = link.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = (
        link.player_key,
        link.position,
        link.kind,
        link.reference,
        link.step,
        link.debit_account,
        link.credit_account,
        link.amount,
        link.currency,
        at,
    )
    return hashlib.sha256(previous + "|".join(map(str, fields)).encode()).digest()


def first_broken(links: Iterable[Link], *, length: int, head: bytes) -> int | None:
    """The position of the first link that does not follow from the one before it, or None when the chain
    holds. `length` and `head` are what the player's row says: a chain cut short breaks at its end."""
    previous, position = GENESIS, 0
    for link in links:
        position += 1
        if link.position != position or link.previous_hash != previous or link.hash != digest(previous, link):
            return position
        previous = link.hash
    return None if (position, previous) == (length, head) else position + 1
