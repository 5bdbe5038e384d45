"""Stuck events, webhooks, incidents and transactions in words."""

from collections.abc import Iterator
from typing import Final

from contracts.failures import one_line
from overview.model import Kind, Stuck
from storage.stuck import LongTransaction, OpenIncident, WaitingEvents, WaitingWebhook
from timeline.wording import minute

# What a person does about each kind of incident that does not resolve by itself.
INCIDENTS: Final = "./croupier incidents; docs/sre/incidents.md says what each kind leaves to do"


def events_stuck(found: WaitingEvents) -> Stuck:
    """All events of one operator that wait for the broker."""
    many = "An event was" if found.events == 1 else f"{found.events:,} events were"
    return Stuck(
        kind=Kind.EVENTS,
        subject=found.operator_id,
        operator_id=found.operator_id,
        since=found.since,
        why=one_line(
            f"{many} not confirmed by the broker, the first of them {found.first} of {found.subject}."
        ),
        waits_for="the broker, which its alarm may have blocked, and the relay (python -m workers.relay).",
        next="./croupier rabbitmqctl status has the broker's alarms; ./croupier status, and the relay's log",
    )


def webhook_stuck(found: WaitingWebhook) -> Iterator[Stuck]:
    """What is wrong with one webhook: up to three things."""
    error = f"; the last error: {found.last_error}" if found.last_error else ""
    if found.idle:
        last = "never" if found.pumped_at is None else f"last at {minute(found.pumped_at)}"
        why = f"Nothing is sent to {found.url}, {last}"
        yield _webhook(found, why, "the program python -m workers.webhooks.", "./croupier status")
    if found.pending:
        why = f"{found.pending:,} events wait for {found.url} since {found.pending_since:%Y-%m-%d %H:%M:%S}"
        yield _webhook(
            found, why + error, "the operator's endpoint: each event is repeated for three days.", "tell them"
        )
    if found.dead:
        why = f"{found.dead:,} events for {found.url} were given up{error}"
        replay = f"./croupier webhooks replay {found.webhook_id} --all"
        yield _webhook(found, why, "the operator's endpoint, and then a replay.", replay)


def _webhook(found: WaitingWebhook, why: str, waits_for: str, next_: str) -> Stuck:
    return Stuck(
        kind=Kind.WEBHOOK,
        subject=found.webhook_id,
        operator_id=found.operator_id,
        since=found.pending_since or found.dead_since or found.pumped_at,
        why=one_line(f"{why}."),
        waits_for=waits_for,
        next=next_,
    )


def incident_stuck(found: OpenIncident) -> Stuck:
    """A difference that is still there."""
    return Stuck(
        kind=Kind.INCIDENT,
        subject=one_line(found.subject),
        operator_id=found.operator_id,
        round_id=found.round_id,
        since=found.since,
        why=f"Reconciliation found a difference of the kind {found.kind}.",
        waits_for="the next run, which finds it gone, or a person.",
        next=INCIDENTS,
    )


def transaction_stuck(found: LongTransaction) -> Stuck:
    """A transaction of the database server that does not end."""
    who = one_line(f"{found.application or 'an unnamed application'} in the database {found.database}")
    holds = (
        "the event feed and all webhooks wait for it"
        if found.holds_feed
        else "PostgreSQL cannot clean up behind it"
    )
    return Stuck(
        kind=Kind.TRANSACTION,
        subject=f"pid {found.pid}",
        since=found.since,
        why=f"A transaction of {who} is open since {minute(found.since)}, and {holds}.",
        waits_for="its end.",
        next=f'./croupier psql --write -c "SELECT pg_terminate_backend({found.pid})"',
    )
