"""`croupier bench`: measurements, beside peers, another commit, or as the work grows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.options import settings_or_exit

app = typer.Typer(invoke_without_command=True)


@app.callback()
def bench(
    context: typer.Context,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write it all to this file.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Also draw SVG plots in this folder.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short cells: a look, no proof.")] = False,
    variants: Annotated[
        str, typer.Option("--variants", help="Names separated by commas; all when not given.")
    ] = "",
    blocks: Annotated[
        int | None,
        typer.Option(
            "--blocks", min=1, help="Blocks of each; 5, 10 with --against, 2 with --quick or with --starts."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="COMMIT",
            help="Instead of peers, another commit of this project, on a stack of its own beside two of ours."
            " Exits 1 when a round costs over 3% more CPU than there, and more than chance makes.",
        ),
    ] = None,
    ingresses: Annotated[
        int,
        typer.Option(
            "--ingress", min=1, max=8, help="With --against: ingress processes of each of our two stacks."
        ),
    ] = 1,
    starts: Annotated[
        int,
        typer.Option(
            "--starts",
            min=1,
            help="With --against: how often all three stacks are started anew, for two equal ones differ"
            " as long as they run.",
        ),
    ] = 1,
) -> None:
    """Measure Croupier beside its peers on services of its own. Exits 0 when all that is required is met, 1
    when something is not, 2 when it could not run."""
    if context.invoked_subcommand is not None:
        return
    if against is not None:
        if variants or plots is not None:
            raise typer.BadParameter("--against compares commits: it has no --variants and no --plots")
        from cli.bench import against as comparison

        chosen = comparison.Choices(against, blocks, quick, json_file, ingresses, starts)
        sys.exit(comparison.run(settings_or_exit(), chosen))
    if ingresses > 1 or starts > 1:
        raise typer.BadParameter("--ingress and --starts are of --against COMMIT")
    from cli.bench import run as command

    names = tuple(name.strip() for name in variants.split(",") if name.strip())
    chosen_blocks = blocks or (2 if quick else 5)
    choices = command.Choices(names, chosen_blocks, quick, json_file, plots)
    sys.exit(command.run(settings_or_exit(), choices))


@app.command()
def growth(
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write it all to this file.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Also draw SVG plots in this folder.")] = None,
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", min=1, help="Earlier rounds to load; 1,000,000, or 20,000 with --quick."),
    ] = None,
    memory_rounds: Annotated[
        int | None,
        typer.Option(
            "--memory-rounds",
            min=1,
            help="Rounds to play while memory is read; 50,000 (some ten minutes), or 1,000 with --quick.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short cells: a look, no proof.")] = False,
) -> None:
    """Cost as the work grows: earlier rounds, players, sockets, memory; and one round by stage."""
    from cli.bench import growth as command

    choices = command.Choices(rounds, memory_rounds, quick, json_file, plots)
    sys.exit(command.run(settings_or_exit(), choices))
