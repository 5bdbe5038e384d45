"""`croupier recover`: recovers a restored ledger now, and says which rounds it has lost."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import typer
from rich.console import Console
from rich.table import Table
from temporalio.service import RPCError

from cli.backup.run import fail, say
from cli.services import CannotShow, where
from contracts.failures import error_line
from runtime.past_rounds import PastRounds
from runtime.recovery import LostRound, Recovered, Recovery
from runtime.round_start import RoundStart
from runtime.round_workflows import RoundWorkflows
from runtime.services import Unreachable, connect_database, load_keyring
from runtime.temporal import connect_temporal
from security.keyring import KeyringInvalid
from security.payload_codec import CANNOT_OPEN
from security.seeds import SeedVault
from storage import restores
from storage.restores import Lost

if TYPE_CHECKING:
    from runtime.settings import Settings

# The ledger is recovered and open, and something could not be compared: the list of lost rounds is not whole.
INCOMPLETE: Final = 3
SHOWN: Final = 50
BECAME: Final = {
    Lost.VOID: "void: its stake is back",
    Lost.AT_WALLET: "the wallet's statement decides",
    Lost.FOREIGN: "its player or session is lost too",
}


def run(settings: Settings, *, restored: bool, as_json: bool) -> int:
    """Returns 0 when the ledger is open, 1 when it could not be recovered, INCOMPLETE when it is open and
    the list of lost rounds is not whole."""
    try:
        found = asyncio.run(recovered(where(settings)[0], restored=restored))
    except (CannotShow, Unreachable, KeyringInvalid) as problem:
        return fail(problem)
    if found is None:
        typer.echo("the ledger is open: nothing was restored since its epoch began")
    elif as_json:
        sys.stdout.write(json.dumps(as_document(found), indent=2) + "\n")
    else:
        render(found)
    return exit_code(found)


def exit_code(found: Recovered | None) -> int:
    """Of a recovery that came to its end; None when there was nothing to recover."""
    return INCOMPLETE if found is not None and found.warnings else 0


async def recovered(settings: Settings, *, restored: bool) -> Recovered | None:
    """Recovers the ledger that the settings name. Raises CannotShow, Unreachable, KeyringInvalid."""
    keyring = load_keyring(settings)
    client = await connect_temporal(settings, keyring)
    database = await connect_database(settings, connections=1)
    begins = RoundStart(client, keyring, database.pool)
    workflows = RoundWorkflows(client, task_queue=settings.task_queue, begins=begins)
    try:
        if restored:
            await restores.suspect(database.pool)
        recovery = Recovery(database.pool, PastRounds(client), workflows.restart, SeedVault(keyring))
        return await recovery.recover(say)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RPCError, *CANNOT_OPEN) as error:
        why = error_line(error)
        raise Unreachable(f"the ledger is not recovered, and stays closed: {why}") from None
    finally:
        await database.close()


def render(found: Recovered) -> None:
    """The first lost rounds, and how many there are of each kind."""
    if found.lost:
        table = Table(title="rounds that the ledger has lost", title_justify="left")
        for heading in ("operator", "player", "round", "stake", "in Temporal", "now"):
            table.add_column(heading)
        for lost in found.lost[:SHOWN]:
            table.add_row(*_row(lost))
        Console(highlight=False).print(table)
    for became, count in Counter(lost.became for lost in found.lost).items():
        typer.echo(f"{count} of {len(found.lost)}: {BECAME[became]}")
    typer.echo(f"epoch {found.epoch.number}; all lost rounds: ./croupier incidents --all")


def _row(lost: LostRound) -> tuple[str, ...]:
    bet = lost.bet
    return (
        bet.key.operator_id,
        bet.player_id,
        bet.key.round_id,
        f"{bet.stake} {bet.currency}",
        lost.told,
        BECAME[lost.became],
    )


def as_document(found: Recovered) -> dict[str, Any]:
    """The recovery as JSON has it."""
    return {
        "epoch": found.epoch.number,
        "restored_to": None if found.epoch.restored_to is None else found.epoch.restored_to.isoformat(),
        "warnings": list(found.warnings),
        "lost": [
            {
                "operator_id": lost.bet.key.operator_id,
                "player_id": lost.bet.player_id,
                "round_id": lost.bet.key.round_id,
                "stake": {"amount": lost.bet.stake, "currency": lost.bet.currency},
                "workflow": lost.told,
                "became": lost.became.value,
            }
            for lost in found.lost
        ],
    }
