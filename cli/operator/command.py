"""`croupier operator`: operators, their wallets and API keys."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer(no_args_is_help=True, help="Set up operators.")
wallet_app = typer.Typer(no_args_is_help=True, help="An operator's own wallet.")
app.add_typer(wallet_app, name="wallet")
key_app = typer.Typer(no_args_is_help=True, help="An operator's API keys.")
app.add_typer(key_app, name="key")

OperatorId = Annotated[str, typer.Argument(help="The operator's id.", show_default=False)]
ApiKeyId = Annotated[str, typer.Argument(help="As `operator key list` shows it.", show_default=False)]


@app.command("add")
def add_operator(
    operator: Annotated[str, typer.Argument(help="1 to 64 of A-Z a-z 0-9 _ -; it never changes.")],
    name: Annotated[str | None, typer.Option("--name", help="For people; the id when not given.")] = None,
    as_json: Json = False,
) -> None:
    """Add an operator, and print its first key, of the scope admin, this once, on standard output."""
    from cli.operator import operators

    sys.exit(operators.add(settings_or_exit(), operator, name, as_json=as_json))


@app.command("list")
def list_operators(as_json: Json = False) -> None:
    """Show all operators."""
    from cli.operator import operators

    sys.exit(operators.show(settings_or_exit(), as_json=as_json))


@app.command("disable")
def disable_operator(operator: OperatorId, as_json: Json = False) -> None:
    """End the operator's sessions and open no more; its keys then only read. Rounds under way finish."""
    from cli.operator import operators

    sys.exit(operators.disable(settings_or_exit(), operator, as_json=as_json))


@app.command("enable")
def enable_operator(operator: OperatorId, as_json: Json = False) -> None:
    """Let a disabled operator go on; its players need new sessions."""
    from cli.operator import operators

    sys.exit(operators.enable(settings_or_exit(), operator, as_json=as_json))


@wallet_app.command("set")
def set_operator_wallet(
    operator: OperatorId,
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
    one_bet: Annotated[
        bool | None,
        typer.Option(
            "--one-bet/--several-bets",
            help="How many bets of one round it takes: with one, nothing is offered that adds to a stake. As"
            " before if not given; several for a new wallet.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let the operator's own wallet keep its players' money, in all rounds that begin from now on, and say
    what it answers."""
    from cli.operator import wallet as command

    wanted = command.Wanted(
        operator_id=operator,
        url=url,
        dialect=dialect,
        local=local,
        connect_ms=connect_ms,
        read_ms=read_ms,
        total_ms=total_ms,
        calls=calls,
        several_bets=None if one_bet is None else not one_bet,
    )
    sys.exit(command.set_wallet(settings_or_exit(), wanted, secret_file, as_json=as_json))


@wallet_app.command("test")
def ask_operator_wallet(
    operator: OperatorId,
    player: Annotated[
        str, typer.Option("--player", help="Whose balance is asked for; the wallet need not know it.")
    ] = "croupier-test",
    currency: Annotated[str, typer.Option("--currency", help="In which currency.")] = "EUR",
    as_json: Json = False,
) -> None:
    """Ask the wallet for a balance, signed as rounds are, and say what came. Exits 0 when it answers as its
    dialect does."""
    from cli.operator import wallet_trial as command

    who = {"player_id": player, "currency": currency}
    sys.exit(command.ask(settings_or_exit(), operator, **who, as_json=as_json))


@wallet_app.command("show")
def show_operator_wallet(operator: OperatorId, as_json: Json = False) -> None:
    """Show what is set, with the limits that hold, and no secret."""
    from cli.operator import wallet_trial as command

    sys.exit(command.show(settings_or_exit(), operator, as_json=as_json))


@wallet_app.command("unset")
def unset_operator_wallet(
    operator: OperatorId,
    uncompared: Annotated[
        bool,
        typer.Option("--uncompared", help="Though its statement cannot be compared to its end any more."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Let our ledger keep the players' money again; the operator is disabled, and no round is under way."""
    from cli.operator import wallet as command

    sys.exit(command.unset_wallet(settings_or_exit(), operator, uncompared=uncompared, as_json=as_json))


@key_app.command("add")
def add_operator_key(
    operator: OperatorId,
    scope: Annotated[
        str, typer.Option("--scope", help="game (sessions and reading), operator, or admin (keys too).")
    ] = "operator",
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3_650, help="It ends by itself after that many.")
    ] = None,
    brand: Annotated[
        str | None, typer.Option("--brand", help="Each session that it opens is of this brand.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once, on standard output."""
    from api.gateway.schemas import ID_PATTERN
    from cli.operator import keys
    from security.api_keys import SCOPES

    if brand is not None and re.fullmatch(ID_PATTERN, brand) is None:
        raise typer.BadParameter("a brand is 1 to 64 of A-Z, a-z, 0-9, _ and -")
    for known in SCOPES:
        if scope == known:
            made = keys.add(settings_or_exit(), operator, known, days=days, brand=brand, as_json=as_json)
            sys.exit(made)
    raise typer.BadParameter(f"the scopes are {', '.join(SCOPES)}")


@key_app.command("list")
def list_operator_keys(operator: OperatorId, as_json: Json = False) -> None:
    """Show an operator's keys, without their secrets."""
    from cli.operator import keys

    sys.exit(keys.show(settings_or_exit(), operator, as_json=as_json))


@key_app.command("rotate")
def rotate_operator_key(
    operator: OperatorId,
    key_id: ApiKeyId,
    overlap_s: Annotated[
        int,
        typer.Option("--overlap", min=0, max=30 * 86_400, help="Seconds for which the old one still opens."),
    ] = 86_400,
    as_json: Json = False,
) -> None:
    """Make a key of the same scope and print it, this once; the old one ends after the overlap."""
    from cli.operator import keys

    sys.exit(keys.rotate(settings_or_exit(), operator, key_id, overlap_s=overlap_s, as_json=as_json))


@key_app.command("revoke")
def revoke_operator_key(operator: OperatorId, key_id: ApiKeyId, as_json: Json = False) -> None:
    """End a key for good."""
    from cli.operator import keys

    sys.exit(keys.revoke(settings_or_exit(), operator, key_id, as_json=as_json))
