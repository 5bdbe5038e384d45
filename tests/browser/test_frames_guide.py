"""docs/game/frames.md: its example shows a game, in a page that is served beside it."""

from typing import Any, Final
from urllib.parse import urlencode

from playwright.async_api import ConsoleMessage, Page, expect

from tests.browser.player import finish, seated
from tests.integration.test_guides import blocks

EXAMPLE: Final = """<!doctype html><title>casino</title><main></main>
<script type="module">
  import {{ CroupierFrame }} from "/pages/shared/client/frame.js";
  const launchUrl = new URLSearchParams(location.hash.slice(1)).get("url");
  {example}
  window.frame_ = frame;
</script>"""


async def test_the_example_shows_a_game_hears_a_win_and_takes_it_away(
    platform: dict[str, Any], page: Page
) -> None:
    (example,) = blocks("game/frames.md", "ts")
    seat = await seated(platform, "dice")
    wins: list[ConsoleMessage] = []
    page.on("console", lambda said: wins.append(said) if said.type == "log" else None)
    body = EXAMPLE.format(example=example)
    await page.route("**/casino", lambda route: route.fulfill(body=body, content_type="text/html"))
    await page.goto(f"{seat.base_url}/casino#{urlencode({'url': seat.url})}")
    game = page.frame_locator("iframe")
    spin = game.locator("#spin")
    await expect(spin).to_have_text("Paused by the casino")  # as the example asks
    await page.evaluate("frame_.resume()")
    await expect(spin).to_have_attribute("aria-disabled", "false")
    won = 0
    while not won:
        await spin.click()
        await finish(game)
        await expect(spin).to_have_attribute("aria-disabled", "false")
        won = (await seat.rounds())[0]["win"]["amount"]
    while not wins:
        await page.wait_for_event("console")
    (said,) = wins
    assert (await said.args[0].json_value())["amount"] == won
    await page.evaluate("frame_.refresh()")
    await game.locator("#exit").click()
    await expect(page.locator("iframe")).to_have_count(0)
