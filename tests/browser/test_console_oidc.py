"""A person signs in at an issuer of another site, looks at a round, decides, is on record, and signs out."""

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from contracts.rounds import RoundState
from storage import rounds
from tests.browser.conftest import Complaints, Screenshots
from tests.browser.looks import Looks
from tests.conftest import Services
from tests.e2e.oidc import PERSON, House, house, of
from tests.e2e.parties import Gateway


@pytest.fixture(scope="module")
async def served(services: Services, gateway: Gateway) -> AsyncIterator[House]:
    """The console is at 127.0.0.1 and the issuer at localhost: two sites to a browser."""
    async with house(services.stack, "oidc-browser", host="localhost") as found:
        yield found


async def test_a_person_of_another_site_signs_in_decides_and_is_named(
    served: House, gateway: Gateway, page: Page, screenshots: Screenshots
) -> None:
    host = await gateway.new_operator()
    player = await host.open_session(balance=1_000)
    bet = player.stored_bet(uuid4().hex)
    assert (await rounds.reserve(gateway.database.pool, bet)).state is RoundState.PENDING
    served.provider.person = of(host.operator_id)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    await page.goto(f"{served.console}/rounds/{bet.key.round_id}")
    await Looks(page, screenshots, of="console", folder="platform").at("sign-in-account")
    await page.get_by_role("link", name=re.compile("Sign in at localhost")).click()
    await page.get_by_role("link", name=f"Go on as {PERSON}").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Round {bet.key.round_id}")
    await expect(page.get_by_role("banner")).to_contain_text(f"oidc:{PERSON}, support")
    (cookie,) = [one for one in await page.context.cookies() if one["name"].startswith("croupier")]
    assert (cookie["name"], cookie["sameSite"], cookie["secure"]) == ("croupier_console", "Strict", True)
    await page.get_by_label("Void.").check()
    await page.get_by_label("Reason").fill("ticket 4711")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("main")).to_contain_text(f"oidc:{PERSON}")
    await page.get_by_role("button", name=re.compile("Void")).click()
    await expect(page.locator("main")).to_contain_text(f"oidc:{PERSON}")
    await page.goto(f"{served.console}/audit")
    await expect(page.get_by_role("row").filter(has_text=bet.key.round_id)).to_contain_text(f"oidc:{PERSON}")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    assert served.provider.left == 1
    assert await page.context.cookies() == []
    tokens = [one for one in served.provider.given if one.count(".") == 2]
    assert tokens
    assert [one for one in tokens for address in addresses if one in address] == []


async def test_a_viewer_finds_no_way_to_decide(
    served: House, gateway: Gateway, page: Page, complaints: Complaints
) -> None:
    host = await gateway.new_operator()
    player = await host.open_session(balance=1_000)
    bet = player.stored_bet(uuid4().hex)
    assert (await rounds.reserve(gateway.database.pool, bet)).state is RoundState.PENDING
    served.provider.person = of(host.operator_id, "game")
    await page.goto(f"{served.console}/rounds/{bet.key.round_id}")
    await page.get_by_role("link", name=re.compile("Sign in at localhost")).click()
    await page.get_by_role("link", name=f"Go on as {PERSON}").click()
    await expect(page.locator("main")).to_contain_text("You only read here")
    await expect(page.get_by_role("button", name="Preview")).to_have_count(0)
    assert (await host.call("POST", f"/rounds/{bet.key.round_id}/void", json={"reason": "end"})).is_success


async def test_who_was_not_let_in_signs_in_with_a_key_on_the_same_page(
    served: House, gateway: Gateway, page: Page, complaints: Complaints
) -> None:
    host = await gateway.new_operator()
    await page.goto(f"{served.console}/sign-in/done?state=of-nobody&code=x")
    await expect(page.get_by_role("alert")).to_contain_text("not begun in this browser")
    await page.get_by_label("API key").fill(host.key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    complaints.errors.clear()  # the browser reports the 401 by itself
