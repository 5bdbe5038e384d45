"""The console in a browser: an agent finds a stuck round, reads why, resolves it, and it is on record."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from contracts.reconciliation import Finding, IncidentKind
from operator_wallet.faults import Kind
from storage import incidents
from tests.browser.conftest import Complaints, Screenshots
from tests.browser.looks import Looks
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator
from tests.support.conditions import until
from tests.support.operator_wallet import RunningWallet, running_wallet
from tests.support.wallet_settings import program_settings, set_wallet

REASON: Final = 'ticket 4711 <img src=x onerror="alert(1)">'
NO_WIN: Final = {"rates": {Kind.ERROR_BEFORE: 1.0}, "only": ["win"]}

POSTED: Final = "SELECT kind FROM transfers WHERE reference = $1 ORDER BY position"


@dataclass(frozen=True, slots=True)
class StuckRound:
    """A round of an operator whose wallet takes no win."""

    operator: Operator
    round_id: str
    player_id: str


@pytest.fixture(scope="module")
async def stuck(gateway: Gateway, services: Services) -> AsyncIterator[StuckRound]:
    async with running_wallet() as wallet:
        yield await stuck_round(gateway, services, wallet)


async def stuck_round(gateway: Gateway, services: Services, wallet: RunningWallet) -> StuckRound:
    operator = await gateway.new_operator()
    await set_wallet(program_settings(services.stack), operator.operator_id, wallet.url, wallet.secret)
    player, round_id = await operator.open_session(), uuid4().hex
    wallet.book.open_player(operator.operator_id, player.player_id, "EUR", 10_000)

    async def known() -> bool:
        return (await player.bet()).status_code == 201

    await until(known)
    await wallet.set_faults(**NO_WIN)
    await player.bet(round_id)

    async def settling() -> bool:
        return bool((await operator.call("GET", f"/rounds/{round_id}")).json()["state"] == "settling")

    await until(settling)
    return StuckRound(operator, round_id, player.player_id)


async def _incident(stuck: StuckRound) -> None:
    """What reconciliation would have found after an hour."""
    finding = Finding(
        kind=IncidentKind.STUCK,
        subject=f"{stuck.operator.operator_id}:{stuck.round_id}",
        operator_id=stuck.operator.operator_id,
        round_id=stuck.round_id,
        game_id="dice",
        detail={"state": "settling", "since": "2026-11-27T19:30:00Z"},
    )
    await incidents.note(stuck.operator.gateway.database.pool, finding)


async def signed_in(page: Page, console: str, key: str, path: str = "/rounds") -> None:
    await page.goto(f"{console}{path}")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def test_an_agent_finds_a_stuck_round_reads_why_and_resolves_it(
    console: str, stuck: StuckRound, page: Page, screenshots: Screenshots
) -> None:
    looks = Looks(page, screenshots, of="console", folder="platform")
    await page.goto(f"{console}/rounds?state=settling")
    await looks.at("sign-in")
    await signed_in(page, console, stuck.operator.key, "/rounds?state=settling")
    assert page.url.endswith("/rounds?state=settling")
    await looks.at("rounds")
    await page.get_by_role("link", name=stuck.round_id).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Round {stuck.round_id}")
    await expect(page.get_by_role("region", name="Calls of the wallet")).to_contain_text("win")
    await expect(page.get_by_text("Nobody has decided")).to_be_visible()
    await expect(page.locator("main")).to_contain_text("1.00 EUR are held since")
    await expect(page.locator("main")).not_to_contain_text("100 EUR")
    await looks.at("round")
    await page.get_by_label("Paid outside.").check()
    await page.get_by_label("Reason").fill(REASON)
    await page.get_by_role("button", name="Preview").click()
    await expect(page.get_by_role("region", name="Postings")).to_contain_text("house")
    previewed = (
        await page.get_by_role("region", name="Postings").locator("tbody td:first-child").all_inner_texts()
    )
    await looks.at("preview")
    await page.get_by_role("button", name="Paid outside").click()
    await expect(page.get_by_role("status")).to_contain_text("Paid outside: taken")
    decided = page.get_by_role("region", name="Decisions of people")
    await expect(decided).to_contain_text(f"key:{stuck.operator.key.split('_')[1]}")
    await expect(decided).to_contain_text(REASON)
    await expect(page.locator("main img")).to_have_count(0)
    await looks.at("decided")
    await screenshots.take(page.locator(".drawn"), "platform/console-time-line.png")
    await page.get_by_role("link", name="Audit log").click()
    await expect(page.get_by_role("region", name="Entries")).to_contain_text(REASON)
    await looks.at("audit")
    await page.get_by_role("region", name="Entries").get_by_role("link", name=stuck.round_id).click()
    await page.get_by_role("link", name=stuck.player_id).click()
    await expect(page.get_by_role("region", name="Statement")).to_contain_text("collected")
    await looks.at("player")
    await _incident(stuck)
    await page.get_by_role("link", name="Incidents").click()
    await expect(page.get_by_role("heading", level=2)).to_contain_text("stuck")
    await looks.at("incidents")
    await page.goto(f"{console}/rounds/{stuck.round_id}")
    await page.get_by_role("link", name="Replay").click()
    await expect(page.get_by_role("status")).to_contain_text("The same came out")
    await looks.at("replay")
    record = (await stuck.operator.call("GET", f"/rounds/{stuck.round_id}")).json()
    assert record["state"] == "settled"
    open_ones = await incidents.of_operator(
        stuck.operator.gateway.database.pool, stuck.operator.operator_id, resolved_too=False, limit=1
    )
    await incidents.resolve(stuck.operator.gateway.database.pool, open_ones[0].incident_id)
    posted = await stuck.operator.gateway.database.pool.fetch(POSTED, stuck.round_id)
    assert [row["kind"] for row in posted] == ["collected", *previewed]
    assert [one["reason"] for one in record["interventions"]] == [REASON]


async def test_another_operator_and_a_signed_out_browser_see_nothing_of_it(
    console: str,
    gateway: Gateway,
    stuck: StuckRound,
    page: Page,
    complaints: Complaints,
    screenshots: Screenshots,
) -> None:
    rival = await gateway.new_operator()
    await signed_in(page, console, rival.key)
    await expect(page.get_by_text("No round passes this filter")).to_be_visible()
    answer = await page.goto(f"{console}/rounds/{stuck.round_id}")
    assert answer is not None
    assert answer.status == 404
    await Looks(page, screenshots, of="console", folder="platform").at("nothing")
    (cookie,) = await page.context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await page.context.cookies() == []
    await page.go_back()
    await page.reload()
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.get_by_label("API key").fill("crk_of_nobody")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("opens nothing")
    complaints.errors.clear()  # the browser reports the 404 and the 401 by itself


async def test_a_link_of_another_site_leads_whoever_has_signed_in_to_the_round(
    console: str, stuck: StuckRound, page: Page
) -> None:
    await signed_in(page, console, stuck.operator.key)
    ticket = f"<!doctype html><title>ticket</title><a href='{console}/rounds/{stuck.round_id}'>the round</a>"

    async def shows(route: Any) -> None:
        await route.fulfill(body=ticket, content_type="text/html")

    await page.route("https://tickets.example/**", shows)
    await page.goto("https://tickets.example/4711")
    await page.get_by_role("link", name="the round").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Round {stuck.round_id}")
