"""`croupier replay`: the running rounds' histories against this code, before it is released."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer()


@app.command()
def replay(
    live: Annotated[
        int,
        typer.Option(
            "--live",
            min=0,
            metavar="N",
            help="All open workflows of the running namespace, and of each type the last N that are closed.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Replay running workflows with this code before its release. Exits 1 and names what does not go on."""
    from cli.replay import run as command

    sys.exit(command.run(settings_or_exit(), closed=live, as_json=as_json))
