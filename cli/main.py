"""The croupier command: one small function for each command, everything heavy imported by the command that
needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.settings import Settings

app = typer.Typer(
    name="croupier",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Casino rounds as durable workflows.\n\n"
    "Start here: [bold]./croupier up[/bold] brings up Temporal, PostgreSQL, RabbitMQ and the ingress on this"
    " machine, plays a few rounds and shows the addresses and a key to call it with. Ctrl-C stops everything;"
    " the data stays in .local for the next time.",
    epilog="Settings come from CROUPIER_* variables or croupier.toml; croupier.example.toml lists them all.",
)

round_app = typer.Typer(no_args_is_help=True, help="Look at single rounds.")
app.add_typer(round_app, name="round")

bench_app = typer.Typer(invoke_without_command=True)
app.add_typer(bench_app, name="bench")

Json = Annotated[
    bool, typer.Option("--json", help="Print only JSON on standard output; progress goes to standard error.")
]


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
) -> None:
    """Start the whole stack on this machine and keep it until Ctrl-C."""
    from cli import up as command

    if detach and check:
        raise typer.BadParameter("--check stops the stack when it is done, so it cannot be detached")
    choices = command.Choices(
        detach=detach, check=check, rounds=rounds, as_json=as_json, services_only=services_only
    )
    sys.exit(command.run(_settings(), choices))


@app.command()
def down() -> None:
    """Stop the stack that runs here, also what a crash left behind."""
    from cli import manage

    sys.exit(manage.down(_settings()))


@app.command()
def status(as_json: Json = False) -> None:
    """Show what runs and where. Exits 0 when the stack is up, 1 when it is not."""
    from cli import manage

    sys.exit(manage.status(_settings(), as_json=as_json))


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete all data, keys and logs of the stack here. Asks first."""
    from cli import manage

    sys.exit(manage.reset(_settings(), yes=yes))


@app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_tests(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Also the long runs.")] = False,
) -> None:
    """Run everything that CI runs: style, types, import contracts, then pytest with the arguments given."""
    from cli import quality

    sys.exit(quality.run(context.args, full=full))


@bench_app.callback()
def bench(
    context: typer.Context,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write it all to this file.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Also draw SVG plots in this folder.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short cells: a look, no proof.")] = False,
    variants: Annotated[
        str, typer.Option("--variants", help="Names separated by commas; all when not given.")
    ] = "",
    blocks: Annotated[int | None, typer.Option("--blocks", min=1, help="Blocks of each variant.")] = None,
) -> None:
    """Measure Croupier beside its peers on services of its own. Exits 0 when all that is required is met."""
    if context.invoked_subcommand is not None:
        return
    from cli import bench as command

    names = tuple(name.strip() for name in variants.split(",") if name.strip())
    chosen_blocks = blocks or (2 if quick else 5)
    choices = command.Choices(names, chosen_blocks, quick, json_file, plots)
    sys.exit(command.run(_settings(), choices))


@bench_app.command()
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
    from cli import bench_growth as command

    choices = command.Choices(rounds, memory_rounds, quick, json_file, plots)
    sys.exit(command.run(_settings(), choices))


@round_app.command("show")
def show_round(
    round_id: Annotated[str, typer.Argument(help="The id that the game client chose.", show_default=False)],
    player: Annotated[
        str | None, typer.Option("--player", help="Whose round, when several players used the id.")
    ] = None,
    operator: Annotated[
        str | None, typer.Option("--operator", help="Whose player, when several operators have one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """One round on one time line: its states, money, steps and events, decrypted."""
    from cli import rounds

    wanted = rounds.Wanted(round_id=round_id, operator_id=operator, player_id=player)
    sys.exit(rounds.show(_settings(), wanted, as_json=as_json))


def _settings() -> Settings:
    """The settings, or exit 2 with one line."""
    from runtime.settings import SettingsError, load

    try:
        return load()
    except SettingsError as problem:
        typer.echo(f"croupier: {problem}", err=True)
        sys.exit(2)


def main() -> None:
    """The console script."""
    app(prog_name="./croupier")
