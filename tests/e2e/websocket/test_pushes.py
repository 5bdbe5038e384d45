"""Pushes to the game client's sockets, from wherever a round ends."""

import asyncio
import json

import aio_pika
import pytest

from games.lucky_fruits import GAME as LUCKY_FRUITS
from tests.conftest import Services
from tests.e2e.choices import open_round
from tests.e2e.parties import Operator, Player, is_told_of_rounds
from tests.e2e.websocket.answers import problem_of
from tests.support.clients import frozen
from tests.support.conditions import HANG_S, until
from tests.support.ingress import Ingress
from tests.support.sockets import opened

pytestmark = pytest.mark.usefixtures("told")


async def test_a_round_over_http_is_pushed_to_sockets_at_every_ingress(
    base_url: str, other: Ingress, player: Player
) -> None:
    async with opened(base_url, player.token) as here, opened(other.base_url, player.token) as there:
        played = await player.played()
        for socket in (here, there):
            assert (await socket.push("round"))["round"] == played
            assert (await socket.push("balance"))["balance"] == played["balance"]
            await socket.nothing_pushed()


async def test_a_round_over_one_socket_is_pushed_to_the_others_alone(
    base_url: str, other: Ingress, player: Player
) -> None:
    async with opened(base_url, player.token) as here, opened(other.base_url, player.token) as there:
        played = (await here.ask("bet", **player.wager()))["round"]
        assert (await there.push("round"))["round"] == played
        await here.nothing_pushed()


async def test_nobody_else_hears_of_it(base_url: str, operator: Operator, player: Player) -> None:
    """Not even the player of the same name at another operator."""
    namesake = await (await operator.gateway.new_operator()).open_session(player.player_id)
    neighbour = await operator.open_session()
    async with opened(base_url, namesake.token) as one, opened(base_url, neighbour.token) as two:
        await player.played()
        await one.nothing_pushed()
        await two.nothing_pushed()


async def test_a_player_of_play_money_hears_of_that_alone_and_the_real_one_of_the_real(
    base_url: str, other: Ingress, operator: Operator, player: Player
) -> None:
    """They have one name, and one key on the broker."""
    demo = await operator.open_session(player.player_id, mode="demo")
    async with opened(base_url, demo.token) as playing, opened(other.base_url, player.token) as real:
        for seat, hears, does_not in ((demo, playing, real), (player, real, playing)):
            played = await seat.played()
            assert (await hears.push("round"))["round"] == played
            assert (await hears.push("balance"))["balance"] == played["balance"]
            await does_not.nothing_pushed()


async def test_an_event_shows_nothing_of_its_second_key(amqp_url: str, player: Player, base_url: str) -> None:
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("croupier.events", f"{player.claims.operator_id}.#")
        await player.played(round_id="watched")
        async with asyncio.timeout(HANG_S), queue.iterator(no_ack=True) as messages:
            async for message in messages:
                if json.loads(message.body)["subject"] == "watched":
                    break
    assert set(message.headers) == {"croupier-signature", "croupier-key-id"}
    assert message.routing_key == f"{player.claims.operator_id}.dice.round.settled"


async def test_a_session_that_ends_closes_its_sockets_wherever_they_are(
    base_url: str, other: Ingress, operator: Operator, player: Player
) -> None:
    second = await operator.open_session(player.player_id)
    async with (
        opened(base_url, player.token) as here,
        opened(other.base_url, player.token) as there,
        opened(base_url, second.token) as unconcerned,
    ):
        assert (await operator.call("DELETE", f"/sessions/{player.session_id}")).status_code == 204
        for socket in (here, there):
            await socket.push("session-ended")
            assert await socket.closed() == 4410
        assert (await unconcerned.ask("ping"))["type"] == "pong"
    async with opened(base_url, player.token) as late:
        await late.push("session-ended")
        assert await late.closed() == 4410


async def test_a_broker_that_restarts_ends_no_socket_and_pushes_come_again(
    base_url: str, other: Ingress, services: Services, player: Player
) -> None:
    async with opened(base_url, player.token) as socket:
        await services.stack.restart("rabbitmq")
        await socket.push("resync")
        played = await player.played()
        assert (await socket.push("round"))["round"] == played
        async with opened(base_url, player.token) as fresh:
            played = await player.played()
            assert (await fresh.push("round"))["round"] == played
    await until(lambda: is_told_of_rounds(other.base_url, player))


async def test_a_socket_opens_and_plays_while_the_broker_says_nothing(
    base_url: str, other: Ingress, services: Services, player: Player
) -> None:
    with frozen(services.stack.pid("rabbitmq")):
        async with opened(base_url, player.token) as socket:
            assert (await socket.ask("bet", **player.wager()))["round"]["state"] == "settled"
    for url in (base_url, other.base_url):
        await until(lambda url=url: is_told_of_rounds(url, player))  # type: ignore[misc]


async def test_a_round_that_waits_is_told_everywhere_and_goes_on_over_a_socket(
    base_url: str, other: Ingress, operator: Operator
) -> None:
    player = await operator.open_session(balance=1_000_000, game_id=LUCKY_FRUITS.id)
    async with opened(other.base_url, player.token) as there:
        waits = await open_round(player)
        told = await there.push("round")
        while told["type"] == "balance" or told["round"]["round_id"] != waits["round_id"]:
            told = await there.next_push()
        assert told["round"] == waits
        async with opened(base_url, player.token) as here:
            assert (await here.push("round"))["round"] == waits
            unknown = await here.ask("action", round_id=waits["round_id"], action_id="a0", action="steal")
            assert problem_of(unknown, "unknown-choice")["choices"] == waits["choices"]
            collect = {"round_id": waits["round_id"], "action_id": "a1", "action": "collect"}
            taken = await here.ask("action", **collect)
            assert (taken["type"], taken["replayed"], taken["round"]["state"]) == ("round", False, "settled")
            again = await here.ask("action", **collect)
            assert (again["replayed"], again["round"]) == (True, taken["round"])
            while (told := await there.next_push())["type"] == "balance":
                pass
            assert told["round"] == taken["round"]
            assert (await there.push("balance"))["balance"] == taken["round"]["balance"]
            await here.nothing_pushed()
