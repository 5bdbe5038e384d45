"""Reconciliation's checks of rounds, workflows and events: each compares a page, and repairs what it can.

The interleavings that must not hurt:
* A round that is healthy and slow. Its workflow runs, so the check leaves it alone. When the workflow begins
  only after Temporal was asked, Temporal refuses the second start.
* A round that closes between our reading of it and Temporal's answer. A workflow ends after its round, so
  the ledger is read once more when Temporal says that nothing runs, and has the last word.
* Two reconcilers at once. An incident is opened once and acted on by one of them. When both start a round,
  one start is refused, or finds a closed round that answers from what is stored.
* An event that is applied during the check. The number of waiting messages is read before the events: an
  event that is not applied then, and cannot be among those that wait, is with no consumer.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import asyncpg
from prometheus_client import Counter
from temporalio import activity
from temporalio.service import RPCError, RPCStatusCode

from activities.incidents import PUBLISH_LIMIT_S, UNCONFIRMED, Publishes, note
from contracts import reconciliation as steps
from contracts.events import RecordedEvent
from contracts.failures import bounded
from contracts.reconciliation import (
    Finding,
    Incident,
    IncidentKind,
    Page,
    PageResult,
    WorkflowState,
    round_key,
)
from contracts.rounds import Bet, RoundKey
from events.broker import LinkLost, reason
from events.catalogue import ROUND_SETTLED, ROUND_VOID
from security.payload_codec import CANNOT_OPEN
from storage import reconciliation as stored
from storage import restores
from storage.reconciliation import Standing, StoredEvent

ROUNDS_RESTARTED: Final = Counter("croupier_rounds_restarted_total", "Rounds whose workflow was restarted.")

# How far back the first check of closed workflows begins.
FIRST_SPAN: Final = timedelta(days=1)
CLOSED_WORKFLOWS_MARK: Final = "closed-workflows"
EVENTS_MARK: Final = "events"
# What the statistics apply. Every other consumer of events has an inbox of its own.
APPLIED_TYPES: Final = frozenset({ROUND_SETTLED, ROUND_VOID})

# The answers of a Temporal that is away or too busy, which are the same for every round.
TEMPORAL_AWAY: Final = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.CANCELLED,
    }
)

# Of a round that the ledger does not know, nothing was decided by any of these.
ENDED_BADLY: Final = (
    WorkflowState.FAILED,
    WorkflowState.TERMINATED,
    WorkflowState.TIMED_OUT,
    WorkflowState.CANCELED,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each thing may take before it counts as a difference."""

    open: timedelta = timedelta(seconds=60)  # a round, before its workflow is asked for
    stuck: timedelta = timedelta(hours=1)  # a round whose workflow runs
    applied: timedelta = timedelta(minutes=2)  # an event, from the broker's confirm on
    given_up: timedelta = timedelta(hours=1)  # an event that holds up the check of later ones
    visible: timedelta = timedelta(seconds=30)  # a closed workflow, until Temporal's lists show it
    recorded: timedelta = timedelta(seconds=60)  # what a wallet took, until a statement is compared


PATIENCE: Final = Patience()


class RoundWorkflows(Protocol):
    """runtime.round_workflows.RoundWorkflows is one."""

    async def state(self, workflow_id: str) -> WorkflowState: ...

    async def restart(self, bet: Bet) -> bool: ...

    async def ended_badly(
        self, *, since: datetime, until: datetime, cursor: str | None
    ) -> tuple[list[str], str | None]: ...

    async def begun(self, workflow_id: str) -> "BegunRound | None": ...


class BegunRound(Protocol):
    """runtime.round_workflows.BegunRound is one."""

    @property
    def bet(self) -> Bet: ...
    @property
    def at(self) -> datetime: ...
    @property
    def completed(self) -> bool: ...


# How many events wait for the statistics at the broker. Raises LinkLost.
EventsWaiting = Callable[[], Awaitable[int]]


class RoundChecks:
    """Open rounds against Temporal, and workflows that ended badly against the ledger."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        workflows: RoundWorkflows,
        patience: Patience = PATIENCE,
    ) -> None:
        self._pool = pool
        self._workflows = workflows
        self._patience = patience

    @activity.defn(name=steps.OPEN_ROUNDS.name)
    async def open_rounds(self, page: Page) -> PageResult:
        """Checks rounds that hold a stake for longer than a round takes."""
        return await self._check_page(
            await stored.open_rounds(self._pool, after=_after(page), before=_ago(self._patience.open))
        )

    @activity.defn(name=steps.UNANSWERED_BETS.name)
    async def unanswered_bets(self, page: Page) -> PageResult:
        """Checks bets whose stake a wallet was asked for without an answer on record."""
        return await self._check_page(
            await stored.unanswered_bets(self._pool, after=_after(page), before=_ago(self._patience.open))
        )

    async def _check_page(self, page: list[Standing]) -> PageResult:
        total = _Tally()
        for found in page:
            try:
                total.add(await self._examine_open(found))
            except RPCError as error:
                if error.status in TEMPORAL_AWAY:
                    raise
                # The error concerns this round alone, and must not keep the others from being checked.
                problem = f"round {found.key.workflow_id}: {error.status.name}"
                total.add(PageResult(looked_at=1, problems=(bounded(problem),)))
        last = page[-1] if len(page) == stored.PAGE else None
        return total.result(None if last is None else f"{last.key.player_key}:{last.game_id}")

    async def _examine_open(self, found: Standing) -> PageResult:
        state = await self._workflows.state(found.key.workflow_id)
        if state is not WorkflowState.RUNNING:
            return await self._examine_ended(found.key, state)
        if datetime.now(UTC) - found.since < self._patience.stuck:
            return PageResult(looked_at=1)
        finding = _finding(IncidentKind.STUCK, found, {"state": found.state, "workflow": state})
        noted = await note(self._pool, finding)
        return PageResult(looked_at=1, opened=int(noted.opened))

    @activity.defn(name=steps.CLOSED_WORKFLOWS.name)
    async def closed_workflows(self, page: Page) -> PageResult:
        """Checks workflows that failed, were terminated or cancelled since the last run."""
        found = await stored.mark(self._pool, CLOSED_WORKFLOWS_MARK)
        since = datetime.now(UTC) - FIRST_SPAN if found is None else datetime.fromisoformat(found)
        until_text, _, token = (page.cursor or "").partition("|")
        until = datetime.fromisoformat(until_text) if until_text else _ago(self._patience.visible)
        if until <= since:
            return PageResult()
        workflow_ids, following = await self._workflows.ended_badly(
            since=since, until=until, cursor=token or None
        )
        total = _Tally()
        for workflow_id in workflow_ids:
            total.add(await self._examine_listed(workflow_id))
        if following is None:
            await stored.move_mark(self._pool, CLOSED_WORKFLOWS_MARK, found, until.isoformat())
        return total.result(None if following is None else f"{until.isoformat()}|{following}")

    async def _examine_listed(self, workflow_id: str) -> PageResult:
        """Checks a workflow of Temporal's list, which shows every run: only an id's latest run counts."""
        try:
            key = round_key(workflow_id)
        except ValueError:
            return PageResult(looked_at=1, problems=(bounded(f"no round has the workflow id {workflow_id}"),))
        state = await self._workflows.state(workflow_id)
        if state in (WorkflowState.RUNNING, WorkflowState.COMPLETED, WorkflowState.FORGOTTEN):
            return PageResult(looked_at=1)
        try:
            return await self._examine_ended(key, state)
        except CANNOT_OPEN as sealed:
            return PageResult(looked_at=1, problems=(bounded(f"round {workflow_id}: {sealed}"),))

    async def _examine_ended(self, key: RoundKey, state: WorkflowState) -> PageResult:
        """Reads the ledger once more, now that no workflow runs. Restarts a round that is still open, and one
        that ended before the ledger knew it: its player was told that it is pending."""
        standing = await stored.standing(self._pool, key) or await self._begun(key)
        failed = state is WorkflowState.FAILED
        if (
            standing is None
            or not (standing.open or failed)
            or await restores.is_being_settled(self._pool, key)
        ):
            return PageResult(looked_at=1)
        kind = IncidentKind.WORKFLOW_FAILED if failed else IncidentKind.WORKFLOW_LOST
        finding = _finding(kind, standing, {"state": standing.state, "workflow": state})
        noted = await note(self._pool, finding)
        driven = noted.due and standing.bet is not None and await self._restart(standing.bet)
        return PageResult(looked_at=1, opened=int(noted.opened), driven_on=int(driven))

    async def _begun(self, key: RoundKey) -> Standing | None:
        """The round by its workflow's input. None when its workflow is forgotten or has completed, and for a
        bet of a session that is not ours: of another database, or of a later state of this one."""
        began = await self._workflows.begun(key.workflow_id)
        if began is None or began.completed or not await stored.has_session(self._pool, began.bet):
            return None
        return Standing(key=key, state=None, game_id=began.bet.game_id, since=began.at, bet=began.bet)

    async def _restart(self, bet: Bet) -> bool:
        started = await self._workflows.restart(bet)
        if started:
            ROUNDS_RESTARTED.inc()
            log.warning("round %s is restarted", bet.key.workflow_id)
        return started

    async def review(self, incident: Incident) -> bool:
        """Returns whether the difference is gone. One that stays is repaired again when it is due."""
        key = round_key(incident.finding.subject)
        standing = await stored.standing(self._pool, key)
        if standing is not None and standing.open:
            return False  # the check of open rounds goes on with it
        if standing is not None and incident.finding.kind is not IncidentKind.WORKFLOW_FAILED:
            return True
        state = await self._workflows.state(key.workflow_id)
        bad = ENDED_BADLY if standing is None else (WorkflowState.FAILED,)
        if state in bad:
            await self._examine_ended(key, state)
        return state not in (*bad, WorkflowState.RUNNING)


class EventChecks:
    """Events that the broker confirmed against what the statistics applied."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        publisher: Publishes,
        waiting: EventsWaiting,
        patience: Patience = PATIENCE,
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._waiting = waiting
        self._patience = patience

    @activity.defn(name=steps.EVENTS.name)
    async def events(self, page: Page) -> PageResult:
        """Checks the outbox from its mark on. The mark stops at the first event that may be on its way."""
        try:
            nothing_waits = await self._waiting() == 0
        except LinkLost as lost:
            return PageResult(problems=(f"events: {reason(lost)}",))
        found = await stored.mark(self._pool, EVENTS_MARK)
        after = await stored.first_event(self._pool) if found is None else int(found)
        events = await stored.events(self._pool, after=after, before=_ago(self._patience.applied))
        total, passed = _Tally(), after
        for event in events:
            if self._is_missing(event, events, nothing_waits):
                total.add(await self._emit_again(event))
            elif not self._is_done_with(event):
                break
            total.add(PageResult(looked_at=1))
            passed = event.position
        moved = await stored.move_mark(self._pool, EVENTS_MARK, found, str(passed))
        goes_on = moved and len(events) == stored.EVENT_PAGE and passed == events[-1].position
        return total.result(str(passed) if goes_on else None)

    def _is_done_with(self, event: StoredEvent) -> bool:
        return event.applied or event.event.type not in APPLIED_TYPES

    def _is_missing(self, event: StoredEvent, page: list[StoredEvent], nothing_waits: bool) -> bool:
        """Returns whether a confirmed event is not applied and cannot be a message that waits: none waits, or
        later ones were applied, for a queue keeps its order. An event without a confirm is the relay's, until
        it has held up this check for too long."""
        if self._is_done_with(event):
            return False
        if event.occurred_at < _ago(self._patience.given_up):
            return True
        if event.published_at is None or event.published_at > _ago(self._patience.applied):
            return False
        much_later = event.published_at + self._patience.applied
        return nothing_waits or any(
            later.applied and later.published_at is not None and later.published_at > much_later
            for later in page
        )

    async def _emit_again(self, event: StoredEvent) -> PageResult:
        recorded = event.event
        now = await stored.event(self._pool, recorded.event_id)
        if now is None or now.applied:
            return PageResult()  # it was applied while the page was read
        noted = await note(
            self._pool,
            Finding(
                kind=IncidentKind.EVENT_MISSING,
                subject=recorded.event_id,
                operator_id=recorded.operator_id,
                player_key=event.player_key,
                round_id=recorded.subject,
                game_id=recorded.game_id,
                detail={"type": recorded.type, "confirmed": event.published_at is not None},
            ),
        )
        emitted = noted.due and await self._publish(recorded)
        return PageResult(opened=int(noted.opened), emitted=int(emitted))

    async def _publish(self, event: RecordedEvent) -> bool:
        """Publishes with the same id, by which consumers recognise a repeat."""
        try:
            await self._publisher.publish(event, timeout_seconds=PUBLISH_LIMIT_S)
        except UNCONFIRMED as error:
            log.warning("event %s was not confirmed: %s", event.event_id, reason(error))
            return False
        log.warning("event %s is emitted again", event.event_id)
        return True

    async def review(self, incident: Incident) -> bool:
        """Returns whether the event is applied by now. If not, it is emitted again when it is due."""
        event = await stored.event(self._pool, incident.finding.subject)
        if event is None or event.applied:
            return True
        await self._emit_again(event)
        return False


class _Tally:
    """Adds up the results of single checks."""

    def __init__(self) -> None:
        self._sum = steps.Reconciled()

    def add(self, result: PageResult) -> None:
        self._sum = self._sum.plus(result)

    def result(self, cursor: str | None) -> PageResult:
        total = self._sum
        return PageResult(
            cursor=cursor,
            looked_at=total.looked_at,
            opened=total.opened,
            resolved=total.resolved,
            driven_on=total.driven_on,
            emitted=total.emitted,
            problems=total.problems,
        )


def _finding(kind: IncidentKind, standing: Standing, detail: dict[str, str | None]) -> Finding:
    return Finding(
        kind=kind,
        subject=standing.key.workflow_id,
        operator_id=standing.key.operator_id,
        player_key=standing.key.player_key,
        round_id=standing.key.round_id,
        game_id=standing.game_id,
        detail=detail,
    )


def _after(page: Page) -> tuple[int, str]:
    """Parses a cursor `player:game`. Every player's key is above 0."""
    player_key, _, game_id = (page.cursor or "0:").partition(":")
    return int(player_key), game_id


def _ago(patience: timedelta) -> datetime:
    return datetime.now(UTC) - patience
