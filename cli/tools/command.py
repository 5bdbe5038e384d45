"""`croupier psql`, `temporal` and `rabbitmqctl`: the command lines of the embedded services."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.options import settings_or_exit

if TYPE_CHECKING:
    from compose.tools import Find

app = typer.Typer()

# Everything that is not ours goes on to the program, as it is.
PASSED_ON: Final = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
}


@app.command(context_settings=PASSED_ON)
def psql(
    context: typer.Context,
    write: Annotated[
        bool,
        typer.Option("--write", help="As the owner, who can change everything; for a reader otherwise."),
    ] = False,
) -> None:
    """psql on the embedded database, as a role that can read and nothing else; what follows is psql's own."""
    from compose import tools

    if write:
        typer.echo("croupier: as the owner: what you write here, no rule of the ledger checks", err=True)
    _become(lambda settings: tools.psql(settings, write=write), context)


@app.command(context_settings=PASSED_ON)
def temporal(context: typer.Context) -> None:
    """The Temporal CLI on the embedded Temporal, in the stack's namespace; what follows is its own."""
    from compose import tools

    _become(tools.temporal_cli, context)


@app.command(context_settings=PASSED_ON)
def rabbitmqctl(context: typer.Context) -> None:
    """rabbitmqctl on the embedded broker; what follows is its own."""
    from compose import tools

    _become(tools.rabbitmqctl, context)


def _become(find: Find, context: typer.Context) -> None:
    from compose import tools
    from compose.problems import StackProblem

    try:
        tool = find(settings_or_exit())
        tools.become(tool, context.args)
    except (StackProblem, OSError) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        sys.exit(2)
