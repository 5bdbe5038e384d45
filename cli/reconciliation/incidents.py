"""`croupier incidents` and `croupier reconcile`: what differs, and looking for it now."""

import asyncio
import json
import sys
from datetime import timedelta
from typing import Any, Final

import typer
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from cli.services import CannotShow, database_of, where
from contracts.failures import one_line
from contracts.reconciliation import RECONCILE_SCHEDULE, Incident, Reconciled
from runtime.services import Unreachable, load_keyring
from runtime.settings import Settings
from runtime.temporal import connect_temporal
from security.keyring import KeyringInvalid
from storage import incidents as stored

LISTED: Final = 1_000
START_LIMIT_S: Final = 30.0
RUN_LIMIT: Final = timedelta(minutes=10)
PAUSE_S: Final = 0.2
LOOKS: Final = 10


class CannotReconcile(Exception):
    """Why nothing was compared, in one line."""


def show(settings: Settings, *, resolved_too: bool, as_json: bool) -> int:
    """Prints incidents. Returns 0 when none is open, 1 when some are, 2 when it cannot be read."""
    try:
        found = asyncio.run(_read(where(settings)[0], resolved_too=resolved_too))
    except (CannotShow, Unreachable) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        return 2
    open_ones = sum(incident.resolved_at is None for incident in found)
    if as_json:
        sys.stdout.write(json.dumps([_as_dict(incident) for incident in found], indent=2) + "\n")
    else:
        typer.echo("\n".join(_lines(found)) or "no incident is open")
    return 1 if open_ones else 0


def reconcile(settings: Settings, *, as_json: bool) -> int:
    """Runs reconciliation now and prints what it came to. Returns 0, 1 when something could not be compared,
    2 when it did not run."""
    try:
        done = asyncio.run(_reconcile(where(settings)[0]))
    except (CannotShow, CannotReconcile, Unreachable, KeyringInvalid) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        return 2
    figures = {
        "looked_at": done.looked_at,
        "opened": done.opened,
        "resolved": done.resolved,
        "driven_on": done.driven_on,
        "emitted": done.emitted,
    }
    if as_json:
        sys.stdout.write(json.dumps({**figures, "problems": list(done.problems)}, indent=2) + "\n")
    else:
        typer.echo(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in figures.items()))
        for what in done.problems:
            typer.echo(f"could not be compared: {one_line(what)}")
    return 1 if done.problems else 0


async def _read(settings: Settings, *, resolved_too: bool) -> list[Incident]:
    async with database_of(settings, CannotShow) as database:
        return await stored.listed(database.pool, resolved_too=resolved_too, limit=LISTED)


async def _reconcile(settings: Settings) -> Reconciled:
    client = await connect_temporal(settings, load_keyring(settings))
    try:
        return await run_now(client)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise CannotReconcile(
                "Temporal has no schedule for it: the reconciler (python -m workers.reconciler) makes one"
                " when it starts"
            ) from None
        raise CannotReconcile(one_line(f"Temporal answers {error.status.name}: {error}")) from None
    except WorkflowFailureError as failure:
        raise CannotReconcile(one_line(f"the run did not end: {failure.cause}")) from None


async def run_now(client: Client) -> Reconciled:
    """Starts a run, after the one that may be under way, and waits for its end. Raises CannotReconcile,
    RPCError, WorkflowFailureError."""
    handle = client.get_schedule_handle(RECONCILE_SCHEDULE)
    before = _runs(await handle.describe())
    workflow_id = await _new_run(handle, before)
    started: WorkflowHandle[object, Reconciled] = client.get_workflow_handle(
        workflow_id, result_type=Reconciled
    )
    try:
        async with asyncio.timeout(RUN_LIMIT.total_seconds()):
            return await started.result()
    except TimeoutError:
        raise CannotReconcile(
            f"the run {workflow_id} has not ended: is the reconciler (python -m workers.reconciler) up?"
        ) from None


async def _new_run(handle: ScheduleHandle, before: set[str]) -> str:
    """Asks for a run and returns the first that was not there before."""
    try:
        async with asyncio.timeout(START_LIMIT_S):
            while True:
                # Again, because Temporal drops a run that would begin in the same second as the one before.
                # It keeps one for later at most, however often it is asked.
                await handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE)
                for _ in range(LOOKS):
                    if new := _runs(await handle.describe()) - before:
                        return min(new)
                    await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        raise CannotReconcile(
            "Temporal has not started the run: an earlier one is under way and does not end, or the schedule"
            " is paused"
        ) from None


def _runs(found: ScheduleDescription) -> set[str]:
    return {
        result.action.workflow_id
        for result in found.info.recent_actions
        if isinstance(result.action, ScheduleActionExecutionStartWorkflow)
    }


def _as_dict(incident: Incident) -> dict[str, Any]:
    finding = incident.finding
    return {
        "id": incident.incident_id,
        "kind": finding.kind,
        "subject": finding.subject,
        "operator_id": finding.operator_id,
        "round_id": finding.round_id,
        "detail": finding.detail,
        "opened_at": incident.opened_at.isoformat(),
        "resolved_at": None if incident.resolved_at is None else incident.resolved_at.isoformat(),
    }


def _lines(found: list[Incident]) -> list[str]:
    return [
        one_line(
            f"{incident.opened_at:%Y-%m-%d %H:%M:%S}  {incident.finding.kind:<16}"
            f" {'open' if incident.resolved_at is None else 'resolved':<9} {incident.finding.subject}"
            f"  {json.dumps(incident.finding.detail)}"
        )
        for incident in found
    ]
