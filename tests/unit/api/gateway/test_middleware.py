"""The edge: the body limit, admission, and an id on every answer, against small ASGI apps and no network."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from api.gateway import admission as admissions
from api.gateway.admission import Admission
from api.gateway.middleware import (
    ALWAYS_ADMITTED,
    BET_LIMIT_BYTES,
    BODY_LIMIT_BYTES,
    EVENTS_LIMIT_BYTES,
    EdgeMiddleware,
)
from tests.support.conditions import HANG_S

KIB = b" " * 1024
CHUNKED = (b"transfer-encoding", b"chunked")
BETS = "/v1/game/rounds"


def guarded(app: Any, *, requests: int = 100, bets: int = 100, running: int = 100) -> EdgeMiddleware:
    """The edge before an app that takes bets as their route does."""
    admission = Admission(max_open_requests=requests, max_open_bets=bets, max_running_bets=running)

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", BETS):
            await app(scope, receive, send)
            return
        async with admission.bet("anybody's"):
            await app(scope, receive, send)

    return EdgeMiddleware(routed, admission)


async def echo_length(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


class Slow:
    """Answers each request only when told to."""

    def __init__(self) -> None:
        self.entered = 0
        self.arrived = asyncio.Event()
        self.finish = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in ALWAYS_ADMITTED:
            self.entered += 1
            self.arrived.set()
            await self.finish.wait()
        await PlainTextResponse("done")(scope, receive, send)

    async def holds(self, count: int) -> None:
        """Returns once as many have entered."""
        async with asyncio.timeout(HANG_S):
            while self.entered < count:
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def calling(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


async def through(
    app: Any, messages: Iterable[Message], *headers: tuple[bytes, bytes], path: str = "/"
) -> list[Message]:
    """What `app` sends when it receives `messages`."""
    sent: list[Message] = []
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


def problem_of(sent: list[Message]) -> tuple[int, str]:
    assert dict(sent[0]["headers"])[b"content-type"] == b"application/problem+json"
    return sent[0]["status"], json.loads(sent[1]["body"])["code"]


def parts(count: int) -> list[Message]:
    return [{"type": "http.request", "body": KIB, "more_body": number < count - 1} for number in range(count)]


async def test_a_body_of_exactly_the_limit_passes() -> None:
    middleware = guarded(echo_length, requests=1)
    length = (b"content-length", str(BODY_LIMIT_BYTES).encode())
    for headers in ((), (length,), (CHUNKED,)):
        sent = await through(middleware, parts(8), *headers)
        assert (sent[0]["status"], sent[1]["body"]) == (200, str(BODY_LIMIT_BYTES).encode())


async def test_a_body_that_grows_over_the_limit_is_refused_before_it_is_read_whole() -> None:
    middleware = guarded(echo_length, requests=1)
    messages = iter(parts(1_000))
    assert problem_of(await through(middleware, messages)) == (413, "too-large")
    assert len(list(messages)) == 1_000 - 9


async def test_a_body_that_is_declared_too_large_is_refused_unread() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the app must not be asked")

    sent = await through(guarded(never, requests=1), [], (b"content-length", b"65537"))
    assert problem_of(sent) == (413, "too-large")


@pytest.mark.parametrize(
    ("path", "limit"),
    [(BETS, BET_LIMIT_BYTES), ("/v1/game/events", EVENTS_LIMIT_BYTES), ("/v1/fairness/verify", 8 * 1024)],
)
async def test_a_body_has_what_its_call_needs(path: str, limit: int) -> None:
    whole: Message = {"type": "http.request", "body": b" " * limit}
    for size in (limit, limit + 1):
        sent = await through(
            guarded(echo_length), [whole], (b"content-length", str(size).encode()), path=path
        )
        assert sent[0]["status"] == (200 if size == limit else 413)


async def test_who_sends_a_body_slowly_holds_no_permit() -> None:
    middleware = guarded(echo_length, requests=1, bets=1)
    rest = asyncio.Event()

    async def dripping() -> Message:
        await rest.wait()
        return {"type": "http.request", "body": b"{}"}

    async def ignore(_: Message) -> None: ...

    headers = [(b"content-length", b"2")]
    scopes = [
        {"type": "http", "method": "POST", "path": BETS, "query_string": b"", "headers": headers}
        for _ in range(3)
    ]
    slow = [asyncio.create_task(middleware(scope, dripping, ignore)) for scope in scopes]
    await asyncio.sleep(0)
    assert (await through(middleware, parts(1), path=BETS))[0]["status"] == 200
    rest.set()
    await asyncio.gather(*slow)


async def test_large_bodies_are_read_one_after_another_and_no_small_one_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first is read and the next ones wait, here without an end; of those, the addresses take turns."""
    monkeypatch.setattr(admissions, "PAUSE_S_A_BYTE", 1e6)
    read: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        read.append(scope["client"][0])
        await echo_length(scope, receive, send)

    middleware = guarded(app)

    async def bring(address: str, size: int) -> None:
        scope = {
            "type": "http", "method": "POST", "path": "/", "query_string": b"", "client": (address, 1),
            "headers": [(b"content-length", str(size).encode())],
        }  # fmt: skip
        messages: list[Message] = [{"type": "http.request", "body": b" " * size}]

        async def receive() -> Message:
            return messages.pop()

        async def ignore(_: Message) -> None: ...

        await middleware(scope, receive, ignore)

    many = [asyncio.create_task(bring("192.0.2.1", 4_096)) for _ in range(50)]
    await asyncio.sleep(0)
    other = asyncio.create_task(bring("192.0.2.2", 4_096))
    await asyncio.sleep(0)
    await bring("192.0.2.1", 1_024)
    assert read == ["192.0.2.1"] * 2
    for _ in range(2):
        middleware._admission.large._turns.release("192.0.2.1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert other.done()
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)


@pytest.mark.parametrize("declared", [b"1", b"x", b"-1", b""])
async def test_a_declared_length_does_not_help_a_body_that_is_too_large(declared: bytes) -> None:
    middleware = guarded(echo_length, requests=1)
    assert problem_of(await through(middleware, parts(70), (b"content-length", declared))) == (
        413,
        "too-large",
    )


async def test_beyond_the_limit_requests_are_refused_at_once_and_taken_again_after() -> None:
    slow = Slow()
    async with calling(guarded(slow, requests=3)) as client:
        inside = [asyncio.create_task(client.get("/round")) for _ in range(3)]
        await slow.holds(3)
        async with asyncio.timeout(HANG_S):
            refused = await client.get("/round")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.headers["content-type"] == "application/problem+json"
            assert (refused.json()["code"], refused.json()["retry_after"]) == ("overloaded", 1)
            assert refused.json()["request_id"] == refused.headers["x-request-id"]
            assert slow.entered == 3
            for path in ALWAYS_ADMITTED:
                assert (await client.get(path)).text == "done"

            slow.finish.set()
            assert [(await answer).status_code for answer in inside] == [200] * 3
            assert (await client.get("/round")).text == "done"


@pytest.mark.parametrize("path", ["/v1/game/rounds/jazz", "/healthz/", "/z", "/x/readyz", "/healthz%2Fz"])
async def test_only_health_is_admitted_when_the_house_is_full(path: str) -> None:
    async with calling(guarded(echo_length, requests=0)) as client:
        assert (await client.get(path)).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("SELECT secret FROM vault")


async def fails_half_way(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("too late for a problem document")


@pytest.mark.parametrize("app", [fails, fails_half_way, echo_length])
async def test_a_request_that_ends_in_any_way_makes_room(app: Any) -> None:
    middleware = guarded(app, requests=1)
    for _ in range(3):
        await through(middleware, parts(70))
    sent = await through(guarded(echo_length, requests=1), parts(1))
    assert sent[0]["status"] == 200
    assert (await through(middleware, parts(1)))[0]["status"] != 503


async def test_a_client_that_hangs_up_makes_room_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    middleware = guarded(echo_length, requests=1)
    first_part = {"type": "http.request", "body": KIB, "more_body": True}
    for _ in range(3):
        await through(middleware, [first_part, {"type": "http.disconnect"}])
    assert (await through(middleware, parts(1)))[0]["status"] == 200
    assert not caplog.records


async def test_a_cancelled_request_makes_room() -> None:
    slow = Slow()
    middleware = guarded(slow, requests=1)
    request = asyncio.create_task(through(middleware, []))
    await slow.arrived.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    slow.finish.set()
    assert (await through(middleware, []))[0]["status"] == 200


async def test_an_error_of_the_app_is_a_problem_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    sent = await through(guarded(fails, requests=1), [])
    assert problem_of(sent) == (500, "internal")
    assert b"vault" not in sent[1]["body"]
    assert json.loads(sent[1]["body"])["request_id"] in caplog.text, "the log has it, by the same id"
    assert "vault" in caplog.text


async def test_every_answer_has_one_id_and_no_two_the_same() -> None:
    middleware = guarded(echo_length, requests=1)
    answers = [await through(middleware, parts(count)) for count in (1, 64, 65, 1)]
    ids = [[value for name, value in sent[0]["headers"] if name == b"x-request-id"] for sent in answers]
    assert all(len(found) == 1 for found in ids)
    assert len({found[0] for found in ids}) == 4


async def test_an_id_begins_with_the_callers_own_also_where_the_call_is_refused() -> None:
    slow = Slow()
    async with calling(guarded(slow, requests=1)) as client, asyncio.timeout(HANG_S):
        inside = asyncio.create_task(client.post("/v1/operator/sessions", headers={"x-request-id": "first"}))
        await slow.holds(1)
        refused = await client.post("/v1/operator/sessions", headers={"x-request-id": "second"})
        assert refused.status_code == 503
        assert re.fullmatch("second[.][0-9a-f]{32}", refused.headers["x-request-id"])
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
        assert int(refused.headers["content-length"]) == len(refused.content)
        slow.finish.set()
        assert (await inside).headers["x-request-id"].startswith("first.")


async def test_what_is_not_http_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def silent(*_: object) -> Any:
        raise AssertionError("nobody reads or writes here")

    await guarded(app, requests=0)({"type": "lifespan"}, silent, silent)
    assert seen == ["lifespan"]


async def test_beyond_their_own_limit_bets_are_refused_and_everything_else_is_answered() -> None:
    slow = Slow()
    async with calling(guarded(slow, bets=2)) as client, asyncio.timeout(HANG_S):
        inside = [asyncio.create_task(client.post(BETS)) for _ in range(2)]
        await slow.holds(2)

        refused = await client.post(BETS)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["content-type"] == "application/problem+json"
        assert (refused.json()["code"], refused.json()["retry_after"]) == ("overloaded", 1)
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
        assert int(refused.headers["content-length"]) == len(refused.content)
        reads = [client.get(BETS), client.get(f"{BETS}/jazz"), client.post("/v1/game/sessions")]
        reading = [asyncio.create_task(read) for read in reads]
        await slow.holds(5)

        slow.finish.set()
        assert [(await answer).status_code for answer in (*inside, *reading)] == [200] * 5
        assert (await client.post(BETS)).text == "done"


async def test_a_bet_needs_a_place_among_all_requests_too() -> None:
    async with calling(guarded(echo_length, requests=0)) as client:
        assert (await client.post(BETS)).status_code == 503


@pytest.mark.parametrize("app", [fails, fails_half_way, echo_length])
async def test_a_bet_that_ends_in_any_way_makes_room_and_gives_its_turn_back(app: Any) -> None:
    middleware = guarded(app, bets=1, running=1)
    first_part: Message = {"type": "http.request", "body": KIB, "more_body": True}
    hangs_up: Message = {"type": "http.disconnect"}
    for messages in (parts(1), parts(70), [first_part, hangs_up], parts(1)):
        async with asyncio.timeout(HANG_S):
            sent = await through(middleware, messages, path=BETS)
        assert not sent or sent[0]["status"] != 503


@pytest.mark.parametrize("running", [1, 2], ids=["waiting for a turn", "under way"])
async def test_a_cancelled_bet_makes_room_and_gives_its_turn_back(running: int) -> None:
    slow = Slow()
    middleware = guarded(slow, bets=2, running=running)
    first = asyncio.create_task(through(middleware, [], path=BETS))
    await slow.holds(1)
    second = asyncio.create_task(through(middleware, [], path=BETS))
    await asyncio.sleep(0)
    assert problem_of(await through(middleware, [], path=BETS)) == (503, "overloaded")
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    slow.finish.set()
    async with asyncio.timeout(HANG_S):
        answers = [await first, *[await through(middleware, [], path=BETS) for _ in range(3)]]
    assert [sent[0]["status"] for sent in answers] == [200] * 4


async def test_bets_take_turns_in_the_order_of_their_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admissions, "TURN_S", HANG_S)
    slow, order = Slow(), list[int]()
    middleware = guarded(slow, running=2)

    async def bet(number: int) -> None:
        await through(middleware, [], path=BETS)
        order.append(number)

    tasks = [asyncio.create_task(bet(number)) for number in range(6)]
    await slow.holds(2)
    await asyncio.sleep(0.02)
    assert slow.entered == 2
    slow.finish.set()
    await asyncio.gather(*tasks)
    assert order == sorted(order)


async def test_who_waits_for_a_service_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admissions, "TURN_S", 0.02)
    slow = Slow()
    middleware = guarded(slow, running=1)
    tasks = [asyncio.create_task(through(middleware, [], path=BETS)) for _ in range(3)]
    await slow.holds(3)
    slow.finish.set()
    assert [sent[0]["status"] for sent in await asyncio.gather(*tasks)] == [200] * 3
    # Each turn was given back once: there is one again, not four.
    slow.entered, slow.finish = 0, asyncio.Event()
    monkeypatch.setattr(admissions, "TURN_S", HANG_S)
    tasks = [asyncio.create_task(through(middleware, [], path=BETS)) for _ in range(3)]
    await asyncio.sleep(0.02)
    assert slow.entered == 1
    slow.finish.set()
    await asyncio.gather(*tasks)


async def test_retry_after_is_the_time_in_which_those_inside_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(admissions, "time", SimpleNamespace(monotonic=lambda: now))
    slow = Slow()
    middleware = guarded(slow, bets=1)

    async def bet_of(seconds: float) -> int:
        """Plays a bet that takes so long, and returns what another one is told meanwhile."""
        nonlocal now
        slow.entered, slow.finish = 0, asyncio.Event()
        inside = asyncio.create_task(through(middleware, [], path=BETS))
        await slow.holds(1)
        refused = await through(middleware, [], path=BETS)
        now += seconds
        slow.finish.set()
        await inside
        return int(dict(refused[0]["headers"])[b"retry-after"])

    assert await bet_of(2.5) == 1
    assert [await bet_of(2.5) for _ in range(100)][-1] == 3
    assert [await bet_of(1_000.0) for _ in range(10)][-1] == admissions.RETRY_AFTER_LIMIT_S
    assert [await bet_of(0.01) for _ in range(300)][-1] == 1
