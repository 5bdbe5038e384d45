"""`croupier test`: everything that CI runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_tests(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Also the long runs.")] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Only what needs no service: for the inner loop, under a minute.")
    ] = False,
    repeat: Annotated[
        int | None,
        typer.Option(
            "--repeat", min=1, metavar="N", help="N runs, each in a random order; prints each order's seed."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="SEED", help="Run in this order, as printed.")
    ] = None,
    busy: Annotated[
        bool,
        typer.Option("--busy", help="Keep one core busy meanwhile, as on a shared machine."),
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Also show which code ran, folder by folder.")
    ] = False,
) -> None:
    """Run everything that CI runs: style, types, import contracts, and the tests beside them.

    With paths of tests or options of pytest, run only those tests: ./croupier test tests/unit -k dice
    """
    from cli.testing import run as command

    if fast and full:
        raise typer.BadParameter("--fast leaves out what --full adds to")
    choices = command.Choices(
        full=full,
        fast=fast,
        repeat=repeat,
        seed=seed,
        busy=busy,
        coverage=coverage,
        pytest_arguments=tuple(context.args),
    )
    sys.exit(command.run(choices))
