"""Whether client, ledger, event and mathematics say the same of each round of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from contracts.rounds import RoundState
from contracts.views import RoundView
from storage import rounds
from verification import books
from verification.check.listening import EventLog, HeardEvent
from verification.check.playing import Answer, PlayLog, outcome_digest
from verification.check.report import GameSums
from verification.findings import Tally
from verification.outcomes import Outcomes, Replayer


@dataclass(slots=True)
class Agreement(Outcomes):
    """The rounds of a run as the ledger has them, compared with everything else."""

    sums: dict[tuple[str, str], GameSums] = field(default_factory=dict)  # by game and currency
    workflow_ids: set[str] = field(default_factory=set)
    events_expected: int = 0
    events_matched: int = 0
    client: Tally = field(
        default_factory=lambda: Tally(
            "I8", "client-agrees", "each answer to a client is what the ledger says"
        )
    )
    unknown: Tally = field(
        default_factory=lambda: Tally(
            "I7", "answers-stand", "each answered round is in the ledger, and each round there was asked for"
        )
    )
    events: Tally = field(
        default_factory=lambda: Tally(
            "I4",
            "events-heard-once",
            "each round's event was heard on the broker, once in effect, and no other",
        )
    )

    def tallies(self) -> tuple[Tally, ...]:
        return self.client, self.unknown, self.events, self.fair


async def compare(
    connection: asyncpg.Connection,
    player_keys: Sequence[int],
    played: PlayLog,
    log: EventLog,
    replayer: Replayer,
) -> Agreement:
    """Reads the run's rounds one by one; needs a transaction. Uses up `played.answers`."""
    agreement = Agreement()
    heard = dict(log.events)
    if log.lost:
        agreement.events.add("the check itself lost the broker and may have missed events")
    async for row in books.rounds_of(connection, player_keys):
        view = rounds.round_view(row)
        agreement.workflow_ids.add(view.key.workflow_id)
        _compare_answer(agreement, view, played)
        if view.state in (RoundState.SETTLED, RoundState.VOID):
            _compare_event(agreement, view, heard)
        if view.state is RoundState.SETTLED:
            sums = agreement.sums.setdefault((view.game_id, view.currency), GameSums())
            sums.add(rounds=1, stake=view.staked, win=view.win)
            await replayer.check(agreement, view)
    _report_left_over(agreement, played, heard)
    return agreement


def _compare_answer(agreement: Agreement, view: RoundView, played: PlayLog) -> None:
    key = (view.player_id, view.key.round_id)
    if view.state is RoundState.DECLINED:
        if key not in played.declined:
            agreement.unknown.add(f"round {key[1]} is declined ({view.failure_code})")
        return
    answer = played.answers.pop(key, None)
    if answer is None:
        agreement.unknown.add(f"round {key[1]} is {view.state}, and no answer came")
    elif differing := _differing(answer, _ledger_says(view)):
        agreement.client.add(f"round {key[1]}: {differing}")


def _differing(one: Answer, other: Answer) -> str:
    """The fields that differ, with both values; "" when none does."""
    pairs = zip(Answer._fields, one, other, strict=True)
    return ", ".join(f"{name} {a!r} and {b!r}" for name, a, b in pairs if a != b)


def _ledger_says(view: RoundView) -> Answer:
    return Answer(
        state=view.state.value,
        game_id=view.game_id,
        game_version=view.game_version,
        mode=view.mode,
        currency=view.currency,
        stake=view.staked,
        win=view.win,
        balance=view.balance,
        sequence=view.sequence,
        outcome=outcome_digest(view.outcome),
        server_seed_hash=view.server_seed_hash,
        client_seed=view.client_seed,
        nonce=view.nonce,
    )


def _compare_event(agreement: Agreement, view: RoundView, heard: dict[str, HeardEvent]) -> None:
    agreement.events_expected += 1
    event = heard.pop(view.event_id or "", None)
    if event is None:
        agreement.events.add(f"round {view.key.round_id}: event {view.event_id} was not heard")
    elif event != _event_should_say(view):
        agreement.events.add(f"round {view.key.round_id}: event {view.event_id} says something else")
    else:
        agreement.events_matched += 1


def _event_should_say(view: RoundView) -> HeardEvent:
    assert view.sequence is not None, "a closed round has a sequence"
    return HeardEvent(
        type=f"round.{view.state}",
        player_id=view.player_id,
        round_id=view.key.round_id,
        game_id=view.game_id,
        game_version=view.game_version,
        mode=view.mode,
        currency=view.currency,
        stake=view.staked,
        win=view.win,
        balance=max(view.balance or 0, 0),
        sequence=view.sequence,
    )


def _report_left_over(agreement: Agreement, played: PlayLog, heard: Mapping[str, HeardEvent]) -> None:
    for _, round_id in played.answers:
        agreement.unknown.add(f"round {round_id} was answered and is not in the ledger")
    for event_id, event in heard.items():
        agreement.events.add(
            f"event {event_id} of round {event.round_id} was heard, and is of no closed round"
        )
