"""What the console reads, and that it can do nothing else: as its own role, over many rounds."""

import csv
import html
import io
import re
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import httpx
import pytest

from api.console.audit import PAGE_LIMIT as AUDIT_LIMIT
from api.console.incidents import RUNBOOKS
from api.console.players import ENTRIES_LIMIT
from api.console.round_list import CSV_LIMIT, PAGE_LIMIT
from compose.postgres import CONSOLE
from contracts.interventions import Action, InterveneRequest, Intervention
from contracts.reconciliation import Finding, IncidentKind
from storage import incidents, interventions
from storage import rounds as storage_rounds
from storage.database import Database
from tests.integration.console.conftest import URL
from tests.support.conditions import HANG_S
from tests.support.ledger import Seat, take_seat

MANY: Final = CSV_LIMIT + 500
SECRET_COLUMNS: Final = """
    SELECT c.relname AS relation, a.attname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
      AND (a.attname LIKE '%secret%' OR a.attname LIKE '%seal%')
    ORDER BY 1, 2
"""
RELATIONS: Final = """
    SELECT relname AS name, has_any_column_privilege(oid, 'SELECT') AS read,
           has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
           OR has_any_column_privilege(oid, 'INSERT, UPDATE, REFERENCES') AS written
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1
"""
FUNCTIONS: Final = """
    SELECT proname FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND has_function_privilege(oid, 'EXECUTE') AND prosecdef
"""
# The same round again and again, with ids of its own: only what lists read counts here.
COPIES: Final = """
    INSERT INTO rounds OVERRIDING SYSTEM VALUE
    SELECT copy.* FROM rounds r CROSS JOIN generate_series(1, $2) n
    CROSS JOIN LATERAL jsonb_populate_record(r, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('rounds', 'id')), 'round_id', 'many-' || n,
        'event_id', gen_random_uuid(), 'sequence', 1000 + n, 'nonce', 1000 + n)) copy
    WHERE r.player_key = $1 AND r.round_id = $3
"""
MARKUP: Final = '"><img src=x onerror=alert(1)>'


async def test_the_role_reads_what_is_no_secret_and_writes_nothing(as_read: Database) -> None:
    row = await as_read.pool.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
    assert row["rolname"] == CONSOLE
    attributes = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")
    assert not any(row[name] for name in attributes)
    relations = await as_read.pool.fetch(RELATIONS)
    assert len(relations) > 20
    assert [found["name"] for found in relations if found["written"] or not found["read"]] == []
    assert await as_read.pool.fetch(FUNCTIONS) == []


async def test_the_role_reads_no_secret_not_even_a_sealed_one(as_read: Database) -> None:
    secrets = [(found["relation"], found["name"]) for found in await as_read.pool.fetch(SECRET_COLUMNS)]
    assert secrets == [
        ("api_keys", "secret_hash"),
        ("operator_wallets", "sealed_secrets"),
        ("round_view", "sealed_server_seed"),
        ("seeds", "sealed_server_seed"),
        ("webhooks", "sealed_secrets"),
    ]
    for relation, name in secrets:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_read.pool.fetch(f"SELECT {name} FROM {relation} LIMIT 1")  # noqa: S608 - from the catalogue


async def test_the_role_cannot_write_whatever_it_sets(as_read: Database) -> None:
    async with as_read.pool.acquire() as connection:
        await connection.execute("SET default_transaction_read_only = off")
        for statement in (
            "UPDATE players SET blocked = true",
            "CREATE TABLE t (a int)",
            "SELECT revoke_api_key_v1('a', 'b')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.execute("RESET default_transaction_read_only")


async def test_many_rounds_are_read_page_by_page_and_as_csv(
    own: Database, browser: httpx.AsyncClient, seat: Seat
) -> None:
    bet = seat.bet("first")
    await seat.reserve(bet)
    await seat.settle(bet, 0)
    await own.pool.execute(COPIES, seat.session.player_key, MANY, "first", timeout=HANG_S)
    page = await browser.get(f"{URL}/rounds")
    assert page.status_code == 200
    assert len(re.findall(r"<tr>\s*<td>", page.text)) == PAGE_LIMIT
    assert f"many-{MANY}<" in page.text
    (older,) = re.findall(r'href="([^"]+cursor=[^"]+)"', page.text)
    second = await browser.get("http://console.example" + older.replace("&amp;", "&"))
    assert f"many-{MANY - PAGE_LIMIT}<" in second.text
    assert f"many-{MANY}<" not in second.text
    table = [*csv.DictReader(io.StringIO((await browser.get(f"{URL}/rounds.csv")).text))]
    assert [row["round_id"] for row in table] == [f"many-{MANY - n}" for n in range(CSV_LIMIT)]
    assert (table[0]["staked_minor"], table[0]["win_minor"]) == ("100", "0")
    for moment in ("0001-01-01T00:00", "9999-12-31T23:59"):
        for address in (f"{URL}/rounds", f"{URL}/rounds.csv"):
            assert (await browser.get(address, params={"from": moment})).status_code == 200


async def test_ids_with_markup_are_text_and_cells_with_formulas_are_not_computed(
    own: Database, browser: httpx.AsyncClient, seat: Seat
) -> None:
    """No API takes such ids: it is as if they had come into the tables by another way."""
    bet = seat.bet(MARKUP, game_version=MARKUP)
    await seat.reserve(bet)
    await storage_rounds.release(own.pool, bet, "=1+1", MARKUP)
    listed = await browser.get(f"{URL}/rounds", params={"failure": "=1+1"})
    (href,) = re.findall(r'<td><a href="([^"]+/rounds/[^"]+)"', listed.text)
    shown = await browser.get("http://console.example" + href.replace("&amp;", "&"))
    asked = await browser.get(
        f"{URL}/rounds", params={"player_id": MARKUP, "game_id": MARKUP, "state": MARKUP}
    )
    nobody = await browser.get(f"{URL}/rounds/{quote(MARKUP + 'x')}")
    for page, status in ((listed, 200), (shown, 200), (asked, 400), (nobody, 404)):
        assert page.status_code == status, page.text
        assert "<img" not in page.text
    assert shown.text.count("&lt;img") > 3
    table = (await browser.get(f"{URL}/rounds.csv", params={"failure": "=1+1"})).text
    assert "'=1+1" in table


async def test_other_operators_rounds_are_not_there(browser: httpx.AsyncClient, own: Database) -> None:
    rival = await take_seat(own, balance=1_000)
    bet = rival.bet("rivals-round")
    await rival.reserve(bet)
    path = f"{URL}/rounds/rivals-round"
    for query in ({}, {"player_id": rival.session.player_id}, {"mode": "real"}):
        assert (await browser.get(path, params=query)).status_code == 404
    for query in ({}, {"player_id": rival.session.player_id}, {"state": "pending"}):
        for address in (f"{URL}/rounds", f"{URL}/rounds.csv"):
            assert "rivals-round" not in (await browser.get(address, params=query)).text


async def test_without_the_api_a_decision_says_so_and_nothing_is_done(
    browser: httpx.AsyncClient, own: Database, seat: Seat
) -> None:
    bet = seat.bet("still-open")
    await seat.reserve(bet)
    page = await browser.get(f"{URL}/rounds/still-open")
    assert "Temporal is not asked here" in page.text
    (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', page.text))
    form = {"csrf": csrf, "player_id": seat.session.player_id, "mode": "real", "action": "void"}
    headers = {"origin": "http://console.example"}
    path = f"{URL}/rounds/still-open/decide"
    empty = await browser.post(path, data={**form, "reason": " "}, headers=headers)
    assert (empty.status_code, "Give a reason" in empty.text) == (422, True)
    seen = await browser.post(path, data={**form, "reason": "ticket 1"}, headers=headers)
    assert (seen.status_code, "The hold is released" in seen.text) == (200, True)
    sent = await browser.post(path, data={**form, "reason": "ticket 1", "confirmed": "yes"}, headers=headers)
    assert (sent.status_code, "The API has answered 500" in sent.text) == (500, True)
    assert await seat.money() == (1_000_000, 100)
    forged = await browser.get(f"{URL}/rounds/still-open", params={"done": "void"})
    assert (forged.status_code, "on record below" in forged.text) == (200, False)
    await seat.release(bet)
    late = await browser.post(path, data={**form, "reason": "ticket 1"}, headers=headers)
    assert (late.status_code, "no such decision now: it is void" in late.text) == (409, True)


async def test_the_audit_log_is_every_decision_of_the_operator_and_no_others(
    own: Database, browser: httpx.AsyncClient, seat: Seat
) -> None:
    rival = await take_seat(own, balance=1_000)
    for at, table in ((rival, "rivals-reason"), (seat, MARKUP)):
        bet = at.bet()
        await at.reserve(bet)
        for n in range(2 if at is rival else AUDIT_LIMIT + 2):
            decision = Intervention(
                intervention_id=str(uuid4()),
                action=Action.RETRY_NOW,
                reason=f"{table} {n}",
                actor=f"key:{n % 2}",
            )
            await interventions.intervene(own.pool, InterveneRequest(bet=bet, intervention=decision))
    page = await browser.get(f"{URL}/audit")
    assert (page.status_code, page.text.count("<tr><td>")) == (200, AUDIT_LIMIT)
    assert "rivals-reason" not in page.text
    assert "<img" not in page.text
    assert "the round was pending" in page.text
    (older,) = re.findall(r'href="([^"]+before=[^"]+)"', page.text)
    rest = await browser.get("http://console.example" + older.replace("&amp;", "&"))
    assert re.findall(r"onerror=alert\(1\)&gt; (\d+)<", rest.text) == ["1", "0"]
    one = await browser.get(f"{URL}/audit", params={"actor": "key:1"})
    assert set(re.findall(r">(key:\d)<", one.text)) == {"key:1"}
    of_kind = [
        (await browser.get(f"{URL}/audit", params={"kind": kind})).text.count("<tr><td>")
        for kind in ("retry-now", "void", "key-created")
    ]
    assert of_kind == [AUDIT_LIMIT, 0, 1]  # the last is the key of this browser
    for query in ({"before": "x"}, {"actor": "a\0b"}, {"actor": "x" * 200}, {"kind": MARKUP}):
        assert (await browser.get(f"{URL}/audit", params=query)).status_code == 400
    assert "There is no entry of these" in (await browser.get(f"{URL}/audit", params={"actor": MARKUP})).text
    place = {
        "before": await own.pool.fetchval("SELECT id::text FROM interventions WHERE reason LIKE 'rivals%'")
    }
    assert "rivals-reason" not in (await browser.get(f"{URL}/audit", params=place)).text


async def test_incidents_are_the_operators_with_what_to_do(
    own: Database, browser: httpx.AsyncClient, seat: Seat
) -> None:
    assert "None is open" in (await browser.get(f"{URL}/incidents")).text
    for operator_id, subject in ((seat.session.operator_id, MARKUP), ("rival-operator", "rivals-subject")):
        for kind in IncidentKind:
            finding = Finding(
                kind=kind, subject=subject, operator_id=operator_id, round_id=MARKUP, detail={MARKUP: MARKUP}
            )
            await incidents.note(own.pool, finding)
    page = await browser.get(f"{URL}/incidents")
    assert page.status_code == 200
    assert page.text.count('<section class="card"') == len(IncidentKind)
    assert all(runbook.left in html.unescape(page.text) for runbook in RUNBOOKS.values())
    assert "rivals-subject" not in page.text
    assert "<img" not in page.text
    (resolved, *_) = await incidents.of_operator(
        own.pool, seat.session.operator_id, resolved_too=False, limit=1
    )
    await incidents.resolve(own.pool, resolved.incident_id)
    open_ones, every_one = [await browser.get(f"{URL}/incidents{query}") for query in ("", "?all=yes")]
    assert resolved.incident_id not in open_ones.text
    assert resolved.incident_id in every_one.text


def test_every_kind_of_incident_has_its_runbook() -> None:
    assert set(RUNBOOKS) == set(IncidentKind)


async def test_a_players_money_sessions_and_statement_are_shown(
    own: Database, browser: httpx.AsyncClient, seat: Seat
) -> None:
    path = f"{URL}/players/{seat.session.player_id}"
    page = await browser.get(path)
    balance, held = await seat.money()
    assert page.status_code == 200
    assert f"{(balance - held) / 100:.2f} EUR available, {held / 100:.2f} EUR held" in page.text
    assert "10000.00 EUR" in page.text  # the deposit
    assert seat.session.session_id in page.text
    for n in range(ENTRIES_LIMIT):
        await seat.deposit(100, f"{MARKUP} {n}")
    first = await browser.get(path)
    assert "<img" not in first.text
    assert first.text.count("onerror") == ENTRIES_LIMIT
    (older,) = re.findall(r'href="([^"]+before=[^"]+)"', first.text)
    rest = await browser.get("http://console.example" + older.replace("&amp;", "&"))
    assert ("10000.00 EUR" in rest.text, "onerror" in rest.text) == (True, False)
    for query, status in (
        *(
            ({"before": "x"}, 400),
            ({"before": "9" * 30}, 400),
            ({"before": "9" * 5000}, 400),
            ({"before": "\u0663"}, 400),
        ),
        *(({"mode": "demo"}, 404), ({"mode": "x"}, 400)),
    ):
        assert (await browser.get(path, params=query)).status_code == status, query
    led = await browser.get(f"{URL}/players", params={"player_id": MARKUP, "mode": "demo"})
    assert led.headers["location"] == f"/console/players/{quote(MARKUP)}?mode=demo"


async def test_other_operators_players_are_not_there(browser: httpx.AsyncClient, own: Database) -> None:
    rival = await take_seat(own, balance=1_000)
    path = f"{URL}/players/{rival.session.player_id}"
    (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', (await browser.get(f"{URL}/players")).text))
    assert (await browser.get(path)).status_code == 404
    form, headers = {"csrf": csrf, "blocked": "yes"}, {"origin": "http://console.example"}
    assert (await browser.post(f"{path}/switch", data=form, headers=headers)).status_code == 404
    assert (await browser.get(f"{URL}/players/a%00b")).status_code == 404
