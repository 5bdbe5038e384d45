"""The lobby of a stack: each game in a frame of its own, with demo money, and what it says beside it."""

from typing import Any, Final

import pytest
from playwright.async_api import FrameLocator, Locator, Page, expect

from tests.browser.conftest import Complaints, Screenshots
from tests.browser.looks import Looks
from tests.browser.player import finish

GAMES: Final = ("Dice", "Fruit Lines", "Lucky Fruits")


@pytest.fixture
async def lobby(platform: dict[str, Any], page: Page) -> Page:
    await page.goto(platform["lobby_url"])
    await expect(page.locator("#games li")).to_have_count(len(GAMES))
    return page


def table(lobby: Page, title: str) -> Locator:
    return lobby.locator(f"section.table[aria-label='{title}']")


def game_of(lobby: Page, title: str) -> FrameLocator:
    return table(lobby, title).frame_locator("iframe")


async def started(lobby: Page, title: str) -> FrameLocator:
    await lobby.get_by_role("button", name=f"Play {title}").click()
    game = game_of(lobby, title)
    await heard(lobby, title, "ready")
    await finish(game)  # what an earlier session of the lobby's player has left open
    await expect(game.locator("#spin")).to_be_enabled()
    return game


async def heard(lobby: Page, title: str, words: str) -> None:
    await expect(table(lobby, title).locator(".log")).to_contain_text(words)


@pytest.mark.parametrize("title", GAMES)
async def test_each_game_is_played_in_its_frame_and_heard_beside_it(lobby: Page, title: str) -> None:
    game = await started(lobby, title)
    await heard(lobby, title, "demo money, EUR")
    await game.locator("#spin").click()
    await heard(lobby, title, "busy round")
    await finish(game)
    await heard(lobby, title, "idle")
    await table(lobby, title).get_by_role("button", name="Close").click()
    await expect(table(lobby, title)).to_have_count(0)


async def test_the_page_around_pauses_a_game_and_asks_for_the_balance(lobby: Page) -> None:
    game = await started(lobby, "Dice")
    await table(lobby, "Dice").get_by_role("button", name="Pause").click()
    await heard(lobby, "Dice", "asked to pause")
    await expect(game.locator("#spin")).to_be_disabled()
    await table(lobby, "Dice").get_by_role("button", name="Resume").click()
    await expect(game.locator("#spin")).to_be_enabled()
    said = table(lobby, "Dice").locator(".log p", has_text="balance")
    before = await said.count()
    await table(lobby, "Dice").get_by_role("button", name="Refresh balance").click()
    await expect(said).to_have_count(before + 1)


async def test_a_game_fills_its_purse_and_goes_back_to_the_lobby(lobby: Page) -> None:
    game = await started(lobby, "Fruit Lines")
    await game.locator("#deposit").click()
    await heard(lobby, "Fruit Lines", "asked to refresh")
    await game.locator("#exit").click()
    await expect(table(lobby, "Fruit Lines")).to_have_count(0)


async def test_frames_of_one_tab_keep_their_own_tokens_when_they_are_loaded_again(lobby: Page) -> None:
    await started(lobby, "Dice")
    await started(lobby, "Lucky Fruits")
    for title in ("Dice", "Lucky Fruits"):
        frame = await (await table(lobby, title).locator("iframe").element_handle()).content_frame()
        assert frame is not None
        await frame.evaluate("location.reload()")
        await expect(game_of(lobby, title).locator("h1")).to_have_text(title)
        await expect(game_of(lobby, title).locator("#spin")).to_be_enabled()


@pytest.mark.parametrize(
    ("fragment", "words"),
    [("", "This address has no key."), ("#key=forged", "The key of this address is not the stack's.")],
)
async def test_without_the_stacks_key_it_says_where_the_address_is(
    platform: dict[str, Any], page: Page, complaints: Complaints, fragment: str, words: str
) -> None:
    await page.goto(f"{platform['base_url']}/lobby{fragment}")
    if fragment:
        await page.get_by_role("button", name="Play Dice").click()
    await expect(page.locator("#notice")).to_contain_text(words)
    await expect(page.locator("#notice")).to_contain_text("./croupier up")
    complaints.errors.clear()  # the browser reports the 401 by itself


async def test_it_is_accessible(lobby: Page, screenshots: Screenshots) -> None:
    looks = Looks(lobby, screenshots, of="lobby")
    await looks.at("games")
    game = await started(lobby, "Fruit Lines")
    await game.locator("#spin").click()
    await heard(lobby, "Fruit Lines", "idle")
    await looks.at("table")
