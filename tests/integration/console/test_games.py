"""Games as the console shows them: what was counted, what it should be, and whose it is."""

import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from api.console.app import create_app
from api.console.console import COOKIE
from api.console.operator_api import OperatorApi
from contracts.sessions import DEMO
from games.registry import Registry
from storage import game_switches, statistics
from storage.database import Database
from storage.statistics import RoundFact
from tests.integration.console.conftest import URL, Running
from tests.support.acting import BY
from tests.support.ledger import Seat, take_seat

ORIGIN = "http://console.example"
MARKUP = '"><img src=x onerror=alert(1)>'
EVEN = {"direction": "over", "target": 4_999}


@pytest.fixture
async def visitor(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Signed in, with an API that knows the games that come with Croupier."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/games":
            return httpx.Response(200, json={"items": Registry.load().listing()})
        return httpx.Response(404, json={"detail": "no such thing"})

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as api:
        app = create_app(replace(running.console, api=OperatorApi(api)))
        own = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=own, cookies={COOKIE: running.secret}) as http:
            yield http


async def play(seat: Seat, game_id: str, stakes_and_wins: list[tuple[int, int]], **bet: Any) -> None:
    """Settled rounds, and counts those of real money as the statistics consumer does."""
    facts = []
    for stake, win in stakes_and_wins:
        one = seat.bet(stake=stake, game_id=game_id, **bet)
        await seat.reserve(one)
        await seat.settle(one, win)
        facts.append(
            RoundFact(
                event_id=str(uuid4()),
                operator_id=seat.session.operator_id,
                game_id=game_id,
                currency="EUR",
                settled=True,
                stake=stake,
                win=win,
            )
        )
    if not seat.session.demo:
        await statistics.apply(seat.database.pool, facts)


def row_of(page: str, region: str, first: str) -> list[str]:
    """The texts of a row of a table, by its first cell."""
    (table,) = re.findall(rf'aria-label="{region}".*?</table>', page, re.DOTALL)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in table.split("<tr>")[2:]]
    texts = [[html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in row] for row in rows]
    (found,) = [row for row in texts if row[0] == first]
    return found


class TestGames:
    async def test_shows_what_was_counted_beside_what_it_should_be(
        self, visitor: httpx.AsyncClient, seat: Seat
    ) -> None:
        await play(seat, "dice", [(100, 198), (100, 0), (1_000, 0), (1_000, 1_980)], choice=EVEN)
        page = await visitor.get(f"{URL}/games")
        assert page.status_code == 200
        assert row_of(page.text, "Games with real money", "Dice") == [
            *("Dice", "yes", "1.0.0", "4", "22.00 EUR", "21.78 EUR", "99.00%", "99.00%", "within its band"),
        ]
        assert row_of(page.text, "Games with real money", "Fruit Lines")[3] == "0"
        one = await visitor.get(f"{URL}/games/dice")
        currency, rounds, void, turnover, won, theory, actual, band, verdict = row_of(
            one.text, "With real money", "EUR"
        )
        assert (currency, rounds, void, turnover, won) == ("EUR", "4", "0", "22.00 EUR", "21.78 EUR")
        # Three deviations of four rounds: 3 x sqrt(2 x 99^2 + 2 x 990^2) of 2,200.
        assert (theory, actual, band, verdict) == ("99.00%", "99.00%", "0.00% to 290.87%", "within its band")
        assert "1.0.0 in 4 rounds" in one.text

    async def test_says_plainly_when_the_actual_return_is_not_in_its_band(
        self, visitor: httpx.AsyncClient, seat: Seat
    ) -> None:
        sure = {"direction": "under", "target": 9_800}
        await play(seat, "dice", [(10_000, 0)] * 5, choice=sure)
        page = await visitor.get(f"{URL}/games")
        assert row_of(page.text, "Games with real money", "Dice")[6:] == ["99.00%", "0.00%", "below its band"]
        assert '<td class="bad">below its band</td>' in page.text

    async def test_keeps_demo_money_apart(
        self, own: Database, visitor: httpx.AsyncClient, seat: Seat
    ) -> None:
        assert "No round was played with demo money" in (await visitor.get(f"{URL}/games")).text
        demo = await take_seat(own, operator_id=seat.session.operator_id, mode=DEMO)
        await play(demo, "dice", [(100, 198)] * 3, choice=EVEN)
        page = await visitor.get(f"{URL}/games")
        assert row_of(page.text, "Games with real money", "Dice")[3] == "0"
        found = row_of(page.text, "Games with demo money", "Dice")
        assert found == ["Dice", "3", "3.00 EUR", "5.94 EUR", "99.00%", "198.00%", "within its band"]
        one = await visitor.get(f"{URL}/games/dice")
        assert "No round has been counted" in one.text
        assert row_of(one.text, "With demo money", "EUR")[1] == "3"

    async def test_leads_from_each_number_to_the_rounds_behind_it(
        self, visitor: httpx.AsyncClient, seat: Seat
    ) -> None:
        await play(seat, "dice", [(100, 0)] * 2, choice=EVEN)
        await play(seat, "fruit-lines", [(100, 0)] * 3)
        released = seat.bet(game_id="dice")
        await seat.reserve(released)
        await seat.release(released)
        for address in ("/games", "/games/dice"):
            page = await visitor.get(f"{URL}{address}")
            links = [
                html.unescape(link) for link in re.findall(r'href="(/console/rounds\?[^"]+)"', page.text)
            ]
            assert links
            for link in links:
                assert (await visitor.get(f"{ORIGIN}{link}")).status_code == 200
        settled = next(link for link in links if "state=settled" in link)
        assert "<h2>2 rounds</h2>" in (await visitor.get(f"{ORIGIN}{settled}")).text

    async def test_has_nothing_of_another_operator(
        self, own: Database, visitor: httpx.AsyncClient, seat: Seat
    ) -> None:
        rival = await take_seat(own, balance=100_000)
        await play(rival, "dice", [(100, 198)] * 7, choice=EVEN)
        await play(rival, "rivals-game", [(100, 0)])
        await game_switches.switch(
            own.pool, operator_id=rival.session.operator_id, game_id="dice", enabled=False, by=BY
        )
        page = await visitor.get(f"{URL}/games")
        assert "rivals-game" not in page.text
        assert row_of(page.text, "Games with real money", "Dice")[:4] == ["Dice", "yes", "1.0.0", "0"]
        assert (await visitor.get(f"{URL}/games/rivals-game")).status_code == 404

    async def test_shows_a_game_whose_mathematics_are_not_known(
        self, visitor: httpx.AsyncClient, seat: Seat
    ) -> None:
        await play(seat, "theirs", [(100, 200)], game_version="2.0.0")
        page = await visitor.get(f"{URL}/games")
        assert row_of(page.text, "Games with real money", "theirs") == [
            *("theirs", "yes", "not known", "1", "1.00 EUR", "2.00 EUR", "not known", "200.00%", "-"),
        ]
        assert "2.0.0 in 1 round<" in (await visitor.get(f"{URL}/games/theirs")).text

    async def test_has_what_was_played_while_the_api_is_away(
        self, browser: httpx.AsyncClient, seat: Seat
    ) -> None:
        await play(seat, "dice", [(100, 0)], choice=EVEN)
        page = await browser.get(f"{URL}/games")
        assert (page.status_code, "The API has answered 500" in page.text) == (200, True)
        assert row_of(page.text, "Games with real money", "dice")[:3] == ["dice", "yes", "not known"]
        assert (await browser.get(f"{URL}/games/dice")).status_code == 200

    @pytest.mark.parametrize("game_id", [MARKUP, "x" * 65, "a\u0000b", "nothing", "../rounds"])
    async def test_has_no_page_of_a_game_that_there_is_not(
        self, visitor: httpx.AsyncClient, game_id: str
    ) -> None:
        page = await visitor.get(f"{URL}/games/{quote(game_id, safe='')}")
        assert (page.status_code, "<img" in page.text) == (404, False)

    async def test_takes_markup_from_the_tables_as_text(self, visitor: httpx.AsyncClient, seat: Seat) -> None:
        """No API takes such ids: it is as if they had come into the tables by another way."""
        await play(seat, MARKUP, [(100, 0)], game_version=MARKUP)
        listed = await visitor.get(f"{URL}/games")
        one = await visitor.get(f"{URL}/games/{quote(MARKUP, safe='')}")
        for page in (listed, one):
            assert (page.status_code, "<img" in page.text) == (200, False)

    async def test_asks_before_it_switches_and_says_what_the_api_refuses(
        self, visitor: httpx.AsyncClient
    ) -> None:
        path, headers = f"{URL}/games/dice", {"origin": ORIGIN}
        (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', (await visitor.get(path)).text))
        form = {"csrf": csrf, "enabled": "no"}
        asked = await visitor.post(f"{path}/switch", data=form, headers=headers)
        assert (asked.status_code, "Switch Dice off?" in asked.text) == (200, True)
        sent = await visitor.post(
            f"{path}/switch", data={**form, "confirmed": "yes", "reason": "so"}, headers=headers
        )
        assert (sent.status_code, "no such thing" in sent.text) == (404, True)
        for wrong in ({"csrf": csrf}, {"csrf": csrf, "enabled": MARKUP}):
            assert (await visitor.post(f"{path}/switch", data=wrong, headers=headers)).status_code == 404
        assert (
            await visitor.post(f"{path}/switch", data={"enabled": "no"}, headers=headers)
        ).status_code == 403
        assert (await visitor.get(f"{path}/switch")).status_code == 405
        assert (await visitor.post(path, data=form, headers=headers)).status_code == 405
        assert (await visitor.head(path)).status_code == 200
