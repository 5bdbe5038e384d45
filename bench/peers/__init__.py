"""The peers: the same round over the same tables and the same broker, orchestrated in other ways.

Each runs as `python -m` its module with the CROUPIER_* settings of our own programs, listens on
CROUPIER_HTTP_PORT until SIGTERM, and plays a round for each POST to its path. What each is, and which of its
authors' advice it follows, stands in its module's docstring.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Wrapped = tuple[dict[str, str], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """`wrap(body, token)` gives the headers and the JSON body that carry the product's own body
    `{round_id, stake, choice}` to this peer. A GET of `ready_path` answers 200 once it plays. An answer is
    201, or 200 where a peer's own ingress makes it, and holds `round_id`, `state` and `win`."""

    name: str
    module: str
    path: str
    wrap: Callable[[dict[str, Any], str], Wrapped]
    ready_path: str = "/readyz"


def with_token(body: dict[str, Any], token: str) -> Wrapped:
    """As the product is called."""
    return {"Authorization": f"Bearer {token}"}, body


def with_token_and_key(body: dict[str, Any], token: str) -> Wrapped:
    """Restate's ingress distinguishes a repeat from a new round by this header."""
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": body["round_id"]}, body


ROUNDS_PATH: Final = "/v1/game/rounds"

PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(name="saga", module="bench.peers.saga", path=ROUNDS_PATH, wrap=with_token),
        Peer(name="dbos", module="bench.peers.dbos_library", path=ROUNDS_PATH, wrap=with_token),
        Peer(
            name="restate",
            module="bench.peers.restate_service",
            path="/Rounds/play",
            wrap=with_token_and_key,
            ready_path="/Rounds/ready",
        ),
        Peer(name="direct", module="bench.peers.direct", path=ROUNDS_PATH, wrap=with_token),
        Peer(name="floor", module="bench.peers.floor", path=ROUNDS_PATH, wrap=with_token),
    )
}
