"""The Python client's steps: what is sent again, with which ids, after which pauses, and what is never."""

import inspect
import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from croupier_client import (
    AsyncGameClient,
    AsyncOperatorClient,
    Decision,
    GameClient,
    InsufficientFunds,
    OperatorClient,
    Patience,
    Problem,
    Round,
    RoundState,
    Unanswered,
    WalletFailed,
)
from croupier_client.calls import GameCalls, OperatorCalls
from croupier_client.problems import BY_CODE, problem
from croupier_client.steps import Pause, Request, Response, Steps

from api.gateway.problems import PROBLEMS, document
from api.gateway.problems import Problem as ServerProblem
from runtime.settings import PROJECT_ROOT

PROBLEM = "application/problem+json"
ANSWERS = json.loads((PROJECT_ROOT / "clients" / "answers.json").read_text(encoding="utf-8"))
BODY: dict[str, Any] = {
    "round_id": "r-1",
    "state": "settled",
    "game": {"id": "dice", "version": "1.0.0"},
    "mode": "base",
    "stake": {"amount": 100, "currency": "EUR"},
    "win": {"amount": 198, "currency": "EUR"},
    "balance": {"amount": 1_098, "currency": "EUR"},
    "outcome": {"roll": 7_000},
    "choices": [],
    "decide_by": None,
    "actions": [],
    "fairness": {"server_seed_hash": "5f" * 32, "client_seed": "seed", "nonce": 0},
    "sequence": 1,
    "created_at": "2026-11-22T16:56:52.862Z",
    "settled_at": "2026-11-22T16:56:52.900Z",
    "failure": None,
}


def answer(status: int, body: Any = None, **headers: str) -> Response:
    return Response(status, headers, b"" if body is None else json.dumps(body).encode())


def choice(action: str, *, debit: int = 0, **params: list[str]) -> dict[str, Any]:
    return {"action": action, "params": params, "debit": {"amount": debit, "currency": "EUR"}}


def refusal(code: str, **members: Any) -> Response:
    status, headers, body = document(ServerProblem(code, **members), "0" * 32)
    lower = {name.lower(): value for name, value in headers.items()}
    return answer(status, body, **lower, **{"content-type": PROBLEM})


def drive(
    steps: Steps[Any], answers: Iterable[Response | None], sent: list[Request] | None = None
) -> tuple[Any, list[Request], list[float]]:
    """What the steps return when requests are answered so, with all that they sent and waited for. What they
    sent is in `sent` too, when they raise."""
    sent = [] if sent is None else sent
    waited: list[float] = []
    following = iter(answers)
    response: Response | None = None
    while True:
        try:
            wanted = steps.send(response)
        except StopIteration as done:
            return done.value, sent, waited
        if isinstance(wanted, Pause):
            waited.append(wanted.seconds)
            response = None
        else:
            sent.append(wanted)
            response = next(following)


GAME = GameCalls(Patience())


def bet() -> Steps[Round]:
    return GAME.bet(100, {"direction": "over", "target": 4_999}, mode="base", round_id=None)


class TestBet:
    def test_is_the_same_bet_until_its_answer_is_certain(self) -> None:
        pending = answer(202, BODY | {"state": "pending"}, **{"retry-after": "1"})
        answers = [None, refusal("overloaded"), answer(504), refusal("internal"), pending, answer(200, BODY)]
        round_, sent, waited = drive(bet(), answers)
        assert round_.state is RoundState.SETTLED
        assert (round_.win.amount, round_.sequence, round_.failure_code) == (198, 1, None)
        assert len(sent) == 6
        assert all(request == sent[0] for request in sent)
        assert len(str(sent[0].body["round_id"])) == 32 if sent[0].body else False
        assert waited[1] >= 1, "Retry-After was not waited for"
        assert all(0 < pause <= 5 for pause in waited)

    def test_takes_a_new_id_for_a_new_bet(self) -> None:
        ids = {str(drive(bet(), [answer(201, BODY)])[1][0].body) for _ in range(2)}
        assert len(ids) == 2

    @pytest.mark.parametrize("code", ["insufficient-funds", "round-open", "id-reused", "session-expired"])
    def test_that_is_refused_is_not_sent_again(self, code: str) -> None:
        with pytest.raises(BY_CODE[code]) as caught:
            drive(bet(), [refusal(code, open_round="r-0")])
        assert caught.value.code == code
        assert caught.value.members == {"open_round": "r-0"}

    def test_that_the_wallet_failed_for_good_is_not_sent_again(self) -> None:
        with pytest.raises(WalletFailed):
            drive(bet(), [refusal("wallet-failed", round_id="r-1")])

    def test_is_given_up_when_the_patience_ends_and_says_that_it_may_be_repeated(self) -> None:
        calls = GameCalls(Patience(total_s=3))
        steps = calls.bet(100, None, mode="base", round_id="r-1")
        with pytest.raises(Unanswered, match="safe later"):
            drive(steps, [None] * 20)

    @pytest.mark.parametrize("last", [None, refusal("overloaded")], ids=["silence", "overload"])
    def test_that_is_given_up_names_the_id_that_a_repeat_needs(self, last: Response | None) -> None:
        """It made the id itself, and another one would be a second bet. An overload is no refusal."""
        steps = GameCalls(Patience(total_s=3)).bet(100, None, mode="base", round_id=None)
        sent: list[Request] = []
        with pytest.raises(Unanswered) as given_up:
            drive(steps, [last] * 20, sent)
        assert sent[0].body is not None
        assert given_up.value.ids == {"round_id": sent[0].body["round_id"]}
        assert f"round_id={sent[0].body['round_id']!r}" in str(given_up.value)
        assert isinstance(given_up.value.__cause__, Problem) == (last is not None)

    def test_waits_no_longer_than_its_patience_for_a_time_that_the_server_names(self) -> None:
        steps = GameCalls(Patience(total_s=3)).bet(100, None, mode="base", round_id=None)
        later = [answer(503, **{"retry-after": "60"}), answer(201, BODY)]
        assert drive(steps, later)[2] == [3]

    def test_that_awaits_a_choice_is_an_answer(self) -> None:
        choices = [choice("collect"), choice("raise", debit=50, color=["red", "black"])]
        open_ = BODY | {"state": "awaiting_choice", "choices": choices, "decide_by": "2026-11-22T17:00:00Z"}
        round_, _, _ = drive(bet(), [answer(201, open_)])
        assert [choice.action for choice in round_.choices] == ["collect", "raise"]
        assert (round_.choices[1].debit.amount, round_.decide_by.minute) == (50, 0)
        assert round_.choices[1].params == {"color": ("red", "black")}


BODIES = {
    "ROUND": json.dumps(BODY),
    "PENDING": json.dumps(BODY | {"state": "pending"}),
    "SETTLING": json.dumps(BODY | {"state": "settling"}),
}


def case_name(case: dict[str, Any]) -> str:
    return f"{case['status']} {case['content_type']}, {case['says']}"


class TestAnswers:
    """The one table, which the TypeScript client's tests read too."""

    @pytest.mark.parametrize("case", ANSWERS, ids=case_name)
    def test_mean_what_the_table_says(self, case: dict[str, Any]) -> None:
        content = BODIES.get(case["body"], case["body"]).encode()
        given = Response(case["status"], {"content-type": case["content_type"]}, content)
        sent: list[Request] = []
        steps = GameCalls(Patience(total_s=3)).bet(100, None, mode="base", round_id=None)
        if case["verdict"] == "answer":
            assert drive(steps, [given], sent)[0] == Round.parse(BODY)
            return
        if case["verdict"] == "refused":
            with pytest.raises(Problem) as refused:
                drive(steps, [given], sent)
            assert refused.value.status == case["status"]
            return
        with pytest.raises(Unanswered) as given_up:
            drive(steps, [given] * 20, sent)
        assert len(sent) > 1, "it was given up without patience"
        assert all(request == sent[0] for request in sent)
        assert given_up.value.ids == sent[0].ids
        state = Round.parse(json.loads(content)) if case["verdict"] == "unfinished" else None
        assert given_up.value.unfinished == state

    def test_are_the_same_for_a_client_with_a_connection(self) -> None:
        """Also one whose content cannot be decoded."""
        page = httpx.Response(200, html="<html>sign in</html>")
        garbled = httpx.Response(
            200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"<html>")
        )
        answers = iter([page, garbled, httpx.Response(201, json=BODY)])
        http = httpx.Client(transport=httpx.MockTransport(lambda _: next(answers)))
        with GameClient("http://casino", "t", http=http, patience=Patience(first_pause_s=0.001)) as game:
            assert game.bet(100) == Round.parse(BODY)


class TestFinish:
    def test_plays_an_open_round_to_its_end_by_a_strategy(self) -> None:
        open_ = BODY | {"state": "awaiting_choice", "choices": [choice("pick")]}
        begun = Round.parse(open_)
        answers = [
            None,
            answer(200, open_),
            answer(200, BODY | {"state": "settling"}),
            answer(200, BODY),
        ]
        steps = GAME.finish(begun, lambda round_: Decision("pick", {"box": len(round_.choices)}))
        round_, sent, _ = drive(steps, answers)
        assert round_.state is RoundState.SETTLED
        assert {request.path for request in sent} == {"/v1/game/rounds/r-1/actions"}
        assert sent[0] == sent[1], "a repeat of an action has another id"
        assert sent[1] != sent[2], "two actions have the same id"
        assert sent[2] == sent[3], "a round that settles is not over"
        assert sent[0].body is not None
        assert sent[0].body["params"] == {"box": 1}

    def test_gives_up_a_round_that_nobody_ends(self) -> None:
        settling = BODY | {"state": "settling"}
        steps = GameCalls(Patience(total_s=3)).finish(Round.parse(settling), lambda _: Decision("collect"))
        sent: list[Request] = []
        with pytest.raises(Unanswered) as given_up:
            drive(steps, [answer(200, settling)] * 20, sent)
        assert given_up.value.unfinished == Round.parse(settling)
        assert {(request.method, request.path) for request in sent} == {("GET", "/v1/game/rounds/r-1")}

    def test_leaves_a_round_that_is_over_alone(self) -> None:
        round_ = Round.parse(BODY)
        assert drive(GAME.finish(round_, lambda _: Decision("collect")), [])[0] == round_


def test_a_persons_decision_is_never_sent_twice() -> None:
    steps = OperatorCalls(Patience()).decide("void", "r-1", {"reason": "x"}, None)
    with pytest.raises(Unanswered):
        drive(steps, [None])
    steps = OperatorCalls(Patience()).decide("void", "r-1", {"reason": "x"}, None)
    with pytest.raises(Problem, match="overloaded"):
        drive(steps, [refusal("overloaded")])


def test_every_problem_of_the_api_is_an_exception_with_its_code() -> None:
    for code, (status, _) in PROBLEMS.items():
        raised = problem(status, refusal(code).body)
        assert (raised.code, raised.status) == (code, status)
    assert isinstance(problem(402, {"code": "insufficient-funds"}), InsufficientFunds)
    general = {"method-not-allowed", "too-large", "unsupported-media-type", "upgrade-required"}
    general |= {"head-too-large"}
    general |= {"internal", "overloaded", "too-many-requests"}
    assert set(PROBLEMS) - general == set(BY_CODE)


@pytest.mark.parametrize("amount", [1.0, "1", None, True])
def test_an_amount_that_is_no_integer_is_not_taken_for_money(amount: object) -> None:
    with pytest.raises(TypeError):
        Round.parse(BODY | {"win": {"amount": amount, "currency": "EUR"}})


def test_no_id_can_lead_out_of_its_path() -> None:
    _, sent, _ = drive(GAME.round("../../operator"), [answer(200, BODY)])
    assert sent[0].path == "/v1/game/rounds/..%2F..%2Foperator"


@pytest.mark.parametrize(
    ("one", "other"), [(GameClient, AsyncGameClient), (OperatorClient, AsyncOperatorClient)]
)
def test_both_kinds_of_client_offer_the_same_calls(one: type, other: type) -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name: [str(parameter) for parameter in inspect.signature(member).parameters.values()]
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert calls(one) == calls(other)
    assert len(calls(one)) > 8
