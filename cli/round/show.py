"""`croupier round show`: one round on one time line, from the ledger, the workflow and the broker."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import typer
from pydantic import SecretStr
from temporalio.client import Client

from cli.round.lines import choices_of, lines
from compose import control
from compose.layout import Layout
from contracts.failures import one_line
from contracts.rounds import RoundKey
from contracts.views import RoundView
from runtime.resources import Unreachable, connect_database, connect_temporal, load_keyring
from runtime.settings import Settings
from security.keyring import KeyringInvalid
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


class CannotShow(Exception):
    """Why nothing can be shown, as its reader is told."""


def show(settings: Settings, wanted: Wanted, *, as_json: bool) -> int:
    """Prints the round. Returns 0, or 1 when there is nothing to show."""
    try:
        found = asyncio.run(read(settings, wanted))
    except (CannotShow, Unreachable, KeyringInvalid) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        return 1
    if as_json:
        sys.stdout.write(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) + "\n")
    else:
        typer.echo("\n".join(lines(found)))
    return 0


async def read(settings: Settings, wanted: Wanted) -> Timeline:
    """Raises CannotShow, Unreachable (the database) or KeyringInvalid."""
    reached, ui = where(settings)
    keyring = load_keyring(reached)

    async def connect() -> Client:
        return await connect_temporal(reached, keyring)

    database = await connect_database(reached, connections=1)
    try:
        key = await _find(database, wanted)
        return await read_timeline(database.pool, key, connect, ui=ui)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotShow(one_line(f"PostgreSQL: {type(error).__name__}: {error}")) from None
    finally:
        await database.close()


def where(settings: Settings) -> tuple[Settings, str | None]:
    """The settings with the addresses of the stack that runs, and the address of Temporal's web interface
    if there is one. Services that are set from outside need no stack. Raises CannotShow."""
    info = control.stack_info(Layout(settings.home)) or {}
    if settings.database_url is not None and settings.temporal_address is not None:
        same = info.get("temporal_address") == settings.temporal_address
        return settings, info.get("temporal_ui") if same else None
    if not info:
        raise CannotShow(
            f"the stack in {settings.home} is not up: start it with ./croupier up, or name services of your"
            " own with CROUPIER_DATABASE_URL and CROUPIER_TEMPORAL_ADDRESS"
        )
    addresses = {
        "database_url": SecretStr(info["database_url"]),
        "temporal_address": info["temporal_address"],
        "temporal_namespace": info["temporal_namespace"],
    }
    return settings.model_copy(update=addresses), info.get("temporal_ui")


async def _find(database: Database, wanted: Wanted) -> RoundKey:
    found = await stored.find(
        database.pool,
        wanted.round_id,
        operator_id=wanted.operator_id,
        player_id=wanted.player_id,
        limit=LISTED + 1,
    )
    if len(found) != 1:
        raise CannotShow(_why_not_one(wanted, found))
    return found[0].key


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
