"""Every player's hash chain, walked link by link: alone, or with the books that stand beside it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from verification import books
from verification.chain import Link, Walk
from verification.findings import Finding, Tally

_LINK_FIELDS: Final = tuple(Link.__slots__)


@dataclass(slots=True)
class PlayersChain:
    """One player's chain under way. `player` is any of its rows; `differs` says where the books beside the
    chain first say something else."""

    player: asyncpg.Record
    walk: Walk = field(default_factory=Walk)
    differs: str | None = None

    def follow(self, row: asyncpg.Record) -> None:
        self.differs = self.differs or _what_differs(row)
        self.walk.follow(_link(row))

    def ended(self) -> "PlayersChain":
        self.walk.end(length=self.player["chain_length"], head=self.player["chain_head"])
        return self

    def what_is_wrong(self) -> list[str]:
        broken = None if self.walk.broken is None else self.walk.broken.what
        return [what for what in (broken, self.differs) if what is not None]


async def examine_hashes(connection: asyncpg.Connection) -> Finding:
    """The chains alone. Reads one row after another; needs a transaction."""
    tally = Tally(
        "I6", "chains-hold", "each player's chain of hashes holds from its first transfer to its head"
    )
    async for chain in _walked(books.chains(connection)):
        if chain.walk.broken is not None:
            position = chain.walk.broken.position
            tally.add(f"player {chain.player['player_key']}: breaks at transfer {position}")
    return tally.finding()


async def examine(
    connection: asyncpg.Connection, player_id: str | None, advance: Callable[[], None]
) -> Finding:
    """The chains with the postings and results of each link. Reads one row after another; needs a
    transaction. `advance` is called after each link."""
    tally = Tally(
        "I6",
        "chains-hold",
        "each player's chain holds, with its postings and results, from link 1 to its head",
    )
    async for chain in _walked(books.links(connection, player_id), advance):
        if wrong := chain.what_is_wrong():
            player = chain.player
            tally.add(f"player {player['player_id']} of operator {player['operator_id']}: {'; '.join(wrong)}")
    return tally.finding()


async def _walked(
    rows: AsyncIterator[asyncpg.Record], advance: Callable[[], None] = lambda: None
) -> AsyncIterator[PlayersChain]:
    """Each player's chain after its last link, from rows in the order of players and positions."""
    chain: PlayersChain | None = None
    async for row in rows:
        if chain is not None and row["player_key"] != chain.player["player_key"]:
            yield chain.ended()
            chain = None
        chain = chain or PlayersChain(row)
        if row["position"] is not None:
            chain.follow(row)
            advance()
    if chain is not None:
        yield chain.ended()


def _what_differs(row: asyncpg.Record) -> str | None:
    """Rows of chains alone say nothing of the books beside them."""
    if not row.get("postings_agree", True):
        return f"link {row['position']}: its postings say something else"
    if not row.get("result_agrees", True):
        return f"link {row['position']}: round {row['reference']} says something else"
    return None


def _link(row: asyncpg.Record) -> Link:
    fields: dict[str, Any] = {name: row[name] for name in _LINK_FIELDS}
    return Link(**fields)
