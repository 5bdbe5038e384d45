"""`croupier round`: looks at rounds, and decides about those that do not go on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Json, settings_or_exit
from cli.round import filters

if TYPE_CHECKING:
    from cli.round.resolve import Decision
    from contracts.interventions import Action

app = typer.Typer(no_args_is_help=True, help="Look at rounds, and decide about stuck ones.")

RoundId = Annotated[str, typer.Argument(help="The id that the game client chose.", show_default=False)]
Player = Annotated[
    str | None, typer.Option("--player", help="Whose round, when several players used the id.")
]
Operator = Annotated[
    str | None, typer.Option("--operator", help="Whose player, when several operators have one.")
]


# Of `resolve`, which takes one round, or those that pass filters.
OneOrMany = Annotated[
    str | None,
    typer.Argument(
        help="The id that the game client chose. Without one: open rounds by filters.", show_default=False
    ),
]
By = Annotated[str | None, typer.Option("--by", help="Who decides; the user of this machine if not given.")]
EveryOperator = Annotated[
    bool, typer.Option("--every-operator", help="By filters: whosever rounds they are.")
]
OPEN_STATES = ("pending", "settling", "awaiting_choice")
OpenState = Annotated[
    str | None,
    typer.Option(
        "--state", help="By filters: pending, settling or awaiting_choice; the first two when not given."
    ),
]
BatchLimit = Annotated[
    int, typer.Option("--limit", min=1, max=1_000, help="By filters: refuse more than so many.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="By filters: only show what would be done: the default.")
]
Confirm = Annotated[
    int | None,
    typer.Option("--confirm", min=1, metavar="COUNT", help="By filters: do it, for exactly so many rounds."),
]


@app.command("show")
def show_round(
    round_id: RoundId,
    player: Player = None,
    operator: Operator = None,
    as_json: Json = False,
) -> None:
    """One round on one time line: its states, money, steps and events, decrypted. Exits 2 when it cannot be
    shown."""
    from cli.round import show as command

    wanted = command.Wanted(round_id=round_id, operator_id=operator, player_id=player)
    sys.exit(command.show(settings_or_exit(), wanted, as_json=as_json))


@app.command("list")
def list_rounds(
    operator: filters.Operator = None,
    player: filters.Player = None,
    game: filters.Game = None,
    state: filters.State = None,
    demo: filters.Demo = False,
    brand: filters.Brand = None,
    failure: filters.Failure = None,
    currency: filters.Currency = None,
    since: filters.Since = None,
    until: filters.Until = None,
    stake_at_least: filters.Staked = None,
    win_at_least: filters.Win = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="Where an earlier list ended, as it printed it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rounds by filters, newest first; also those that wait for a wallet to take their stake."""
    from cli.round import listing as command

    asked = filters.Asked(
        operator=operator,
        player=player,
        game=game,
        state=state,
        demo=demo,
        brand=brand,
        failure=failure,
        currency=currency,
        since=since,
        until=until,
        staked=stake_at_least,
        win=win_at_least,
    )
    wanted = command.Wanted(rounds=filters.checked(asked), player_id=player, limit=limit, cursor=cursor)
    sys.exit(command.show(settings_or_exit(), wanted, as_json=as_json))


@app.command("now")
def open_now(operator: filters.Operator = None, as_json: Json = False) -> None:
    """How many rounds are open, by state and age, and what they hold."""
    from cli.round import listing as command

    sys.exit(command.now(settings_or_exit(), filters.tenant(operator), as_json=as_json))


@app.command("resolve")
def resolve_round(
    action: Annotated[
        str, typer.Option("--action", help="retry-now, paid-outside, refunded-outside or void.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Kept for good with the decision.")],
    round_id: OneOrMany = None,
    by: By = None,
    player: Player = None,
    operator: Operator = None,
    every_operator: EveryOperator = False,
    game: filters.Game = None,
    state: OpenState = None,
    demo: filters.Demo = False,
    brand: filters.Brand = None,
    since: filters.Since = None,
    until: filters.Until = None,
    limit: BatchLimit = 100,
    dry_run: DryRun = False,
    confirm: Confirm = None,
    as_json: Json = False,
) -> None:
    """Decide about a round that does not come to its end, or about many; docs/platform/settlement.md says
    which action is right.

    With filters instead of a round's id it shows what would be done. The same with --confirm COUNT does it:
    each round gets a decision of its own, on record. Rounds of the last minute are left alone. Exits 0 when
    every decision was accepted, 1 when one was not, 2 when it cannot be done."""
    from cli.round import resolve as command

    decision = command.Decision(action=_action(action), reason=reason, by=by)
    asked = filters.Asked(
        operator=operator,
        player=player,
        game=game,
        state=state,
        demo=demo,
        brand=brand,
        since=since,
        until=until,
    )
    if round_id is not None:
        _only_of_a_batch(asked, every_operator=every_operator, dry_run=dry_run, confirm=confirm)
        from cli.round.show import Wanted

        wanted = Wanted(round_id=round_id, operator_id=operator, player_id=player)
        sys.exit(command.resolve(settings_or_exit(), wanted, decision, as_json=as_json))
    if dry_run and confirm is not None:
        raise typer.BadParameter("--dry-run only shows, and --confirm does it: say one of them")
    _resolve_many(
        asked, decision, every_operator=every_operator, confirm=confirm, limit=limit, as_json=as_json
    )


def _resolve_many(
    asked: filters.Asked,
    decision: Decision,
    *,
    every_operator: bool,
    confirm: int | None,
    limit: int,
    as_json: bool,
) -> None:
    from cli.round import batch

    if every_operator == (asked.operator is not None):
        raise typer.BadParameter("name a round, or --operator, or say --every-operator")
    if asked.state is not None and asked.state not in OPEN_STATES:
        raise typer.BadParameter("--state is pending, settling or awaiting_choice: nothing else is open")
    wanted = batch.Wanted(
        rounds=filters.checked(asked),
        player_id=asked.player,
        decision=decision,
        confirmed=confirm,
        limit=limit,
    )
    sys.exit(batch.resolve(settings_or_exit(), wanted, as_json=as_json))


def _only_of_a_batch(
    asked: filters.Asked, *, every_operator: bool, dry_run: bool, confirm: int | None
) -> None:
    """Whoever names a round means that one. Raises typer.BadParameter."""
    given = {
        "--game": asked.game,
        "--state": asked.state,
        "--demo": asked.demo,
        "--brand": asked.brand,
        "--from": asked.since,
        "--to": asked.until,
        "--every-operator": every_operator,
        "--dry-run": dry_run,
        "--confirm": confirm,
    }
    if named := [option for option, value in given.items() if value]:
        raise typer.BadParameter(f"{', '.join(named)}: for many rounds, not for one that is named")


def _action(name: str) -> Action:
    from contracts.interventions import Action

    if name not in set(Action):
        raise typer.BadParameter(f"--action is one of {', '.join(Action)}")
    return Action(name)
