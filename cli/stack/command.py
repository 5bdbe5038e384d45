"""`croupier up`, `down`, `status` and `reset`: the stack on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer()


@app.command()
def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running and return; stop it with `down`.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Play real rounds, check every invariant, stop; exit 0 only if all hold."
        ),
    ] = False,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How many rounds --check plays.")] = 50,
    as_json: Json = False,
    services_only: Annotated[
        bool,
        typer.Option(
            "--services-only", help="Only PostgreSQL, RabbitMQ and Temporal; run the programs yourself."
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop everything when one part dies, instead of starting it again."),
    ] = False,
    ingress: Annotated[
        int,
        typer.Option(
            "--ingress",
            min=1,
            max=8,
            help="So many ingress processes behind one port; they share the limits.",
        ),
    ] = 1,
) -> None:
    """Start the whole stack on this machine and keep it until Ctrl-C."""
    from cli.stack import up as command

    if detach and check:
        raise typer.BadParameter("--check stops the stack when it is done, so it cannot be detached")
    if services_only and ingress > 1:
        raise typer.BadParameter("--services-only starts no ingress")
    choices = command.Choices(
        detach=detach,
        check=check,
        rounds=rounds,
        as_json=as_json,
        services_only=services_only,
        # A check in which something died has failed.
        strict=strict or check,
        ingresses=ingress,
    )
    sys.exit(command.run(settings_or_exit(), choices))


@app.command()
def down(as_json: Json = False) -> None:
    """Stop the stack that runs here, also what a crash left behind."""
    from cli.stack import manage

    sys.exit(manage.down(settings_or_exit(), as_json=as_json))


@app.command()
def status(as_json: Json = False) -> None:
    """Show what runs and where. Exits 0 when the stack is up, 1 when it is not."""
    from cli.stack import manage

    sys.exit(manage.status(settings_or_exit(), as_json=as_json))


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete all data, keys and logs of the stack here. Asks first."""
    from cli.stack import manage

    sys.exit(manage.reset(settings_or_exit(), yes=yes))
