"""The player's page is quick: a spin within two seconds of opening, a result within 100 ms of its answer.

Other work of the machine makes any one try late, and none early. So what counts is the best of several tries:
one within the bound shows that the page's own cost is, and a page that is slow by itself has none.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from playwright.async_api import Page

from tests.browser.player import BETS, finish, ready, seated

OPEN_MS: Final = 2_000
SHOWN_MS: Final = 100
TRIES: Final = 20

# Times are taken in the page, when the frame that has the change has been drawn.
WATCHED: Final = """
  window.drawn = (done) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => done(performance.now());
    port2.postMessage(null);
  });
  window.whenever = (holds) => new Promise((done) => {
    const look = () => holds() && (observer.disconnect(), drawn(done));
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
    look();
  });
"""
FIRST_SPIN: Final = """
  window.opened = whenever(() => document.getElementById("spin")?.getAttribute("aria-disabled") === "false"
    && document.body.dataset.phase === "idle");
"""
# From the end of a bet's answer until the reels have stopped; where nothing moves, the win is told too.
RESULT: Final = """async ([bets, motion]) => {
  const stage = document.getElementById("stage");
  const told = () => motion === "no-preference" || document.getElementById("win").textContent.includes("€");
  const before = performance.getEntriesByType("resource").length;
  document.getElementById("spin").click();
  if (!stage.classList.contains("spinning")) throw new Error("it does not spin");
  const shown = await whenever(() => !stage.classList.contains("spinning") && told());
  const since = () => performance.getEntriesByType("resource").slice(before);
  const own = () => since().filter(({ name }) => name.endsWith(bets));
  while (own().length === 0) await new Promise((done) => setTimeout(done));
  return shown - own()[0].responseEnd;
}"""


async def best(tries: Callable[[], Awaitable[float]], bound_ms: float) -> float:
    """Of as many as are needed for one within the bound, and not more than TRIES."""
    found = await tries()
    for _ in range(TRIES - 1):
        if found < bound_ms:
            break
        found = min(found, await tries())
    return found


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_it_is_quick(platform: dict[str, Any], page: Page, motion: Any) -> None:
    seat = await seated(platform, "fruit-lines")
    await page.emulate_media(reduced_motion=motion)
    await page.add_init_script(WATCHED + FIRST_SPIN)

    async def opening() -> float:
        await page.goto("about:blank")
        await page.goto(seat.url)
        waited: float = await page.evaluate("window.opened")
        return waited

    async def spinning() -> float:
        took: float = await page.evaluate(RESULT, [BETS, motion])
        await finish(page)
        await ready(page)
        return took

    assert await best(opening, OPEN_MS) < OPEN_MS
    assert await best(spinning, SHOWN_MS) < SHOWN_MS
