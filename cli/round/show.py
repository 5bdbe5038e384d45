"""`croupier round show`: one round on one time line, from the ledger, the workflow and the broker."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import typer
from temporalio.client import Client

from api.result.service import ResultService
from cli.options import fail
from cli.round.lines import choices_of, lines
from cli.services import CannotShow, database_of, looking
from contracts.failures import one_line
from contracts.views import RoundView
from runtime.round_workflows import RoundWorkflows, TemporalAway
from runtime.services import Unreachable, load_keyring
from runtime.settings import Settings
from runtime.temporal import connect_temporal
from security.keyring import KeyringInvalid
from security.payload_codec import CANNOT_OPEN
from storage import pending
from storage import timeline as stored
from storage.database import Database
from timeline.read import timeline as read_timeline
from timeline.timeline import Timeline

LISTED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A round by its id and, where several used it, by whose it is."""

    round_id: str
    operator_id: str | None
    player_id: str | None


def show(settings: Settings, wanted: Wanted, *, as_json: bool) -> int:
    """Prints the round. Returns 0, or 2 when it cannot be shown."""
    try:
        found = asyncio.run(read(settings, wanted))
    except (CannotShow, Unreachable, KeyringInvalid) as problem:
        return fail(str(problem))
    if as_json:
        sys.stdout.write(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) + "\n")
    else:
        typer.echo("\n".join(lines(found)))
    return 0


async def read(settings: Settings, wanted: Wanted) -> Timeline:
    """Raises CannotShow, Unreachable (the database, or Temporal where only it can know the round) or
    KeyringInvalid."""
    reached, ui = looking(settings)
    keyring = load_keyring(reached)

    async def connect() -> Client:
        return await connect_temporal(reached, keyring)

    async with database_of(reached, CannotShow) as database:
        found = await _stored(database, wanted)
        if not found:
            workflows = RoundWorkflows(await connect(), task_queue=reached.task_queue)
            found = await _begun(ResultService(database, workflows), workflows, wanted)
        if len(found) != 1:
            raise CannotShow(_why_not_one(wanted, found))
        return await read_timeline(database.pool, found[0], connect, ui=ui)


async def _stored(database: Database, wanted: Wanted) -> Sequence[RoundView]:
    """Rounds that have a row, and those whose operator's wallet is asked for the stake."""
    whose = {"operator_id": wanted.operator_id, "player_id": wanted.player_id}
    found = await stored.find(database.pool, wanted.round_id, **whose, limit=LISTED + 1)
    asked = await pending.of_id(database.pool, wanted.round_id, **whose, limit=LISTED + 1)
    return [*found, *asked]


async def _begun(results: ResultService, workflows: RoundWorkflows, wanted: Wanted) -> Sequence[RoundView]:
    """Rounds that only their workflows know yet."""
    try:
        keys = await workflows.unfinished(wanted.round_id, operator_id=wanted.operator_id)
        found = [await results.begun(key) for key in keys]
    except TemporalAway as away:
        raise CannotShow(
            one_line(f"the database has no round {wanted.round_id}, and Temporal does not answer ({away})")
        ) from None
    except CANNOT_OPEN as sealed:
        raise CannotShow(one_line(f"round {wanted.round_id} does not open: {sealed}")) from None
    return [view for view in found if view is not None and wanted.player_id in (None, view.player_id)]


def _why_not_one(wanted: Wanted, found: Sequence[RoundView]) -> str:
    whose = f" of player {wanted.player_id}" if wanted.player_id else ""
    at = f" at operator {wanted.operator_id}" if wanted.operator_id else ""
    if not found:
        return one_line(f"there is no round {wanted.round_id}{whose}{at}")
    shown = list(choices_of(found[:LISTED]))
    if len(found) > LISTED:
        shown.append("  and more")
    several = one_line(f"several players used the round id {wanted.round_id}; say which one is meant:")
    return "\n".join([several, *shown])
