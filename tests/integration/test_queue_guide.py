"""docs/game/queue.md: its example plays rounds, and it names what is there."""

import json
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from api.transports.queue.ingress import KINDS
from events import commands
from events.commands import COMMANDS, DROPPED, STATUS_HEADER
from events.dead_letters import REASON_HEADER, ROUTING_KEY_HEADER
from runtime.settings import PROJECT_ROOT
from tests.integration.test_guides import blocks
from tests.support.clients import CHOICE, STAKE, seat_players

PAGE = "game/queue.md"
TEXT = (PROJECT_ROOT / "docs" / PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    (code,) = blocks(PAGE, "python")
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(code, f"docs/{PAGE}", "exec"), names)  # noqa: S102 - our own page
    return names


async def test_the_example_plays_a_round_once_however_often_it_submits_it(
    platform: dict[str, Any], amqp_url: str, example: dict[str, Any]
) -> None:
    (player,) = await seat_players(platform, 1)
    status, round_ = await example["play"](amqp_url, player.token)
    # The ingress repeats a start that Temporal has not answered in time, and then answers as for a repeat.
    assert (status in (200, 201), round_["state"]) == (True, "settled")
    async with await aio_pika.connect(amqp_url) as connection:
        rounds = await example["Rounds"].over(connection)
        round_id = uuid4().hex
        first = await rounds.submit(player.token, round_id, STAKE, choice=CHOICE)
        second = await rounds.submit(player.token, round_id, STAKE, choice=CHOICE)
        assert (first[0] in (200, 201), second[0]) == (True, 200)
        assert first[1] == second[1]
        status, problem = await rounds.submit(player.token, round_id, 2 * STAKE, choice=CHOICE)
        assert (status, problem["code"]) == (422, "id-reused")


def test_the_printed_commands_are_understood() -> None:
    printed = [json.loads(block) for block in blocks(PAGE, "json")]
    for kind, body in zip(KINDS.values(), printed, strict=True):
        assert kind.model.model_validate(body).round_id == "r-1"


def test_the_page_names_every_queue_key_header_and_argument() -> None:
    names = {
        *(COMMANDS.name, COMMANDS.dead_name, DROPPED.name, commands.COMMANDS_EXCHANGE),
        *(REASON_HEADER, ROUTING_KEY_HEADER, STATUS_HEADER, *KINDS),
    }
    arguments = commands.arguments_of(COMMANDS.name) | commands.arguments_of(COMMANDS.dead_name)
    names |= {f"{name}: {value}" for name, value in arguments.items()}
    assert {name for name in names if name not in TEXT} == set()
