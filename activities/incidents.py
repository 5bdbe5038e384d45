"""Incidents of reconciliation: opened and counted once, announced, and reviewed until they are gone."""

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import asyncpg
from prometheus_client import Counter, Gauge
from temporalio import activity

from contracts import reconciliation as steps
from contracts.events import RecordedEvent
from contracts.failures import one_line
from contracts.reconciliation import Finding, Incident, IncidentKind, Page, PageResult
from events.broker import reason
from events.catalogue import INCIDENT_OPENED, EventInvalid
from events.publisher import BrokerUnavailable, PublishUncertain, Unroutable
from security.payload_codec import CANNOT_OPEN
from storage import incidents, outbox
from storage.incidents import Noted

INCIDENTS: Final = Counter("croupier_incidents_opened_total", "Incidents opened by this process.", ["kind"])
INCIDENTS_OPEN: Final = Gauge("croupier_incidents_open", "Incidents that are open.", ["kind"])
LAST_RUN: Final = Gauge(
    "croupier_reconciliation_last_run_timestamp_seconds", "When reconciliation last came to its end."
)

PUBLISH_LIMIT_S: Final = 5.0
ANNOUNCED: Final = 100
INCIDENT_PAGE: Final = 100
UNCONFIRMED: Final = (BrokerUnavailable, PublishUncertain, Unroutable, EventInvalid)

log = logging.getLogger(__name__)


class Publishes(Protocol):
    async def publish(self, event: RecordedEvent, *, timeout_seconds: float) -> None: ...


# Whether an incident's difference is gone.
Review = Callable[[Incident], Awaitable[bool]]


async def note(pool: asyncpg.Pool, finding: Finding) -> Noted:
    """Opens the incident, or finds it open. A new incident is counted and logged once."""
    noted = await incidents.note(pool, finding)
    if noted.opened:
        INCIDENTS.labels(finding.kind.value).inc()
        log.error("incident: %s", _without_names(finding))
    return noted


def _without_names(finding: Finding) -> str:
    """What may stand in a log: a subject can hold a player's id."""
    round_ = "" if finding.round_id is None else f", round {one_line(finding.round_id)}"
    return f"{finding.kind} at operator {finding.operator_id}{round_} (./croupier incidents)"


class IncidentSteps:
    """Resolves incidents whose difference is gone, and publishes new ones to the broker."""

    def __init__(self, pool: asyncpg.Pool, publisher: Publishes, reviews: dict[IncidentKind, Review]) -> None:
        self._pool = pool
        self._publisher = publisher
        self._reviews = reviews
        for kind in IncidentKind:
            # A counter whose first sample comes with the first incident shows no increase.
            INCIDENTS.labels(kind.value)
            INCIDENTS_OPEN.labels(kind.value)

    @activity.defn(name=steps.OPEN_INCIDENTS.name)
    async def open_incidents(self, page: Page) -> PageResult:
        kind, _, subject = (page.cursor or "").partition("|")
        found = await incidents.open_page(self._pool, after=(kind, subject), limit=INCIDENT_PAGE)
        resolved = 0
        problems: list[str] = []
        for incident in found:
            try:
                gone = await self._reviews[incident.finding.kind](incident)
            except (ReviewNotPossible, *CANNOT_OPEN) as problem:
                if str(problem) not in problems:
                    problems.append(str(problem))
                continue
            if gone and await incidents.resolve(self._pool, incident.incident_id):
                resolved += 1
                log.info("resolved: %s", _without_names(incident.finding))
        last = found[-1].finding if len(found) == INCIDENT_PAGE else None
        return PageResult(
            cursor=None if last is None else f"{last.kind}|{last.subject}",
            looked_at=len(found),
            resolved=resolved,
            problems=tuple(problems),
        )

    @activity.defn(name=steps.ANNOUNCE.name)
    async def announce(self, page: Page) -> PageResult:
        """Publishes what the broker has not confirmed yet; a crash before the mark publishes it again, with
        the same id and the same bytes."""
        found = await incidents.unpublished(self._pool, limit=ANNOUNCED)
        confirmed: list[str] = []
        problems: list[str] = []
        for incident in found:
            try:
                await self._publisher.publish(incident_event(incident), timeout_seconds=PUBLISH_LIMIT_S)
            except EventInvalid as error:
                problems.append(f"incident {incident.incident_id} cannot be published: {error}")
                continue
            except UNCONFIRMED as error:
                problems.append(f"incidents are not published: {reason(error)}")
                break
            confirmed.append(incident.incident_id)
        await incidents.mark_published(self._pool, confirmed)
        for kind, count in (await incidents.open_counts(self._pool)).items():
            INCIDENTS_OPEN.labels(kind.value).set(count)
        LAST_RUN.set_to_current_time()
        goes_on = len(confirmed) == ANNOUNCED
        return PageResult(cursor=confirmed[-1] if goes_on else None, problems=tuple(problems))


class ReviewNotPossible(Exception):
    """The incident's subject does not answer; the text names it. The next run asks again."""


def incident_event(incident: Incident) -> RecordedEvent:
    """Makes `incident.opened` from the incident's fields that never change."""
    finding = incident.finding
    return RecordedEvent(
        event_id=incident.incident_id,
        type=INCIDENT_OPENED,
        operator_id=finding.operator_id,
        game_id=finding.game_id or "",
        subject=finding.subject,
        sequence=None,
        occurred_at=outbox.occurred_at(incident.opened_at),
        data=json.dumps({"kind": finding.kind, "round_id": finding.round_id, "detail": finding.detail}),
    )
