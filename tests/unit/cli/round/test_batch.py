"""A decision about many rounds that is interrupted, or not answered: what was decided is told."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.round import batch
from cli.round.resolve import CannotResolve, Decision
from contracts.interventions import Action, InterventionResult, InterventionVerdict
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.views import EVERY_OPERATOR, RoundFilter, RoundView, round_begun
from runtime.round_workflows import OutcomeUncertain
from runtime.settings import Settings

DECISION = Decision(action=Action.VOID, reason="ticket 4711", by="ops")
VOID = InterventionResult(verdict=InterventionVerdict.ACCEPTED, state=RoundState.VOID, releasing=False)


def begun(round_id: str) -> RoundView:
    bet = Bet(
        key=RoundKey(operator_id="acme", player_key=7, round_id=round_id),
        player_id="alice",
        account_id=1,
        session_id="s",
        game_id="dice",
        game_version="1",
        currency="EUR",
        stake=100,
        mode="base",
        choice=None,
        request_id="r",
    )
    return round_begun(bet, datetime(2026, 11, 27, tzinfo=UTC))


ROUNDS = [begun(f"r-{number}") for number in range(3)]


class Interventions:
    """Accepts one, is not answered for the next, and goes on."""

    def __init__(self) -> None:
        self.answers: list[InterventionResult | Exception] = [VOID, OutcomeUncertain("UNAVAILABLE"), VOID]

    async def decide(self, *_: Any, **__: Any) -> InterventionResult:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def three_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def selected(*_: Any) -> batch.Selected:
        return batch.Selected(ROUNDS)

    monkeypatch.setattr(batch, "_select", selected)


def wanted(confirmed: int | None = 3) -> batch.Wanted:
    return batch.Wanted(
        rounds=RoundFilter(operator_id=EVERY_OPERATOR),
        player_id=None,
        decision=DECISION,
        confirmed=confirmed,
        limit=10,
    )


def test_one_that_is_not_answered_is_uncertain_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interventions = Interventions()

    async def decide(
        _: Settings, asked: batch.Wanted, rounds: Sequence[RoundView], done: batch.Done, **__: bool
    ) -> None:
        for view in rounds:
            result = await batch._decide_one(interventions, view, asked.decision, "cli:ops")  # type: ignore[arg-type]
            done.decisions.append(batch._decided(view, result))

    monkeypatch.setattr(batch, "_decide", decide)
    assert batch.resolve(Settings(), wanted(), as_json=True) == 1
    decisions = json.loads(capsys.readouterr().out)["decisions"]
    assert [each["verdict"] for each in decisions] == ["accepted", "uncertain", "accepted"]
    assert decisions[1]["detail"] == "nobody answered in time (UNAVAILABLE), and it may still happen"


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted: what was decided stays decided, and the rest was not"),
        (CannotResolve("PostgreSQL: gone"), 2, "PostgreSQL: gone"),
    ],
)
def test_what_was_decided_before_an_end_is_told(
    end: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def decide(
        _: Settings, __: batch.Wanted, rounds: Sequence[RoundView], done: batch.Done, **___: bool
    ) -> None:
        done.decisions.append(batch._decided(rounds[0], VOID))
        await asyncio.sleep(0)
        raise end

    monkeypatch.setattr(batch, "_decide", decide)
    assert batch.resolve(Settings(), wanted(), as_json=False) == code
    told = capsys.readouterr()
    assert told.out == "void: 1 of 3 decisions were accepted\n"
    assert told.err == f"croupier: {said}\n"


def test_a_number_that_has_changed_decides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert batch.resolve(Settings(), wanted(confirmed=2), as_json=True) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("croupier: 3 rounds would be decided about, and --confirm says 2: nothing")
