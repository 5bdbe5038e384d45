"""`croupier audit`: the invariants of money on the live database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer()


@app.command()
def audit(
    chain: Annotated[
        bool,
        typer.Option("--chain", help="Only the players' hash chains, with their postings and results."),
    ] = False,
    player: Annotated[
        str | None, typer.Option("--player", help="With --chain: only the players of this id.")
    ] = None,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            "--metrics-file",
            metavar="FILE.prom",
            help="Also write the result there, for node_exporter's textfile collector.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the invariants of money on the live database. Exits 1 and names what is broken."""
    from cli.audit import run as command
    from verification.audit import Wanted

    if player is not None and not chain:
        raise typer.BadParameter("--player narrows --chain; the invariants are of the whole database")
    if metrics_file is not None and chain:
        raise typer.BadParameter("--metrics-file takes the whole audit, and --chain is a part of it")
    wanted = Wanted(chain=chain, player_id=player)
    sys.exit(command.run(settings_or_exit(), wanted, as_json=as_json, metrics_file=metrics_file))
