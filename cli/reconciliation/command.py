"""`croupier incidents` and `reconcile`: what differs between the books, and looking for it now."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer()


@app.command()
def incidents(
    every: Annotated[bool, typer.Option("--all", help="Also those that are resolved, newest first.")] = False,
    as_json: Json = False,
) -> None:
    """Show what reconciliation found. Exits 0 when no incident is open, 1 when some are."""
    from cli.reconciliation import incidents as command

    sys.exit(command.show(settings_or_exit(), resolved_too=every, as_json=as_json))


@app.command()
def reconcile(as_json: Json = False) -> None:
    """Compare ledger, Temporal, events and operators' wallets now, and wait for the result."""
    from cli.reconciliation import incidents as command

    sys.exit(command.reconcile(settings_or_exit(), as_json=as_json))
