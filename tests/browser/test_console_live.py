"""The console's numbers in a browser: they move without a reload, and stand still honestly; and its games."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from api.console.live import STREAMS_OF_SESSION
from contracts.reconciliation import Finding, IncidentKind
from storage import incidents
from tests.browser.conftest import Complaints, Screenshots
from tests.browser.looks import Looks
from tests.browser.test_console import StuckRound, signed_in, stuck_round
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator, Player
from tests.support.conditions import HANG_S, until
from tests.support.operator_wallet import running_wallet

ROUNDS: Final = 12
MARKUP: Final = '<img src=x onerror="alert(1)">'
ALL: Final = 6  # the column
EVENTS: Final = "**/console/now/events"
AGED: Final = "UPDATE rounds SET created_at = created_at - interval '5 minutes' WHERE round_id = $1"


@pytest.fixture(scope="module")
async def stuck(gateway: Gateway, services: Services) -> AsyncIterator[StuckRound]:
    async with running_wallet() as wallet:
        yield await stuck_round(gateway, services, wallet)


@pytest.fixture
async def host(gateway: Gateway) -> Operator:
    """One that no other test has."""
    return await gateway.new_operator()


@pytest.fixture
async def player(host: Operator) -> Player:
    return await host.open_session(balance=100_000)


@asynccontextmanager
async def incident(operator: Operator, subject: str) -> AsyncIterator[None]:
    """An open one, until the block ends."""
    pool = operator.gateway.database.pool
    finding = Finding(
        kind=IncidentKind.STUCK,
        subject=f"{operator.operator_id}:{subject}",
        operator_id=operator.operator_id,
        detail={"state": "pending"},
    )
    await incidents.note(pool, finding)
    yield
    for one in await incidents.of_operator(pool, operator.operator_id, resolved_too=False, limit=10):
        await incidents.resolve(pool, one.incident_id)


def pending(page: Page) -> Locator:
    """The cell with how many rounds with real money are pending."""
    rows = page.get_by_role("region", name="Open rounds").get_by_role("row")
    return rows.filter(has_text="pending").filter(has_text="real").get_by_role("cell").nth(ALL - 1)


def connection(page: Page) -> Locator:
    return page.get_by_role("status")


class TestNow:
    async def test_moves_when_rounds_begin_and_end_and_when_an_incident_appears(
        self, console: str, host: Operator, player: Player, page: Page
    ) -> None:
        await signed_in(page, console, host.key, "/now")
        await expect(connection(page)).to_have_text("Live: the numbers move by themselves.")
        await page.evaluate("window.kept = true")
        await expect(pending(page)).to_have_text("0")
        await pending(page).get_by_role("link").focus()
        round_id = await player.held()
        await expect(pending(page)).to_have_text("1")
        await expect(pending(page).get_by_role("link")).to_be_focused()
        async with incident(host, MARKUP):
            await expect(page.get_by_role("region", name="Open incidents")).to_contain_text("stuck")
            await expect(connection(page)).to_have_text("A new incident: 1 open.")
            await expect(page.locator("main img")).to_have_count(0)
        await expect(connection(page)).to_have_text("Live: the numbers move by themselves.")
        ended = await host.call("POST", f"/rounds/{round_id}/void", json={"reason": "end"})
        assert ended.status_code == 200
        await expect(pending(page)).to_have_text("0")
        assert await page.evaluate("window.kept")

    async def test_leads_to_the_rounds_behind_a_number(
        self, console: str, host: Operator, player: Player, page: Page
    ) -> None:
        await signed_in(page, console, host.key, "/now")
        round_id = await player.held()
        await expect(pending(page)).to_have_text("1")
        await pending(page).get_by_role("link").click()
        await expect(page.get_by_role("region", name="Rounds")).to_contain_text(round_id)

    async def test_says_when_the_connection_is_gone_and_takes_it_up_again(
        self, console: str, host: Operator, player: Player, page: Page, complaints: Complaints
    ) -> None:
        async def none(route: Any) -> None:
            await route.abort()

        await page.route(EVENTS, none)
        await signed_in(page, console, host.key, "/now")
        await expect(connection(page)).to_have_text("The connection is gone, and is tried again.")
        await player.held()
        await page.unroute(EVENTS, none)
        await expect(pending(page)).to_have_text("1")
        await expect(connection(page)).to_have_text("Live: the numbers move by themselves.")
        complaints.errors.clear()  # the browser reports each lost connection by itself

    async def test_says_when_the_session_is_over(
        self, console: str, gateway: Gateway, host: Operator, page: Page
    ) -> None:
        key = await gateway.new_key(host.operator_id)
        await signed_in(page, console, key, "/now")
        await expect(connection(page)).to_have_text(re.compile("Live"))
        await gateway.revoke(key)
        await expect(connection(page)).to_have_text("Your session is over: reload the page to sign in.")
        await page.get_by_role("link", name="Reload").click()
        await expect(page.get_by_label("API key")).to_be_visible()

    async def test_gives_way_to_newer_pages_of_its_session(
        self, console: str, host: Operator, page: Page
    ) -> None:
        await signed_in(page, console, host.key, "/now")
        await expect(connection(page)).to_have_text(re.compile("Live"))
        for _ in range(STREAMS_OF_SESSION):
            newer = await page.context.new_page()
            await newer.goto(f"{console}/now")
            await expect(connection(newer)).to_have_text(re.compile("Live"))
        await expect(connection(page)).to_have_text(re.compile("Newer pages of yours are live"))
        await page.get_by_role("link", name="Reload").click()
        await expect(connection(page)).to_have_text(re.compile("Live"))

    async def test_is_whole_without_its_script(
        self, console: str, stuck: StuckRound, browser: Browser
    ) -> None:
        context = await browser.new_context(java_script_enabled=False, locale="en-GB", timezone_id="UTC")
        try:
            page = await context.new_page()
            page.set_default_timeout(HANG_S * 1000)
            await signed_in(page, console, stuck.operator.key, "/now")
            await expect(page.locator("main")).to_contain_text(
                re.compile(r"As of \d\d:\d\d:\d\d UTC\. Reload")
            )
            settling = page.get_by_role("row", name=re.compile("^settling.*real"))
            await expect(settling).to_contain_text("1")
            await page.get_by_role("link", name="Reload").click()
            await expect(settling).to_contain_text("1")
            await expect(connection(page)).to_have_text("")
        finally:
            await context.close()

    async def test_looks_right_with_something_stuck(
        self, console: str, stuck: StuckRound, page: Page, screenshots: Screenshots
    ) -> None:
        await signed_in(page, console, stuck.operator.key, "/now")
        await expect(connection(page)).to_have_text(re.compile("Live"))
        await expect(page.get_by_role("region", name="Your wallet")).to_contain_text("No certain answer")
        overdue = page.get_by_role("region", name="Rounds that should have gone on")
        await stuck.operator.gateway.database.pool.execute(AGED, stuck.round_id)
        await expect(overdue).to_contain_text(stuck.round_id)
        async with incident(stuck.operator, stuck.round_id):
            kinds = page.get_by_role("region", name="Open incidents")
            await expect(kinds).to_contain_text("stuck")
            await Looks(page, screenshots, of="console", folder="platform").at("now")
            await kinds.get_by_role("link").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("Incidents")


class TestGames:
    async def test_shows_what_was_played_and_switches_a_game_off_and_on(
        self, console: str, host: Operator, player: Player, page: Page, screenshots: Screenshots
    ) -> None:
        looks = Looks(page, screenshots, of="console", folder="platform")
        slot = await host.open_session(player.player_id, game_id="fruit-lines")
        demo = await host.open_session(player.player_id, mode="demo")
        for _ in range(ROUNDS):
            await player.played()
            await demo.played()
            await slot.played(stake=100)
        await signed_in(page, console, host.key, "/games")
        real = page.get_by_role("region", name="Games with real money")

        async def counted() -> bool:
            """Once the events have come to the statistics."""
            await page.reload()
            texts = await real.get_by_role("row", name=re.compile("Dice|Fruit Lines")).all_inner_texts()
            return [text.split("\t")[3] for text in texts] == [str(ROUNDS)] * 2

        await until(counted)
        await looks.at("games")
        await real.get_by_role("link", name="Dice").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Game Dice")
        await expect(page.get_by_role("region", name="With demo money")).to_contain_text("99.00%")
        await looks.at("game")
        await page.get_by_role("button", name="Switch the game off").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Switch Dice off?")
        await looks.at("game-switch")
        await page.get_by_label("Reason").fill("it pays oddly")
        await page.get_by_role("button", name="Switch off").click()
        await expect(page.locator("main")).to_contain_text("every new bet is refused")
        assert (await player.bet()).json()["code"] == "game-disabled"
        await page.get_by_role("button", name="Switch the game on").click()
        await page.get_by_label("Reason").fill("it pays as it should")
        await page.get_by_role("button", name="Switch on").click()
        await expect(page.get_by_role("button", name="Switch the game off")).to_be_visible()
        assert (await player.bet()).status_code == 201
        await (
            page.get_by_role("region", name="With real money")
            .get_by_role("link", name=str(ROUNDS), exact=True)
            .click()
        )
        await expect(page.get_by_role("region", name="Rounds")).to_contain_text("dice")
        await expect(page.get_by_role("region", name="Rounds")).not_to_contain_text("fruit-lines")

    async def test_lets_a_viewer_read_and_not_switch(
        self, console: str, gateway: Gateway, host: Operator, page: Page
    ) -> None:
        viewer = await gateway.new_key(host.operator_id, scope="game")
        await signed_in(page, console, viewer, "/games/dice")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Game Dice")
        await expect(page.get_by_role("button", name=re.compile("Switch"))).to_have_count(0)
