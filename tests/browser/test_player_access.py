"""The player's page is accessible in every state: axe-core finds nothing, light and dark, narrow and wide."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, Route, expect

from tests.browser.conftest import Complaints, Screenshots
from tests.browser.looks import Looks
from tests.browser.player import BETS, opened, play, play_until_a_choice, ready, seated


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
    await expect(page.locator("body")).to_have_attribute("data-phase", re.compile("idle|choosing"))
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
