"""What the database tells of a round, as rows of its time line."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from contracts.failures import one_line
from contracts.records import EventFact, InterventionFact, RoundRecord, TransferFact
from contracts.rounds import RoundState
from contracts.views import RoundView
from timeline.model import Entry, Source
from timeline.wallet import wallet_entries
from timeline.wording import compact, moment, money


def ledger_entries(record: RoundRecord) -> Iterator[Entry]:
    """The rows that the database tells."""
    view = record.view
    stake, staked = money(view.stake, view.currency), money(view.staked, view.currency)
    what = "begun, and not stored yet" if view.begun_only else "created"
    yield Entry(
        view.created_at,
        Source.ROUND,
        f"{what}: stake {stake} at {view.game_id} {view.game_version}, session {view.session_id}",
    )
    if was_held(view):
        yield Entry(view.created_at, Source.LEDGER, f"held {stake} on account {view.account_id}")
    for taken in view.taken or ():
        yield Entry(datetime.fromisoformat(taken["at"]), Source.ROUND, _taken(taken, view.currency))
    for transfer in record.transfers:
        yield Entry(transfer.created_at, Source.LEDGER, _transferred(transfer))
    yield from wallet_entries(record.attempts, view.currency)
    for intervention in record.interventions:
        yield Entry(intervention.created_at, Source.PERSON, decided(intervention))
    if view.closed_at is not None:
        if view.state is RoundState.VOID:
            given_back = f"hold of {staked} released" if was_held(view) else "there was no hold to release"
            yield Entry(view.closed_at, Source.LEDGER, given_back)
        yield Entry(view.closed_at, Source.ROUND, _closed(view))
    if record.event is not None:
        yield from _event_entries(record.event)


def unfinished(record: RoundRecord) -> Iterator[str]:
    """What the database still waits for, one line each."""
    view, event = record.view, record.event
    if view.begun_only:
        yield f"nothing is held for it yet: its stake waits for reserve since {moment(view.created_at)}"
    elif not view.state.final:
        yield f"{money(view.staked, view.currency)} are held since {moment(view.created_at)}"
    if view.open is not None:
        until = "without end" if view.decide_by is None else f"until {moment(view.decide_by)}"
        choices = ", ".join(choice.action for choice in view.open.offer.choices)
        yield f"it waits for its player, {until}, to choose: {choices}"
    if event is None:
        return
    if event.published_at is None:
        yield f"the event waits for the broker since {moment(event.occurred_at)}"
    elif event.applied_at is None and view.state is not RoundState.DECLINED:  # which they do not count
        yield f"the statistics have not applied the event since {moment(event.published_at)}"


def was_held(view: RoundView) -> bool:
    """Whether the round ever held its stake. Only `reserve` gives a round its seed, together with the hold:
    a round that was declined has none, nor has one whose release came before its reserve."""
    return view.seed_id is not None


def chosen(taken: Mapping[str, Any], currency: str) -> str:
    """An action of the round, as `RoundView.taken` has it: what was chosen, and what it cost."""
    said = f" ({compact(taken['params'])})" if taken["params"] else ""
    cost = f" for {money(taken['debit'], currency)}" if taken["debit"] else ""
    return one_line(f"{taken['action']}{said}{cost}")


def decided(intervention: InterventionFact) -> str:
    """What a person decided, why, and what the ledger made of it."""
    who, why = one_line(intervention.actor), one_line(intervention.reason)
    return f'{who} decided {intervention.action}, because "{why}"; the ledger {intervention.verdict} it'


def _taken(taken: Mapping[str, Any], currency: str) -> str:
    return one_line(f"the {taken['by']} chose {chosen(taken, currency)}, {taken['action_id']}")


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


def _event_entries(event: EventFact) -> Iterator[Entry]:
    what = f"recorded: {event.type} {event.event_id}, the player's number {event.sequence}"
    yield Entry(event.occurred_at, Source.EVENT, what)
    if event.published_at is not None:
        yield Entry(event.published_at, Source.EVENT, "published: the broker has confirmed it")
    if event.applied_at is not None:
        yield Entry(event.applied_at, Source.STATISTICS, "applied")
