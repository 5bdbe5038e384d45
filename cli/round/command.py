"""`croupier round`: single command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import Json, settings_or_exit

app = typer.Typer(no_args_is_help=True, help="Look at single rounds, and decide about stuck ones.")

RoundId = Annotated[str, typer.Argument(help="The id that the game client chose.", show_default=False)]
Player = Annotated[
    str | None, typer.Option("--player", help="Whose round, when several players used the id.")
]
Operator = Annotated[
    str | None, typer.Option("--operator", help="Whose player, when several operators have one.")
]


@app.command("show")
def show_round(
    round_id: RoundId,
    player: Player = None,
    operator: Operator = None,
    as_json: Json = False,
) -> None:
    """One round on one time line: its states, money, steps and events, decrypted."""
    from cli.round import show as command

    wanted = command.Wanted(round_id=round_id, operator_id=operator, player_id=player)
    sys.exit(command.show(settings_or_exit(), wanted, as_json=as_json))


@app.command("resolve")
def resolve_round(
    round_id: RoundId,
    action: Annotated[
        str, typer.Option("--action", help="retry-now, paid-outside, refunded-outside or void.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Kept for good with the decision.")],
    by: Annotated[
        str | None, typer.Option("--by", help="Who decides; the user of this machine if not given.")
    ] = None,
    player: Player = None,
    operator: Operator = None,
) -> None:
    """Decide about a round that does not come to its end; docs/platform/settlement.md says which is right."""
    from cli.round import resolve as command
    from cli.round.show import Wanted
    from contracts.interventions import Action

    if action not in set(Action):
        raise typer.BadParameter(f"--action is one of {', '.join(Action)}")
    wanted = Wanted(round_id=round_id, operator_id=operator, player_id=player)
    decision = command.Decision(action=Action(action), reason=reason, by=by)
    sys.exit(command.resolve(settings_or_exit(), wanted, decision))
