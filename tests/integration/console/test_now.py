"""The page "now" and its stream: what an operator sees of this moment, and for how long."""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from api.console.console import COOKIE
from api.console.live import STREAMS_OF_SESSION, Live
from api.console.now import numbers
from contracts.reconciliation import Finding, IncidentKind
from contracts.rounds import Bet
from contracts.sessions import DEMO
from contracts.wallet import WalletAnswer, WalletCall, WalletRequest, WalletVerdict
from runtime.settings import Settings
from storage import incidents, operator_wallets, operators, outbox
from storage.database import Database
from tests.integration.console.conftest import URL, Running
from tests.support.acting import BY
from tests.support.conditions import HANG_S, until
from tests.support.ledger import Seat, take_seat
from workers.https_server import Place

ORIGIN: Final = "http://console.example"
# However slow the machine is, a round of ten minutes from now is young.
TO_COME: Final = "-00:10:00"
MARKUP: Final = '"><img src=x onerror=alert(1)>'
QUICK_S: Final = 0.02
AGED: Final = "UPDATE rounds SET created_at = created_at - $2::text::interval WHERE round_id = $1"
WEBHOOK: Final = """
    INSERT INTO webhooks (id, operator_id, url, sealed_secrets, cursor)
    VALUES ($1, $2, $3, 'sealed', 1000000000)
"""
DELIVERY: Final = """
    INSERT INTO webhook_deliveries (webhook_id, event_id, state, attempts, last_error, dead_at)
    VALUES ($1, $2, $3::text, 1, 'no', CASE WHEN $3::text = 'dead' THEN clock_timestamp() END)
"""
WALLET: Final = """
    INSERT INTO operator_wallets (operator_id, url, dialect, sealed_secrets)
    VALUES ($1, 'https://wallet.example', 'croupier', '')
"""
LATE: Final = """
    UPDATE outbox SET occurred_at = occurred_at - interval '1 hour', published_at = NULL
    WHERE operator_id = $1
"""
PUBLISHED: Final = "UPDATE outbox SET published_at = published_at - interval '1 hour' WHERE operator_id = $1"


def table(page: str, key: str) -> list[list[tuple[str, str | None]]]:
    """The rows of a panel: of each cell its text, and where it leads to."""
    (body,) = re.findall(rf'<tbody id="{key}">(.*?)</tbody>', page, re.DOTALL)
    return [
        [_cell(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def _cell(text: str) -> tuple[str, str | None]:
    if link := re.fullmatch(r'<a href="([^"]+)">(.*)</a>', text):
        return html.unescape(link[2]), html.unescape(link[1])
    return html.unescape(text), None


async def incident(own: Database, operator_id: str, subject: str) -> None:
    finding = Finding(kind=IncidentKind.STUCK, subject=subject, operator_id=operator_id, detail={})
    await incidents.note(own.pool, finding)


async def as_if_past(own: Database, statement: str, operator_id: str) -> None:
    """Events never change, so the guard has to look away."""
    async with own.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement, operator_id)


async def published(seat: Seat) -> None:
    """All of the player's events."""
    events = [str(event["event_id"]) for event in await seat.every_event()]
    await outbox.mark_published(seat.database.pool, events)


async def attempt(own: Database, bet: Bet, **answer: Any) -> None:
    asked = WalletRequest(
        call=WalletCall.BET,
        operator_id=bet.key.operator_id,
        player_id=bet.player_id,
        session_id=bet.session_id,
        currency="EUR",
        round_id=bet.key.round_id,
        transaction_id=f"{bet.key.round_id}:bet",
        amount=bet.stake,
    )
    await operator_wallets.record_attempt(own.pool, bet.key, asked, WalletAnswer(**answer), took_us=20_000)


class TestNow:
    async def test_counts_open_rounds_by_stage_and_age_and_each_number_leads_to_its_rounds(
        self, own: Database, browser: httpx.AsyncClient, seat: Seat
    ) -> None:
        for game in ("dice", "fruit-lines"):
            await seat.reserve(seat.bet(f"young-{game}", game_id=game))
            await own.pool.execute(AGED, f"young-{game}", TO_COME)
        await seat.reserve(seat.bet("older", game_id="lucky-fruits"))
        await own.pool.execute(AGED, "older", "02:00:00")
        demo = await take_seat(own, operator_id=seat.session.operator_id, mode=DEMO)
        await demo.reserve(demo.bet("in-demo"))
        await own.pool.execute(AGED, "in-demo", TO_COME)
        page = await browser.get(f"{URL}/now")
        assert page.status_code == 200
        stages = {(row[0][0].partition(":")[0], row[1][0]): row[2:] for row in table(page.text, "open")}
        counts = {name: [text for text, _ in row[:5]] for name, row in stages.items()}
        assert counts["pending", "real"] == ["2", "0", "1", "0", "3"]
        assert counts["pending", "demo"] == ["1", "0", "0", "0", "1"]
        assert counts["settling", "real"] == ["0"] * 5
        for text, href in [*stages["pending", "real"][:5], *stages["pending", "demo"][:5]]:
            listed = await browser.get(f"{ORIGIN}{href}")
            assert f"<h2>{text} round" in listed.text, href

    async def test_says_which_rounds_should_have_gone_on(
        self, own: Database, browser: httpx.AsyncClient, seat: Seat
    ) -> None:
        await seat.reserve(seat.bet(MARKUP))
        await own.pool.execute(AGED, MARKUP, TO_COME)
        nothing = re.compile(r'<p id="nothing-overdue">')
        assert nothing.search((await browser.get(f"{URL}/now")).text)
        await own.pool.execute(AGED, MARKUP, "00:15:00")
        page = await browser.get(f"{URL}/now")
        ((round_, why, for_),) = table(page.text, "overdue")
        assert (round_[0], "1.00 EUR are held" in why[0]) == (
            MARKUP,
            True,
        )
        assert for_[0].endswith("minutes")
        assert not nothing.search(page.text)
        assert "<img" not in page.text
        assert (await browser.get(f"{ORIGIN}{round_[1]}")).status_code == 200

    async def test_says_what_the_wallet_answered_and_whether_it_is_left_alone(
        self, own: Database, browser: httpx.AsyncClient, seat: Seat
    ) -> None:
        assert table((await browser.get(f"{URL}/now")).text, "wallet") == []
        await own.pool.execute(WALLET, seat.session.operator_id)
        bet = seat.bet()
        await seat.reserve(bet)
        accepted, unknown = WalletVerdict.ACCEPTED, WalletVerdict.UNKNOWN
        await attempt(own, bet, verdict=accepted)
        await attempt(own, bet, verdict=WalletVerdict.REFUSED, code="invalid")
        await attempt(own, bet, verdict=unknown, code="timeout")
        found = {row[0][0]: row[1][0] for row in table((await browser.get(f"{URL}/now")).text, "wallet")}
        assert {name: found[name] for name in ("Accepted", "Refused", "No certain answer", "Not asked")} == {
            "Accepted": "1",
            "Refused": "1",
            "No certain answer": "1",
            "Not asked": "0",
        }
        assert (found["Breaker"], found["Half answered within"]) == (
            "closed: the last call was made",
            "20.0 ms",
        )
        await attempt(own, bet, verdict=unknown, code="wallet-away", sent=False)
        page = await browser.get(f"{URL}/now")
        assert "open: the wallet is left alone" in page.text
        await attempt(own, bet, verdict=accepted)
        assert "left alone" not in (await browser.get(f"{URL}/now")).text

    async def test_says_what_of_events_and_webhooks_is_late(
        self, own: Database, browser: httpx.AsyncClient, seat: Seat
    ) -> None:
        bet, operator_id = seat.bet(), seat.session.operator_id
        await seat.reserve(bet)
        await seat.settle(bet, 0)
        webhook_id = uuid4().hex
        await own.pool.execute(WEBHOOK, webhook_id, operator_id, f"https://hooks.example/{MARKUP}")
        for event, state in zip(await seat.every_event(), ("pending", "dead"), strict=False):
            await own.pool.execute(DELIVERY, webhook_id, event["event_id"], state)
        await published(seat)
        early = await browser.get(f"{URL}/now")
        assert table(early.text, "events")[0][1][0] == "yes"
        assert [[text for text, _ in row[1:]] for row in table(early.text, "webhooks")] == [
            ["not behind", "1", "1"]
        ]
        assert "<img" not in early.text
        await as_if_past(own, LATE, operator_id)
        await own.pool.execute("UPDATE webhooks SET cursor = 0 WHERE id = $1", webhook_id)
        late = await browser.get(f"{URL}/now")
        waited = r"no: the first has waited for 6\d\.\d minutes"
        assert re.fullmatch(waited, table(late.text, "events")[0][1][0])
        assert re.fullmatch(r"6\d\.\d minutes", table(late.text, "webhooks")[0][1][0])
        await published(seat)
        await as_if_past(own, PUBLISHED, operator_id)
        sent = table((await browser.get(f"{URL}/now")).text, "events")
        assert sent[0][1][0] == "yes"
        assert sent[2][1][0].startswith("no: one is missing for")

    async def test_shows_nothing_of_another_operator(
        self, own: Database, running: Running, browser: httpx.AsyncClient, seat: Seat
    ) -> None:
        await published(seat)
        before = json.loads(await numbers(running.console.pool, seat.session.operator_id))
        rival = await take_seat(own, balance=100_000)
        bet = rival.bet("rivals-round")
        await rival.reserve(bet)
        await own.pool.execute(AGED, "rivals-round", "02:00:00")
        await attempt(own, bet, verdict=WalletVerdict.UNKNOWN, code="wallet-away", sent=False)
        await incident(own, rival.session.operator_id, "rivals-subject")
        await own.pool.execute(WEBHOOK, uuid4().hex, rival.session.operator_id, "https://rival.example")
        await as_if_past(own, LATE, rival.session.operator_id)
        page = await browser.get(f"{URL}/now")
        after = json.loads(await numbers(running.console.pool, seat.session.operator_id))
        assert "rival" not in page.text
        assert _numbers(after) == _numbers(before)
        yours, anybodys, _ = table(page.text, "events")
        assert (yours[1][0], anybodys[1][0].partition(":")[0]) == ("yes", "no")

    async def test_allows_its_script_and_its_stream_on_this_page_alone(
        self, browser: httpx.AsyncClient
    ) -> None:
        now = await browser.get(f"{URL}/now")
        policy = now.headers["content-security-policy"]
        assert "script-src 'self'; connect-src 'self'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "default-src 'none'" in policy
        assert re.findall(r"<script[^>]*>", now.text) == ['<script src="/console/files/now.js" defer>']
        for path in ("/rounds", "/incidents", "/games"):
            other = await browser.get(f"{URL}{path}")
            assert "script-src" not in other.headers["content-security-policy"]
            assert "connect-src" not in other.headers["content-security-policy"]

    async def test_takes_no_other_method(self, browser: httpx.AsyncClient) -> None:
        for path in ("/now", "/now/events"):
            assert (await browser.head(f"{URL}{path}")).status_code == 200
            for method in ("POST", "PUT", "DELETE"):
                assert (await browser.request(method, f"{URL}{path}")).status_code == 405


def _numbers(document: dict[str, Any]) -> Any:
    """Without addresses, which have the moment in them, and without events, which are late by the clock."""
    panels = {key: rows for key, rows in document["panels"].items() if key != "events"}
    return document["incidents"], [[cell["text"] for cell in row] for rows in panels.values() for row in rows]


@dataclass(frozen=True, slots=True)
class Served:
    """The console at an address, with what each look has given, and how many there were at once."""

    url: str
    looks: list[str]
    at_once: set[int]

    @asynccontextmanager
    async def stream(self, secret: str) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
        """Its events, by name and data."""
        async with (
            httpx.AsyncClient(cookies={COOKIE: secret}, timeout=HANG_S, trust_env=False) as http,
            http.stream("GET", f"{self.url}/console/now/events") as answer,
        ):
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.headers["cache-control"] == "no-store"
            yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    name = ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" or line == "data:":
            yield name, value


@pytest.fixture
async def served(running: Running) -> AsyncIterator[Served]:
    """As the program serves it, and looking more often."""
    looks: list[str] = []
    at_once: set[int] = set()
    under_way: list[str] = []

    async def counted(operator_id: str) -> str:
        under_way.append(operator_id)
        at_once.add(len(under_way))
        looks.append(await numbers(running.console.pool, operator_id))
        under_way.remove(operator_id)
        return looks[-1]

    live = Live(counted, running.console.lasting, period_s=QUICK_S)
    running.app.state.live = live
    place = Place("console", "127.0.0.1", None, None, None, Settings())
    listener = place.listen()
    server = place.server(running.app, connections=100)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", looks, at_once)
    await live.close()
    server.should_exit = True
    await serving


class TestTheStream:
    async def test_moves_when_a_round_begins_and_ends(
        self, served: Served, running: Running, seat: Seat
    ) -> None:
        async with served.stream(running.secret) as events:
            assert await _pending(events, "0") == "0"
            bet = seat.bet()
            await seat.reserve(bet)
            assert await _pending(events, "1") == "1"
            await seat.settle(bet, 0)
            assert await _pending(events, "0") == "0"

    async def test_ends_with_the_key(
        self, served: Served, running: Running, own: Database, seat: Seat
    ) -> None:
        async with served.stream(running.secret) as events:
            assert (await anext(events))[0] == "now"
            await operators.revoke_key(
                own.pool, operator_id=seat.session.operator_id, key_id=running.key_id, by=BY
            )
            assert [name async for name, _ in events][-1] == "over"
        async with served.stream(running.secret) as events:
            assert [event async for event in events] == [("over", "")]

    async def test_ends_when_its_person_signs_out(self, served: Served, running: Running) -> None:
        other = running.begin_session()
        async with served.stream(running.secret) as events, served.stream(other) as others:
            assert (await anext(events))[0] == (await anext(others))[0] == "now"
            running.console.sessions.end(running.secret)
            assert [name async for name, _ in events][-1] == "over"
            looked = len(served.looks)
            while len(served.looks) < looked + 2:
                assert (await anext(others))[0] == "now"

    async def test_says_nothing_to_whoever_has_no_session(self, served: Served) -> None:
        async with served.stream("of-nobody") as events:
            assert [event async for event in events] == [("over", "")]
        assert served.looks == []

    async def test_costs_one_look_for_all_who_watch(
        self, served: Served, running: Running, seat: Seat
    ) -> None:
        secrets = [running.begin_session() for _ in range(12)]
        seen = await asyncio.gather(*(_some(served, secret, 5) for secret in secrets))
        assert served.at_once == {1}
        assert {as_of for each in seen for as_of in each} <= set(served.looks)

        async def nobody_looks() -> bool:
            names = {task.get_name() for task in asyncio.all_tasks()}
            return f"looks for {seat.session.operator_id}" not in names

        await until(nobody_looks)

    async def test_makes_room_for_the_newest_pages_of_a_session(
        self, served: Served, running: Running
    ) -> None:
        async with AsyncExitStack() as open_ones:
            first = await open_ones.enter_async_context(served.stream(running.secret))
            assert (await anext(first))[0] == "now"
            later = []  # kept: a stream that nobody holds is closed
            for _ in range(STREAMS_OF_SESSION):
                later.append(await open_ones.enter_async_context(served.stream(running.secret)))
                assert (await anext(later[-1]))[0] == "now"
            assert [name async for name, _ in first][-1] == "full"

    async def test_ends_with_the_program(self, served: Served, running: Running) -> None:
        async with served.stream(running.secret) as events:
            assert (await anext(events))[0] == "now"
            await running.app.state.live.close()
            assert {name async for name, _ in events} <= {"now"}
        async with httpx.AsyncClient(
            cookies={COOKIE: running.secret}, trust_env=False, timeout=HANG_S
        ) as http:
            assert (await http.get(f"{served.url}/console/now/events")).status_code == 503


async def _pending(events: AsyncIterator[tuple[str, str]], wanted: str) -> str:
    """How many rounds are pending, once there are so many."""
    async for name, data in events:
        assert name == "now"
        (row,) = [
            row
            for row in json.loads(data)["panels"]["open"]
            if row[0]["text"].startswith("pending") and row[1]["text"] == "real"
        ]
        if row[6]["text"] == wanted:
            return wanted
    raise AssertionError("the stream has ended")


async def _some(served: Served, secret: str, count: int) -> list[str]:
    async with served.stream(secret) as events:
        return [(await anext(events))[1] for _ in range(count)]
