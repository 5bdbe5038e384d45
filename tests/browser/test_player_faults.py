"""Twenty rounds of each game with a reload, a killed ingress, a lost answer and a dropped socket in them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from playwright.async_api import Page, Route, WebSocketRoute, expect

from compose.stack import Stack
from storage.database import Database
from tests.browser.conftest import Complaints
from tests.browser.player import BETS, DEPOSIT, Seat, finish, opened, play, ready, seated, shown
from tests.conftest import Services
from tests.support.conditions import until

ROUNDS: Final = 20
RELOADED, LOST, KILLED, DROPPED = 4, 8, 12, 16
GAMES: Final = ("dice", "fruit-lines", "lucky-fruits")


class Tab:
    """A page that plays, and what it has shown after each round."""

    def __init__(self, page: Page, seat: Seat) -> None:
        self.page, self.seat = page, seat
        self.shown: list[tuple[int, int]] = []
        self.sockets: list[WebSocketRoute] = []

    async def open(self) -> None:
        def connected(socket: WebSocketRoute) -> None:
            socket.connect_to_server()
            self.sockets.append(socket)

        await self.page.route_web_socket("**/v1/game/ws", connected)
        await opened(self.page, self.seat)

    async def play(self, rounds: int) -> None:
        while len(self.shown) < rounds:
            await play(self.page, last=len(self.shown) % 3 == 0)
            await self.note()

    async def note(self) -> None:
        self.shown.append((await shown(self.page, "balance"), await shown(self.page, "win")))

    async def bet_through(self, handler: Callable[[Route], Awaitable[None]]) -> None:
        """One more round, whose bet is handled so when it is first sent."""
        await self.page.route(f"**{BETS}", handler, times=1)
        await self.page.locator("#spin").click()

    async def ended(self) -> None:
        await finish(self.page)
        await self.note()


async def test_the_ledger_agrees_with_what_was_shown(
    platform: dict[str, Any], services: Services, database: Database, page: Page, complaints: Complaints
) -> None:
    pages = [page, await page.context.new_page(), await page.context.new_page()]
    tabs = [Tab(each, await seated(platform, game)) for each, game in zip(pages, GAMES, strict=True)]
    await _all(tab.open() for tab in tabs)
    await _all(tab.play(RELOADED) for tab in tabs)
    await _all(reloaded(tab) for tab in tabs)
    await _all(tab.play(LOST) for tab in tabs)
    await _all(tab.bet_through(lose_the_answer) for tab in tabs)
    await _all(tab.ended() for tab in tabs)
    await _all(tab.play(KILLED) for tab in tabs)
    await killed(tabs, services.stack)
    await _all(tab.play(DROPPED) for tab in tabs)
    for tab in tabs:
        await tab.sockets[-1].close(code=1012)
    await _all(tab.play(ROUNDS) for tab in tabs)
    for tab in tabs:
        assert len(tab.sockets) >= 4, "a reload, a kill and a drop each end a socket"
        await agrees(tab, database)
    assert complaints.errors, "nothing was cut off: no fault has fired"
    assert all("net::" in error or "WebSocket" in error for error in complaints.errors), complaints.errors
    complaints.errors.clear()


async def _all(each: Any) -> None:
    await asyncio.gather(*each)


async def reloaded(tab: Tab) -> None:
    """The casino has the bet, and the page is loaded again before it has the answer."""
    reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def keep_the_answer(route: Route) -> None:
        await route.fetch()
        reached.set_result(None)

    await tab.bet_through(keep_the_answer)
    await reached
    bets = set(tab.seat.bets)
    await tab.page.reload()
    await tab.ended()
    assert tab.seat.bets == bets, "the reload has made a bet of its own"
    await ready(tab.page)


async def lose_the_answer(route: Route) -> None:
    await route.fetch()
    await route.abort("connectionreset")


async def killed(tabs: list[Tab], stack: Stack) -> None:
    """With a bet of each game under way: one is known to the casino, the others are not."""
    waiting = [asyncio.get_running_loop().create_future() for _ in tabs]
    gone = asyncio.Event()

    def handler(at: int) -> Callable[[Route], Awaitable[None]]:
        async def handled(route: Route) -> None:
            if at == 0:
                await route.fetch()
            waiting[at].set_result(None)
            await gone.wait()
            await route.abort("connectionreset") if at == 0 else await route.continue_()

        return handled

    for at, tab in enumerate(tabs):
        await tab.bet_through(handler(at))
    await _all(waiting)
    await stack.kill("ingress")
    gone.set()
    for tab in tabs:
        await expect(tab.page.locator("#line")).to_contain_text("Your bet is safe")
    await stack.start("ingress")
    await _all(tab.ended() for tab in tabs)


async def agrees(tab: Tab, database: Database) -> None:
    """Every bet that was sent is one round, shown as it is recorded, and the balance is their sum."""
    rounds = list(reversed(await tab.seat.rounds()))
    assert {found["round_id"] for found in rounds} == tab.seat.bets
    assert len(rounds) == len(tab.shown) == ROUNDS
    balance = DEPOSIT
    for found, (balance_shown, win_shown) in zip(rounds, tab.shown, strict=True):
        assert found["state"] == "settled"
        balance += found["win"]["amount"] - found["stake"]["amount"]
        assert (balance_shown, win_shown) == (balance, found["win"]["amount"])
    assert await tab.seat.balance() == balance

    async def closed() -> bool:
        counted: int = await database.pool.fetchval(
            "SELECT count(*) FROM rounds WHERE round_id = ANY($1::text[]) AND state = 'settled'",
            [*tab.seat.bets],
        )
        return counted == ROUNDS

    await until(closed)
