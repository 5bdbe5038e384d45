"""A player opens a launch URL and plays: by button, space bar and touch, in two tabs, back and forth."""

import json
import re
from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, Route, ViewportSize, expect

from tests.browser.conftest import Complaints, Screenshots
from tests.browser.player import BETS, finish, opened, play, play_until_a_choice, ready, seated, shown
from tests.support.conditions import until
from tests.support.http import http_client

GAMES = ("dice", "fruit-lines", "lucky-fruits")
WIDE: Final[ViewportSize] = {"width": 900, "height": 760}
MARKUP = '<img src=x onerror="document.title=1">'


async def result(page: Page, text: str) -> None:
    await expect(page.locator("#result")).to_contain_text(text)


@pytest.mark.parametrize("game_id", GAMES)
async def test_a_launch_url_opens_a_game_that_plays(
    platform: dict[str, Any], page: Page, screenshots: Screenshots, game_id: str
) -> None:
    seat = await seated(platform, game_id)
    await page.set_viewport_size(WIDE)
    await opened(page, seat)
    assert "token" not in page.url
    await play(page)
    await page.locator("h1").click()
    await page.keyboard.press("Space")
    await finish(page)
    assert await shown(page, "balance") == await seat.balance()
    assert {found["round_id"] for found in await seat.rounds()} == seat.bets
    assert len(seat.bets) == 2, "the space bar has bet too"
    await screenshots.take(page, f"game/player-{game_id}.png")


async def test_what_a_browser_loads_is_small(platform: dict[str, Any], page: Page) -> None:
    seat = await seated(platform, "fruit-lines")
    sizes: list[int] = []
    loaded: list[str] = []
    page.on("response", lambda answer: loaded.append(answer.url))
    await opened(page, seat)
    await play(page)
    async with http_client() as http:
        for url in {url for url in loaded if "/pages/" in url or "/play" in url}:
            async with http.stream("GET", url) as answer:
                sizes.append(len(b"".join([part async for part in answer.aiter_raw()])))
    assert len(sizes) > 10
    assert sum(sizes) < 150 * 1024


async def test_the_player_chooses_by_keyboard_and_a_reload_keeps_the_choice(
    platform: dict[str, Any], page: Page, screenshots: Screenshots
) -> None:
    seat = await seated(platform, "lucky-fruits")
    await page.set_viewport_size(WIDE)
    await opened(page, seat)
    await play_until_a_choice(page)
    await screenshots.take(page, "game/player-choice.png")
    await page.reload()
    await expect(page.locator("#choices")).to_be_visible()
    await expect(page.locator("#offers button").first).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#choices")).to_be_hidden()

    async def is_on_record() -> bool:
        return bool((await seat.rounds())[0]["actions"])

    await until(is_on_record)  # the page hides what was offered before its action is answered


async def test_two_tabs_of_a_session_show_the_same_open_round(platform: dict[str, Any], page: Page) -> None:
    seat = await seated(platform, "lucky-fruits")
    other = await page.context.new_page()
    await opened(page, seat)
    await opened(other, seat)
    await play_until_a_choice(page)
    await expect(other.locator("#choices")).to_be_visible()
    await expect(other.locator("body")).to_have_attribute("data-phase", "choosing")
    await finish(other)
    await expect(page.locator("#choices")).to_be_hidden()
    await ready(page)
    assert await shown(page, "balance") == await shown(other, "balance") == await seat.balance()
    assert {found["round_id"] for found in await seat.rounds()} == seat.bets


async def test_back_and_forth_after_a_bet_repeats_nothing(platform: dict[str, Any], page: Page) -> None:
    seat = await seated(platform, "dice")
    await opened(page, seat)
    await play(page)
    await page.goto(f"{seat.base_url}/healthz")
    await page.go_back()
    await ready(page)
    await result(page, "This is your last round.")
    assert len(await seat.rounds()) == len(seat.bets) == 1
    assert await shown(page, "balance") == await seat.balance()


async def test_a_phone_plays_by_touch(
    platform: dict[str, Any], browser: Browser, complaints: Complaints
) -> None:
    seat = await seated(platform, "fruit-lines", mode="demo", deposit=0)
    context = await browser.new_context(
        viewport={"width": 320, "height": 640}, has_touch=True, locale="en-GB"
    )
    page = await context.new_page()
    page.on("console", complaints.console)
    await opened(page, seat)
    await expect(page.locator("#demo")).to_be_visible()
    await page.locator("#more").tap()
    await page.locator("#spin").tap()
    await expect(page.locator("#win")).to_have_text(re.compile("€"))
    await context.close()
    assert [found["stake"]["amount"] for found in await seat.rounds()] == [20]
    assert complaints.errors == []


async def test_a_game_is_drawn_from_its_description_alone_and_its_words_are_no_markup(
    platform: dict[str, Any], page: Page
) -> None:
    """Its mode, choice and result are of a game that no page was written for."""
    seat = await seated(platform, "dice")
    choice: dict[str, Any] = {
        "oneOf": [
            {"properties": {"side": {"const": "heads"}, MARKUP: {"type": "boolean"}}},
            {"properties": {"side": {"const": MARKUP}}},
        ]
    }
    modes = {
        "base": {"description": MARKUP, "stake_multiplier": 1, "stakes": [10, 30]},
        "wild": {"description": "Twice as dear", "stake_multiplier": 2, "stakes": [20, 60]},
    }
    game: dict[str, Any] = {
        "id": "coin",
        "version": "1.0.0",
        "title": MARKUP,
        "modes": modes,
        "stakes": [10, 30],
    }
    game |= {
        "stakes": [10, 30],
        "max_win": 2,
        "choice": choice,
        "rules": {"pays_per_100": 196, MARKUP: [MARKUP]},
    }
    sent: dict[str, Any] = {}

    async def session(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json=await answer.json() | {"game": game, "enabled": True})

    async def bet(route: Route) -> None:
        sent.update(json.loads(route.request.post_data or ""))
        money = {"amount": 0, "currency": "EUR"}
        answer = {
            "round_id": sent["round_id"],
            "state": "settled",
            "game": {"id": "coin", "version": "1.0.0"},
            "mode": sent["mode"],
            "stake": money,
            "win": money,
            "balance": money,
            "outcome": {"side": MARKUP, "deep": {"er": [MARKUP]}},
            "choices": [],
            "actions": [],
            "failure": None,
        }
        await route.fulfill(status=201, json=answer)

    await page.route("**/v1/game/session", session)
    await page.route(f"**{BETS}", bet)
    await page.goto(seat.url)
    await ready(page)
    await page.get_by_label("Kind of bet").select_option("Twice as dear")
    await page.get_by_label("Side").select_option(index=1)
    await page.locator("#more").click()
    await page.locator("#open-rules").click()
    await page.keyboard.press("Escape")
    await play(page)
    await result(page, "No win this time.")
    assert (sent["mode"], sent["stake"], sent["choice"]) == ("wild", 60, {"side": MARKUP})
    assert await page.locator("img").count() == 0
    await expect(page.locator("#stage")).to_contain_text(MARKUP)
    assert await page.title() == MARKUP


async def test_a_double_click_or_a_key_that_is_held_is_one_bet(platform: dict[str, Any], page: Page) -> None:
    seat = await seated(platform, "dice")
    await opened(page, seat)
    await page.locator("#spin").dblclick()
    await ready(page)
    assert len(seat.bets) == 1
    await page.locator("#spin").focus()
    for _ in range(3):
        await page.keyboard.down("Enter")
        await ready(page)
    await page.keyboard.up("Enter")
    await ready(page)
    assert len(seat.bets) == len(await seat.rounds()) == 2


PARENT = """<!doctype html><title>casino</title><iframe id="game" width="900" height="700"></iframe>"""


async def test_in_a_frame_it_says_what_happens_and_does_what_it_is_told(
    platform: dict[str, Any], page: Page
) -> None:
    seat = await seated(platform, "fruit-lines")
    seat.note_bets(page)
    origin = seat.base_url
    await page.route(f"{origin}/casino", lambda route: route.fulfill(body=PARENT, content_type="text/html"))
    await page.goto(f"{origin}/casino")
    await page.evaluate(
        """url => {
            window.told = [];
            addEventListener("message", (event) => window.told.push(event.data));
            document.getElementById("game").src = url;
        }""",
        f"{seat.url}&parent_origin={quote(origin, safe='')}",
    )
    game = page.frame_locator("#game")
    spin = game.locator("#spin")
    await expect(spin).to_have_attribute("aria-disabled", "false")
    await spin.click()
    await expect(game.locator("body")).to_have_attribute("data-phase", "idle")
    await page.wait_for_function("told.filter((said) => said.type === 'idle').length >= 2")
    told = await page.evaluate("told")
    kinds = [said["type"] for said in told]
    assert kinds[0] == "ready"
    assert kinds.index("busy") < len(kinds) - 1 - kinds[::-1].index("idle")
    (last,) = await seat.rounds()
    assert [said["round"] for said in told if said["type"] == "busy"] == [last["round_id"]]
    assert ("win" in kinds) == (last["win"]["amount"] > 0)
    assert [said for said in told if said["type"] == "balance"][-1]["balance"][
        "amount"
    ] == await seat.balance()
    await command(page, "pause")
    await expect(spin).to_have_text("Paused by the casino")
    await spin.click(force=True)
    await command(page, "resume")
    await expect(spin).to_have_text("Spin")
    assert len(seat.bets) == 1
    await game.locator("#exit").click()
    await page.wait_for_function("told.at(-1).type === 'exit'")


async def command(page: Page, type_: str) -> None:
    """What the page around says to the game."""
    script = "type => game.contentWindow.postMessage({ croupier: 1, type }, origin)"
    await page.evaluate(script, type_)
