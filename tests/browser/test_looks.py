"""A check of a page waits for its stylesheets: a browser shows a script the page's text before them."""

import asyncio

import pytest
from playwright.async_api import Page, Route

from tests.browser.conftest import Screenshots
from tests.browser.looks import Looks

ADDRESS = "http://localhost/slow"
PAGE = """<!doctype html><html lang="en"><title>Slow</title><link rel="stylesheet" href="/slow.css">
<main><h1>Slow</h1><button>One</button><br><button>Two</button></main></html>"""
STYLE = "button { min-height: 44px }"


async def test_waits_for_a_late_stylesheet(
    page: Page, screenshots: Screenshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stylesheet comes when somebody waits for the page to load, and never to who does not."""
    waited_for = asyncio.Event()
    until_loaded = page.wait_for_load_state

    async def text(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=PAGE)

    async def stylesheet(route: Route) -> None:
        await waited_for.wait()
        await route.fulfill(content_type="text/css", body=STYLE)

    async def wait_for_load_state() -> None:
        waited_for.set()
        await until_loaded()

    monkeypatch.setattr(page, "wait_for_load_state", wait_for_load_state)
    await page.route(ADDRESS, text)
    await page.route("**/slow.css", stylesheet)
    await page.goto(ADDRESS, wait_until="commit")
    await page.get_by_role("heading", name="Slow").wait_for()
    found = await Looks(page, screenshots).found()
    assert found.violations_count == 0, found.generate_report()
