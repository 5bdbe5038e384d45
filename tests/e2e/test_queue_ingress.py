"""Rounds over the broker's queue: the same answers as over HTTP, nothing lost, nothing played twice, and
nonsense in nobody's way."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity
from temporalio.client import Client

from api.result.schemas import RoundOut
from compose.process import Process
from events.commands import ACT_ON_ROUND, COMMANDS, SUBMIT_ROUND
from events.dead_letters import ROUTING_KEY_HEADER
from storage.database import Database
from tests.conftest import Services
from tests.e2e.choices import act, open_round
from tests.e2e.parties import LEAKS, Operator, Player
from tests.integration.events_on_broker import cable_to
from tests.support import clients, sockets
from tests.support.clients import assert_nothing_lost_or_doubled, frozen, seat_players
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress
from tests.support.ledger import waiting_for_a_lock
from tests.support.queue_caller import QueueCaller, calling, is_replayed, reason, status

# While it is held, rounds begin and reserve nothing: whoever plays one has it in hand.
HOLD_ROUNDS: Final = "LOCK TABLE seeds IN EXCLUSIVE MODE"
PREFETCH: Final = 3
LATER: Final = 8
ROUNDS: Final = 12


@pytest.fixture
async def caller(platform: dict[str, Any], amqp_url: str) -> AsyncIterator[QueueCaller]:
    async with calling(amqp_url) as caller:
        yield caller


def submission(player: Player, round_id: str | None = None, **changes: Any) -> dict[str, Any]:
    return {"session_token": player.token, **player.wager(round_id, **changes)}


def checked_round(answer: AbstractIncomingMessage) -> dict[str, Any]:
    """The round, after a check that it is one as REST shows it."""
    assert (answer.type, answer.content_type) == ("round", "application/json"), answer.body
    RoundOut.model_validate_json(answer.body)
    body: dict[str, Any] = json.loads(answer.body)
    assert set(body) == set(RoundOut.model_fields)
    return body


def checked_problem(answer: AbstractIncomingMessage, code: str) -> dict[str, Any]:
    """The problem document, after a check that it is this one and tells no internals."""
    assert (answer.type, answer.content_type) == ("problem", "application/problem+json"), answer.body
    body: dict[str, Any] = json.loads(answer.body)
    assert (body["code"], body["status"]) == (code, status(answer)), body
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert not LEAKS.search(answer.body.decode()), body
    return body


class TestAnAnswer:
    async def test_is_the_settled_round_that_rest_shows(self, caller: QueueCaller, player: Player) -> None:
        round_id = uuid4().hex
        answer = await caller.ask(submission(player, round_id))
        assert (status(answer), is_replayed(answer)) == (201, False)
        assert checked_round(answer)["state"] == "settled"
        assert (await player.call("GET", f"/rounds/{round_id}")).json() == json.loads(answer.body)

    async def test_is_the_same_for_a_repeat(self, caller: QueueCaller, player: Player) -> None:
        body = submission(player)
        first, second = await caller.ask(body), await caller.ask(body)
        assert (status(second), is_replayed(second)) == (200, True)
        assert second.body == first.body
        over_http = await player.call(
            "POST", "/rounds", json={name: body[name] for name in body if name != "session_token"}
        )
        assert (over_http.status_code, over_http.json()) == (200, json.loads(first.body))

    async def test_goes_to_a_queue_of_the_askers_own_too(self, caller: QueueCaller, player: Player) -> None:
        queue = await caller.channel.declare_queue(exclusive=True)
        await caller.send(submission(player), reply_to=queue.name, correlation_id="mine")
        answer = await until(lambda: queue.get(no_ack=True, fail=False))
        assert answer is not None
        assert answer.correlation_id == "mine"
        assert checked_round(answer)["state"] == "settled"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"stake": 1_000_000}, "stake-not-allowed"),
            ({"choice": {"direction": "sideways"}}, "unknown-choice"),
        ],
    )
    async def test_is_a_problem_for_what_is_refused(
        self, caller: QueueCaller, player: Player, changes: dict[str, Any], code: str
    ) -> None:
        before = await player.operator.books()
        checked_problem(await caller.ask(submission(player, **changes)), code)
        assert await player.operator.books() == before

    async def test_says_that_an_id_was_another_bet(self, caller: QueueCaller, player: Player) -> None:
        round_id = uuid4().hex
        assert status(await caller.ask(submission(player, round_id))) == 201
        checked_problem(await caller.ask(submission(player, round_id, stake=200)), "id-reused")

    async def test_says_that_the_balance_does_not_cover_the_stake(
        self, caller: QueueCaller, player: Player
    ) -> None:
        poor = await player.operator.open_session()
        problem = checked_problem(await caller.ask(submission(poor)), "insufficient-funds")
        assert problem["balance"] == {"amount": 0, "currency": "EUR"}

    async def test_says_that_the_session_is_over(self, caller: QueueCaller, player: Player) -> None:
        before = await player.operator.books()
        checked_problem(await caller.ask(submission(player.expired())), "session-expired")
        checked_problem(
            await caller.ask({**submission(player), "session_token": "nonsense"}), "unauthenticated"
        )
        assert await player.operator.books() == before

    @pytest.mark.parametrize("properties", [{}, {"reply_to": "nobody-listens-here"}])
    async def test_is_not_needed(
        self, caller: QueueCaller, player: Player, properties: dict[str, str]
    ) -> None:
        round_id = uuid4().hex
        await caller.send(submission(player, round_id), **properties)

        async def settled() -> bool:
            return bool((await player.call("GET", f"/rounds/{round_id}")).json().get("state") == "settled")

        await until(settled)


POISON: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "not JSON": ({"body": b"not JSON"}, "invalid: The body is not valid JSON"),
    "not UTF-8": ({"body": b"\xff\xfe\x00"}, "invalid: The body is not valid JSON: it is not UTF-8"),
    "empty": ({"body": b""}, "invalid: The body is not valid JSON"),
    "no object": ({"body": b"[]"}, "invalid: body: "),
    "no token": ({"without": "session_token"}, "invalid: session_token: Field required"),
    "an empty token": ({"session_token": ""}, "invalid: session_token: "),
    "no token but a number": ({"session_token": 7}, "invalid: session_token: "),
    "no round id": ({"without": "round_id"}, "invalid: round_id: Field required"),
    "an unknown field": ({"more": 1}, "invalid: more: Extra inputs are not permitted"),
    "a negative stake": ({"stake": -100}, "invalid: stake: "),
    "a stake with a fraction": ({"stake": 1.5}, "invalid: stake: "),
    "not a number": ({"stake": float("nan")}, "invalid: The body is not valid JSON: NaN"),
    "another content type": ({"content_type": "text/plain"}, "unsupported-media-type: "),
    "compressed": ({"content_encoding": "gzip"}, "unsupported-media-type: "),
    "an unknown routing key": ({"key": "rounds.cancel"}, "not-found: The routing keys are rounds.submit"),
    "too large": ({"choice": {"note": "x" * 65_536}}, "too-large: A body has at most 6144 bytes"),
    "an answer to ourselves": ({"reply_to": "croupier.commands"}, "reply_to names a queue of Croupier's own"),
}
PROPERTIES: Final = ("content_type", "content_encoding", "key", "reply_to")


async def _send_poison(caller: QueueCaller, player: Player, changes: dict[str, Any]) -> str:
    body = submission(player)
    body.pop(changes.get("without", ""), None)
    body |= {name: value for name, value in changes.items() if name not in (*PROPERTIES, "without", "body")}
    properties = {name: changes[name] for name in PROPERTIES if name in changes}
    message_id = uuid4().hex
    await caller.send(changes.get("body", body), message_id=message_id, **properties)
    return message_id


class TestAnAction:
    @pytest.fixture
    async def player(self, operator: Operator) -> Player:
        return await operator.open_session(balance=1_000_000, game_id="lucky-fruits")

    @staticmethod
    def decision(player: Player, round_id: str, action_id: str, action: str, **params: Any) -> dict[str, Any]:
        body = {"round_id": round_id, "action_id": action_id, "action": action, "params": params}
        return {"session_token": player.token, **body}

    async def test_is_taken_once_whatever_way_it_comes_in(self, caller: QueueCaller, player: Player) -> None:
        round_id = (await open_round(player))["round_id"]
        collect = self.decision(player, round_id, "c1", "collect")
        first, second = [await caller.ask(collect, key=ACT_ON_ROUND) for _ in range(2)]
        assert (status(first), is_replayed(first)) == (200, False)
        assert (status(second), is_replayed(second)) == (200, True)
        assert checked_round(first) == checked_round(second)
        assert checked_round(first)["state"] == "settled"
        over_http = await act(player, round_id, "collect", action_id="c1")
        assert over_http.json() == checked_round(first)

    async def test_is_refused_as_over_http(self, caller: QueueCaller, player: Player) -> None:
        round_ = await open_round(player)
        unknown = self.decision(player, round_["round_id"], "s1", "steal")
        problem = checked_problem(await caller.ask(unknown, key=ACT_ON_ROUND), "unknown-choice")
        assert problem["choices"] == round_["choices"]
        nowhere = self.decision(player, "no-such-round", "s2", "collect")
        checked_problem(await caller.ask(nowhere, key=ACT_ON_ROUND), "not-found")
        # A session that has ended may finish its round.
        collect = self.decision(player.expired(), round_["round_id"], "c1", "collect")
        assert checked_round(await caller.ask(collect, key=ACT_ON_ROUND))["state"] == "settled"


class TestPoison:
    async def test_is_parked_with_its_reason_and_delays_nobody(
        self, caller: QueueCaller, player: Player
    ) -> None:
        before = await player.operator.books()
        ids = [await _send_poison(caller, player, changes) for changes, _ in POISON.values()]
        assert status(await caller.ask(submission(player))) == 201
        for message_id, (name, (changes, why)) in zip(ids, POISON.items(), strict=True):
            letter = await caller.dead_letter(message_id)
            assert reason(letter).startswith(why), name
            assert letter.headers[ROUTING_KEY_HEADER] == changes.get("key", SUBMIT_ROUND)
            assert player.token.encode() not in letter.body, name
            assert len(letter.body) <= 64 * 1024
            if "body" in changes:
                assert letter.body == changes["body"]
        assert (await player.operator.books())["rounds"] == before["rounds"] + 1
        assert await caller.waiting() == 0

    async def test_keeps_nothing_of_a_token_but_its_hash(self, caller: QueueCaller, player: Player) -> None:
        letter = await caller.dead_letter(await _send_poison(caller, player, {"more": 1}))
        digest = hashlib.sha256(player.token.encode()).hexdigest()[:12]
        assert json.loads(letter.body)["session_token"] == f"removed-{digest}"

    async def test_brings_no_token_into_the_log(
        self, caller: QueueCaller, player: Player, services: Services
    ) -> None:
        letter = await caller.dead_letter(await _send_poison(caller, player, {player.token: 1}))
        logged = services.stack.layout.log_of("ingress").read_text(errors="replace")
        # Of this letter: the name of its field, which is the token, is the whole of a reason that is bounded.
        assert letter.message_id
        assert f"parked '{letter.message_id}': 'invalid: removed-" in logged
        assert player.token not in logged

    async def test_is_answered_too_where_somebody_asks(self, caller: QueueCaller, player: Player) -> None:
        checked_problem(await caller.ask(submission(player, more=1)), "invalid")
        checked_problem(await caller.ask(b"{"), "invalid")
        checked_problem(await caller.ask(b" " * 65_537), "too-large")
        checked_problem(
            await caller.ask(submission(player), content_type="text/plain"), "unsupported-media-type"
        )


async def test_a_hundred_identical_bets_by_every_way_in_at_once_are_one_round(
    platform: dict[str, Any], caller: QueueCaller, player: Player, database: Database
) -> None:
    round_id = uuid4().hex

    async def over_the_queue() -> tuple[dict[str, Any], bool]:
        answer = await caller.ask(submission(player, round_id))
        return checked_round(answer), is_replayed(answer)

    async def over_http() -> tuple[dict[str, Any], bool]:
        answer = await player.bet(round_id)
        assert answer.status_code in (200, 201), answer.text
        return answer.json(), answer.headers.get("Idempotent-Replayed") == "true"

    async with sockets.opened(platform["base_url"], player.token) as socket:

        async def over_the_socket() -> tuple[dict[str, Any], bool]:
            answer = await socket.ask("bet", **player.wager(round_id))
            return answer["round"], answer["replayed"]

        ways = (over_the_queue, over_http, over_the_socket)
        answers = await asyncio.gather(*(ways[number % len(ways)]() for number in range(100)))
    assert [body for body, _ in answers] == [answers[0][0]] * 100
    assert [replayed for _, replayed in answers].count(False) == 1
    stakes = "SELECT count(*) FROM transfers WHERE player_key = $1 AND kind = 'stake'"
    assert await database.pool.fetchval(stakes, player.claims.player_key) == 1
    assert await player.balance() == 10_000 - 100 + answers[0][0]["win"]["amount"]


async def test_a_command_waits_for_a_service_that_is_away_where_http_says_overloaded(
    caller: QueueCaller, player: Player, services: Services
) -> None:
    with frozen(services.stack.pid("temporal")):
        answer = asyncio.create_task(caller.ask(submission(player)))
        assert (await player.bet()).status_code == 503
        assert not answer.done()
    assert checked_round(await answer)["state"] == "settled"


@pytest.mark.parametrize("deleted", [COMMANDS.name, COMMANDS.dead_name])
async def test_a_queue_that_somebody_deletes_is_made_again(
    platform: dict[str, Any], amqp_url: str, player: Player, deleted: str
) -> None:
    async with calling(amqp_url) as caller:
        await caller.channel.queue_delete(deleted)
        if deleted == COMMANDS.dead_name:
            await _send_poison(caller, player, {"more": 1})  # it finds no grave

    async def made_again() -> bool:
        async with await aio_pika.connect(amqp_url) as connection:
            try:
                await (await connection.channel()).get_queue(deleted, ensure=True)
            except ChannelNotFoundEntity:
                return False
            return True

    await until(made_again)
    async with calling(amqp_url) as caller:
        assert status(await caller.ask(submission(player))) == 201
        await caller.dead_letter(await _send_poison(caller, player, {"more": 1}))


@asynccontextmanager
async def only_ingress(services: Services, **settings: str) -> AsyncIterator[tuple[str, Process]]:
    """An ingress of its own in the place of the usual one, so that every command comes to it. Gives its
    address and its process."""
    await services.stack.kill("ingress")
    try:
        async with one_more_ingress(services.stack, "only-ingress", **settings) as ingress:
            yield ingress.base_url, ingress.running
    finally:
        await services.stack.start("ingress")


class Rounds:
    """Rounds that players submit over the queue and hold the answers of."""

    def __init__(self, caller: QueueCaller, players: list[clients.Player]) -> None:
        self._caller, self.players = caller, players
        self.answers: list[asyncio.Task[AbstractIncomingMessage]] = []

    def submit(self, count: int) -> None:
        """Each by another player, for a player's next round has to wait for the last one's end."""
        for _ in range(count):
            player = self.players[len(self.answers)]
            body = {"session_token": player.token, "stake": clients.STAKE, "choice": clients.CHOICE}
            asked = self._caller.ask({**body, "round_id": uuid4().hex})
            self.answers.append(asyncio.create_task(self._keep(player, asked)))

    async def _keep(self, player: clients.Player, asked: Any) -> AbstractIncomingMessage:
        answer: AbstractIncomingMessage = await asked
        round_ = checked_round(answer)
        player.answers[round_["round_id"]] = round_
        return answer

    async def all_answered(self) -> list[AbstractIncomingMessage]:
        return await asyncio.wait_for(asyncio.gather(*self.answers), HANG_S)

    @property
    def answered(self) -> int:
        return sum(answer.done() for answer in self.answers)


async def test_a_killed_ingress_loses_and_doubles_no_command(
    platform: dict[str, Any], services: Services, caller: QueueCaller, database: Database, temporal: Client
) -> None:
    rounds = Rounds(caller, await seat_players(platform, ROUNDS))
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute(HOLD_ROUNDS)
        rounds.submit(ROUNDS)
        await until(lambda: waiting_for_a_lock(database))
        await services.stack.kill("ingress")
    assert rounds.answered == 0
    await services.stack.start("ingress")
    # Some were under way when it died, and were handed out again.
    assert any(is_replayed(answer) for answer in await rounds.all_answered())
    async with http_client() as client:
        await assert_nothing_lost_or_doubled(rounds.players, database, temporal, client)


async def test_a_cut_connection_to_the_broker_loses_and_doubles_no_command(
    platform: dict[str, Any],
    services: Services,
    caller: QueueCaller,
    amqp_url: str,
    database: Database,
    temporal: Client,
) -> None:
    players = await seat_players(platform, ROUNDS)
    rounds = Rounds(caller, players)
    async with (
        cable_to(amqp_url) as (cable, through_cable),
        only_ingress(services, amqp_url=through_cable) as (base_url, _),
    ):
        for player in players:
            player.base_url = base_url
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute(HOLD_ROUNDS)
            rounds.submit(ROUNDS)
            await until(lambda: waiting_for_a_lock(database))
            await cable.cut()
        async with http_client() as client:
            (idle,) = await seat_players({**platform, "base_url": base_url}, 1)
            assert (await idle.bet(client, uuid4().hex))["state"] == "settled"
            assert rounds.answered == 0
            await cable.repair()
            assert any(is_replayed(answer) for answer in await rounds.all_answered())
            await assert_nothing_lost_or_doubled(players, database, temporal, client)


async def test_a_stopping_ingress_finishes_what_it_holds_and_takes_no_more_than_its_prefetch(
    platform: dict[str, Any], services: Services, caller: QueueCaller, database: Database, temporal: Client
) -> None:
    players = await seat_players(platform, ROUNDS)
    rounds = Rounds(caller, players)
    late = {"session_token": players[-1].token, "stake": clients.STAKE, "choice": clients.CHOICE}
    late_id, message_id = uuid4().hex, uuid4().hex
    async with only_ingress(services, commands_prefetch=str(PREFETCH)) as (_, running):
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute(HOLD_ROUNDS)
            rounds.submit(PREFETCH)
            await until(lambda: _is(caller.waiting, 0))
            # Nobody takes it before its time is over, for the prefetch is used up.
            await caller.send({**late, "round_id": late_id}, message_id=message_id, expiration=0.3)
            letter = await caller.dead_letter(message_id)
            rounds.submit(LATER)
            await until(lambda: _is(caller.waiting, LATER))
            # These pauses look for what must not come: on a slow machine they miss it, and make nothing up.
            await asyncio.sleep(0.3)
            assert (await caller.waiting(), rounds.answered) == (LATER, 0)
            stopping = asyncio.create_task(running.stop())
            await asyncio.sleep(0.3)
            assert not stopping.done()
        await stopping
        assert running.handle.returncode == 0
        await asyncio.wait_for(asyncio.gather(*rounds.answers[:PREFETCH]), HANG_S)
        assert (rounds.answered, await caller.waiting()) == (PREFETCH, LATER)
    assert reason(letter) == "its time was over before anybody took it"
    assert players[-1].token.encode() not in letter.body
    assert json.loads(letter.body)["round_id"] == late_id
    assert not await database.pool.fetchval("SELECT count(*) FROM rounds WHERE round_id = $1", late_id)
    await rounds.all_answered()
    async with http_client() as client:
        await assert_nothing_lost_or_doubled(players, database, temporal, client)


async def _is(count: Any, wanted: int) -> bool:
    return bool(await count() == wanted)
