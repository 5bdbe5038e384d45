"""Messages over a socket take places as requests do, and nothing that goes wrong with one ends its socket."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import HTTPConnection

from api.admission import Admission
from api.limits import Limits, Rate
from api.services import Services
from api.socket_calls import Asked, Call, Caller, answer, read
from api.socket_messages import PingMessage
from contracts.sessions import SessionClaims
from runtime import metrics

PING = '{"type": "ping", "id": "p"}'
BET = '{"type": "bet", "id": "b", "round_id": "r", "stake": 100}'
CLAIMS = cast(SessionClaims, SimpleNamespace(session_id="s"))
CREDENTIALS = HTTPAuthorizationCredentials(scheme="Bearer", credentials="t")


def caller(*, requests: int = 10, bets: int = 10, limits: Limits | None = None) -> Caller:
    admission = Admission(max_open_requests=requests, max_open_bets=bets, max_running_bets=bets)
    services = SimpleNamespace(tokens=SimpleNamespace(verify=lambda _: CLAIMS), limits=limits or Limits())
    connection = HTTPConnection({"type": "websocket", "headers": []})
    return Caller(CLAIMS, connection, CREDENTIALS, cast(Services, services), admission)


async def test_a_full_house_refuses_bets_and_answers_the_rest() -> None:
    asking = caller(bets=1)
    refused_before = metrics.BETS_REFUSED.labels("overloaded")._value.get()
    with asking.admission.bets.one():
        message = await answer(read(BET), asking)
        assert (message["type"], message["id"]) == ("problem", "b")
        assert message["problem"]["code"] == "overloaded"
        assert message["problem"]["retry_after"] >= 1
        assert await answer(read(PING), asking) == {"type": "pong", "id": "p"}
    assert metrics.BETS_REFUSED.labels("overloaded")._value.get() == refused_before + 1


async def test_too_many_requests_at_once_are_refused_whatever_they_are() -> None:
    asking = caller(requests=1)
    with asking.admission.requests.one():
        assert (await answer(read(PING), asking))["problem"]["code"] == "overloaded"
    assert (await answer(read(PING), asking))["type"] == "pong", "a refusal takes no place"


async def test_a_session_may_ask_only_so_often() -> None:
    asking = caller(limits=Limits(sessions=Rate(per_s=0.01, burst=2)))
    kinds = [(await answer(read(PING), asking))["type"] for _ in range(3)]
    assert kinds == ["pong", "pong", "problem"]
    problem = (await answer(read(PING), asking))["problem"]
    assert (problem["code"], problem["retry_after"] > 1) == ("too-many-requests", True)


async def test_what_nobody_foresaw_is_a_problem_without_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError("a secret")

    call = Call(PingMessage, "pong", fail, lambda reply: reply.body)
    message = await answer(Asked("x", None, call, PingMessage(type="ping", id="x")), caller())
    assert message["problem"]["code"] == "internal"
    assert "secret" not in json.dumps(message)
    assert message["problem"]["request_id"] in caplog.text
