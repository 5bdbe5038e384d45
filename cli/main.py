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
    from security.keyring import SectionName

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

round_app = typer.Typer(no_args_is_help=True, help="Look at single rounds, and decide about stuck ones.")
app.add_typer(round_app, name="round")

operator_app = typer.Typer(no_args_is_help=True, help="Set up operators.")
app.add_typer(operator_app, name="operator")
operator_wallet_app = typer.Typer(no_args_is_help=True, help="An operator's own wallet.")
operator_app.add_typer(operator_wallet_app, name="wallet")

operator_key_app = typer.Typer(no_args_is_help=True, help="An operator's API keys.")
operator_app.add_typer(operator_key_app, name="key")
keys_app = typer.Typer(no_args_is_help=True, help="Look at the keyring, and rotate its keys.")
app.add_typer(keys_app, name="keys")

webhooks_app = typer.Typer(no_args_is_help=True, help="Where operators' events are sent to.")
app.add_typer(webhooks_app, name="webhooks")

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


@bench_app.callback()
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
        typer.Option("--blocks", min=1, help="Blocks of each; 5, 10 with --against, 2 with --quick."),
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
) -> None:
    """Measure Croupier beside its peers on services of its own. Exits 0 when all that is required is met, 1
    when something is not, 2 when it could not run."""
    if context.invoked_subcommand is not None:
        return
    if against is not None:
        if variants or plots is not None:
            raise typer.BadParameter("--against compares commits: it has no --variants and no --plots")
        from cli import bench_against

        sys.exit(bench_against.run(_settings(), bench_against.Choices(against, blocks, quick, json_file)))
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


@app.command()
def audit(
    chain: Annotated[
        bool,
        typer.Option("--chain", help="Only the players' hash chains, with their postings and results."),
    ] = False,
    player: Annotated[
        str | None, typer.Option("--player", help="With --chain: only the players of this id.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the invariants of money on the live database. Exits 1 and names what is broken."""
    from cli import audit as command

    if player is not None and not chain:
        raise typer.BadParameter("--player narrows --chain; the invariants are of the whole database")
    sys.exit(command.run(_settings(), command.Wanted(chain=chain, player_id=player), as_json=as_json))


@app.command()
def incidents(
    every: Annotated[bool, typer.Option("--all", help="Also those that are resolved, newest first.")] = False,
    as_json: Json = False,
) -> None:
    """Show what reconciliation found. Exits 0 when no incident is open, 1 when some are."""
    from cli import incidents as command

    sys.exit(command.show(_settings(), resolved_too=every, as_json=as_json))


@app.command()
def reconcile(as_json: Json = False) -> None:
    """Compare ledger, Temporal, events and operators' wallets now, and wait for the result."""
    from cli import incidents as command

    sys.exit(command.reconcile(_settings(), as_json=as_json))


@app.command(
    "operator-wallet",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def operator_wallet(context: typer.Context) -> None:
    """Run a reference operator's wallet until Ctrl-C, with faults on demand; --help lists its options."""
    from cli import operator_wallet as command

    sys.exit(command.run(_settings(), context.args))


@app.command()
def certify(
    wallet: Annotated[str, typer.Option("--wallet", help="Where the wallet is: the calls are below it.")],
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file",
            help="Has the wallet's secret (whsec_...); otherwise the variable CROUPIER_WALLET_SECRET has it.",
        ),
    ] = None,
    player: Annotated[
        str | None,
        typer.Option(
            "--player",
            help="A test player with at least 1000 minor units. When not given, a fresh id: the wallet then"
            " has to open players on first sight, with that much.",
        ),
    ] = None,
    other_player: Annotated[
        str | None, typer.Option("--other-player", help="A second one; 15 and 34 need two.")
    ] = None,
    currency: Annotated[str, typer.Option("--currency", help="Both players' currency.")] = "EUR",
    operator: Annotated[str, typer.Option("--operator", help="The operator_id of the calls.")] = "demo",
    game: Annotated[str, typer.Option("--game", help="The game_id of bets and wins.")] = "dice",
    session: Annotated[
        str | None,
        typer.Option("--session", help="A live session of the player; a fresh id when not given."),
    ] = None,
    other_session: Annotated[
        str | None, typer.Option("--other-session", help="The same of the other player.")
    ] = None,
    ended_session: Annotated[
        str | None,
        typer.Option("--ended-session", help="One of the player's that has ended; 24 asks a bet on it."),
    ] = None,
    only: Annotated[str, typer.Option("--only", help="Numbers of cases, separated by commas.")] = "",
    html: Annotated[Path | None, typer.Option("--html", help="Also write the report to this page.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a wallet the cases of docs/platform/wallet-certify.md, with a test player's money. Exits 0 when all
    passed, 1 when some failed, 2 when it could not run."""
    from cli.certify import run as command

    choices = command.Choices(
        url=wallet,
        secret_file=secret_file,
        player_id=player,
        other_player_id=other_player,
        currency=currency,
        operator_id=operator,
        game_id=game,
        session_id=session,
        other_session_id=other_session,
        ended_session_id=ended_session,
        only=only,
        html=html,
        as_json=as_json,
    )
    sys.exit(command.run(choices))


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


@round_app.command("resolve")
def resolve_round(
    round_id: Annotated[str, typer.Argument(help="The id that the game client chose.", show_default=False)],
    action: Annotated[
        str, typer.Option("--action", help="retry-now, paid-outside, refunded-outside or void.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Kept for good with the decision.")],
    by: Annotated[
        str | None, typer.Option("--by", help="Who decides; the user of this machine if not given.")
    ] = None,
    player: Annotated[
        str | None, typer.Option("--player", help="Whose round, when several players used the id.")
    ] = None,
    operator: Annotated[
        str | None, typer.Option("--operator", help="Whose player, when several operators have one.")
    ] = None,
) -> None:
    """Decide about a round that does not come to its end; docs/platform/settlement.md says which is right."""
    from cli import round_resolve, rounds
    from contracts.interventions import Action

    if action not in set(Action):
        raise typer.BadParameter(f"--action is one of {', '.join(Action)}")
    wanted = rounds.Wanted(round_id=round_id, operator_id=operator, player_id=player)
    decision = round_resolve.Decision(action=Action(action), reason=reason, by=by)
    sys.exit(round_resolve.resolve(_settings(), wanted, decision))


@operator_wallet_app.command("set")
def set_operator_wallet(
    operator: Annotated[str, typer.Argument(help="The operator's id.", show_default=False)],
    url: Annotated[str, typer.Option("--url", help="Where the wallet is: the calls are below it.")],
    dialect: Annotated[str, typer.Option("--dialect", help="How the wallet talks.")] = "croupier",
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file",
            help="Has the secret (whsec_...), or one a line while it is rotated; standard input otherwise.",
        ),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="It may be on this machine or network, and without TLS.")
    ] = False,
    connect_ms: Annotated[
        int | None, typer.Option("--connect-ms", min=1, help="To connect; the dialect's limit if not given.")
    ] = None,
    read_ms: Annotated[int | None, typer.Option("--read-ms", min=1, help="Without a byte.")] = None,
    total_ms: Annotated[int | None, typer.Option("--total-ms", min=1, help="For one call.")] = None,
    calls: Annotated[int | None, typer.Option("--calls", min=1, max=1000, help="At once.")] = None,
) -> None:
    """Let the operator's own wallet keep its players' money, in all rounds that begin from now on."""
    from cli import operators as command

    wanted = command.Wanted(
        operator_id=operator,
        url=url,
        dialect=dialect,
        local=local,
        connect_ms=connect_ms,
        read_ms=read_ms,
        total_ms=total_ms,
        calls=calls,
    )
    sys.exit(command.set_wallet(_settings(), wanted, secret_file))


OperatorId = Annotated[str, typer.Argument(help="The operator's id.", show_default=False)]
ApiKeyId = Annotated[str, typer.Argument(help="As `operator key list` shows it.", show_default=False)]


@operator_key_app.command("add")
def add_operator_key(
    operator: OperatorId,
    scope: Annotated[
        str, typer.Option("--scope", help="game (sessions and reading), operator, or admin (keys too).")
    ] = "operator",
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3_650, help="It ends by itself after that many.")
    ] = None,
) -> None:
    """Make a key and print it, this once, on standard output."""
    from cli import operator_keys
    from security.api_keys import SCOPES

    for known in SCOPES:
        if scope == known:
            sys.exit(operator_keys.add(_settings(), operator, known, days=days))
    raise typer.BadParameter(f"the scopes are {', '.join(SCOPES)}")


@operator_key_app.command("list")
def list_operator_keys(operator: OperatorId, as_json: Json = False) -> None:
    """Show an operator's keys, without their secrets."""
    from cli import operator_keys

    sys.exit(operator_keys.show(_settings(), operator, as_json=as_json))


@operator_key_app.command("rotate")
def rotate_operator_key(
    operator: OperatorId,
    key_id: ApiKeyId,
    overlap_s: Annotated[
        int,
        typer.Option("--overlap", min=0, max=30 * 86_400, help="Seconds for which the old one still opens."),
    ] = 86_400,
) -> None:
    """Make a key of the same scope and print it, this once; the old one ends after the overlap."""
    from cli import operator_keys

    sys.exit(operator_keys.rotate(_settings(), operator, key_id, overlap_s=overlap_s))


@operator_key_app.command("revoke")
def revoke_operator_key(operator: OperatorId, key_id: ApiKeyId) -> None:
    """End a key for good."""
    from cli import operator_keys

    sys.exit(operator_keys.revoke(_settings(), operator, key_id))


WebhookId = Annotated[str, typer.Argument(help="As `webhooks list` shows it.", show_default=False)]


@webhooks_app.command("list")
def list_webhooks(
    operator: Annotated[
        str | None, typer.Option("--operator", help="Whose; everybody's when not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show all webhooks and how they fare. Exits 0 when no event is dead, 1 when some are."""
    from cli import webhooks as command

    sys.exit(command.show(_settings(), operator_id=operator, as_json=as_json))


@webhooks_app.command("dead")
def dead_events(webhook: WebhookId, as_json: Json = False) -> None:
    """Show the events that were given up. Exits 0 when there is none, 1 when there are some."""
    from cli import webhooks as command

    sys.exit(command.dead(_settings(), webhook, as_json=as_json))


@webhooks_app.command("replay")
def replay_events(
    webhook: WebhookId,
    events: Annotated[list[str] | None, typer.Argument(help="Ids of dead events.", metavar="EVENT")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
) -> None:
    """Send dead events again."""
    from uuid import UUID

    from cli import webhooks as command

    if every == bool(events):
        raise typer.BadParameter("name events, or say --all")
    try:
        ids = [str(UUID(event)) for event in events or ()]
    except ValueError:
        raise typer.BadParameter("an event's id is a UUID") from None
    sys.exit(command.replay(_settings(), webhook, ids, all_dead=every))


Section = Annotated[
    str, typer.Argument(help="payload, seeds, tokens or events.", show_default=False, metavar="SECTION")
]
KeyId = Annotated[str, typer.Argument(help="As `keys list` shows it.", show_default=False)]


@keys_app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Show the ids of all keys, which are active, and the public halves that verifiers need; no secret."""
    from cli import keys

    sys.exit(keys.show(_settings(), as_json=as_json))


@keys_app.command("rotate")
def rotate_key(
    section: Section,
    stage: Annotated[
        bool, typer.Option("--stage", help="Only add a key: what runs learns it before it is used.")
    ] = False,
    activate: Annotated[
        str | None,
        typer.Option("--activate", metavar="KEY_ID", help="Use a key that was added with --stage before."),
    ] = None,
) -> None:
    """Add a key and use it from the next start on; what the older ones made stays readable.

    On one machine, rotate and restart. Where several processes run, --stage a key, restart them all, and only
    then --activate it and restart them again: otherwise one seals or signs what another cannot open yet.
    """
    from cli import keys

    if stage and activate is not None:
        raise typer.BadParameter("--stage adds a key, and --activate uses one that was added before")
    sys.exit(keys.rotate(_settings(), _section(section), stage=stage, activate=activate))


@keys_app.command("remove")
def remove_key(
    section: Section,
    key_id: KeyId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it, whatever no longer opens.")] = False,
) -> None:
    """Remove a key for good, and with it everything that only it opens; says what before it does."""
    from cli import keys

    sys.exit(keys.remove(_settings(), _section(section), key_id, yes=yes))


def _section(name: str) -> SectionName:
    from security.keyring import SECTIONS

    for section in SECTIONS:
        if name == section:
            return section
    raise typer.BadParameter(f"the sections are {', '.join(SECTIONS)}")


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
