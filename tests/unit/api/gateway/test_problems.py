"""The table of problems: every code of the contract and of the code is in it, with its status."""

import ast
import inspect
from pathlib import Path

import asyncpg
import httpx
import pytest
from fastapi import FastAPI, Request

import api
from api.gateway import problems
from api.gateway.problems import CONTENT_TYPE, PROBLEMS, Problem, document
from contracts import failures
from games import protocol
from runtime.unavailable import UNAVAILABLE, WORDS, Cause
from security.keyring import UnknownKey
from security.payload_codec import PayloadRefused
from security.sealing import SealBroken

# The contract's codes (docs for clients list the same).
CONTRACT = {
    401: {"unauthenticated", "session-expired"},
    402: {"insufficient-funds"},
    403: {"forbidden", "limit-exceeded", "game-disabled", "player-blocked"},
    404: {"not-found"},
    409: {"round-open", "round-closed", "wrong-state"},
    422: {"invalid", "id-reused", "currency-mismatch", "stake-not-allowed", "unknown-choice"},
    429: {"too-many-requests"},
    502: {"wallet-failed"},
    503: {"overloaded"},
}
DECLINES = (
    failures.INSUFFICIENT_FUNDS,
    failures.ROUND_OPEN,
    failures.SESSION_EXPIRED,
    failures.PLAYER_BLOCKED,
    failures.GAME_DISABLED,
    failures.ID_REUSED,
)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("the database system is shutting down"),
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_goes_is_no_fault_of_ours_and_no_perhaps(error: Exception) -> None:
    app = FastAPI()

    @app.get("/")
    async def ask(request: Request) -> None:
        request.state.request_id = "1"
        raise error

    problems.install(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("code", "status"), [(code, status) for status, codes in CONTRACT.items() for code in sorted(codes)]
)
def test_the_contracts_codes_have_the_contracts_status(code: str, status: int) -> None:
    assert PROBLEMS[code][0] == status


def test_every_code_the_api_raises_is_in_the_table() -> None:
    raised = _codes_raised_in(Path(inspect.getfile(api)).parent)
    assert {"unauthenticated", "round-open", "not-found", "id-reused"} & raised, "the search finds something"
    assert raised <= set(PROBLEMS)


def test_every_way_to_decline_a_round_is_in_the_table() -> None:
    assert set(DECLINES) <= set(PROBLEMS)


def test_every_way_to_refuse_a_wager_is_in_the_table() -> None:
    refusals: list[type[protocol.WagerRefused]] = [protocol.WagerRefused]
    refusals += protocol.WagerRefused.__subclasses__()
    assert {refusal.code for refusal in refusals} <= set(PROBLEMS)


def test_the_declines_are_those_that_the_ledger_names() -> None:
    functions = Path(inspect.getfile(api)).parent.parent / "storage" / "functions" / "28_rounds.sql"
    cases = functions.read_text().partition("code := CASE")[2].partition("END;")[0]
    named = set(cases.split("'")[1::2])
    assert named
    assert named <= set(DECLINES)


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_is_a_whole_document(code: str) -> None:
    status, headers, body = document(Problem(code, open_round="r1"), "an-id")
    assert (body["type"], body["status"], body["code"]) == (f"urn:croupier:problem:{code}", status, code)
    assert (body["request_id"], body["open_round"]) == ("an-id", "r1")
    assert body["title"]
    assert body["detail"] == body["title"], "without a detail of its own"
    assert 400 <= status < 600
    assert ("Retry-After" in headers) == ("retry_after" in body) == (status in (429, 503))
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert CONTENT_TYPE == "application/problem+json"


def test_a_member_cannot_hide_what_every_document_says() -> None:
    """Members come from our own code alone, but a slip there must be seen in a test."""
    for name in ("type", "title", "status", "code", "request_id"):
        for path in Path(inspect.getfile(api)).parent.rglob("*.py"):
            assert f"{name}=" not in "".join(_problem_calls(str(path)))


def _codes_raised_in(folder: Path) -> set[str]:
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for call in _problems(path.read_text()):
            code = call.args[0]
            if isinstance(code, ast.Constant):
                found.add(str(code.value))
            elif isinstance(code, ast.Attribute) and getattr(code.value, "id", "") == "failures":
                found.add(getattr(failures, code.attr))
    return found


def _problems(source: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem" and node.args
    ]


def _problem_calls(path: str) -> list[str]:
    return [f"{keyword.arg}=" for call in _problems(Path(path).read_text()) for keyword in call.keywords]


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_of_a_503_has_its_own_words_and_its_own_label(cause: Cause) -> None:
    before = UNAVAILABLE.labels(cause.value)._value.get()
    problem = problems.unavailable(cause, "Try again.")
    assert UNAVAILABLE.labels(cause.value)._value.get() == before + 1
    status, headers, body = document(problem, "an-id")
    assert (status, body["code"], body["detail"]) == (503, "overloaded", f"{WORDS[cause]} Try again.")
    assert headers["Retry-After"]
    others = {words for other, words in WORDS.items() if other is not cause}
    assert WORDS[cause] not in {*others, body["title"]}


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (UnknownKey("the keyring's seeds section has no key 'k1'"), Cause.KEY),
        (SealBroken("a sealed value was changed"), Cause.KEY),
        (PayloadRefused("a payload is not encrypted"), Cause.KEY),
        (TimeoutError(), Cause.LEDGER),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_open_and_what_does_not_answer_are_told_apart(error: Exception, cause: Cause) -> None:
    problem = problems.of(error, "an-id")
    assert problem.code == "overloaded"
    assert problem.detail.startswith(WORDS[cause])
    assert "k1" not in problem.detail, "which key it is stands in the log"
