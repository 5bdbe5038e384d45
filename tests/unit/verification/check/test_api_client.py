import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from verification.check import api_client
from verification.check.api_client import NoAnswer, OpenedSession, OperatorClient, Player, Refused

BASE = "http://casino.test"


def round_body(state: str = "settled", win: int = 0) -> dict[str, Any]:
    return {
        "round_id": "r-1",
        "state": state,
        "stake": {"amount": 100, "currency": "EUR"},
        "win": {"amount": win, "currency": "EUR"},
        "balance": {"amount": 900, "currency": "EUR"},
    }


class Script:
    """Answers each request with the next step: a response, or an error to raise."""

    def __init__(self, *steps: httpx.Response | Exception) -> None:
        self._steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
async def playing() -> AsyncIterator[Callable[[Script], Player]]:
    clients: list[httpx.AsyncClient] = []

    def player(script: Script) -> Player:
        clients.append(httpx.AsyncClient(base_url=BASE, transport=httpx.MockTransport(script)))
        return Player(clients[-1], "the-token")

    yield player
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize(
    "first",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(202, json=round_body("pending")),
        httpx.Response(429, json={"code": "too-many-requests"}),
        httpx.Response(500, text="not even JSON"),
        httpx.Response(503, json={"code": "overloaded"}, headers={"Retry-After": "1"}),
    ],
    ids=["no connection", "timeout", "cut", "202", "429", "500", "503"],
)
async def test_a_bet_without_an_end_is_sent_again_as_it_was(
    playing: Callable[[Script], Player], first: httpx.Response | Exception
) -> None:
    replay = httpx.Response(200, json=round_body(win=50), headers={"Idempotent-Replayed": "true"})
    script = Script(first, replay)
    answer = await playing(script).bet("r-1", 100, choice={"direction": "over", "target": 5000})
    assert (answer.state, answer.win, answer.balance) == ("settled", 50, 900)
    assert answer.replayed
    assert answer.sent == 2
    one, other = script.requests
    assert one.content == other.content
    assert json.loads(one.content)["round_id"] == "r-1"
    assert one.headers["Authorization"] == "Bearer the-token"


async def test_a_refused_bet_is_not_repeated(playing: Callable[[Script], Player]) -> None:
    document = {"code": "insufficient-funds", "detail": "no", "balance": {"amount": 1, "currency": "EUR"}}
    script = Script(httpx.Response(402, json=document, headers={"Idempotent-Replayed": "true"}))
    with pytest.raises(Refused) as refused:
        await playing(script).bet("r-1", 100)
    assert (refused.value.status, refused.value.code) == (402, "insufficient-funds")
    assert refused.value.document == document
    assert refused.value.replayed
    assert len(script.requests) == 1


async def test_gives_up_when_its_patience_ends(playing: Callable[[Script], Player]) -> None:
    def overloaded(_: httpx.Request) -> httpx.Response:
        return httpx.Response(503, json={"code": "overloaded"})

    http = httpx.AsyncClient(base_url=BASE, transport=httpx.MockTransport(overloaded))
    with pytest.raises(NoAnswer, match=r"round r-1 after \d+ tries: status 503"):
        await Player(http, "the-token").bet("r-1", 100, patience_s=0.05)
    await http.aclose()


async def test_a_refusal_that_is_no_problem_document_is_still_one(
    playing: Callable[[Script], Player],
) -> None:
    with pytest.raises(Refused, match="no problem document"):
        await playing(Script(httpx.Response(404, text="<html>"))).round("r-1")


async def test_history_follows_its_cursor(playing: Callable[[Script], Player]) -> None:
    script = Script(
        httpx.Response(200, json={"items": [{"round_id": "b"}], "next_cursor": "cGFnZQ"}),
        httpx.Response(200, json={"items": [{"round_id": "a"}], "next_cursor": None}),
    )
    ids = [item["round_id"] async for item in playing(script).history(limit=1)]
    assert ids == ["b", "a"]
    assert script.requests[1].url.params["cursor"] == "cGFnZQ"


async def test_secrets_are_in_no_representation() -> None:
    session = OpenedSession(
        session_id="s", token="the-token", launch_url="http://game#token=the-token", expires_at="later"
    )
    async with OperatorClient(BASE, "crk_secret") as operator:
        shown = f"{operator!r} {operator.player(session)!r} {session!r} {vars(operator)!r}"
    assert "crk_secret" not in shown
    assert "the-token" not in shown
