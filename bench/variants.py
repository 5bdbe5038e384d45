"""What is compared, and how each is started and called.

The product is called as it is, over HTTP and over the broker's queue. Each peer is a program,
`python -m bench.peers.NAME`, with the settings of our own workers in its environment; it listens on
CROUPIER_HTTP_PORT and answers the same bet with the same fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.peers import PEERS, Peer, with_token
from bench.wire import PLACEHOLDER, Request
from events.commands import SUBMIT_ROUND

PRODUCT: Final = "croupier"
QUEUE: Final = "croupier-queue"
ORDER: Final = (PRODUCT, QUEUE, "saga", "dbos", "restate", "direct", "floor")
ROUNDS_PATH: Final = "/v1/game/rounds"
STAKE: Final = 100  # minor units
BET: Final = {
    "round_id": PLACEHOLDER,
    "stake": STAKE,
    "mode": "base",
    "choice": {"direction": "over", "target": 4999},
}


class UnknownVariant(Exception):
    """A name that is no variant; the text lists those that are."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Something that plays rounds, over HTTP or `over_queue`. `peer` is None for the product itself."""

    name: str
    peer: Peer | None
    over_queue: bool = False

    def request(self, token: str) -> Request:
        """What the player with this session token sends for each round; for the queue, its path is the
        routing key."""
        if self.over_queue:
            return Request(SUBMIT_ROUND, {}, {**BET, "session_token": token})
        if self.peer is None:
            return Request(ROUNDS_PATH, *with_token(dict(BET), token))
        return Request(self.peer.path, *self.peer.wrap(dict(BET), token))

    @property
    def ready_path(self) -> str:
        """Where a GET answers 200 once it plays."""
        return "/readyz" if self.peer is None else self.peer.ready_path


def known() -> dict[str, Variant]:
    """Every variant that this version can run, in the order of the tables."""
    own = {PRODUCT: Variant(PRODUCT, None), QUEUE: Variant(QUEUE, None, over_queue=True)}
    found = own | {name: Variant(name, peer) for name, peer in PEERS.items()}
    return {name: found[name] for name in sorted(found, key=_place)}


def chosen(names: Sequence[str], variants: dict[str, Variant]) -> list[Variant]:
    """The named ones, or all. Raises UnknownVariant. Ratios need the product, so it is always there."""
    unknown = [name for name in names if name not in variants]
    if unknown:
        raise UnknownVariant(f"no variant {', '.join(unknown)}; there are {', '.join(variants)}")
    wanted = {PRODUCT, *names} if names else set(variants)
    return [variant for name, variant in variants.items() if name in wanted]


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
