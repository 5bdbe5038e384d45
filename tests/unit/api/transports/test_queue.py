"""A command is answered as HTTP would answer it, parked when it is none, and kept while a service is away."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.gateway.admission import Admission, ShareFull
from api.gateway.problems import DATABASE_AWAY
from api.gateway.rate_limits import RateLimits
from api.services import Services
from api.transports.queue.ingress import KINDS, QueueIngress
from api.transports.queue.messages import SubmitRound
from contracts.sessions import SessionClaims
from events.commands import SUBMIT_ROUND, Command, TryAgain
from games.registry import Registry
from runtime.round_workflows import OutcomeUncertain

CLAIMS = SessionClaims(
    session_id="s", operator_id="o", player_id="p", game_id="dice", currency="EUR", mode="real",
    player_key=1, account_id=1, expires_at=2_000_000_000,
)  # fmt: skip
BODY = {"session_token": "t", "round_id": "r", "stake": 100, "choice": {"direction": "over", "target": 4_999}}


class FailingBets:
    """Fails each bet with `error`."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.bets: list[Any] = []

    async def place(self, bet: Any) -> Any:
        self.bets.append(bet)
        raise self.error


def ingress(error: Exception) -> tuple[QueueIngress, FailingBets]:
    failing = FailingBets(error)
    services = SimpleNamespace(
        limits=RateLimits(),
        bets=failing,
        games=Registry.load(["games.dice:GAME"]),
        tokens=SimpleNamespace(verify=lambda _: CLAIMS),
    )
    admission = Admission(max_open_requests=1, max_open_bets=1, max_running_bets=1)
    return QueueIngress(cast(Services, services), admission), failing


def command(**changes: Any) -> Command:
    values = {"routing_key": SUBMIT_ROUND, "body": json.dumps(BODY).encode(), **changes}
    return Command(**values)


@pytest.mark.parametrize("away", [OutcomeUncertain("UNAVAILABLE"), DATABASE_AWAY[0]()])
async def test_while_a_service_is_away_the_command_waits(away: Exception) -> None:
    made, failing = ingress(away)
    with pytest.raises(TryAgain):
        await made(command())
    assert len(failing.bets) == 1


async def test_a_command_that_may_have_been_played_waits_where_its_operator_has_its_share() -> None:
    """The first attempt may have staked, so it is not parked as if nothing were."""
    made, _ = ingress(ShareFull("o", "commands", 1))
    first = await made(command())
    assert (first.headers["status"], first.parked_because is not None) == (503, True)
    with pytest.raises(TryAgain):
        await made(command(repeated=True))


async def test_what_nobody_foresaw_is_parked_and_tells_nothing_of_itself() -> None:
    made, _ = ingress(ZeroDivisionError("stake of t"))
    answer = await made(command())
    assert (answer.type, answer.headers["status"]) == ("problem", 500)
    assert answer.parked_because is not None
    assert answer.parked_because.startswith("internal: ")
    assert b"stake of t" not in answer.body
    assert "stake of t" not in answer.parked_because


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"content_type": "application/json"},
        {"content_type": "Application/JSON; charset=utf-8"},
        {"content_encoding": "UTF-8"},
    ],
)
async def test_clients_that_name_their_json_in_other_words_are_understood(changes: dict[str, Any]) -> None:
    made, failing = ingress(ZeroDivisionError())
    await made(command(**changes))
    assert failing.bets[0].stake == BODY["stake"]


@pytest.mark.parametrize("changes", [{"content_type": "text/json"}, {"content_encoding": "deflate"}])
async def test_what_is_no_plain_json_is_parked(changes: dict[str, Any]) -> None:
    made, failing = ingress(ZeroDivisionError())
    answer = await made(command(**changes))
    assert (answer.parked_because or "").startswith("unsupported-media-type: ")
    assert failing.bets == []


def test_a_command_shows_its_token_to_nobody() -> None:
    read = SubmitRound.model_validate({**BODY, "session_token": "secret"})
    assert "secret" not in f"{read!r} {read} {read.model_dump_json()}"
    assert "secret" not in repr(command(body=b"secret"))


def test_every_kind_of_command_has_a_token() -> None:
    assert all("session_token" in kind.model.model_fields for kind in KINDS.values())
