"""The load generator over the broker's queue plays real rounds, and says what failed."""

from typing import Any
from uuid import uuid4

import pytest

from bench.latency import Latencies
from bench.load import Job, play
from bench.over_queue import Line
from bench.variants import QUEUE, known
from storage.database import Database
from tests.support.clients import STAKE, seat_players
from tests.support.conditions import HANG_S


def job(
    amqp_url: str,
    tokens: list[str],
    prefix: str,
    *,
    seconds: float = 1.0,
    warm_up_s: float = 0.2,
    drain_s: float = HANG_S,
) -> Job:
    variant = known()[QUEUE]
    return Job(
        url=amqp_url,
        requests=[variant.request(token) for token in tokens],
        prefix=prefix,
        seconds=seconds,
        warm_up_s=warm_up_s,
        drain_s=drain_s,
    )


async def test_what_it_counts_stands_in_the_ledger(
    platform: dict[str, Any], amqp_url: str, database: Database
) -> None:
    players = await seat_players(platform, 2)
    marks: list[str] = []
    prefix = f"queue-{uuid4().hex[:8]}-"
    tokens = [player.token for player in players]
    # Without a warm-up the first rounds count, however long they take.
    outcome = await play(job(amqp_url, tokens, prefix, seconds=2.5, warm_up_s=0), marks.append)
    assert marks == ["begin", "end"]
    assert (outcome.failures, outcome.unanswered, outcome.problems) == (0, 0, [])
    assert outcome.rounds > 0
    assert Latencies.of([outcome.histogram]).count == outcome.rounds
    settled = await database.pool.fetchval(
        "SELECT count(*) FROM rounds WHERE starts_with(round_id, $2) AND state = 'settled' AND stake = $1",
        STAKE,
        prefix,
    )
    assert settled >= outcome.rounds


async def test_a_refusal_is_a_failure_and_is_quoted(platform: dict[str, Any], amqp_url: str) -> None:
    outcome = await play(job(amqp_url, ["nonsense"], "queue-no-"))
    assert outcome.rounds == 0
    assert outcome.failures > 0
    assert outcome.problems[0].startswith('401 {"type":"urn:croupier:problem:unauthenticated"')


async def test_a_broker_that_ends_the_connection_is_a_failure(
    platform: dict[str, Any], amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends on the player's first round; the broker has two seconds to say so too."""
    (player,) = await seat_players(platform, 1)

    async def hang_up(line: Line, *_: object) -> None:
        await line._connection.close(ConnectionResetError("gone"))

    monkeypatch.setattr(Line, "_publish", hang_up)
    outcome = await play(job(amqp_url, [player.token], "queue-cut-", drain_s=3))
    assert outcome.rounds == 0
    assert outcome.failures == 1
    assert outcome.problems[:2] == [
        "the connection was lost with a round under way",
        "cannot connect: ConnectionError",
    ]
