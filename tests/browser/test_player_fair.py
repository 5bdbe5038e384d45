"""A player sees free spins as they happen, replays any round, and reveals and checks what it came from."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from playwright.async_api import Page, Route, ViewportSize, expect

from games.draws import HmacDraws
from games.fruit_lines import GAME
from games.protocol import Step, Wager
from tests.browser.conftest import Complaints, Screenshots
from tests.browser.player import BETS, euros, finish, opened, play, play_until_a_choice, ready, seated

STAKE: Final = 10
WIDE: Final[ViewportSize] = {"width": 900, "height": 800}


def with_free_spins() -> Step:
    """A round of the game itself, whose free spins pay."""
    for nonce in range(10_000):
        step = GAME.play(Wager(stake=STAKE), HmacDraws(server_seed=bytes(32), client_seed="a", nonce=nonce))
        if len(step.outcome["spins"]) > 1 and any(spin["win"] for spin in step.outcome["spins"][1:]):
            return step
    raise AssertionError("no round has free spins")


async def commitment(page: Page) -> str:
    """The hash that the dialog shows before the seed is revealed."""
    shown = page.locator("#seed-hash")
    await expect(shown).to_have_text(re.compile("^[0-9a-f]{64}$"))
    return await shown.inner_text()


async def test_free_spins_are_shown_one_by_one_and_may_be_skipped(
    platform: dict[str, Any], page: Page, screenshots: Screenshots
) -> None:
    step, seat = with_free_spins(), await seated(platform, "fruit-lines")
    spins = len(step.outcome["spins"]) - 1

    async def lucky(route: Route) -> None:
        money = {"amount": step.win, "currency": "EUR"}
        answer = await route.fetch()
        changed = {"outcome": step.outcome, "win": money, "balance": {"amount": 123_456, "currency": "EUR"}}
        await route.fulfill(response=answer, json=await answer.json() | changed)

    await page.route(f"**{BETS}", lucky)
    await page.set_viewport_size(WIDE)
    await page.emulate_media(reduced_motion="no-preference")
    await opened(page, seat)
    await page.clock.install()
    await page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))  # it goes on by `run_for` alone
    await page.locator("#spin").click()
    await expect(page.locator("#wins")).to_contain_text("free spins")
    await page.clock.run_for(2_000)
    await expect(page.locator("#result")).to_contain_text(f"of {spins}")
    await expect(page.locator("#balance")).not_to_have_text("€1,234.56")
    await screenshots.take(page, "game/player-free-spins.png")
    await page.get_by_role("button", name="Show the result").click()
    await expect(page.locator("#result")).to_contain_text("You won")
    assert euros(await page.locator("#win").inner_text()) == step.win
    await expect(page.locator("#balance")).to_have_text("€1,234.56")
    await expect(page.locator("#wins")).to_contain_text(f"{spins} free spins paid")


async def test_every_game_is_checked_in_the_browser_and_replayed(
    platform: dict[str, Any], page: Page
) -> None:
    for game_id in ("dice", "fruit-lines", "lucky-fruits"):
        seat = await seated(platform, game_id)
        await opened(page, seat)
        for number in range(6):
            await play(page, last=number % 2 == 0)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))  # noqa: B023
        await page.locator("#open-fairness").click()
        committed = await commitment(page)
        await page.get_by_role("button", name="Reveal").click()
        await expect(page.locator("#revealed-hash")).to_have_text(committed)
        await page.get_by_role("button", name="Check its rounds").click()
        await expect(page.locator("#checked")).to_have_text("6 of 6 rounds came out the same.")
        assert not [url for url in asked if "verify" in url], "the casino was asked"
        await page.keyboard.press("Escape")
        await page.locator("#open-history").click()
        shown = await page.locator("#history-rows tr").nth(2).locator("td").nth(3).inner_text()
        await page.locator("#history-rows button").nth(2).click()
        await expect(page.locator("#replay-of")).to_contain_text("Checked: the same result")
        won = f"You won {shown}." if euros(shown) else "No win this time."
        await expect(page.locator("#result")).to_have_text(won)
        await page.locator("#replay-end").click()
        await ready(page)
        assert len(await seat.rounds()) == 6, "a replay has bet"


async def test_a_round_that_does_not_come_from_its_seed_is_told(platform: dict[str, Any], page: Page) -> None:
    seat = await seated(platform, "dice")

    async def forged(route: Route) -> None:
        answer = await route.fetch()
        page_of_rounds = await answer.json()
        for found in page_of_rounds["items"]:
            found["outcome"]["roll"] = (found["outcome"]["roll"] + 1) % 10_000
        await route.fulfill(response=answer, json=page_of_rounds)

    await opened(page, seat)
    await play(page)
    await page.route(f"**{BETS}?*", forged)
    await page.locator("#open-fairness").click()
    await page.get_by_role("button", name="Reveal").click()
    await page.get_by_role("button", name="Check its rounds").click()
    await expect(page.locator("#checked")).to_contain_text("0 of 1 rounds came out the same. 1 did NOT")


async def test_a_reveal_whose_answer_is_lost_is_asked_for_again(
    platform: dict[str, Any], page: Page, complaints: Complaints
) -> None:
    seat = await seated(platform, "dice")
    await opened(page, seat)
    await play(page)

    async def lost(route: Route) -> None:
        await route.fetch()

    await page.route("**/v1/game/seed", lost, times=1)
    await page.locator("#open-fairness").click()
    committed = await commitment(page)
    async with page.expect_request("**/v1/game/seed") as first:
        await page.get_by_role("button", name="Reveal").click()
    await page.reload()
    await ready(page)
    async with page.expect_request("**/v1/game/seed") as second:
        await page.locator("#open-fairness").click()
    await expect(page.locator("#revealed-hash")).to_have_text(committed)
    assert json.loads((await second.value).post_data or "") == json.loads((await first.value).post_data or "")
    complaints.errors.clear()


async def test_a_seed_is_not_revealed_while_a_round_is_open(
    platform: dict[str, Any], page: Page, complaints: Complaints
) -> None:
    seat = await seated(platform, "lucky-fruits")
    await opened(page, seat)
    await play_until_a_choice(page)
    await page.locator("#open-fairness").click()
    await page.get_by_role("button", name="Reveal").click()
    await expect(page.locator("#rotated")).to_contain_text("A round is still open. Finish it first")
    await page.keyboard.press("Escape")
    await finish(page)
    complaints.errors.clear()
