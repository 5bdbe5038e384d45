"""A look at a page waits for its style: what is looked at before that is no page that anybody sees."""

import asyncio

from playwright.async_api import Page, Route

from tests.browser.conftest import Screenshots
from tests.browser.looks import Looks

ADDRESS = "http://localhost/slow"
PAGE = """<!doctype html><html lang="en"><title>Slow</title><link rel="stylesheet" href="/slow.css">
<main><h1>Slow</h1><button>One</button><br><button>Two</button></main></html>"""
STYLE = "button { min-height: 44px }"
BEHIND_ITS_WORDS_S = 1.0


async def test_waits_for_the_style_behind_the_words(page: Page, screenshots: Screenshots) -> None:
    async def words(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=PAGE)

    async def style(route: Route) -> None:
        await asyncio.sleep(BEHIND_ITS_WORDS_S)
        await route.fulfill(content_type="text/css", body=STYLE)

    await page.route(ADDRESS, words)
    await page.route("**/slow.css", style)
    await page.goto(ADDRESS, wait_until="commit")
    await page.get_by_role("heading", name="Slow").wait_for()
    found = await Looks(page, screenshots).found()
    assert found.violations_count == 0, found.generate_report()
