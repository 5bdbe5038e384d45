"""The console's pages of webhooks and keys in a browser: an agent finds what did not arrive, and sends it
again; an admin gives a colleague a key."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from playwright.async_api import Page, expect

from storage import webhooks
from tests.browser.conftest import Complaints, Screenshots
from tests.browser.looks import Looks
from tests.browser.test_console import signed_in
from tests.e2e.parties import Gateway, Operator
from tests.support.conditions import until
from tests.support.receiver import Receiver, receiving

NAME: Final = 'Anna <img src=x onerror="alert(1)">'


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[Operator]:
    made = await gateway.new_operator()
    yield Operator(gateway, made.operator_id, await gateway.new_key(made.operator_id, scope="admin"))
    await made.forget_webhooks()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(otherwise=503, says=b"<b>down</b> for a while") as made:
        yield made


async def failing(admin: Operator, receiver: Receiver) -> str:
    """A webhook with two events, one of them given up; the id of that one."""
    body = {"url": receiver.url, "types": ["round.settled"]}
    webhook_id = (await admin.call("POST", "/webhooks", json=body)).json()["webhook_id"]
    player = await admin.open_session(balance=10_000)
    await player.played()

    async def given_up() -> bool:
        return bool((await admin.call("GET", f"/webhooks/{webhook_id}")).json()["dead"])

    await until(given_up)
    dead = (await admin.call("GET", f"/webhooks/{webhook_id}/dead")).json()["items"]
    receiver.otherwise = 204
    event = (await player.played())["round_id"]

    async def delivered() -> bool:
        return any(got.event["subject"] == event for got in receiver.received)

    await until(delivered)
    status = await webhooks.listed(admin.gateway.database.pool, operator_id=admin.operator_id)
    assert len(status) == 1
    return str(dead[0]["event_id"])


async def test_an_agent_finds_what_did_not_arrive_and_sends_it_again(
    console: str,
    admin: Operator,
    receiver: Receiver,
    page: Page,
    complaints: Complaints,
    screenshots: Screenshots,
) -> None:
    event_id = await failing(admin, receiver)
    looks = Looks(page, screenshots, of="console", folder="platform")
    await signed_in(page, console, admin.key, "/webhooks")
    table = page.get_by_role("region", name="Webhooks")
    await expect(table).to_contain_text("status-503: <b>down</b> for a while")
    await looks.at("webhooks")
    await table.get_by_role("link", name=receiver.url).click()
    await expect(page.get_by_role("region", name="Deliveries")).to_contain_text("given up")
    await looks.at("webhook")
    await page.get_by_role("link", name=event_id).click()
    await expect(page.get_by_role("region", name="Body")).to_contain_text(f'"id": "{event_id}"')
    await looks.at("delivery")
    await page.get_by_role("button", name="Replay").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Replay the event?")
    await looks.at("confirm")
    await page.get_by_role("button", name="Replay the event").click()
    await expect(page.get_by_role("status")).to_contain_text("being sent again")
    await receiver.until_taken([event_id])
    results = (
        (204, page.get_by_role("status"), "has taken the test"),
        (500, page.get_by_role("alert"), "has not taken"),
    )
    for answer, result, said in results:
        receiver.otherwise = answer
        await page.get_by_role("button", name="Send a test").click()
        await page.get_by_role("button", name="Send a test").click()
        await expect(result).to_contain_text(said)
        await looks.at(f"tested-{answer}")
        await page.get_by_role("link", name="Back to the webhook").click()
    await page.get_by_role("button", name="Disable").click()
    await page.get_by_role("button", name="Disable the webhook").click()
    await expect(page.get_by_role("status")).to_contain_text("Disabled")
    await expect(page.get_by_role("button", name="Enable")).to_be_visible()
    await looks.at("disabled")
    await _enabled_after_the_session_was_over(page, admin, looks)
    complaints.errors.clear()  # the browser reports the 401 by itself
    await page.get_by_role("link", name="Audit log").click()
    entries = page.get_by_role("region", name="Entries")
    for kind in ("webhook-replayed", "webhook-tested", "webhook-changed"):
        await expect(entries).to_contain_text(kind)
    await page.get_by_label("What").select_option("webhook-tested")
    await page.get_by_role("button", name="Show").click()
    await expect(entries.locator("tbody tr")).to_have_count(2)
    await looks.at("audit-acts")


async def _enabled_after_the_session_was_over(page: Page, admin: Operator, looks: Looks) -> None:
    """The form comes when nobody has signed in any more, and leads back to its page."""
    await page.get_by_role("button", name="Enable").click()
    await page.context.clear_cookies()
    await page.get_by_role("button", name="Enable the webhook").click()
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
    await looks.at("over")
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_label("API key").fill(admin.key)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Enable").click()
    await page.get_by_role("button", name="Enable the webhook").click()
    await expect(page.get_by_role("status")).to_contain_text("Enabled")


async def test_an_admin_gives_a_colleague_a_key_and_takes_it_back(
    console: str, admin: Operator, page: Page, complaints: Complaints, screenshots: Screenshots
) -> None:
    looks = Looks(page, screenshots, of="console", folder="platform")
    await signed_in(page, console, admin.key)
    await page.get_by_role("link", name="Keys").click()
    await page.get_by_label("Name").fill(NAME)
    await page.get_by_label("Ends after days").fill("90")
    await page.get_by_role("radio", name="operator").check()
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("main")).to_contain_text(NAME)
    await looks.at("key-confirm")
    await page.get_by_role("button", name="Make the key").click()
    shown = page.locator("code.secret")
    await expect(shown).to_contain_text("crk_")
    key = await shown.inner_text()
    # The picture has a key that is no key.
    await shown.evaluate("(code) => { code.textContent = 'crk_' + '0'.repeat(16) + '_' + 'x'.repeat(43) }")
    await looks.at("key-made")
    assert key not in page.url
    await page.get_by_role("link", name="To the list of keys").click()
    row = page.get_by_role("row", name=NAME)
    await expect(row).to_contain_text("active")
    await expect(page.locator("main img")).to_have_count(0)
    assert key not in await page.content()
    await looks.at("keys")
    await page.go_back()  # the browser sends the form anew
    await expect(page.get_by_role("alert")).to_contain_text("sent before")
    await expect(page.locator("body")).not_to_contain_text(key)
    await looks.at("key-again")
    await page.goto(f"{console}/keys")
    await expect(row).to_have_count(1)
    await row.get_by_role("button", name="Revoke").click()
    await page.get_by_role("button", name="Revoke the key").click()
    await expect(page.get_by_role("status")).to_contain_text("Revoked")
    await expect(row).to_contain_text("revoked")
    await expect(row.get_by_role("button", name="Revoke")).to_have_count(0)
    complaints.errors.clear()  # the browser reports the 409 by itself
