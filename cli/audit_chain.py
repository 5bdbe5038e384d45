"""Every player's hash chain, walked link by link: what is kept of it does not grow with its length."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from cli.check.report import Finding, Tally
from storage import audit
from wallet.chain import GENESIS, Link, digest

_LINK_FIELDS: Final = tuple(Link.__slots__)


@dataclass(slots=True)
class Walk:
    """One player's chain from its first link on. `broken` says where it breaks first, and `differs` where the
    books beside it first say something else."""

    previous: bytes = GENESIS
    position: int = 0
    broken: str | None = None
    differs: str | None = None

    def follow(self, link: Link, *, postings_agree: bool, result_agrees: bool) -> None:
        """The next link, and whether its postings and its round say what it says."""
        if self.differs is None:
            self.differs = _what_differs(link, postings_agree=postings_agree, result_agrees=result_agrees)
        if self.broken is None:
            self.position += 1
            self.broken = _what_is_wrong(link, self.position, self.previous)
            self.previous = link.hash

    def end(self, *, length: int, head: bytes) -> None:
        """`length` and `head` are what the player's row says."""
        if self.broken is not None:
            return
        if length > self.position:
            self.broken = f"link {self.position + 1} is missing, and so is all after it"
        elif length < self.position:
            self.broken = f"link {length + 1} is beyond the length that the player's row says"
        elif head != self.previous:
            self.broken = f"link {self.position}: the player's row says another head"


def _what_is_wrong(link: Link, position: int, previous: bytes) -> str | None:
    if link.position != position:
        return f"link {position} is missing"
    if link.previous_hash != previous:
        return f"link {position} does not follow from the one before it"
    if link.hash != digest(previous, link):
        return f"link {position} is not what its hash says"
    return None


def _what_differs(link: Link, *, postings_agree: bool, result_agrees: bool) -> str | None:
    if not postings_agree:
        return f"link {link.position}: its postings say something else"
    if not result_agrees:
        return f"link {link.position}: round {link.reference} says something else"
    return None


async def examine(
    connection: asyncpg.Connection, player_id: str | None, advance: Callable[[], None]
) -> Finding:
    """Reads one row after another; needs a transaction. `advance` hears of every link."""
    tally = Tally(
        "I6",
        "chains-hold",
        "each player's chain holds, with its postings and results, from link 1 to its head",
    )
    row, walk = None, Walk()
    async for following in audit.links(connection, player_id):
        if row is not None and following["player_key"] != row["player_key"]:
            _finish(tally, row, walk)
            walk = Walk()
        row = following
        if row["position"] is not None:
            walk.follow(_link(row), postings_agree=row["postings_agree"], result_agrees=row["result_agrees"])
            advance()
    if row is not None:
        _finish(tally, row, walk)
    return tally.finding()


def _finish(tally: Tally, row: asyncpg.Record, walk: Walk) -> None:
    walk.end(length=row["chain_length"], head=row["chain_head"])
    wrong = "; ".join(found for found in (walk.broken, walk.differs) if found is not None)
    if wrong:
        tally.add(f"player {row['player_id']} of operator {row['operator_id']}: {wrong}")


def _link(row: asyncpg.Record) -> Link:
    fields: dict[str, Any] = {name: row[name] for name in _LINK_FIELDS}
    return Link(**fields)
