"""The pages of webhooks, read as the console's own role: what is shown of each event, and of no other's."""

import html
import re
from datetime import timedelta
from typing import Final
from uuid import uuid4

import httpx
import pytest

from api.console.webhooks import PAGE_LIMIT
from storage import webhook_views
from storage.database import Database
from tests.integration.console.conftest import URL
from tests.support.ledger import Seat, settled, take_seat

MARKUP: Final = '"><img src=x onerror=alert(1)>'
# As it is after some hours: no API takes such a URL, or such an answer, as these tests have.
NEW: Final = """
    INSERT INTO webhooks (id, operator_id, url, types, sealed_secrets, disabled, cursor, created_at)
    SELECT $1, $2::text, $3, $4::text[], 'sealed', $5, coalesce(max(id), 0), clock_timestamp() - $6::interval
    FROM outbox WHERE operator_id = $2::text
"""
FAILED: Final = """
    INSERT INTO webhook_deliveries (webhook_id, event_id, state, attempts, last_error, dead_at)
    VALUES ($1, $2, $3::text, 4, $4, CASE WHEN $3::text = 'dead' THEN clock_timestamp() END)
"""


async def new_webhook(
    own: Database,
    seat: Seat,
    url: str = "https://shop.example/croupier",
    *,
    types: list[str] | None = None,
    disabled: str | None = None,
) -> str:
    """One that has come to all that there is, and wants it."""
    webhook_id = uuid4().hex
    await own.pool.execute(
        NEW, webhook_id, seat.session.operator_id, url, types, disabled, timedelta(hours=1)
    )
    return webhook_id


def shown(page: httpx.Response) -> list[tuple[str, str]]:
    """The events of a page, with their states."""
    found = re.findall(r"<tr><td>.*?/deliveries/([0-9a-f-]{36})\">.*?</tr>", page.text)
    states = re.findall(r"<td>([^<]+)</td><td class=\"number\">\d*</td><td class=\"long\">", page.text)
    return list(zip(found, map(html.unescape, states), strict=True))


async def test_each_event_is_shown_as_it_stands(
    own: Database, browser: httpx.AsyncClient, seat: Seat
) -> None:
    earlier = await settled(seat, 3)
    webhook_id = await new_webhook(own, seat, types=["round.settled"])
    later = await settled(seat, 1)
    for event_id, state in ((earlier[0], "dead"), (earlier[1], "pending")):
        await own.pool.execute(FAILED, webhook_id, event_id, state, f"status-500: {MARKUP}")
    page = await browser.get(f"{URL}/webhooks/{webhook_id}")
    assert shown(page) == [
        (later[0], "not yet sent"),
        (earlier[2], "delivered"),
        (earlier[1], "failed, and is being retried"),
        (earlier[0], "given up"),
    ]
    answers = {
        later[0]: "There is none yet",
        earlier[2]: "It was a success",
        earlier[1]: "After 4 failed attempts, the last: status-500:",
        earlier[0]: "After 4 failed attempts, the last: status-500:",
    }
    for event_id, answer in answers.items():
        delivery = await browser.get(f"{URL}/webhooks/{webhook_id}/deliveries/{event_id}")
        assert answer in delivery.text
        assert f"&#34;id&#34;: &#34;{event_id}&#34;" in delivery.text
        assert ("Replay</button>" in delivery.text) is (event_id == earlier[0])
        assert "<img" not in delivery.text
    await own.pool.execute("UPDATE webhooks SET disabled = 'gone' WHERE id = $1", webhook_id)
    disabled = await browser.get(f"{URL}/webhooks/{webhook_id}")
    assert shown(disabled)[0] == (later[0], "not sent, the webhook is disabled")
    assert "the endpoint answered 410 Gone" in disabled.text


async def test_urls_and_answers_with_markup_are_text(
    own: Database, browser: httpx.AsyncClient, seat: Seat
) -> None:
    webhook_id = await new_webhook(own, seat, MARKUP, types=[MARKUP])
    await own.pool.execute("UPDATE webhooks SET last_error = $2 WHERE id = $1", webhook_id, MARKUP)
    for path in ("/webhooks", f"/webhooks/{webhook_id}"):
        page = await browser.get(f"{URL}{path}")
        assert page.status_code == 200
        assert page.text.count("&lt;img") > 2
        assert "<img" not in page.text


async def test_deliveries_are_read_page_by_page_also_where_few_events_are_wanted(
    own: Database, browser: httpx.AsyncClient, seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await settled(seat, PAGE_LIMIT + 3)
    every, rare = [
        await new_webhook(own, seat, types=[type_]) for type_ in ("round.settled", "wallet.deposited")
    ]
    found = await _walked(browser, f"/webhooks/{every}")
    assert [event_id for page in found for event_id, _ in page] == ids[::-1]
    assert [len(page) for page in found[:1]] == [PAGE_LIMIT]
    # The deposit is the oldest of all: a look that goes back over ten events has none to show, and leads on.
    monkeypatch.setattr(webhook_views, "WINDOW", 10)
    pages = await _walked(browser, f"/webhooks/{rare}")
    assert [len(page) for page in pages] == [0] * (len(pages) - 1) + [1]
    assert len(pages) > PAGE_LIMIT // 10


async def _walked(browser: httpx.AsyncClient, path: str) -> list[list[tuple[str, str]]]:
    pages, href = [], f"/console{path}"
    while True:
        page = await browser.get(f"http://console.example{href}")
        pages.append(shown(page))
        older = re.findall(r'href="([^"]+cursor=[^"]+)"', page.text)
        if not older:
            return pages
        href = html.unescape(older[0])


async def test_other_operators_webhooks_and_events_are_not_there(
    own: Database, browser: httpx.AsyncClient, seat: Seat
) -> None:
    rival = await take_seat(own, balance=1_000)
    (theirs,) = await settled(rival, 1)
    rivals_webhook, webhook_id = await new_webhook(own, rival), await new_webhook(own, seat)
    assert rivals_webhook not in (await browser.get(f"{URL}/webhooks")).text
    page = await browser.get(f"{URL}/webhooks/{webhook_id}")
    assert theirs not in page.text
    for path in (
        f"/webhooks/{rivals_webhook}",
        f"/webhooks/{rivals_webhook}/deliveries/{theirs}",
        f"/webhooks/{webhook_id}/deliveries/{theirs}",
        f"/webhooks/{MARKUP}",
    ):
        answer = await browser.get(f"{URL}{path}")
        assert (answer.status_code, "<img" in answer.text) == (404, False), path
