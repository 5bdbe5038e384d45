"""The player's page is accessible in every state: axe-core finds nothing, light and dark, narrow and wide."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, ViewportSize, expect

from tests.browser.conftest import Complaints, Screenshots
from tests.browser.player import BETS, opened, play, play_until_a_choice, ready, seated

NARROW: Final[ViewportSize] = {"width": 320, "height": 720}
WIDE: Final[ViewportSize] = {"width": 1100, "height": 800}
RULES_LEAST: Final = 15
# Every rule of WCAG 2.2 up to AA, and of good practice; none is off.
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


class Looks:
    """Looks at a page in both schemes and widths."""

    def __init__(self, page: Page, screenshots: Screenshots) -> None:
        self.page, self.screenshots = page, screenshots
        self.axe = Axe()

    async def at(self, state: str) -> None:
        options = {"runOnly": {"type": "tag", "values": [*TAGS]}, "resultTypes": ["violations"]}
        for scheme in ("light", "dark"):
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for width, size in (("narrow", NARROW), ("wide", WIDE)):
                await self.page.set_viewport_size(size)
                found = await self.axe.run(self.page, options=options)
                assert len(found.response["passes"]) > RULES_LEAST, "axe-core has not looked"
                assert found.violations_count == 0, (state, scheme, width, found.generate_report())
                assert await self.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
                if (scheme, width) in (("light", "narrow"), ("dark", "wide")):
                    await self.screenshots.take(self.page, f"game/player-{state}-{width}.png")


@asynccontextmanager
async def unanswered(page: Page) -> AsyncIterator[None]:
    """Bets get no answer inside the block."""

    async def dropped(route: Route) -> None:
        await route.abort("connectionreset")

    await page.route(f"**{BETS}", dropped)
    try:
        yield
    finally:
        await page.unroute(f"**{BETS}", dropped)


async def test_the_game_in_each_of_its_states(
    platform: dict[str, Any], page: Page, complaints: Complaints, screenshots: Screenshots
) -> None:
    looks = Looks(page, screenshots)
    seat = await seated(platform, "lucky-fruits")
    await opened(page, seat)
    await looks.at("ready")
    async with unanswered(page):
        await page.locator("#spin").click()
        await expect(page.locator("#line")).to_be_visible()
        await looks.at("unanswered")
    await expect(page.locator("#line")).to_be_hidden()
    if not await page.locator("#choices").is_visible():
        await play_until_a_choice(page)
    await looks.at("choice")
    await page.locator("#offers button").first.click()
    await expect(page.locator("#choices")).to_be_hidden()
    await looks.at("won")
    complaints.errors.clear()


async def test_its_dialogs(platform: dict[str, Any], page: Page, screenshots: Screenshots) -> None:
    looks = Looks(page, screenshots)
    await opened(page, await seated(platform, "fruit-lines"))
    for _ in range(5):
        await play(page)
    await page.locator("#open-rules").click()
    await looks.at("rules")
    await page.keyboard.press("Escape")
    await page.locator("#open-history").click()
    await expect(page.locator("#history-rows tr")).to_have_count(5)
    await looks.at("history")
    await page.keyboard.press("Escape")
    await page.locator("#open-fairness").click()
    await page.get_by_role("button", name="Reveal").click()
    await expect(page.locator("#rotated")).to_contain_text("Its fingerprint is the one that was shown.")
    await page.get_by_role("button", name="Check its rounds").click()
    await expect(page.locator("#checked")).to_contain_text("5 of 5 rounds came out the same.")
    await looks.at("fairness")
    await page.keyboard.press("Escape")
    await page.locator("#open-history").click()
    await page.locator("#history-rows button").last.click()
    await expect(page.locator("#replay-of")).to_contain_text("Checked: the same result")
    await looks.at("replay")
    await page.locator("#replay-end").click()
    await ready(page)


async def test_dice_and_a_page_without_a_game(
    platform: dict[str, Any], page: Page, screenshots: Screenshots
) -> None:
    looks = Looks(page, screenshots)
    await page.goto(f"{platform['base_url']}/play")
    await expect(page.locator("#alerts")).to_contain_text("No game is open here.")
    await looks.at("nothing")
    await opened(page, await seated(platform, "dice"))
    await play(page)
    await looks.at("dice")
