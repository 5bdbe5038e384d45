"""Messages over a socket take places as requests do, and nothing that goes wrong with one ends its socket."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.gateway.admission import Admission
from api.gateway.rate_limits import Rate, RateLimits
from api.services import Services
from api.transports.websocket.calls import PAUSE_LIMIT_S, Asked, Call, Client, admit, answer, read
from api.transports.websocket.messages import PingMessage
from contracts.sessions import SessionClaims
from runtime import metrics

PING = '{"type": "ping", "id": "p"}'
BET = '{"type": "bet", "id": "b", "round_id": "r", "stake": 100}'
CLAIMS = cast(SessionClaims, SimpleNamespace(session_id="s", operator_id="o"))


def client(*, requests: int = 10, bets: int = 10, limits: RateLimits | None = None) -> Client:
    admission = Admission(max_open_requests=requests, max_open_bets=bets, max_running_bets=bets)
    services = SimpleNamespace(tokens=SimpleNamespace(verify=lambda _: CLAIMS), limits=limits or RateLimits())
    return Client("t", "127.0.0.1", CLAIMS, cast(Services, services), admission)


async def test_a_full_house_refuses_bets_and_answers_the_rest() -> None:
    asking = client(bets=1)
    refused_before = metrics.BETS_REFUSED.labels("overloaded")._value.get()
    with asking.admission.bets.one():
        message = await answer(read(BET), asking)
        assert (message["type"], message["id"]) == ("problem", "b")
        assert message["problem"]["code"] == "overloaded"
        assert message["problem"]["retry_after"] >= 1
        assert await answer(read(PING), asking) == {"type": "pong", "id": "p"}
    assert metrics.BETS_REFUSED.labels("overloaded")._value.get() == refused_before + 1


async def test_too_many_requests_at_once_are_refused_whatever_they_are() -> None:
    asking = client(requests=1)
    with asking.admission.requests.one():
        assert (await answer(read(PING), asking))["problem"]["code"] == "overloaded"
    assert (await answer(read(PING), asking))["type"] == "pong", "a refusal takes no place"


async def test_a_session_may_ask_only_so_often() -> None:
    asking = client(limits=RateLimits(sessions=Rate(per_s=0.01, burst=2)))
    asked = [await admit(PING, asking) for _ in range(3)]
    assert [one.pause_s for one in asked] == [0.0, 0.0, PAUSE_LIMIT_S]
    answers = [await answer(one.asked, asking) for one in asked]
    assert [message["type"] for message in answers] == ["pong", "pong", "problem"]
    problem = answers[-1]["problem"]
    assert (problem["code"], problem["retry_after"] > 1) == ("too-many-requests", True)
    assert answers[-1]["id"] == "p"


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", '{"type": "nope"}', '{"type": "ping"}', '{"type": "bet", "id": "x", "stake": -1}'],
)
async def test_a_message_that_is_none_counts_as_one(text: str) -> None:
    asking = client(limits=RateLimits(sessions=Rate(per_s=0.01, burst=2)))
    problems = [(await answer((await admit(text, asking)).asked, asking))["problem"] for _ in range(3)]
    assert [problem["code"] for problem in problems] == ["invalid", "invalid", "too-many-requests"]


async def test_a_message_counts_by_its_size_and_is_not_read_beyond_what_a_call_needs() -> None:
    asking = client(limits=RateLimits(sessions=Rate(per_s=0.01, burst=30)))
    text = '{"type": "nope", "id": "x", "a": [' + "1," * 20_000 + "1]}"
    first = await answer((await admit(text, asking)).asked, asking)
    assert (first["id"], first["problem"]["code"]) == (None, "too-large")
    second = await answer((await admit(text, asking)).asked, asking)
    assert second["problem"]["code"] == "too-many-requests"


async def test_what_nobody_foresaw_is_a_problem_without_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError("a secret")

    call = Call(PingMessage, "pong", fail, lambda reply: reply.body)
    message = await answer(Asked("x", None, call, PingMessage(type="ping", id="x")), client())
    assert message["problem"]["code"] == "internal"
    assert "secret" not in json.dumps(message)
    assert message["problem"]["request_id"] in caplog.text
