"""`croupier backup`, `restore` and `recover`: copies of the embedded database, and putting one back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer()

Name = Annotated[str | None, typer.Argument(help="As --list shows it.", show_default=False)]


@app.command()
def backup(
    listing: Annotated[
        bool, typer.Option("--list", help="Show the backups, and the moments that they reach.")
    ] = False,
    verify: Annotated[
        str | None,
        typer.Option("--verify", metavar="NAME", help="Read a backup whole, and compare its checksums."),
    ] = None,
    keep: Annotated[
        int, typer.Option("--keep", min=1, help="How many backups stay, with the WAL from the first on.")
    ] = 7,
    as_json: Json = False,
) -> None:
    """Copy the database of the running stack, and keep all of its WAL from then on.

    It lies below the stack's home, in `backups`: bring it to another machine. The keyring is not in it: back
    that up apart.
    """
    from cli.backup import run as command

    settings = settings_or_exit()
    if listing:
        sys.exit(command.show(settings, as_json=as_json))
    if verify is not None:
        sys.exit(command.verify(settings, verify, as_json=as_json))
    sys.exit(command.make(settings, keep=keep, as_json=as_json))


@app.command()
def restore(
    name: Name = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TIME", help="The moment, such as 2026-11-27T14:03:00Z; else the last there is."
        ),
    ] = None,
    timeline: Annotated[
        int | None,
        typer.Option("--timeline", min=1, help="Of an earlier restore; else the latest."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Put a backup back, replay it to a moment, and recover what Temporal and wallets know beyond it.

    The stack must be down. What was there is set aside, and put back if the restore does not succeed. Exits 0
    when it is restored, 3 when it is and the list of lost rounds is not whole, 1 when it is as it was.
    """
    from cli.backup import restore as command

    choice = command.Choice(name=name, to=to, timeline=timeline, yes=yes)
    sys.exit(command.run(settings_or_exit(), choice, as_json=as_json))


@app.command()
def recover(
    restored: Annotated[
        bool,
        typer.Option(
            "--restored",
            help="The database was put back from outside and does not say so, as a copy of files.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Recover a ledger that was restored, by whatever means, and list the rounds that it has lost.

    The reconciler does it by itself. Exits 0 when the ledger is open then, 3 when it is and the list is not
    whole, 1 when it is closed.
    """
    from cli.backup import recover as command

    sys.exit(command.run(settings_or_exit(), restored=restored, as_json=as_json))
