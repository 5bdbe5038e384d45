"""The API reference at /docs: all of both descriptions, found by address and words, tried at the stack."""

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from playwright.async_api import Locator, Page, Route, expect

from api.app import described
from api.gateway.asyncapi import document
from tests.browser.conftest import Complaints, Screenshots
from tests.browser.looks import Looks
from tests.support.curl import path_with_curl

MARKUP: Final = '<img src=x onerror="document.title=1">'
# Opens every entry, and then what can be opened in it.
OPEN_ALL: Final = """async () => {
  for (let round = 0; round < 2; round += 1) {
    for (const closed of document.querySelectorAll("details:not([open])")) closed.open = true;
    await new Promise((done) => setTimeout(done));
    await new Promise((done) => requestAnimationFrame(done));
  }
}"""
DEAD_LINKS: Final = """() => [...document.querySelectorAll("a[href^='#']")]
  .map((link) => link.getAttribute("href"))
  .filter((href) => document.getElementById(decodeURIComponent(href.slice(1))) === null)"""
KEPT: Final = "JSON.stringify([location.href, history.state, {...localStorage}, {...sessionStorage}])"
IDS: Final = "(selector) => [...document.querySelectorAll(selector)].map(({ id }) => id)"


@pytest.fixture
async def reference(platform: dict[str, Any], page: Page) -> Page:
    return await opened(platform, page)


async def opened(platform: dict[str, Any], page: Page, fragment: str = "") -> Page:
    await page.goto("about:blank")  # or the browser would only scroll
    await page.goto(f"{platform['base_url']}/docs{fragment}")
    await expect(page.locator("#found")).to_contain_text("entries")
    return page


def call(page: Page, name: str) -> Locator:
    return page.locator(f"#call-{name}")


async def opened_call(page: Page, name: str) -> Locator:
    entry = call(page, name)
    await entry.locator("> summary").click()
    return entry


def operations() -> set[str]:
    return {call["operationId"] for calls in described()["paths"].values() for call in calls.values()}


async def test_everything_of_both_descriptions_is_on_it(reference: Page, complaints: Complaints) -> None:
    calls, messages = described(), document()
    ids = set(await reference.evaluate(IDS, "details.entry, section"))
    expected = {
        *(f"call-{name}" for name in operations()),
        *(f"tag-{tag['name']}" for tag in calls["tags"]),
        *(f"schema-{name}" for name in calls["components"]["schemas"]),
        *(f"channel-{name}" for name in messages["channels"]),
        *(f"operation-{name}" for name in messages["operations"]),
        *(f"message-{name}" for name in messages["components"]["messages"]),
        *(f"payload-{name}" for name in messages["components"]["schemas"]),
    }
    assert expected - ids == set()
    shown = await reference.locator("details.entry").count()
    assert shown == len([name for name in expected if not name.startswith(("tag-", "channel-"))])
    assert len(operations()) > 40
    await reference.evaluate(OPEN_ALL)
    assert await reference.evaluate(DEAD_LINKS) == []
    text = await reference.locator("main").inner_text()
    assert not re.search(r"undefined|\[object|NaN", text)
    assert complaints.outside == set()


def name_of(page: Page, name: str) -> Locator:
    """Where a field's name stands."""
    return page.locator("code.name", has_text=re.compile(f"^{name}$"))


async def test_a_call_says_what_it_takes_and_answers(reference: Page) -> None:
    bet = await opened_call(reference, "gamePlaceBet")
    for words in (
        *("Session token: The token of a game session.", "Body, application/json", "stake", "more than 0"),
        *("201", "202", "application/problem+json", "insufficient-funds", "Retry-After", "Location"),
    ):
        await expect(bet).to_contain_text(words)
    field = bet.locator("li", has=name_of(reference, "round_id")).first
    await expect(field).to_contain_text("required")
    await expect(field).to_contain_text("matches ^[A-Za-z0-9_-]{1,64}$")
    # A schema is opened where it is used.
    for name, words in (("balance", "in minor units of currency"), ("fairness", "server_seed_hash")):
        lies_in = bet.locator("li", has=name_of(reference, name)).last
        await lies_in.locator("details.nested > summary").first.click()
        await expect(lies_in).to_contain_text(words)
    listed = await opened_call(reference, "operatorRounds")
    await expect(listed).to_contain_text("in the query")
    await listed.locator("details.nested", has_text="RoundState").first.locator("summary").click()
    await expect(listed).to_contain_text('"awaiting_choice"')


async def test_fragments_and_words_lead_to_an_entry(platform: dict[str, Any], page: Page) -> None:
    await opened(platform, page, "#call-gamePlaceBet")
    await expect(call(page, "gamePlaceBet")).to_have_attribute("open", "")
    await expect(call(page, "gamePlaceBet").locator("summary").first).to_be_focused()
    search = page.get_by_label("Search")
    await search.fill("insufficient-funds gamePlaceBet")
    await expect(page.locator("details.entry:visible")).to_have_count(1)
    await expect(page.locator("#found")).to_contain_text("1 of")
    await expect(page.locator("#channels")).to_be_hidden()
    await search.fill("POST transaction_id")  # a field of two bodies
    await expect(page.locator("#calls details.entry:visible")).to_have_count(2)
    await search.fill("nothing has these words")
    await expect(page.locator("#found")).to_contain_text("0 of")
    # What a search hides is shown when an address names it.
    await page.evaluate("location.hash = '#message-RoundSettledEvent'")
    await expect(page.locator("#message-RoundSettledEvent")).to_have_attribute("open", "")
    await expect(search).to_have_value("")
    await page.locator("#message-RoundSettledEvent .own-link").click()
    assert page.url.endswith("/docs#message-RoundSettledEvent")
    for unknown in ("#call-none", "#%E0%A4%A", f"#{MARKUP}"):
        await opened(platform, page, unknown)
        await expect(page.locator("#notice")).to_contain_text("Search for it.")
    await page.get_by_role("navigation").get_by_role("link", name="Events").click()
    await expect(page.locator("#channel-events")).to_be_focused()
    await expect(page.locator("#notice")).to_be_hidden()


async def tried(page: Page, name: str, body: Any = None, **fields: str) -> Locator:
    """The answer's part of a call that was sent."""
    entry = call(page, name)
    if await entry.get_attribute("open") is None:
        await entry.locator("> summary").click()
    form = entry.locator("form")
    for label, value in fields.items():
        await form.get_by_label(label).fill(value)
    if body is not None:
        await form.get_by_label("Body").fill(json.dumps(body))
    await form.get_by_role("button", name="Send").click()
    await expect(form.get_by_role("status")).to_have_text(re.compile(r"^(?!Sending).+"))
    return form


async def test_a_reader_plays_a_bet_and_no_secret_is_kept(
    platform: dict[str, Any], reference: Page, complaints: Complaints, tmp_path: Path
) -> None:
    page, key, player_id = reference, platform["operator_key"], uuid4().hex
    unopened = await tried(page, "operatorKeys")
    await expect(unopened).to_contain_text("401 Unauthorized")
    await expect(unopened).to_contain_text("Enter credentials at the top of the page")
    await page.get_by_label("Operator key").fill(key)
    deposit = {"transaction_id": "t-1", "amount": {"amount": 4503599627370495, "currency": "EUR"}}
    await expect(await tried(page, "operatorDeposit", deposit, player_id="..")).to_contain_text(
        "Enter a value for player_id."
    )
    paid = await tried(page, "operatorDeposit", deposit, player_id=player_id)
    await expect(paid).to_contain_text("201 Created")
    await expect(paid.locator("pre.body")).to_contain_text('"amount": 4503599627370495')
    session = await tried(
        page, "operatorOpenSession", {"player_id": player_id, "game_id": "dice", "currency": "EUR"}
    )
    await session.get_by_role("button", name="Use this session's token").click()
    token = await page.get_by_label("Session token").input_value()
    played = await tried(page, "gamePlaceBet")  # the example
    await expect(played).to_contain_text("201 Created")
    for words in ("x-request-id", '"state": "settled"', "curl -i -X POST"):
        await expect(played).to_contain_text(words)
    again = await tried(page, "gamePlaceBet")
    await expect(again).to_contain_text("idempotent-replayed: true")
    line = await again.locator("pre.curl").inner_text()
    output = await shell(line, token=token, PATH=path_with_curl(tmp_path))
    assert "idempotent-replayed: true" in output.lower()
    listed = await tried(page, "operatorRounds", player_id=player_id)
    await expect(listed.locator("pre.body")).to_contain_text('"round_id": "r-1001"')

    lines = await page.locator("pre.curl").all_inner_texts()
    kept = await page.evaluate(KEPT)
    for secret in (key, token):
        assert not [line for line in [*lines, kept] if secret in line]
    await page.reload()
    await expect(page.get_by_label("Operator key")).to_have_value("")
    complaints.errors.clear()  # the browser reports the 401 by itself


async def shell(line: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "sh", "-euc", line, env=os.environ | environment, stdout=PIPE, stderr=PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


def altered(found: Any, change: Callable[[str], str]) -> Any:
    """Every text of a document, but for what makes it one."""
    if isinstance(found, dict):
        kept = ("$ref", "type", "in", "openapi", "asyncapi", "scheme", "action")
        return {
            name: value if name in kept and isinstance(value, str) else altered(value, change)
            for name, value in found.items()
        }
    if isinstance(found, list):
        return [altered(value, change) for value in found]
    return change(found) if isinstance(found, str) else found


async def test_text_of_data_is_no_markup(platform: dict[str, Any], page: Page) -> None:
    calls = altered(described(), lambda text: text + MARKUP)
    schema = {
        "type": "object",
        "properties": {MARKUP: {"type": MARKUP, "format": MARKUP}},
        "required": [MARKUP],
    }
    calls["components"]["schemas"][MARKUP] = schema
    calls["paths"][f"/{MARKUP}"] = {
        "post": {
            "operationId": MARKUP,
            "tags": [MARKUP],
            "parameters": [{"name": MARKUP, "in": "query", "schema": {"enum": [MARKUP]}}],
            "requestBody": {"content": {MARKUP: {"schema": {"$ref": f"#/components/schemas/{MARKUP}"}}}},
            "responses": {MARKUP: {"description": MARKUP, "headers": {MARKUP: {"schema": schema}}}},
        }
    }
    messages = altered(document(), lambda text: text + MARKUP)
    messages["channels"][MARKUP] = {"address": MARKUP, "bindings": {MARKUP: {MARKUP: MARKUP}}}

    async def calls_described(route: Route) -> None:
        await route.fulfill(json=calls)

    async def messages_described(route: Route) -> None:
        await route.fulfill(json=messages)

    async def answered(route: Route) -> None:
        await route.fulfill(status=200, json={MARKUP: MARKUP}, headers={"x-said": MARKUP})

    await page.route("**/openapi.json", calls_described)
    await page.route("**/asyncapi.json", messages_described)
    await page.route("**/healthz*", answered)
    await opened(platform, page)
    await page.evaluate(OPEN_ALL)
    form = page.locator("details.entry", has_text="/healthz").first.locator("form")
    await form.get_by_role("button", name="Send").click()
    await expect(form.locator("pre.body")).to_contain_text("<img")
    await expect(page.locator("main")).to_contain_text(MARKUP)
    assert await page.locator("img").count() == 0
    assert await page.title() == "API reference · Croupier"


async def to_top(page: Page, selector: str) -> None:
    """Where a picture begins."""
    await page.evaluate("(selector) => document.querySelector(selector).scrollIntoView()", selector)


async def test_it_is_accessible(
    platform: dict[str, Any], page: Page, screenshots: Screenshots, complaints: Complaints
) -> None:
    looks = Looks(page, screenshots, of="reference")
    await page.route("**/asyncapi.json", lambda route: route.fulfill(status=503, body="{}"))
    await page.goto(f"{platform['base_url']}/docs")
    await expect(page.locator("#notice")).to_contain_text("The descriptions could not be read.")
    await looks.at("unread")
    await page.unroute("**/asyncapi.json")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#found")).to_contain_text("entries")
    await expect(page.locator("#notice")).to_be_hidden()
    whole = await looks.found()
    assert whole.violations_count == 0, whole.generate_report()
    # What a search hides looks as what it leaves: axe-core need not see all of it each time.
    search = page.get_by_label("Search")
    await search.fill("player_id")
    await looks.at("start")
    await search.fill("game /v1/games/{game_id}")
    await tried(page, "game", game_id="dice")
    await to_top(page, "#call-game form")
    await looks.at("tried")
    await search.fill("gamePlaceBet")
    await opened_call(page, "gamePlaceBet")
    parts = "[...document.querySelectorAll('#call-gamePlaceBet details')].slice(0, 2)"
    await page.evaluate(f"for (const each of {parts}) each.open = true")
    await to_top(page, "#call-gamePlaceBet")
    await looks.at("call")
    await search.fill("RoundSettledEvent")
    await page.evaluate(
        "for (const name of ['message-RoundSettledEvent', 'operation-publishEvent'])"
        " document.getElementById(name).open = true"
    )
    await to_top(page, "#message-RoundSettledEvent")
    await looks.at("message")
    complaints.errors.clear()  # the browser reports the 503 by itself
