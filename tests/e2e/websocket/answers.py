"""What a socket answers, and what the ledger has of the player who asked."""

import json

from storage.database import Database
from tests.e2e.parties import LEAKS, Player
from tests.support.sockets import Message


def problem_of(message: Message, code: str) -> Message:
    """The problem document of an answer, which tells no internals."""
    assert message["type"] == "problem", message
    problem: Message = message["problem"]
    assert (problem["code"], problem["type"]) == (code, f"urn:croupier:problem:{code}"), problem
    assert not LEAKS.search(json.dumps(message))
    return problem


async def in_ledger(database: Database, player: Player) -> tuple[int, int]:
    """The player's rounds, and the stakes that were taken for them."""
    row = await database.pool.fetchrow(
        "SELECT (SELECT count(*) FROM rounds WHERE player_key = $1),"
        " (SELECT count(*) FROM transfers WHERE player_key = $1 AND kind = 'stake')",
        player.claims.player_key,
    )
    return row[0], row[1]
