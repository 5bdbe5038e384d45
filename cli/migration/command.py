"""`croupier migrate`: a release's tables and functions, before and after its programs start."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer()


@app.command()
def migrate(
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; say what is to be done, and exit 1 if anything is."),
    ] = False,
    before: Annotated[
        bool, typer.Option("--before", help="The first half alone: before the new programs start.")
    ] = False,
    after: Annotated[
        bool, typer.Option("--after", help="The second half alone: after the last old program has ended.")
    ] = False,
    wait: Annotated[
        int,
        typer.Option("--wait", min=0, metavar="SECONDS", help="How long to try when a lock is in the way."),
    ] = 300,
    as_json: Json = False,
) -> None:
    """Bring the database to this release's schema while rounds are played; without an option, both halves."""
    from cli.migration import run as command

    if check + before + after > 1:
        raise typer.BadParameter("one of --check, --before and --after, or none of them for both halves")
    if check:
        sys.exit(command.check(settings_or_exit(), as_json=as_json))
    halves = {"before": not after, "after": not before}
    sys.exit(command.run(settings_or_exit(), **halves, patience_s=float(wait), as_json=as_json))
