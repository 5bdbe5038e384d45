"""A player at the page of a game, in a browser: a seat at the casino, what is shown, and what is pressed."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from playwright.async_api import FrameLocator, Page, Request, expect

from tests.support.conditions import HANG_S
from tests.support.http import http_client

DEPOSIT: Final = 1_000_000
BETS: Final = "/v1/game/rounds"
READY: Final = re.compile("Spin|Roll|Play")


@dataclass
class Seat:
    """A player with money and a session, opened by the operator. `bets` are the ids that the page sent."""

    base_url: str
    operator_key: str
    player_id: str
    game_id: str
    opened: dict[str, Any]
    bets: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        launch_url: str = self.opened["launch_url"]
        return launch_url

    async def call(self, method: str, path: str, *, body: Any = None, own: bool = False) -> dict[str, Any]:
        """As the player with `own`, else as the operator."""
        key = self.opened["token"] if own else self.operator_key
        async with http_client(base_url=self.base_url, timeout=HANG_S) as http:
            headers = {"Authorization": f"Bearer {key}"}
            answer = await http.request(method, path, json=body, headers=headers)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told

    async def rounds(self) -> list[dict[str, Any]]:
        """All of them, newest first."""
        items: list[dict[str, Any]] = (await self.call("GET", f"{BETS}?limit=100", own=True))["items"]
        return items

    async def balance(self) -> int:
        amount: int = (await self.call("GET", "/v1/game/balance", own=True))["balance"]["amount"]
        return amount

    def note_bets(self, page: Page) -> None:
        """From now on, what the page sends."""

        def noted(request: Request) -> None:
            if request.method == "POST" and request.url.endswith(BETS):
                self.bets.add(json.loads(request.post_data or "")["round_id"])

        page.on("request", noted)


async def seated(
    platform: dict[str, Any],
    game_id: str,
    *,
    base_url: str | None = None,
    deposit: int = DEPOSIT,
    **session: Any,
) -> Seat:
    """A new player; `session` is what the operator says of it beside player, game and currency."""
    player_id = uuid4().hex
    seat = Seat(base_url or platform["base_url"], platform["operator_key"], player_id, game_id, {})
    if deposit:
        money = {"transaction_id": "first", "amount": {"amount": deposit, "currency": "EUR"}}
        await seat.call("POST", f"/v1/operator/players/{player_id}/deposits", body=money)
    body = {"player_id": player_id, "game_id": game_id, "currency": "EUR", **session}
    seat.opened = await seat.call("POST", "/v1/operator/sessions", body=body)
    return seat


async def opened(page: Page, seat: Seat) -> None:
    """The game, ready for a bet."""
    seat.note_bets(page)
    await page.goto(seat.url)
    await ready(page)


async def ready(page: Page) -> None:
    await expect(page.locator("#spin")).to_have_text(READY)
    await expect(page.locator("#spin")).to_have_attribute("aria-disabled", "false")


async def finish(page: Page | FrameLocator, *, last: bool = False) -> None:
    """Takes the first choice of each offer, or the last, until the round has ended."""
    body = page.locator("body")
    while True:
        await expect(body).to_have_attribute("data-phase", re.compile("idle|choosing"))
        if await body.get_attribute("data-phase") == "idle":
            return
        offers = page.locator("#offers button")
        await (offers.last if last else offers.first).click()


async def play(page: Page, *, last: bool = False) -> None:
    """One round to its end."""
    await page.locator("#spin").click()
    await finish(page, last=last)


async def play_until_a_choice(page: Page) -> None:
    """Rounds of lucky-fruits, until one waits for its player."""
    while True:
        await page.locator("#spin").click()
        await expect(page.locator("body")).to_have_attribute("data-phase", re.compile("idle|choosing"))
        if await page.locator("#choices").is_visible():
            return


def euros(text: str) -> int:
    """Minor units of an amount that the page shows."""
    assert re.fullmatch(r"€[\d,]+\.\d\d", text), text
    return int(re.sub(r"[€,.]", "", text))


async def shown(page: Page, what: str) -> int:
    """Minor units of `balance` or `win`."""
    return euros(await page.locator(f"#{what}").inner_text())
