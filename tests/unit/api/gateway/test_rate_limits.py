"""RateLimits: token buckets that are exact, cheap and bounded, and whose request a request is."""

import ipaddress
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from api.gateway import middleware as middleware_module
from api.gateway import rate_limits as limits_module
from api.gateway.admission import Admission
from api.gateway.middleware import ALWAYS_ADMITTED, COUNTS_AS, PAUSE_S, REFUSED, EdgeMiddleware
from api.gateway.problems import Problem
from api.gateway.rate_limits import Buckets, Rate, RateLimits


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_then_so_many_a_second() -> None:
    clock = Clock()
    buckets = Buckets(Rate(per_s=10, burst=3), "session", clock)
    assert [buckets.take("a") for _ in range(3)] == [0.0] * 3
    assert buckets.take("a") == pytest.approx(0.1, abs=1e-5)
    clock.now += 0.06
    assert buckets.take("a") == pytest.approx(0.04, abs=1e-5), "a refusal costs no token"
    clock.now += 0.05
    assert buckets.take("a") == 0.0
    clock.now += 0.2
    assert [bool(buckets.take("a")) for _ in range(3)] == [False, False, True]
    clock.now += 3_600
    assert [bool(buckets.take("a")) for _ in range(4)] == [False, False, False, True], (
        "no more than the burst"
    )


def test_askers_do_not_share() -> None:
    buckets = Buckets(Rate(per_s=1, burst=1), "session", Clock())
    assert [buckets.take(caller) for caller in "abc"] == [0.0] * 3
    assert all(buckets.take(caller) > 0 for caller in "abc")


def test_looking_takes_nothing() -> None:
    buckets = Buckets(Rate(per_s=1, burst=1), "session", Clock())
    assert all(buckets.has_token("a") for _ in range(5))
    buckets.take("a")
    assert not buckets.has_token("a")


def test_zero_is_no_limit() -> None:
    buckets = Buckets(Rate(per_s=0, burst=1), "session", Clock())
    assert not any(buckets.take("a") for _ in range(1_000))
    assert buckets.has_token("a")
    assert len(buckets) == 0


def test_an_idle_asker_is_forgotten_and_a_busy_one_is_not() -> None:
    clock = Clock()
    buckets = Buckets(Rate(per_s=10, burst=10), "session", clock)
    for _ in range(10):
        buckets.take("busy")
    for second in range(20):
        for stranger in range(100):
            buckets.take(f"{second}-{stranger}")
        clock.now += 0.1
        buckets.take("busy")
        assert buckets.take("busy") > 0, "its bucket was never filled by being forgotten"
    assert len(buckets) < 100 * 22


def test_however_many_ask_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "CALLERS_LIMIT", 1_000)
    buckets = Buckets(Rate(per_s=0.001, burst=10), "session", Clock())
    for caller in range(10_000):
        assert buckets.take(str(caller)) == 0.0
    assert len(buckets) <= 1_000


def test_a_check_costs_less_than_ten_microseconds() -> None:
    limits = RateLimits(
        sessions=Rate(per_s=1e9, burst=1000), addresses=Rate(per_s=1e9, burst=1000),
        keys=Rate(per_s=1e9, burst=1000), failures=Rate(per_s=1e9, burst=1000),
    )  # fmt: skip
    scope = {"client": ("192.0.2.1", 50_000), "headers": []}
    sessions = [f"{number:032x}" for number in range(500)]

    def cost_s() -> float:
        """Processor time of what a bet passes, on this thread: its address, and its session."""
        began = time.thread_time()
        for session in sessions:
            limits.addresses.take(limits.address_of(scope))
            limits.admit_session(session)
        return (time.thread_time() - began) / len(sessions)

    assert min(cost_s() for _ in range(20)) < 10e-6


def scope_of(peer: str, *forwarded: str) -> Scope:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "client": (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.9", (), "198.51.100.9"),
        ("198.51.100.9", ("203.0.113.5",), "198.51.100.9"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.5",), "203.0.113.5"),
        ("10.0.0.1", ("1.1.1.1, 203.0.113.5",), "203.0.113.5"),
        ("10.0.0.1", ("1.1.1.1", "203.0.113.5, 10.9.9.9"), "203.0.113.5"),
        ("10.0.0.1", ("10.0.0.7",), "10.0.0.7"),
        ("10.0.0.1", ("not an address",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.5, junk, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("\xff\xfe",), "10.0.0.1"),
        ("10.0.0.1", ("2001:db8:1:2:3:4:5:6",), "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", (), "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.5", (), "203.0.113.5"),
        # With the port of the client, which some proxies write too.
        ("10.0.0.1", ("203.0.113.7:51234",), "203.0.113.7"),
        ("10.0.0.1", ("1.1.1.1:1, 203.0.113.7:51234, 10.9.9.9:80",), "203.0.113.7"),
        ("10.0.0.1", ("[2001:db8:1:2::1]:443",), "2001:db8:1:2::/64"),
        ("10.0.0.1", ("[2001:db8:1:2::1]",), "2001:db8:1:2::/64"),
        ("10.0.0.1", ('"[2001:db8:1:2::1]:443"',), "2001:db8:1:2::/64"),
        ("10.0.0.1", ("203.0.113.7:51234, [2001:db8:1:2::1",), "2001:db8:1:2::/64"),
        ("10.0.0.1", ("203.0.113.7:80:80",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.7, unknown:80",), "10.0.0.1"),
        # What listens on `::` for IPv4 too sees all of them so.
        ("::ffff:10.0.0.1", ("203.0.113.5",), "203.0.113.5"),
        ("::ffff:10.0.0.1", ("203.0.113.5, ::ffff:10.9.9.9",), "203.0.113.5"),
    ],
)
def test_only_proxies_of_ours_are_believed(peer: str, forwarded: tuple[str, ...], address: str) -> None:
    limits = RateLimits(trusted_proxies=[ipaddress.ip_network("10.0.0.0/8")])
    assert limits.address_of(scope_of(peer, *forwarded)) == address


def test_a_proxy_is_known_by_its_address_in_either_form() -> None:
    limits = RateLimits(trusted_proxies=[ipaddress.ip_network("10.0.0.0/8")])
    assert limits.is_proxy("10.0.0.1")
    assert limits.is_proxy("::ffff:10.0.0.1")
    assert not limits.is_proxy("::ffff:11.0.0.1")


def test_without_proxies_the_header_counts_for_nothing() -> None:
    assert RateLimits().address_of(scope_of("10.0.0.1", "203.0.113.5")) == "10.0.0.1"
    assert RateLimits().address_of(scope_of("2001:db8:1:2::1")) == "2001:db8:1:2::/64"
    assert RateLimits().address_of({"type": "http", "client": None, "headers": []}) == ""


def stopped(limits: RateLimits) -> RateLimits:
    """The same limits, for which no time passes."""
    for buckets in (limits.addresses, limits._sessions):
        buckets._clock = Clock()
    return limits


def test_a_limit_is_a_problem_that_says_when_to_come_again() -> None:
    limits = stopped(RateLimits(sessions=Rate(per_s=0.25, burst=1)))
    limits.admit_session("s")
    with pytest.raises(Problem) as caught:
        limits.admit_session("s")
    assert (caught.value.code, caught.value.members) == ("too-many-requests", {"retry_after": 4})


async def served(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def asked(
    app: Any, client: str, path: str, count: int, headers: dict[str, str]
) -> list[httpx.Response]:
    transport = httpx.ASGITransport(app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        return [await http.post(path, headers=headers) for _ in range(count)]


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Each pause before a refusal, in seconds, that would have been made."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    # What the middleware sees only: other tasks of this process sleep too.
    monkeypatch.setattr(middleware_module, "asyncio", SimpleNamespace(sleep=sleep))
    return made


async def test_an_address_without_credentials_and_one_that_is_refused_spend_more(
    no_pause: list[float],
) -> None:
    """A call counts as COUNTS_AS, and who is refused at the door hears of it after a pause."""
    status = 204

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    admission = Admission(max_open_requests=9, max_open_bets=9, max_running_bets=9)
    limits = RateLimits(addresses=Rate(per_s=0.001, burst=3 * COUNTS_AS))
    middleware = EdgeMiddleware(answering, admission, limits)
    known = {"authorization": "Bearer a.b.c"}
    anonymous = await asked(middleware, "192.0.2.1", "/v1/games", 4, {})
    assert [answer.status_code for answer in anonymous] == [204, 204, 204, 429]
    assert no_pause == [PAUSE_S]
    told = await asked(middleware, "192.0.2.2", "/v1/games", 3 * COUNTS_AS + 1, known)
    assert [answer.status_code for answer in told] == [204] * 3 * COUNTS_AS + [429]
    for status in sorted(REFUSED):
        client = f"192.0.2.{status % 100 + 10}"
        refused = await asked(middleware, client, "/v1/games", 4, known)
        assert [answer.status_code for answer in refused] == [status] * 3 + [429]
    assert set(no_pause) == {PAUSE_S}


async def test_the_door_refuses_an_address_that_asks_too_often_and_answers_for_health(
    no_pause: list[float],
) -> None:
    admission = Admission(max_open_requests=9, max_open_bets=9, max_running_bets=9)
    middleware = EdgeMiddleware(served, admission, stopped(RateLimits(addresses=Rate(per_s=0.1, burst=2))))

    async def answers(client: str, path: str, count: int) -> list[httpx.Response]:
        return await asked(middleware, client, path, count, {"authorization": "Bearer a.b.c"})

    first, second, third = await answers("192.0.2.1", "/v1/game/rounds", 3)
    assert (first.status_code, second.status_code, third.status_code) == (204, 204, 429)
    assert third.headers["retry-after"] == "10"
    assert third.headers["content-type"] == "application/problem+json"
    told = third.json()
    assert (told["code"], told["retry_after"]) == ("too-many-requests", 10)
    assert told["request_id"] == third.headers["x-request-id"]
    assert [a.status_code for a in await answers("192.0.2.2", "/v1/game/rounds", 2)] == [204, 204]
    for path in ALWAYS_ADMITTED:
        assert [a.status_code for a in await answers("192.0.2.1", path, 3)] == [204] * 3


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-gzip", "gzip, identity", "GZIP"])
async def test_the_door_refuses_a_compressed_body_unread(encoding: str) -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the app must not be asked")

    middleware = EdgeMiddleware(never, Admission(max_open_requests=9, max_open_bets=9, max_running_bets=9))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="http://api") as http:
        answer = await http.post("/", content=b"{}", headers={"content-encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
