"""Who asks too often is told when to come again, and nobody else notices; what refusing a stranger costs."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from security.api_keys import new_api_key
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress
from tests.support.sockets import address

SESSION_PER_S: Final = 0.5
SESSION_BURST: Final = 8
KEY_BURST: Final = 12
FAILURES_BURST: Final = 10
# So seldom that a test which takes its time is given none more than the burst.
HARDLY_EVER_PER_S: Final = 0.001
REFUSALS: Final = 500
REFUSALS_FULL: Final = 5_000
# One refusal may cost a millisecond of the ingress's processor on a quiet machine; a shared one is slower.
CPU_LIMIT_S: Final = 0.001
MARGIN: Final = 3


@dataclass(frozen=True, slots=True)
class Ingress:
    """An ingress with small limits, behind a proxy on this machine that it trusts."""

    http: httpx.AsyncClient
    metrics_url: str

    async def limited(self, limit: str) -> int:
        for family in text_string_to_metric_families((await self.http.get(self.metrics_url)).text):
            for sample in family.samples:
                if sample.name == "croupier_requests_limited_total" and sample.labels["limit"] == limit:
                    return int(sample.value)
        return 0


@pytest.fixture(scope="module")
async def ingress(platform: dict[str, Any], services: Services) -> AsyncIterator[Ingress]:
    async with (
        one_more_ingress(
            services.stack,
            "limited-ingress",
            limit_session_per_s=SESSION_PER_S,
            limit_session_burst=SESSION_BURST,
            limit_key_per_s=HARDLY_EVER_PER_S,
            limit_key_burst=KEY_BURST,
            limit_failures_per_s=HARDLY_EVER_PER_S,
            limit_failures_burst=FAILURES_BURST,
            trusted_proxies="127.0.0.1/32",
        ) as running,
        http_client(base_url=running.base_url, timeout=HANG_S) as http,
    ):
        yield Ingress(http, running.metrics_url)


def checked_wait(response: httpx.Response) -> int:
    """The seconds that a refused caller is told to wait."""
    problem = checked_problem(response, 429, "too-many-requests")
    assert response.headers["retry-after"] == str(problem["retry_after"])
    assert problem["retry_after"] >= 1
    return int(problem["retry_after"])


def through(ingress: Ingress, player: Player) -> Player:
    """The same player, calling the limited ingress."""
    gateway = replace(player.operator.gateway, http=ingress.http)
    return replace(player, operator=replace(player.operator, gateway=gateway))


async def test_a_session_that_bets_too_often_is_told_to_wait_and_nothing_moves(
    ingress: Ingress, operator: Operator
) -> None:
    player = through(ingress, await operator.open_session(balance=10_000))
    limited = await ingress.limited("session")
    began = time.monotonic()
    round_id, refused, served = await _bet_until_refused(player)
    # What comes back while the bets are played is little, and as much as the time says.
    assert SESSION_BURST <= served <= SESSION_BURST + (time.monotonic() - began) * SESSION_PER_S
    assert checked_wait(refused) <= 1 / SESSION_PER_S
    books = await player.operator.books()
    assert not await player.operator.gateway.has_workflow(player.round_key(round_id).workflow_id)
    looks = await _look_until_refused(player)
    assert await player.operator.books() == books
    assert await ingress.limited("session") == limited + 2, "a bet and a look"
    checked_wait(looks)

    other = through(ingress, await operator.open_session(balance=100))
    await other.played()

    async def played() -> bool:
        answer = await player.bet(round_id)
        assert answer.status_code == 201 or checked_wait(answer)
        return answer.status_code == 201

    await until(played)


async def _bet_until_refused(player: Player) -> tuple[str, httpx.Response, int]:
    """The id of the first bet that is refused, its answer, and how many were played before."""
    async with asyncio.timeout(HANG_S):
        for served in itertools.count():
            round_id = uuid4().hex
            answer = await player.bet(round_id)
            if answer.status_code != 201:
                return round_id, answer, served
    raise AssertionError("unreachable")


async def _look_until_refused(player: Player) -> httpx.Response:
    """More than one look only where so much time has passed that the session may have one again."""
    async with asyncio.timeout(HANG_S):
        while (answer := await player.call("GET", "/balance")).status_code == 200:
            pass
    return answer


async def test_a_key_that_asks_too_often_is_told_to_wait_and_another_is_not(
    ingress: Ingress, gateway: Gateway
) -> None:
    operator = await gateway.new_operator()
    limited = replace(operator, gateway=replace(gateway, http=ingress.http))
    answers = [await limited.call("GET", "/rounds") for _ in range(KEY_BURST)]
    assert [answer.status_code for answer in answers] == [200] * KEY_BURST
    checked_wait(await limited.call("GET", "/rounds"))
    second = replace(limited, key=await gateway.new_key(operator.operator_id))
    assert (await second.call("GET", "/rounds")).status_code == 200


async def test_a_stranger_who_keeps_trying_is_told_to_wait_and_the_genuine_are_served(
    ingress: Ingress, operator: Operator, player: Player
) -> None:
    """All from one address, as behind a proxy that tells none: no stranger there locks the others out."""

    async def answer(token: str, address: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}", "x-forwarded-for": address}
        return await ingress.http.get("/v1/game/balance", headers=headers)

    for _ in range(FAILURES_BURST):
        checked_problem(await answer("forged", "203.0.113.7"), 401, "unauthenticated")
    checked_wait(await answer("forged", "203.0.113.7"))
    checked_wait(await ingress.http.get("/v1/operator/rounds", headers={"x-forwarded-for": "203.0.113.7"}))
    assert (await answer(player.token, "203.0.113.7")).status_code == 200
    checked_problem(await answer("forged", "203.0.113.8"), 401, "unauthenticated")
    # What is before the last address was written by the client itself.
    checked_wait(await answer("forged", "192.0.2.99, 203.0.113.7"))
    assert await ingress.limited("failures") >= 3


@pytest.mark.parametrize(
    ("client", "other"),
    [("203.0.113.31:{port}", "203.0.113.32"), ("[2001:db8:31::1]:{port}", "2001:db8:32::1")],
)
async def test_a_proxy_that_writes_ports_is_not_charged_for_its_clients(
    ingress: Ingress, client: str, other: str
) -> None:
    async def answer(address: str) -> httpx.Response:
        headers = {"authorization": "Bearer forged", "x-forwarded-for": address}
        return await ingress.http.get("/v1/game/balance", headers=headers)

    for number in range(FAILURES_BURST):
        checked_problem(await answer(client.format(port=50_000 + number)), 401, "unauthenticated")
    checked_wait(await answer(client.format(port=443)))
    checked_problem(await answer(f"{other}, 127.0.0.1:8080"), 401, "unauthenticated")


async def test_unknown_keys_of_a_stranger_are_looked_up_only_within_its_budget(ingress: Ingress) -> None:
    async def answer(key: str) -> int:
        headers = {"authorization": f"Bearer {key}", "x-forwarded-for": "203.0.113.20"}
        return (await ingress.http.get("/v1/operator/rounds", headers=headers)).status_code

    told = [await answer(new_api_key().text) for _ in range(3 * FAILURES_BURST)]
    assert told[:FAILURES_BURST] == [401] * FAILURES_BURST
    assert told.count(429) > FAILURES_BURST


Make = Callable[[Player, int], str | None]


def with_wrong_signature(player: Player, number: int) -> str:
    """Another one each time, so that none is known from before."""
    head, _, signature = player.token.rpartition(".")
    return f"{head}.{number:08d}{signature[8:]}"


STRANGERS: Final[dict[str, tuple[str, str, Make]]] = {
    "no token": ("POST", "/v1/game/rounds", lambda player, number: None),
    "a malformed token": ("POST", "/v1/game/rounds", lambda player, number: f"a.{number}.b"),
    "a wrong signature": ("POST", "/v1/game/rounds", with_wrong_signature),
    "no key": ("GET", "/v1/operator/rounds", lambda player, number: None),
    "a malformed key": ("GET", "/v1/operator/rounds", lambda player, number: f"crk_{number}"),
    "an unknown key": ("GET", "/v1/operator/rounds", lambda player, number: f"crk_{'0' * 16}_{number:043d}"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_refusing_a_stranger_costs_less_than_a_millisecond(
    services: Services, gateway: Gateway, player: Player, stranger: str, full: bool
) -> None:
    """The processor time of the ingress; the limit is looser where others share the machine."""
    method, path, make = STRANGERS[stranger]
    count = REFUSALS_FULL if full else REFUSALS
    numbers = iter(range(count + 20))
    ingress = psutil.Process(services.stack.pid("ingress"))

    async def refuse() -> None:
        for number in numbers:
            text = make(player, number)
            headers = {} if text is None else {"authorization": f"Bearer {text}"}
            response = await gateway.http.request(method, path, headers=headers)
            assert response.status_code == 401
            if number == 20:
                begun.append(ingress.cpu_times())

    begun: list[Any] = []
    await asyncio.gather(*(refuse() for _ in range(4)))
    ended = ingress.cpu_times()
    spent_s = ended.user + ended.system - begun[0].user - begun[0].system
    cost_s = spent_s / count
    print(f"{stranger}: {cost_s * 1000:.2f} ms of the ingress's processor for a refusal")  # noqa: T201
    assert cost_s < CPU_LIMIT_S * (1 if full else MARGIN)


async def test_messages_that_are_none_count_for_their_session_and_end_nothing(
    ingress: Ingress, operator: Operator
) -> None:
    player = await operator.open_session()
    limited = await ingress.limited("session")
    async with connect(address(str(ingress.http.base_url).rstrip("/")), compression=None) as socket:
        await socket.send(json.dumps({"type": "hello", "token": player.token}))  # counts too
        await socket.recv()
        texts = ['{"type": "nope"}', "nonsense", '{"type": "ping"}', "[]"]
        codes = []
        for text in itertools.islice(itertools.cycle(texts), 2 * SESSION_BURST):
            await socket.send(text)
            answer = json.loads(await asyncio.wait_for(socket.recv(), HANG_S))
            codes.append(answer["problem"]["code"])
    assert codes[: SESSION_BURST - 1] == ["invalid"] * (SESSION_BURST - 1)
    # Some tokens may come back on a slow machine.
    assert set(codes[SESSION_BURST - 1 :]) <= {"invalid", "too-many-requests"}
    assert codes.count("too-many-requests") >= 1
    assert await ingress.limited("session") - limited == codes.count("too-many-requests")
