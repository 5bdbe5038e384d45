"""`croupier operator-wallet` and `certify`: a reference for whoever writes a wallet, and its cases."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer()


@app.command(
    "operator-wallet",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def operator_wallet(context: typer.Context) -> None:
    """Run a reference operator's wallet until Ctrl-C, with faults on demand; --help lists its options."""
    from cli.wallet import reference as command

    sys.exit(command.run(settings_or_exit(), context.args))


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
    one_bet: Annotated[
        bool, typer.Option("--one-bet", help="It takes one bet a round; 43 and 44 are not asked.")
    ] = False,
    only: Annotated[str, typer.Option("--only", help="Numbers of cases, separated by commas.")] = "",
    html: Annotated[Path | None, typer.Option("--html", help="Also write the report to this page.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a wallet the cases of docs/platform/wallet-certify.md, with a test player's money. Exits 0 when all
    passed, 1 when some failed, 2 when it could not run."""
    from cli.wallet import certify as command

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
        several_bets=not one_bet,
        only=only,
        html=html,
        as_json=as_json,
    )
    sys.exit(command.run(choices))
