"""Bad input over HTTP: each gets its own problem, and nothing in the books or in Temporal changes."""

import dataclasses
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.parties import JSON, Gateway, Operator, Player, checked_problem
from tests.support.conditions import until
from tests.support.http import http_client

INVALID = (422, "invalid")
DEEP = 60
NOT_JSON = {
    "empty": b"",
    "blank": b"  ",
    "truncated": b'{"round_id": "r1", "stake": 100',
    "two values": b"{}{}",
    "comment": b'{"round_id": "r1", "stake": 100 /* all in */}',
    "single quotes": b"{'round_id': 'r1', 'stake': 100}",
    "NaN": b'{"round_id": "r1", "stake": NaN}',
    "Infinity": b'{"round_id": "r1", "stake": Infinity}',
    "-Infinity": b'{"round_id": "r1", "stake": -Infinity}',
    "1e999": b'{"round_id": "r1", "stake": 1e999}',
    "NaN inside": b'{"round_id": "r1", "stake": 100, "choice": {"direction": "up", "target": NaN}}',
    "1e999 inside": b'{"round_id": "r1", "stake": 100, "choice": {"direction": "up", "target": 1e999}}',
    "10**40": b'{"round_id": "r1", "stake": 1' + b"0" * 40 + b"}",
    "4,000 digits": b'{"round_id": "r1", "stake": ' + b"9" * 4_000 + b"}",
    "leading zero": b'{"round_id": "r1", "stake": 0100}',
    "duplicate key": b'{"round_id": "r1", "stake": 100, "stake": 200}',
    "duplicate key, escaped": b'{"round_id": "r1", "stake": 100, "st\\u0061ke": 200}',
    "duplicate key inside": b'{"round_id": "r1", "stake": 100, "choice": {"target": 1, "target": 2}}',
    "deep arrays": b'{"round_id": "r1", "stake": 100, "choice": {"a": ' + b"[" * DEEP + b"]" * DEEP + b"}}",
    "very deep arrays": b"[" * 2_000 + b"]" * 2_000,
    "very deep objects": b'{"a":' * 600 + b"1" + b"}" * 600,
    "lone surrogate": b'{"round_id": "\\ud800", "stake": 100}',
    "lone surrogate in a name": b'{"round_id": "r1", "stake": 100, "choice": {"\\udfff": 1}}',
    "NUL": b'{"round_id": "r1\\u0000", "stake": 100}',
    "NUL in a name": b'{"round_id": "r1", "stake": 100, "choice": {"\\u0000": 1}}',
    "NUL in the mode": b'{"round_id": "r1", "stake": 100, "mode": "base\\u0000"}',
    "raw NUL": b'{"round_id": "r1\x00", "stake": 100}',
    "invalid UTF-8": b'{"round_id": "r1\xff", "stake": 100}',
    "overlong UTF-8": b'{"round_id": "r1\xc0\xaf", "stake": 100}',
    "UTF-16": '{"round_id": "r1", "stake": 100}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"round_id": "r1", "stake": 100}',
    "array": b'[{"round_id": "r1", "stake": 100}]',
    "string": b'"r1"',
    "number": b"1",
    "null": b"null",
    "true": b"true",
}  # fmt: skip

NOT_AMOUNTS: dict[str, Any] = {
    "missing": ...,
    "null": None,
    "1.0": 1.0,
    "1e2": "@1e2",
    "100.5": 100.5,
    "true": True,
    "false": False,
    "string": "100",
    "empty string": "",
    "array": [100],
    "object": {"amount": 100, "currency": "EUR"},
    "negative": -100,
    "zero": 0,
    "-0": "@-0",
    "2**53": 2**53,
    "2**63": 2**63,
    "2**64": 2**64,
    "10**40": 10**40,
    "-10**40": -(10**40),
}

NOT_IDS: dict[str, Any] = {
    "missing": ...,
    "null": None,
    "empty": "",
    "65 characters": "a" * 65,
    "slash": "a/b",
    "dot": "a.b",
    "colon": "a:b",
    "space": "a b",
    "trailing newline": "a\n",
    "unicode letter": "é",
    "unicode digit": "\u0661",
    "emoji": "🎲",
    "wildcard": "#",
    "number": 7,
    "array": ["a"],
    "SQL": "'; DROP TABLE rounds; --",
}

BAD_WAGERS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "unknown field": ({"bonus": 1}, INVALID),
    "a currency of its own": ({"currency": "USD"}, INVALID),
    "a field of the server's": ({"win": 100}, INVALID),
    "another player": ({"player_id": "someone"}, INVALID),
    "off the ladder": ({"stake": 101}, (422, "stake-not-allowed")),
    "below the ladder": ({"stake": 1}, (422, "stake-not-allowed")),
    "above the ladder": ({"stake": 200_000}, (422, "stake-not-allowed")),
    "2**53 - 1": ({"stake": 2**53 - 1}, (422, "stake-not-allowed")),
    "unknown mode": ({"mode": "turbo"}, INVALID),
    "empty mode": ({"mode": ""}, INVALID),
    "mode null": ({"mode": None}, INVALID),
    "mode number": ({"mode": 1}, INVALID),
    "mode too long": ({"mode": "b" * 65}, INVALID),
    "no choice": ({"choice": ...}, (422, "unknown-choice")),
    "choice null": ({"choice": None}, (422, "unknown-choice")),
    "choice empty": ({"choice": {}}, (422, "unknown-choice")),
    "choice array": ({"choice": ["over", 50]}, INVALID),
    "choice string": ({"choice": "over"}, INVALID),
    "half a choice": ({"choice": {"direction": "over"}}, (422, "unknown-choice")),
    "unknown direction": ({"choice": {"direction": "up", "target": 50}}, (422, "unknown-choice")),
    "direction array": ({"choice": {"direction": ["over"], "target": 500}}, (422, "unknown-choice")),
    "target float": ({"choice": {"direction": "over", "target": 5000.0}}, (422, "unknown-choice")),
    "target true": ({"choice": {"direction": "over", "target": True}}, (422, "unknown-choice")),
    "target string": ({"choice": {"direction": "over", "target": "5000"}}, (422, "unknown-choice")),
    "target too low": ({"choice": {"direction": "over", "target": 198}}, (422, "unknown-choice")),
    "target too high": ({"choice": {"direction": "under", "target": 9_801}}, (422, "unknown-choice")),
    "target negative": ({"choice": {"direction": "over", "target": -1}}, (422, "unknown-choice")),
    "target huge": ({"choice": {"direction": "under", "target": 10**25}}, (422, "unknown-choice")),
    "more in the choice": (
        {"choice": {"direction": "over", "target": 5_000, "edge": 0}}, (422, "unknown-choice"),
    ),
}  # fmt: skip

BAD_SESSIONS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "unknown field": ({"admin": True}, INVALID),
    "unknown game": ({"game_id": "poker"}, (404, "not-found")),
    "game in capitals": ({"game_id": "DICE"}, INVALID),
    "game null": ({"game_id": None}, INVALID),
    "game with a dot": ({"game_id": "dice.v1"}, INVALID),
    "game with a newline": ({"game_id": "dice\n"}, INVALID),
    "unknown jurisdiction": ({"jurisdiction": "ZZ"}, INVALID),
    "jurisdiction in small letters": ({"jurisdiction": "de"}, INVALID),
    "jurisdiction of another currency": ({"jurisdiction": "GB"}, (422, "currency-mismatch")),
    "unknown limit": ({"limits": {"max_win": 5}}, INVALID),
    "limit zero": ({"limits": {"loss_limit": 0}}, INVALID),
    "limit negative": ({"limits": {"max_stake": -1}}, INVALID),
    "limit float": ({"limits": {"max_session_s": 1.5}}, INVALID),
    "limit string": ({"limits": {"min_cycle_ms": "5"}}, INVALID),
    "limit true": ({"limits": {"max_stake": True}}, INVALID),
    "limit beyond 2**53 - 1": ({"limits": {"loss_limit": 2**53}}, INVALID),
    "no stakes": ({"limits": {"stakes": []}}, INVALID),
    "stakes off the ladder": ({"limits": {"stakes": [100, 101]}}, (422, "stake-not-allowed")),
    "no stake is low enough": ({"limits": {"max_stake": 99}}, (422, "stake-not-allowed")),
    "limits a list": ({"limits": []}, INVALID),
    "unknown mode": ({"mode": "test"}, INVALID),
    "currency in small letters": ({"currency": "eur"}, INVALID),
    "currency too short": ({"currency": "EU"}, INVALID),
    "currency too long": ({"currency": "EUROEUROEUR"}, INVALID),
    "currency with a newline": ({"currency": "EUR\n"}, INVALID),
    "currency missing": ({"currency": ...}, INVALID),
    "seed with a dot": ({"client_seed": "a.b"}, INVALID),
    "seed empty": ({"client_seed": ""}, INVALID),
    "seed too long": ({"client_seed": "s" * 65}, INVALID),
}


@pytest.fixture(scope="module")
async def victim(gateway: Gateway) -> AsyncIterator[Operator]:
    """An operator that only this module uses, so its books must stay as they are. In the end Temporal's own
    list shows that nobody started a round: of its players, only the last bet, a good one, is there."""
    operator = await gateway.new_operator()
    yield operator
    last = await operator.open_session(balance=100)
    assert (await last.bet("good-at-last")).status_code == 201
    query = f'WorkflowId STARTS_WITH "{operator.operator_id}:"'

    async def listed() -> list[str]:
        return [found.id async for found in gateway.temporal.list_workflows(query)]

    assert await until(listed) == [last.round_key("good-at-last").workflow_id]


@pytest.fixture(scope="module")
async def seat(victim: Operator) -> Player:
    return await victim.open_session(balance=10_000)


@pytest.fixture(scope="module")
async def slot(seat: Player) -> Player:
    return await seat.operator.open_session(seat.player_id, game_id="fruit-lines")


@pytest.fixture(autouse=True)
async def nothing_changes(seat: Player, slot: Player) -> AsyncIterator[None]:
    before = await seat.operator.books()
    yield
    assert await seat.operator.books() == before


def cases(named: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in named.items()])


def encoded(body: dict[str, Any]) -> bytes:
    """JSON, without the members that are `...`; a text that begins with @ is written as it stands."""
    text = json.dumps({name: value for name, value in body.items() if value is not ...})
    for value in ("@1e2", "@-0"):
        text = text.replace(f'"{value}"', value[1:])
    return text.encode()


async def refused(player: Player, body: dict[str, Any], status: int, code: str) -> dict[str, Any]:
    """The problem of a bet that must not have started any workflow."""
    response = await player.call("POST", "/rounds", content=encoded(body), headers=JSON)
    problem = checked_problem(response, status, code)
    round_id = body["round_id"]
    if isinstance(round_id, str) and round_id:
        assert not await player.operator.gateway.has_workflow(player.round_key(round_id).workflow_id)
    return problem


@cases(NOT_JSON)
async def test_a_bet_that_is_not_exact_json_is_refused(seat: Player, case: bytes) -> None:
    checked_problem(await seat.call("POST", "/rounds", content=case, headers=JSON), *INVALID)


@cases(NOT_JSON)
async def test_a_deposit_that_is_not_exact_json_is_refused(seat: Player, case: bytes) -> None:
    path = f"/players/{seat.player_id}/deposits"
    response = await seat.operator.call("POST", path, content=case, headers=JSON)
    checked_problem(response, *INVALID)


@cases(NOT_AMOUNTS)
async def test_a_stake_that_is_no_amount_is_refused(seat: Player, case: Any) -> None:
    problem = await refused(seat, seat.wager(stake=case), *INVALID)
    assert problem["detail"].startswith(("stake: ", "The body is not valid JSON: "))


@cases(NOT_AMOUNTS)
async def test_a_deposit_that_is_no_amount_is_refused(seat: Player, case: Any) -> None:
    # The amount is put in as text, because `encoded` looks at the outermost members only.
    amount = encoded({"amount": case, "currency": "EUR"})
    content = b'{"transaction_id": "t-1", "amount": ' + amount + b"}"
    path = f"/players/{seat.player_id}/deposits"
    response = await seat.operator.call("POST", path, content=content, headers=JSON)
    checked_problem(response, *INVALID)


@pytest.mark.parametrize("currency", ["eur", "EU", "EUR\n", "€", "", None, 978, "A" * 11])
async def test_a_deposit_in_no_currency_is_refused(seat: Player, currency: Any) -> None:
    checked_problem(await seat.deposit(100, currency=currency), *INVALID)


@pytest.mark.parametrize("body", [{"bonus": 1}, {"amount": 100}, {"amount": {"amount": 1}}, {"amount": None}])
async def test_a_deposit_of_another_shape_is_refused(seat: Player, body: dict[str, Any]) -> None:
    whole = {"transaction_id": "t-1", "amount": {"amount": 100, "currency": "EUR"}, **body}
    path = f"/players/{seat.player_id}/deposits"
    checked_problem(await seat.operator.call("POST", path, json=whole), *INVALID)


@cases(NOT_IDS)
async def test_a_round_id_of_another_form_is_refused(seat: Player, case: Any) -> None:
    await refused(seat, {**seat.wager(), "round_id": case}, *INVALID)


@cases(NOT_IDS)
async def test_a_transaction_id_of_another_form_is_refused(seat: Player, case: Any) -> None:
    body = {"transaction_id": case, "amount": {"amount": 100, "currency": "EUR"}}
    path = f"/players/{seat.player_id}/deposits"
    response = await seat.operator.call("POST", path, content=encoded(body), headers=JSON)
    checked_problem(response, *INVALID)


@cases(NOT_IDS)
async def test_a_player_id_of_another_form_is_refused(seat: Player, case: Any) -> None:
    body = {"player_id": case, "game_id": "dice", "currency": "EUR"}
    response = await seat.operator.call("POST", "/sessions", content=encoded(body), headers=JSON)
    checked_problem(response, *INVALID)


@pytest.mark.parametrize(
    "id_", ["a" * 65, "a.b", "a%0A", "%00", "%C3%A9", "a%20b", "%FF", "a:b", "%23", "%3F"]
)
async def test_an_address_with_an_id_of_another_form_is_refused(seat: Player, id_: str) -> None:
    deposit = {"transaction_id": "t-1", "amount": {"amount": 100, "currency": "EUR"}}
    for response in (
        await seat.call("GET", f"/rounds/{id_}"),
        await seat.operator.call("GET", f"/rounds/{id_}"),
        await seat.operator.call("DELETE", f"/sessions/{id_}"),
        await seat.operator.call("POST", f"/players/{id_}/deposits", json=deposit),
        await seat.operator.call("GET", f"/players/{id_}/balance?currency=EUR"),
    ):
        checked_problem(response, *INVALID)


@pytest.mark.parametrize("id_", ["", "a/b", "a%2Fb"])
async def test_an_address_that_an_id_breaks_is_not_found(seat: Player, id_: str) -> None:
    for response in (
        await seat.call("GET", f"/rounds/{id_}"),
        await seat.operator.call("DELETE", f"/sessions/{id_}"),
        await seat.operator.call("POST", f"/players/{id_}/deposits", json={}),
    ):
        checked_problem(response, 404, "not-found")


@cases(BAD_WAGERS)
async def test_a_wager_the_game_does_not_take_is_refused(
    seat: Player, case: tuple[dict[str, Any], tuple[int, str]]
) -> None:
    changes, expected = case
    await refused(seat, seat.wager(**changes), *expected)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"choice": {"direction": "over", "target": 5_000}}, "unknown-choice"),
        ({"choice": {}}, "unknown-choice"),
        ({"stake": 15}, "stake-not-allowed"),
        ({"stake": 100_000}, "stake-not-allowed"),
    ],
)
async def test_a_wager_the_slot_does_not_take_is_refused(
    slot: Player, changes: dict[str, Any], code: str
) -> None:
    await refused(slot, slot.wager(**changes), 422, code)


@cases(BAD_SESSIONS)
async def test_a_session_that_cannot_be_is_refused(
    seat: Player, case: tuple[dict[str, Any], tuple[int, str]]
) -> None:
    changes, expected = case
    body = {"player_id": uuid4().hex, "game_id": "dice", "currency": "EUR", **changes}
    response = await seat.operator.call("POST", "/sessions", content=encoded(body), headers=JSON)
    checked_problem(response, *expected)


# Some times have no equal in UTC, which is what the database keeps.
BEYOND_UTC = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"]


@pytest.mark.parametrize("moment", BEYOND_UTC)
@pytest.mark.parametrize("name", ["from", "to"])
async def test_a_time_that_utc_does_not_have_is_refused(seat: Player, name: str, moment: str) -> None:
    for path in ("/rounds", f"/players/{seat.player_id}/statement"):
        checked_problem(await seat.operator.call("GET", path, params={name: moment}), *INVALID)


@pytest.mark.parametrize(
    "query",
    [{"from": "0001-01-01T00:00:00Z"}, {"to": "9999-12-31T23:59:59Z"}, {"from": "9999-12-31T23:59:59Z"}],
)
async def test_the_first_and_the_last_moment_are_moments(seat: Player, query: dict[str, str]) -> None:
    for path in ("/rounds", f"/players/{seat.player_id}/statement"):
        assert (await seat.operator.call("GET", path, params=query)).status_code == 200


@pytest.mark.parametrize("moment", [*BEYOND_UTC, 4_070_908_800, "2099-01-01", True])
async def test_a_key_does_not_end_at_a_time_that_is_none(seat: Player, moment: object) -> None:
    """A number would be taken for seconds since 1970, which nobody has described."""
    gateway, operator = seat.operator.gateway, seat.operator
    admin = dataclasses.replace(operator, key=await gateway.new_key(operator.operator_id, scope="admin"))
    body = {"scope": "game", "expires_at": moment}
    checked_problem(await admin.call("POST", "/keys", json=body), *INVALID)


@pytest.mark.parametrize("query", ["", "currency=", "currency=eur", "currency=EUR%0A", "currency=EUR&all=1"])
async def test_a_balance_without_a_currency_is_refused(seat: Player, query: str) -> None:
    response = await seat.operator.call("GET", f"/players/{seat.player_id}/balance?{query}")
    checked_problem(response, *INVALID)


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
async def test_a_body_that_does_not_say_it_is_json_is_refused(seat: Player, content_type: str | None) -> None:
    """Browsers send these without asking the server first, so they must not count as JSON."""
    headers = {} if content_type is None else {"content-type": content_type}
    body = seat.wager()
    response = await seat.call("POST", "/rounds", content=encoded(body), headers=headers)
    checked_problem(response, 415, "unsupported-media-type")
    assert not await seat.operator.gateway.has_workflow(seat.round_key(body["round_id"]).workflow_id)


@pytest.mark.parametrize("path", ["/v1/game/rounds", "/v1/operator/sessions"])
async def test_a_compressed_body_is_refused_and_not_unpacked(seat: Player, path: str) -> None:
    """60 KB on the way, 60 MB if anybody unpacked it."""
    bomb = gzip.compress(b" " * 60_000_000)
    assert len(bomb) < 64 * 1024
    secret = seat.operator.key if "operator" in path else seat.token
    headers = {**JSON, "authorization": f"Bearer {secret}", "content-encoding": "gzip"}
    response = await seat.operator.gateway.http.post(path, content=bomb, headers=headers)
    checked_problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("path", ["/v1/game/rounds", "/v1/operator/sessions"])
@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
async def test_a_body_over_64_kib_is_refused(seat: Player, path: str, chunked: bool) -> None:
    secret = seat.operator.key if "operator" in path else seat.token
    response = await seat.operator.gateway.http.post(
        path,
        content=chunks(65) if chunked else b" " * (64 * 1024 + 1),
        headers={**JSON, "authorization": f"Bearer {secret}"},
    )
    checked_problem(response, 413, "too-large")


@pytest.mark.parametrize(("path", "kib"), [("/rounds", 4), ("/events", 64), ("/seed", 8)])
@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
async def test_a_body_of_what_its_call_needs_is_read_and_a_longer_one_is_not(
    seat: Player, path: str, kib: int, chunked: bool
) -> None:
    for size, refusal in ((kib, INVALID), (kib + 1, (413, "too-large"))):
        content = chunks(size) if chunked else b" " * (size * 1024)
        checked_problem(await seat.call("POST", path, content=content, headers=JSON), *refusal)


async def test_a_connection_serves_on_after_a_refused_body(gateway: Gateway, seat: Player) -> None:
    limits = httpx.Limits(max_connections=1)
    async with http_client(base_url=gateway.http.base_url, limits=limits) as one_connection:
        for content in (b" " * 70_000, chunks(80)):
            refusal = await one_connection.post(
                "/v1/operator/sessions",
                content=content,
                headers={**JSON, "authorization": f"Bearer {seat.operator.key}"},
            )
            checked_problem(refusal, 413, "too-large")
            assert (await one_connection.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v2/games", "/v1/game/rounds/", "/V1/GAMES", "/%00", "//healthz"]
)
async def test_an_unknown_address_is_not_found(seat: Player, path: str) -> None:
    checked_problem(await seat.operator.gateway.http.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/game/rounds", {"GET", "POST"}),
        ("DELETE", "/v1/game/rounds/r1", {"GET"}),
        ("GET", "/v1/operator/sessions", {"POST"}),
        ("POST", "/v1/operator/sessions/s1", {"DELETE", "GET"}),
        ("POST", "/healthz", {"GET"}),
        ("TRACE", "/v1/games", {"GET"}),
        ("OPTIONS", "/v1/games", {"GET"}),
    ],
)
async def test_a_method_an_address_does_not_take_is_named_with_those_it_takes(
    seat: Player, method: str, path: str, allowed: set[str]
) -> None:
    response = await seat.operator.gateway.http.request(method, path)
    checked_problem(response, 405, "method-not-allowed")
    assert set(response.headers["allow"].split(", ")) >= allowed


async def test_a_refusal_does_not_repeat_what_was_sent(seat: Player) -> None:
    marker = "MARKER-" + uuid4().hex
    for changes in (
        {"stake": marker},
        {"mode": marker},
        {"choice": marker},
        {"choice": {"direction": marker}},
    ):
        response = await seat.call("POST", "/rounds", json=seat.wager(**changes))
        assert response.status_code == 422
        assert marker not in response.text


async def chunks(kib: int) -> AsyncIterator[bytes]:
    for _ in range(kib):
        yield b" " * 1024
