"""The console's live page and its games beside the running stack: how streams end, and who switches."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator, checked_problem
from tests.support.console import Person, console_server, person


@pytest.fixture
async def host(gateway: Gateway) -> Operator:
    return await gateway.new_operator()


@pytest.fixture
async def console(services: Services, platform: dict[str, Any]) -> AsyncIterator[str]:
    async with console_server(services.stack) as url:
        yield url


REASON = "it pays oddly"


async def switch(anna: Person, game_id: str, enabled: str, **form: str) -> int:
    sent = {"csrf": await anna.csrf(), "enabled": enabled, "confirmed": "yes", "reason": REASON, **form}
    return (await anna.post(f"/games/{game_id}/switch", sent)).status_code


async def test_a_game_is_switched_by_whoever_decides_and_for_their_operator_alone(
    console: str, gateway: Gateway, host: Operator, rival: Operator
) -> None:
    player, theirs = [await one.open_session(balance=1_000) for one in (host, rival)]
    reads = await gateway.new_key(host.operator_id, scope="game")
    async with person(console, host.key) as anna, person(console, reads) as viewer:
        assert await switch(viewer, "dice", "no") == 403
        assert "Switch the game" not in (await viewer.get("/games/dice")).text
        assert await switch(anna, "dice", "no", confirmed="no") == 200
        assert await switch(anna, "dice", "no", csrf="x") == 403
        assert await switch(anna, "dice", "no", reason=" ") == 422
        assert (await player.bet()).status_code == 201
        assert await switch(anna, "dice", "no") == 303
        checked_problem(await player.bet(), 403, "game-disabled")
        assert "every new bet is refused" in (await anna.get("/games/dice")).text
        assert (await theirs.bet()).status_code == 201
        assert await switch(anna, "dice", "yes") == 303
        assert (await player.bet()).status_code == 201
        assert await switch(anna, "nothing", "no") == 404
        log = (await anna.get("/audit?kind=game-disabled")).text
        assert (REASON in log, "dice" in log) == (True, True)


async def test_a_stream_ends_with_the_program(services: Services, host: Operator, gateway: Gateway) -> None:
    async with AsyncExitStack() as running:
        url = await running.enter_async_context(console_server(services.stack))
        async with (
            person(url, host.key) as anna,
            anna.http.stream("GET", f"{url}/now/events", headers=anna._cookies()) as answer,
        ):
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: now"
            await running.aclose()
            assert ": the console ends" in [line async for line in lines]
    log = services.stack.layout.log_of("console").read_text()
    assert "Traceback" not in log
    assert host.key not in log
