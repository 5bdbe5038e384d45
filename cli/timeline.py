"""One round on one time line: pure functions from what is stored to rows that a person reads."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from contracts.failures import one_line
from contracts.records import AttemptFact, EventFact, InterventionFact, RoundRecord, TransferFact
from contracts.rounds import RoundState
from contracts.views import RoundView
from contracts.wallet import WalletVerdict

RUNNING: Final = "running"  # a workflow's status while it has something left to do


class Source(StrEnum):
    """Where a row comes from."""

    ROUND = "round"
    LEDGER = "ledger"
    WALLET = "wallet"
    PERSON = "person"
    WORKFLOW = "workflow"
    STEP = "step"
    EVENT = "event"
    STATISTICS = "statistics"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `at` is by the clock of whoever wrote it: the database, Temporal or the worker."""

    at: datetime
    source: Source
    what: str

    def as_dict(self) -> dict[str, str]:
        return {"at": _moment(self.at), "source": self.source.value, "what": self.what}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStory:
    """What Temporal tells of the round. `missing` says why it tells nothing; `now` what it waits for."""

    workflow_id: str
    link: str | None = None
    status: str | None = None
    events: int = 0
    transitions: int = 0
    entries: tuple[Entry, ...] = ()
    now: tuple[str, ...] = ()
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """A round as `round show` shows it, for people and for machines."""

    record: RoundRecord
    workflow: WorkflowStory

    def entries(self) -> list[Entry]:
        """Oldest first. At the same moment: the round's row, its hold, its transfers, its event."""
        rows = (*ledger_entries(self.record), *self.workflow.entries)
        return sorted(rows, key=lambda entry: entry.at)

    def now(self) -> list[str]:
        """What is not finished; empty for a round of which everything is done."""
        lines = [*_unfinished(self.record), *self.workflow.now]
        status = self.workflow.status
        if not self.record.view.state.final and status not in (None, RUNNING):
            lines.append(f"nothing brings the round to its end: its workflow is {status}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For `--json`. Amounts in minor units, times in RFC 3339, UTC."""
        workflow = self.workflow
        return {
            "round": _facts(self.record.view),
            "workflow": {
                "id": workflow.workflow_id,
                "status": workflow.status,
                "events": workflow.events,
                "state_transitions": workflow.transitions,
                "url": workflow.link,
                "missing": workflow.missing,
            },
            "time_line": [entry.as_dict() for entry in self.entries()],
            "now": self.now(),
        }

    def lines(self) -> Iterator[str]:
        """For people. A row is a line, so that a pipe can search it."""
        yield from _head(self.record.view, self.workflow)
        yield ""
        yield "times in UTC, amounts in minor units of the currency"
        for entry in self.entries():
            yield f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}  {entry.source:<10}  {entry.what}"
        if waiting := self.now():
            yield ""
            yield from (f"now: {line}" for line in waiting)
        if self.workflow.missing:
            yield ""
            yield f"no history: {self.workflow.missing}"


def ledger_entries(record: RoundRecord) -> Iterator[Entry]:
    """The rows that the database tells."""
    view = record.view
    stake, staked = money(view.stake, view.currency), money(view.staked, view.currency)
    yield Entry(
        view.created_at,
        Source.ROUND,
        f"created: stake {stake} at {view.game_id} {view.game_version}, session {view.session_id}",
    )
    if was_held(view):
        yield Entry(view.created_at, Source.LEDGER, f"held {stake} on account {view.account_id}")
    for taken in view.taken or ():
        yield Entry(datetime.fromisoformat(taken["at"]), Source.ROUND, _taken(taken, view.currency))
    for transfer in record.transfers:
        yield Entry(transfer.created_at, Source.LEDGER, _transferred(transfer))
    for attempt in record.attempts:
        yield Entry(attempt.created_at, Source.WALLET, _attempted(attempt, view.currency))
    for intervention in record.interventions:
        yield Entry(intervention.created_at, Source.PERSON, _decided(intervention))
    if view.closed_at is not None:
        if view.state is RoundState.VOID:
            given_back = (
                f"hold of {staked} given back" if was_held(view) else "there was no hold to give back"
            )
            yield Entry(view.closed_at, Source.LEDGER, given_back)
        yield Entry(view.closed_at, Source.ROUND, _closed(view))
    if record.event is not None:
        yield from _event_entries(record.event)


def was_held(view: RoundView) -> bool:
    """Whether the round ever held its stake. Only `reserve` gives a round its seed, together with the hold:
    a round that was declined has none, nor has one whose release came before its reserve."""
    return view.seed_id is not None


def money(amount: int, currency: str) -> str:
    """Minor units and the currency: 100 EUR is one euro."""
    return f"{amount} {currency}"


def compact(value: object) -> str:
    """JSON in one bounded line."""
    return one_line(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def choices_of(rounds: Iterable[RoundView]) -> Iterator[str]:
    """One line for each of several rounds of one id."""
    for view in rounds:
        yield (
            f"  --operator {view.key.operator_id} --player {view.player_id}"
            f"   {view.state}, {view.game_id}, {view.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        )


def _head(view: RoundView, workflow: WorkflowStory) -> Iterator[str]:
    whose = f"player {view.player_id}, operator {view.key.operator_id}"
    yield f"round {view.key.round_id} of {whose}: {view.state}"
    yield from (f"  {label:<9} {text}" for label, text in _head_rows(view) if text)
    how = f"{workflow.status}, {workflow.events} events, {workflow.transitions} state transitions"
    yield f"  workflow  {workflow.workflow_id}" + (f": {how}" if workflow.status else "")
    if workflow.link:
        yield f"            {workflow.link}"


def _head_rows(view: RoundView) -> Iterator[tuple[str, str]]:
    amounts = f"stake {money(view.staked, view.currency)}, win {money(view.win, view.currency)}"
    after = "" if view.balance is None else f", balance {money(view.balance, view.currency)} after it"
    failure = " ".join(filter(None, (view.failure_code, one_line(view.failure_detail or ""))))
    yield "game", f"{view.game_id} {view.game_version}, mode {view.mode}"
    yield "money", amounts + after
    yield "choice", compact(view.choice) if view.choice is not None else ""
    yield "outcome", compact(view.outcome) if view.outcome is not None else ""
    yield "failure", failure
    if view.seed_id is not None:
        draw = f"nonce {view.nonce}, client seed {one_line(view.client_seed or '')}"
        yield "fairness", f"{draw}, server seed sealed, its hash {view.server_seed_hash}"
    yield "session", f"{view.session_id}, request {view.request_id}"
    yield "event", "" if view.event_id is None else f"{view.event_id}, the player's number {view.sequence}"


def _facts(view: RoundView) -> dict[str, Any]:
    return {
        "round_id": view.key.round_id,
        "operator_id": view.key.operator_id,
        "player_id": view.player_id,
        "player_key": view.key.player_key,
        "account_id": view.account_id,
        "session_id": view.session_id,
        "request_id": view.request_id,
        "state": view.state.value,
        "game": {"id": view.game_id, "version": view.game_version},
        "mode": view.mode,
        "choice": view.choice,
        "outcome": view.outcome,
        "currency": view.currency,
        "stake": view.staked,
        "actions": view.taken or [],
        "win": view.win,
        "balance": view.balance,
        "sequence": view.sequence,
        "event_id": view.event_id,
        "failure": None
        if view.failure_code is None
        else {"code": view.failure_code, "detail": view.failure_detail},
        "fairness": {
            "seed_id": view.seed_id,
            "server_seed_hash": view.server_seed_hash,
            "client_seed": view.client_seed,
            "nonce": view.nonce,
        },
        "created_at": _moment(view.created_at),
        "closed_at": None if view.closed_at is None else _moment(view.closed_at),
    }


def _taken(taken: Mapping[str, Any], currency: str) -> str:
    """An action of the round, as `RoundView.taken` has it."""
    said = f" {compact(taken['params'])}" if taken["params"] else ""
    cost = f" for {money(taken['debit'], currency)}" if taken["debit"] else ""
    return f"action {taken['action']}{said}{cost}, by the {taken['by']}, {taken['action_id']}"


def _closed(view: RoundView) -> str:
    balance = "" if view.balance is None else f", available {money(view.balance, view.currency)}"
    if view.state is RoundState.SETTLED:
        return f"settled: win {money(view.win, view.currency)}{balance}"
    return f"{view.state}: {view.failure_code}{balance}"


def _transferred(transfer: TransferFact) -> str:
    debit = f"{transfer.debit_kind or 'missing'} account {transfer.debit_account}"
    credit = f"{transfer.credit_kind or 'missing'} account {transfer.credit_account}"
    return (
        f"{transfer.kind}: {money(transfer.amount, transfer.currency)} from {debit} to {credit},"
        f" available {money(transfer.available_after, transfer.currency)}, link {transfer.position}"
    )


def _attempted(attempt: AttemptFact, currency: str) -> str:
    amount = "" if attempt.amount is None else f" of {money(attempt.amount, currency)}"
    said = f"{attempt.verdict}, repeated" if attempt.duplicate else attempt.verdict.value
    why = ""
    if attempt.verdict is not WalletVerdict.ACCEPTED:
        why = one_line(": ".join(filter(None, (attempt.code, attempt.detail))))
    unsent = "" if attempt.sent else ", never sent"
    told = f"{attempt.call}{amount}: {said}{unsent}" + (f" ({why})" if why else "")
    return f"{told}, in {attempt.took_us / 1000:.1f} ms, transaction {attempt.transaction_id}"


def _decided(intervention: InterventionFact) -> str:
    who = one_line(intervention.actor)
    return f"{intervention.action}, {intervention.verdict}, by {who}: {one_line(intervention.reason)}"


def _event_entries(event: EventFact) -> Iterator[Entry]:
    what = f"recorded: {event.type} {event.event_id}, the player's number {event.sequence}"
    yield Entry(event.occurred_at, Source.EVENT, what)
    if event.published_at is not None:
        yield Entry(event.published_at, Source.EVENT, "published: the broker has confirmed it")
    if event.applied_at is not None:
        yield Entry(event.applied_at, Source.STATISTICS, "applied")


def _unfinished(record: RoundRecord) -> Iterator[str]:
    view, event = record.view, record.event
    if not view.state.final:
        yield f"{money(view.staked, view.currency)} are held since {_moment(view.created_at)}"
    if view.open is not None:
        until = "without end" if view.decide_by is None else f"until {_moment(view.decide_by)}"
        choices = ", ".join(choice.action for choice in view.open.offer.choices)
        yield f"it waits for its player, {until}, to choose: {choices}"
    if event is None:
        return
    if event.published_at is None:
        yield f"the event waits for the broker since {_moment(event.occurred_at)}"
    elif event.applied_at is None and view.state is not RoundState.DECLINED:  # which they do not count
        yield f"the statistics have not applied the event since {_moment(event.published_at)}"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
