"""A bad command hurts nobody else: the others in hand are answered once, and what is behind it does not
wait."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from events.commands import COMMANDS_EXCHANGE, SUBMIT_ROUND
from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import Player
from tests.support import clients
from tests.support.clients import seat_players
from tests.support.conditions import until
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress
from tests.support.ledger import waiting_for_a_lock
from tests.support.queue_caller import QueueCaller, calling, is_replayed, reason, status
from tests.support.raw_properties import (
    CONTENT_TYPE,
    CORRELATION_ID,
    HEADERS,
    MESSAGE_ID,
    NESTED,
    PRIORITY,
    REPLY_TO,
    TIMESTAMP,
    long_text,
    publish_raw,
    short,
    table,
)

# While it is held, rounds begin and reserve nothing: whoever plays one has it in hand.
HOLD_ROUNDS: Final = "LOCK TABLE seeds IN EXCLUSIVE MODE"
INNOCENT: Final = 20
NOBODY: Final = base64.b64encode(b"\x83Xv\x00\x0creply@nobody" + bytes(12)).decode()


@pytest.fixture
async def caller(platform: dict[str, Any], amqp_url: str) -> AsyncIterator[QueueCaller]:
    async with calling(amqp_url) as caller:
        yield caller


def submission(player: Player | clients.Player, round_id: str | None = None) -> dict[str, Any]:
    bet = {"round_id": round_id or uuid4().hex, "stake": clients.STAKE, "choice": clients.CHOICE}
    return {"session_token": player.token, **bet}


async def _no_queue(_caller: QueueCaller) -> str:
    return uuid4().hex


async def _full_queue(caller: QueueCaller) -> str:
    arguments: dict[str, Any] = {"x-max-length": 0, "x-overflow": "reject-publish"}
    return (await caller.channel.declare_queue(exclusive=True, arguments=arguments)).name


async def _anothers_queue(caller: QueueCaller) -> str:
    return (await caller.channel.declare_queue(exclusive=True)).name


def _always(address: str) -> Callable[[QueueCaller], Awaitable[str]]:
    async def make(_caller: QueueCaller) -> str:
        return address

    return make


# Nobody can be answered at these.
ADDRESSES: Final = {
    "a direct reply-to that is no term": _always("amq.rabbitmq.reply-to.AAAA.x"),
    "a direct reply-to of garbage": _always("amq.rabbitmq.reply-to.garbage.key"),
    "a direct reply-to of nobody": _always(f"amq.rabbitmq.reply-to.{NOBODY}.x"),
    "an exchange": _always("amq.topic"),
    "no queue": _no_queue,
    "a queue that is full": _full_queue,
    "another client's queue": _anothers_queue,
}


async def counted(metrics_urls: list[str]) -> dict[str, int]:
    """How many commands were answered, by what came of them."""
    totals: dict[str, int] = {"round": 0, "problem": 0, "parked": 0}
    async with http_client() as client:
        for url in metrics_urls:
            for family in text_string_to_metric_families((await client.get(url)).text):
                for sample in family.samples:
                    if sample.name == "croupier_commands_total":
                        totals[sample.labels["outcome"]] += int(sample.value)
    return totals


async def dead_letters(caller: QueueCaller) -> int:
    found = await caller.channel.declare_queue("croupier.commands.dead", passive=True)
    return found.declaration_result.message_count or 0


# Over two, the command that one cannot conclude comes to the other.
CONSUMED: Final = [
    *((address, 1) for address in ADDRESSES),
    ("a direct reply-to that is no term", 2),
    ("a direct reply-to of nobody", 2),
]


@pytest.mark.parametrize(("address", "ingresses"), CONSUMED)
async def test_an_address_where_nobody_can_be_answered_costs_no_other_answer(
    platform: dict[str, Any],
    services: Services,
    caller: QueueCaller,
    database: Database,
    address: str,
    ingresses: int,
) -> None:
    players = await seat_players(platform, INNOCENT)
    metrics_urls = [platform["metrics_urls"]["ingress"]]
    async with AsyncExitStack() as stack:
        if ingresses == 2:
            second = await stack.enter_async_context(one_more_ingress(services.stack, "second-ingress"))
            metrics_urls.append(second.metrics_url)
        before, letters = await counted(metrics_urls), await dead_letters(caller)
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute(HOLD_ROUNDS)
            asked = [asyncio.create_task(caller.ask(submission(player))) for player in players]
            await until(lambda: waiting_for_a_lock(database))
            nobody = await ADDRESSES[address](caller)
            # Two that are answered at once, one after the other: the second one finds what the first left.
            for _ in range(2):
                await caller.send({**submission(players[0]), "session_token": "nonsense"}, reply_to=nobody)
                refused = await caller.ask({**submission(players[0]), "session_token": "nonsense"})
                assert status(refused) == 401
        answers = await asyncio.gather(*asked)
        assert all(status(answer) in (201, 202) for answer in answers)
        assert not any(is_replayed(answer) for answer in answers), "each was handed out once"
        after = await counted(metrics_urls)
    assert after == {**before, "round": before["round"] + INNOCENT, "problem": before["problem"] + 4}
    assert await dead_letters(caller) == letters
    assert await caller.waiting() == 0


@pytest.mark.parametrize("make_address", ADDRESSES.values(), ids=ADDRESSES)
async def test_a_bet_that_cannot_be_answered_is_played_once(
    platform: dict[str, Any],
    caller: QueueCaller,
    player: Player,
    make_address: Callable[[QueueCaller], Awaitable[str]],
) -> None:
    before = await counted([platform["metrics_urls"]["ingress"]])
    round_id = uuid4().hex
    await caller.send(submission(player, round_id), reply_to=await make_address(caller))

    async def settled() -> bool:
        return bool((await player.call("GET", f"/rounds/{round_id}")).json().get("state") == "settled")

    await until(settled)
    assert status(await caller.ask(submission(player))) == 201
    after = await counted([platform["metrics_urls"]["ingress"]])
    assert after == {**before, "round": before["round"] + 2}


async def test_giving_an_answer_up_is_one_line_in_the_log(
    caller: QueueCaller, player: Player, services: Services
) -> None:
    address = f"amq.rabbitmq.reply-to.AAAA.{uuid4().hex}"
    log = services.stack.layout.log_of("ingress")

    async def lines() -> list[str]:
        return [line for line in log.read_text(errors="replace").splitlines() if address in line]

    await caller.send(submission(player), reply_to=address)
    await until(lines)
    assert status(await caller.ask(submission(player))) == 201
    (line,) = await lines()
    assert re.search("the answer to '.*' is given up: no broker made this address", line)


NOT_TEXT: Final[dict[str, Callable[[str], tuple[dict[int, bytes], str]]]] = {
    "a correlation id of bytes": lambda queue: (
        {REPLY_TO: short(queue.encode()), CORRELATION_ID: short(b"mine\xff\xfe")},
        "correlation_id is not UTF-8",
    ),
    "a reply_to that begins with another's queue": lambda queue: (
        {REPLY_TO: short(queue.encode() + b"\xff\xfe")},
        "reply_to is not UTF-8",
    ),
    "a reply_to that hides another's queue": lambda queue: (
        {REPLY_TO: short(b"\xff" + queue.encode()), CORRELATION_ID: short(b"mine")},
        "reply_to is not UTF-8",
    ),
}


@pytest.mark.parametrize("make_fields", NOT_TEXT.values(), ids=NOT_TEXT)
async def test_an_answer_never_goes_to_what_is_left_of_an_address(
    caller: QueueCaller,
    player: Player,
    make_fields: Callable[[str], tuple[dict[int, bytes], str]],
) -> None:
    before = await player.operator.books()
    queue = await caller.channel.declare_queue(exclusive=True)
    fields, why = make_fields(queue.name)
    message_id = uuid4().hex
    body = json.dumps(submission(player)).encode()
    fields = {**fields, MESSAGE_ID: short(message_id.encode())}
    await publish_raw(caller.channel, COMMANDS_EXCHANGE, SUBMIT_ROUND, body, fields)
    letter = await caller.dead_letter(message_id)
    assert reason(letter) == why
    assert player.token.encode() not in letter.body
    assert status(await caller.ask(submission(player))) == 201
    assert await queue.get(no_ack=True, fail=False) is None
    assert (await player.operator.books())["rounds"] == before["rounds"] + 1


ODD_PROPERTIES: Final = {
    "a message id of bytes": {MESSAGE_ID: short(b"\xff" * 255)},
    "a content type that is not UTF-8": {CONTENT_TYPE: short(b"\xff\xfe")},
    "a header's name that is not UTF-8": {HEADERS: table((b"\xff\xfe", b"V"))},
    "a header that is not UTF-8": {HEADERS: table((b"trace", long_text(b"\xff\xfe\x00\x01")))},
    "headers nested without end": {HEADERS: NESTED},
    "headers of thousands": {HEADERS: table((b"a", b"A" + (100_000).to_bytes(4, "big") + b"V" * 100_000))},
    "headers nearly as large as a frame": {HEADERS: table((b"note", long_text(b"x" * 130_960)))},
    "a time beyond every calendar": {TIMESTAMP: b"\x7f" + b"\xff" * 7},
    "the highest priority": {PRIORITY: b"\xff"},
}


@pytest.mark.parametrize("odd", ODD_PROPERTIES.values(), ids=ODD_PROPERTIES)
async def test_a_message_with_odd_properties_is_answered_as_any_other(
    caller: QueueCaller, player: Player, amqp_url: str, odd: dict[int, bytes]
) -> None:
    async with calling(amqp_url) as sender:
        queue = await caller.channel.declare_queue(exclusive=True)
        fields = {REPLY_TO: short(queue.name.encode()), **odd}
        body = json.dumps(submission(player)).encode()
        await publish_raw(sender.channel, COMMANDS_EXCHANGE, SUBMIT_ROUND, body, fields)
        answer = await until(lambda: queue.get(no_ack=True, fail=False))
        assert answer is not None
        assert json.loads(answer.body)["state"] == "settled"
