"""A casino's page with a game in a frame, and a foreign page: three origins that no machine has."""

from typing import Any, Final
from urllib.parse import urlencode

from playwright.async_api import Frame, Page, Route

from runtime.settings import PROJECT_ROOT

CASINO, GAME, FOREIGN = "https://casino.example", "https://games.example", "https://foreign.example"
MODULES: Final = {
    "/frame-of-casino.js": "pages/shared/client/frame.js",
    "/frame-of-game.js": "pages/shared/frame.js",
}
CASINO_PAGE: Final = """<!doctype html><title>casino</title><div id="place"></div>
<script type="module">
  import { CroupierFrame } from "/frame-of-casino.js";
  window.heard = [];
  window.raw = [];
  addEventListener("message", (event) => window.raw.push([event.origin, event.data]));
  window.launch = (url, types, options = {}) => {
    const on = Object.fromEntries(types.map((type) => [type, (said) => window.heard.push([type, said])]));
    window.game = new CroupierFrame(document.getElementById("place"), url, { on, ...options });
  };
</script>"""
GAME_PAGE: Final = """<!doctype html><title>game</title>
<script type="module">
  import { openFrame, readLaunch, withoutToken } from "/frame-of-game.js";
  window.asked = [];
  window.raw = [];
  addEventListener("message", (event) => window.raw.push([event.origin, event.data]));
  window.read = readLaunch;
  window.launch = readLaunch(location);
  window.withoutToken = withoutToken;
  window.frame_ = openFrame(window.launch);
  for (const command of ["refresh", "pause", "resume"]) frame_.on(command, () => window.asked.push(command));
</script>"""
FOREIGN_PAGE: Final = """<!doctype html><title>foreign</title><iframe></iframe>"""
PAGES: Final = {
    f"{CASINO}/lobby": "<!doctype html><title>the lobby</title>",
    f"{CASINO}/": CASINO_PAGE,
    f"{GAME}/play": GAME_PAGE,
    f"{FOREIGN}/": FOREIGN_PAGE,
}
EVERYTHING: Final = ["ready", "busy", "idle", "balance", "win", "exit", "deposit", "history", "error"]
READY: Final = {"game": "dice", "version": "2", "mode": "demo", "currency": "EUR"}


async def _answer(route: Route) -> None:
    address = route.request.url.partition("#")[0].partition("?")[0]
    for path, file in MODULES.items():
        if address.endswith(path):
            script = (PROJECT_ROOT / file).read_text(encoding="utf-8")
            await route.fulfill(body=script, content_type="text/javascript")
            return
    if address in PAGES:
        await route.fulfill(body=PAGES[address], content_type="text/html")
    else:
        await route.fulfill(status=404, body="")


async def opened(page: Page, address: str = f"{CASINO}/") -> Page:
    """The page at one of the three origins."""
    for origin in (CASINO, GAME, FOREIGN):
        await page.route(f"{origin}/**", _answer)
    await page.goto(address)
    return page


def launch_url(**told: str) -> str:
    return f"{GAME}/play?{urlencode({'game': 'dice', **told})}#token=the-token"


async def launched(page: Page, url: str, handled: list[str] = EVERYTHING, **options: Any) -> Frame:
    """The game in its frame, when its script has run."""
    await page.wait_for_function("window.launch !== undefined")
    await page.evaluate("([url, handled, options]) => launch(url, handled, options)", [url, handled, options])
    return await game_in(page)


async def content_of(page: Page, selector: str) -> Frame:
    """What an iframe shows."""
    element = await page.wait_for_selector(selector)
    assert element is not None
    frame = await element.content_frame()
    assert frame is not None
    return frame


async def game_in(page: Page) -> Frame:
    frame = await content_of(page, "iframe")
    await frame.wait_for_function("window.frame_ !== undefined")
    return frame


async def heard(page: Page, count: int) -> list[Any]:
    """What the casino's page was told, when it was told so often."""
    await page.wait_for_function("(count) => heard.length >= count", arg=count)
    found: list[Any] = await page.evaluate("heard")
    return found


async def received(where: Page | Frame, count: int) -> None:
    """When so many messages have arrived there, whatever was made of them."""
    await where.wait_for_function("(count) => raw.length >= count", arg=count)
