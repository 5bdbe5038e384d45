"""Each way in which client, ledger, event and mathematics can disagree is a finding of its own."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from api.result.schemas import round_body
from contracts.rounds import RoundKey, RoundState
from contracts.views import RoundView
from games.checks import play_round
from games.draws import HmacDraws
from games.protocol import Wager
from games.registry import Registry
from security.keyring import Keyring
from security.seeds import SeedVault, commitment, new_server_seed
from security.signatures import SignatureVerifier
from verification.check.agreement import Agreement, compare
from verification.check.listening import EventLog, HeardEvent
from verification.check.playing import PlayLog, answer_of
from verification.outcomes import Replayer

REGISTRY = Registry.load()
VAULT = SeedVault(Keyring.generate())
SEED = new_server_seed()
CHOICE = {"direction": "over", "target": 4999}
PLAYER, ROUND, EVENT = "check-1-0", "r-1", "00000000-0000-4000-8000-000000000001"


def settled_view() -> RoundView:
    draws = HmacDraws(server_seed=SEED, client_seed="client", nonce=3)
    step = play_round(REGISTRY.get("dice"), Wager(stake=100, choice=CHOICE), draws)
    return RoundView(
        key=RoundKey(operator_id="demo", player_key=7, round_id=ROUND),
        player_id=PLAYER,
        account_id=1,
        session_id="s-1",
        game_id="dice",
        game_version="1.0.0",
        currency="EUR",
        mode="base",
        stake=100,
        choice=CHOICE,
        request_id="q-1",
        state=RoundState.SETTLED,
        outcome=step.outcome,
        win=step.win,
        balance=900,
        sequence=1,
        event_id=EVENT,
        failure_code=None,
        failure_detail=None,
        seed_id="seed-1",
        sealed_server_seed=VAULT.seal("seed-1", SEED),
        server_seed_hash=commitment(SEED),
        client_seed="client",
        nonce=3,
        created_at=datetime.now(UTC),
        closed_at=datetime.now(UTC),
    )


def event_of(view: RoundView) -> HeardEvent:
    assert view.balance is not None
    assert view.sequence is not None
    return HeardEvent(
        type="round.settled",
        player_id=view.player_id,
        round_id=view.key.round_id,
        game_id=view.game_id,
        game_version=view.game_version,
        mode=view.mode,
        currency=view.currency,
        stake=view.stake,
        win=view.win,
        balance=view.balance,
        sequence=view.sequence,
    )


@dataclass
class Run:
    """What the players, the ledger and the broker say; in agreement until a test changes something."""

    view: RoundView
    played: PlayLog
    log: EventLog

    def rows(self) -> list[dict[str, Any]]:
        row = {name: getattr(self.view, name) for name in RoundView.__slots__ if name != "key"}
        return [row | asdict(self.view.key)]


class Ledger:
    """Stands for a connection whose cursor gives these rows."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    async def cursor(self, *_: object, **__: object) -> AsyncIterator[dict[str, Any]]:
        for row in self._rows:
            yield row


@pytest.fixture
def run() -> Run:
    view = settled_view()
    played, log = PlayLog(), EventLog("check-1-", SignatureVerifier({}))
    played.answers[PLAYER, ROUND] = answer_of(round_body(view))
    log.events[EVENT] = event_of(view)
    return Run(view, played, log)


async def compared(run: Run) -> tuple[Agreement, list[str]]:
    """The agreement and the names of what does not hold."""
    agreement = await compare(Ledger(run.rows()), [7], run.played, run.log, Replayer(REGISTRY, VAULT))
    return agreement, [tally.name for tally in agreement.tallies() if tally.count]


async def test_a_run_in_agreement_has_no_findings(run: Run) -> None:
    agreement, broken = await compared(run)
    assert broken == []
    assert (agreement.events_matched, agreement.replayed) == (1, 1)
    assert agreement.workflow_ids == {f"demo:7:{ROUND}"}
    assert agreement.sums["dice", "EUR"].stake == 100
    assert SEED in agreement.secrets


def _client_was_told_more(run: Run) -> None:
    run.played.answers[PLAYER, ROUND] = run.played.answers[PLAYER, ROUND]._replace(win=10**6)


def _client_was_told_nothing(run: Run) -> None:
    run.played.answers.clear()


def _client_was_told_of_another(run: Run) -> None:
    run.played.answers[PLAYER, "ghost"] = run.played.answers[PLAYER, ROUND]


def _event_is_lost(run: Run) -> None:
    run.log.events.clear()


def _event_says_something_else(run: Run) -> None:
    run.log.events[EVENT] = run.log.events[EVENT]._replace(balance=901)


def _event_is_there_twice_under_two_ids(run: Run) -> None:
    run.log.events["another"] = run.log.events[EVENT]


def _broker_was_lost(run: Run) -> None:
    run.log.lost = True


def _outcome_was_changed(run: Run) -> None:
    outcome = dict(run.view.outcome or {})
    outcome["roll"] = 9_999 - outcome["roll"]  # never the same
    run.view = replace(run.view, outcome=outcome)
    run.played.answers[PLAYER, ROUND] = answer_of(round_body(run.view))


def _seed_is_not_the_promised_one(run: Run) -> None:
    run.view = replace(run.view, server_seed_hash="0" * 64)
    run.played.answers[PLAYER, ROUND] = answer_of(round_body(run.view))


def _seed_cannot_be_opened(run: Run) -> None:
    other = SeedVault(Keyring.generate())
    run.view = replace(run.view, sealed_server_seed=other.seal("seed-1", SEED))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_client_was_told_more, "client-agrees"),
        (_client_was_told_nothing, "answers-stand"),
        (_client_was_told_of_another, "answers-stand"),
        (_event_is_lost, "events-heard-once"),
        (_event_says_something_else, "events-heard-once"),
        (_event_is_there_twice_under_two_ids, "events-heard-once"),
        (_broker_was_lost, "events-heard-once"),
        (_outcome_was_changed, "outcomes-replay"),
        (_seed_is_not_the_promised_one, "outcomes-replay"),
        (_seed_cannot_be_opened, "outcomes-replay"),
    ],
)
async def test_a_disagreement_is_named(run: Run, change: Callable[[Run], None], name: str) -> None:
    change(run)
    _, broken = await compared(run)
    assert broken == [name]


async def test_a_declined_round_is_in_order_only_when_it_was_meant_to_be(run: Run) -> None:
    run.view = replace(run.view, state=RoundState.DECLINED, failure_code="insufficient-funds", event_id=None)
    run.played.answers.clear()
    run.log.events.clear()
    run.played.declined.add((PLAYER, ROUND))
    assert (await compared(run))[1] == []
    run.played.declined.clear()
    assert (await compared(run))[1] == ["answers-stand"]
