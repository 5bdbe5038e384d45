"""Pages of other origins in a browser: one that is named plays by the TypeScript client, another cannot."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page

from runtime.settings import PROJECT_ROOT
from tests.browser.player import Seat, seated
from tests.conftest import Services
from tests.support.conditions import HANG_S
from tests.support.ingress import one_more_ingress

ANOTHER: Final = "https://games.example"  # the first of the allowed
BURST: Final = 8
PAGE: Final = b"""<!doctype html><title>a supplier's game</title>
<script type="module">
  import { GameClient, Problem, Unanswered } from "/pages/shared/client/index.js";

  window.read = [];
  async function noting(url, init) {
    const response = await fetch(url, init);
    window.read.push([response.status, Object.fromEntries(response.headers)]);
    return response;
  }
  const patience = { totalMs: 0, firstPauseMs: 1 };
  const client = (baseUrl, bearer) => new GameClient({ baseUrl, bearer, patience, fetch: noting });
  window.bet = async (baseUrl, bearer, roundId) => {
    try {
      const choice = { direction: "over", target: 5000 };
      return (await client(baseUrl, bearer).bet(100, choice, { roundId })).state;
    } catch (error) {
      return error instanceof Unanswered ? "unanswered" : String(error);
    }
  };
  window.flood = async (baseUrl, bearer) => {
    for (;;) {
      const headers = { Authorization: `Bearer ${bearer}` };
      const response = await noting(`${baseUrl}/v1/game/session`, { headers });
      if (response.status !== 200) return (await response.json()).code;
    }
  };
</script>"""


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One answer: the page, or a module of the client."""
    try:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
    except asyncio.IncompleteReadError:  # a browser connects before it asks, and may not ask
        writer.close()
        return
    if path.startswith("/pages/shared/client/"):
        body, type_ = (PROJECT_ROOT / path.removeprefix("/")).read_bytes(), "text/javascript"
    else:
        body, type_ = PAGE, "text/html"
    fields = (f"Content-Type: {type_}", f"Content-Length: {len(body)}", "Connection: close", "", "")
    writer.write("\r\n".join(("HTTP/1.1 200 OK", *fields)).encode() + body)
    await writer.drain()
    writer.close()


@pytest.fixture
async def origins() -> AsyncIterator[list[str]]:
    """Of two servers of pages, neither of which is the casino."""
    async with AsyncExitStack() as running:
        servers = [
            await running.enter_async_context(await asyncio.start_server(_serve, "127.0.0.1", 0))
            for _ in range(2)
        ]
        yield [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]


async def bet(page: Page, origin: str, seat: Seat, round_id: str) -> str:
    await page.goto(f"{origin}/")
    await page.wait_for_function("window.flood !== undefined")
    arguments = [seat.base_url, seat.opened["token"], round_id]
    told: str = await page.evaluate("(it) => window.bet(...it)", arguments)
    return told


async def test_a_page_of_a_named_origin_plays_and_reads_and_one_of_another_cannot(
    platform: dict[str, Any], services: Services, browser: Browser, origins: list[str]
) -> None:
    named, foreign = origins
    settings: dict[str, Any] = {"limit_session_per_s": 0.001, "limit_session_burst": BURST}
    async with (
        one_more_ingress(
            services.stack, "of-suppliers", game_client_origins=f"{ANOTHER},{named}", **settings
        ) as ingress,
        # No route in this context: where calls are intercepted, Playwright answers preflights itself.
        await browser.new_context() as context,
    ):
        page = await context.new_page()
        page.set_default_timeout(HANG_S * 1000)
        seat = await seated({**platform, "base_url": ingress.base_url}, "dice")
        arguments = [seat.base_url, seat.opened["token"]]
        assert await bet(page, foreign, seat, uuid4().hex) == "unanswered"
        assert await page.evaluate("read") == []
        assert await page.evaluate("(it) => window.flood(...it).catch((error) => error.name)", arguments) == (
            "TypeError"
        )

        round_id = uuid4().hex
        assert [await bet(page, named, seat, round_id) for _ in range(2)] == ["settled"] * 2
        ((status, headers),) = await page.evaluate("read")
        assert (status, headers["idempotent-replayed"]) == (200, "true")
        assert len(headers["x-request-id"]) == 32
        assert await page.evaluate("(it) => window.flood(...it)", arguments) == "too-many-requests"
        status, headers = (await page.evaluate("read"))[-1]
        assert status == 429
        assert int(headers["retry-after"]) >= 1
        played = await seat.call("GET", f"/v1/operator/rounds?player_id={seat.player_id}")
        assert [found["round_id"] for found in played["items"]] == [round_id]
