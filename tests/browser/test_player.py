"""A player opens a launch URL and plays: by button, space bar and touch, whatever happens to page, line or server."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Screenshots
from tests.browser.player import DEPOSIT, opened, play, seated, shown

GAMES = ("dice", "fruit-lines", "lucky-fruits")


@pytest.mark.parametrize("game_id", GAMES)
async def test_a_launch_url_opens_a_game_that_plays(
    platform: dict[str, Any], page: Page, screenshots: Screenshots, game_id: str
) -> None:
    seat = await seated(platform, game_id)
    await opened(page, seat)
    assert "token" not in page.url
    await screenshots.take(page, f"game/player-{game_id}.png")
    for _ in range(3):
        await play(page)
    assert await shown(page, "balance") == await seat.balance()
    await screenshots.take(page, f"game/player-{game_id}-played.png")
    assert {found["round_id"] for found in await seat.rounds()} == seat.bets
