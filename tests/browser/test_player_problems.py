"""What a player is told when something is not possible: in plain words, with the next step."""

import itertools
from typing import Any, Final

from playwright.async_api import Page, ViewportSize, expect

from tests.browser.conftest import Complaints, Screenshots
from tests.browser.player import BETS, opened, play, ready, seated, shown

WIDE: Final[ViewportSize] = {"width": 900, "height": 760}


async def told(page: Page, text: str) -> None:
    await expect(page.locator("#alerts")).to_contain_text(text)


def only_refusals(complaints: Complaints) -> None:
    """The browser itself reports each answer that is a problem."""
    assert all("status of 4" in error for error in complaints.errors), complaints.errors
    complaints.errors.clear()


async def test_without_a_valid_token_it_says_where_games_are_opened(
    platform: dict[str, Any], page: Page, complaints: Complaints
) -> None:
    await page.goto(f"{platform['base_url']}/play?game=dice")
    await told(page, "No game is open here. Open one from your casino")
    await page.goto("about:blank")
    await page.goto(f"{platform['base_url']}/play?game=dice#token=forged")
    await told(page, "not opened with a valid link")
    await expect(page.locator("#spin")).to_have_attribute("aria-disabled", "true")
    only_refusals(complaints)


async def test_a_balance_that_is_too_low_is_said_and_nothing_is_staked(
    platform: dict[str, Any], page: Page, complaints: Complaints
) -> None:
    seat = await seated(platform, "fruit-lines", deposit=15)
    await opened(page, seat)
    await page.get_by_label("Stake", exact=True).select_option("100")
    await play(page)
    await told(page, "Your balance does not cover this stake.")
    assert await shown(page, "balance") == await seat.balance() == 15
    await page.get_by_label("Stake", exact=True).select_option("10")
    await play(page)
    await expect(page.locator("#alerts")).to_be_empty()
    only_refusals(complaints)


async def test_a_game_that_is_switched_off_in_mid_play_goes_on_when_it_is_back(
    platform: dict[str, Any], page: Page, complaints: Complaints, screenshots: Screenshots
) -> None:
    seat = await seated(platform, "fruit-lines")
    await page.set_viewport_size(WIDE)
    await opened(page, seat)
    await play(page)
    try:
        await seat.call("PUT", "/v1/operator/games/fruit-lines", body={"enabled": False})
        await play(page)
        await told(page, "The casino has switched this game off for now.")
        await screenshots.take(page, "game/player-problem.png")
        await page.reload()
        await told(page, "The casino has switched this game off for now.")
    finally:
        await seat.call("PUT", "/v1/operator/games/fruit-lines", body={"enabled": True})
    await page.get_by_role("button", name="Ask again").click()
    await ready(page)
    await play(page)
    assert [found["state"] for found in await seat.rounds()] == ["settled", "declined", "settled"]
    only_refusals(complaints)


async def test_a_session_that_the_operator_ends_takes_no_more_bets(
    platform: dict[str, Any], page: Page, complaints: Complaints
) -> None:
    seat = await seated(platform, "dice")
    await opened(page, seat)
    await play(page)
    await seat.call("DELETE", f"/v1/operator/sessions/{seat.opened['session_id']}")
    await told(page, "Your session is over. Open the game again from your casino")
    await expect(page.locator("#spin")).to_have_attribute("aria-disabled", "true")
    await page.locator("#spin").click(force=True)
    assert len(await seat.rounds()) == 1
    only_refusals(complaints)


async def test_the_limits_of_a_session_are_those_of_the_ladder(platform: dict[str, Any], page: Page) -> None:
    limits = {"max_stake": 200, "min_cycle_ms": 1, "loss_limit": 100_000}
    seat = await seated(platform, "fruit-lines", limits=limits)
    await opened(page, seat)
    stakes = await page.locator("#stake option").all_inner_texts()
    assert stakes == ["€0.10", "€0.20", "€0.50", "€1.00", "€2.00"]
    await play(page)
    await ready(page)
    await page.locator("#open-rules").click()
    await expect(page.locator("#rules-body")).to_contain_text("The most that the session may lose: €1,000.00")


async def test_a_token_is_refreshed_before_it_runs_out(platform: dict[str, Any], page: Page) -> None:
    seat = await seated(platform, "dice")
    await page.clock.install()
    await opened(page, seat)
    async with page.expect_response("**/session/refresh") as refreshed:
        await page.clock.fast_forward("11:59:00")
    fresh = (await (await refreshed.value).json())["token"]
    async with page.expect_request(f"**{BETS}") as bet:
        await play(page)
    assert (await bet.value).headers["authorization"] in {
        f"Bearer {token}" for token in (fresh, seat.opened["token"])
    }
    kept = await page.evaluate("JSON.parse(sessionStorage.getItem('croupier..dice.token'))")
    assert kept == fresh


async def test_a_round_that_is_open_elsewhere_is_finished_first(
    platform: dict[str, Any], page: Page, complaints: Complaints
) -> None:
    """The answer to a bet says so: no push has reached this page."""
    seat = await seated(platform, "lucky-fruits")
    await page.route_web_socket("**/v1/game/ws", lambda socket: None)
    await opened(page, seat)
    for number in itertools.count():
        body = {"round_id": f"elsewhere-{number}", "stake": 10}
        if (await seat.call("POST", BETS, body=body, own=True))["state"] == "awaiting_choice":
            break
    await page.locator("#spin").click()
    await told(page, "Another round of yours is still open.")
    await expect(page.locator("#choices")).to_be_visible()
    only_refusals(complaints)
