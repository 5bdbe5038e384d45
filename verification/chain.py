"""The verifier of a player's hash chain, which computes it independently of the database that wrote it."""

import hashlib
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


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain breaks first: `position` is that of the link that does not follow from the one before
    it; a chain whose end is not what its player's row says breaks after its last link. `what` says why."""

    position: int
    what: str


@dataclass(slots=True)
class Walk:
    """A chain as it is followed from its first link on. What is kept does not grow with its length."""

    previous: bytes = GENESIS
    position: int = 0
    broken: Break | None = None

    def follow(self, link: Link) -> None:
        """The next link. Behind the first break nothing is compared."""
        if self.broken is not None:
            return
        self.position += 1
        if what := _what_is_wrong(link, self.position, self.previous):
            self.broken = Break(self.position, what)
        self.previous = link.hash

    def end(self, *, length: int, head: bytes) -> None:
        """`length` and `head` are what the player's row says: a chain cut short breaks at its end."""
        if self.broken is None and (what := self._what_is_wrong_at_the_end(length, head)):
            self.broken = Break(self.position + 1, what)

    def _what_is_wrong_at_the_end(self, length: int, head: bytes) -> str | None:
        if length > self.position:
            return f"link {self.position + 1} is missing, and so is all after it"
        if length < self.position:
            return f"link {length + 1} is beyond the length that the player's row says"
        if head != self.previous:
            return f"link {self.position}: the player's row says another head"
        return None


def _what_is_wrong(link: Link, position: int, previous: bytes) -> str | None:
    if link.position != position:
        return f"link {position} is missing"
    if link.previous_hash != previous:
        return f"link {position} does not follow from the one before it"
    if link.hash != digest(previous, link):
        return f"link {position} is not what its hash says"
    return None
