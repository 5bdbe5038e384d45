"""The filters of rounds, as options: each is checked before anything is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from contracts.views import RoundFilter, Tenant

Operator = Annotated[
    str | None, typer.Option("--operator", help="Whose rounds; every operator's when not given.")
]
Player = Annotated[str | None, typer.Option("--player", help="The operator's player; needs --operator.")]
Game = Annotated[str | None, typer.Option("--game", help="The game's id.")]
State = Annotated[
    str | None,
    typer.Option("--state", help="pending, awaiting_choice, settling, settled, declined or void."),
]
Demo = Annotated[bool, typer.Option("--demo", help="Rounds of demo money; of real money otherwise.")]
Brand = Annotated[str | None, typer.Option("--brand", help="The session's brand.")]
Failure = Annotated[str | None, typer.Option("--failure", help="The failure's code, such as resolve-failed.")]
Currency = Annotated[str | None, typer.Option("--currency", help="The round's currency.")]
Since = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Begun then or later: 2026-11-27T14:03:00Z, 15m, 2h, 7d."),
]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Begun before then.")]
Staked = Annotated[
    int | None, typer.Option("--stake-at-least", help="In minor units: all that the round took.")
]
Win = Annotated[int | None, typer.Option("--win-at-least", help="In minor units.")]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CURRENCY: Final = re.compile(r"[A-Z][A-Z0-9]{2,11}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was typed; None where nothing was."""

    operator: str | None = None
    player: str | None = None
    game: str | None = None
    state: str | None = None
    demo: bool = False
    brand: str | None = None
    failure: str | None = None
    currency: str | None = None
    since: str | None = None
    until: str | None = None
    staked: int | None = None
    win: int | None = None


def checked(asked: Asked) -> RoundFilter:
    """The filter, without the player, who is looked up. Raises typer.BadParameter for what makes no sense."""
    from contracts.rounds import RoundState
    from contracts.views import RoundFilter

    for name in ("operator", "game", "brand"):
        _id(name, getattr(asked, name))
    if asked.player is not None and asked.operator is None:
        raise typer.BadParameter("--player needs --operator: a player is one operator's")
    if asked.state is not None and asked.state not in set(RoundState):
        raise typer.BadParameter(f"--state is one of {', '.join(RoundState)}")
    if asked.currency is not None and _CURRENCY.fullmatch(asked.currency) is None:
        raise typer.BadParameter("--currency is a code, such as EUR")
    for option, amount in (("--stake-at-least", asked.staked), ("--win-at-least", asked.win)):
        if amount is not None and not 0 <= amount < 2**63:
            raise typer.BadParameter(f"{option} is a number of minor units, 0 or more")
    since, until = _moments(asked)
    return RoundFilter(
        operator_id=tenant(asked.operator),
        game_id=asked.game,
        state=None if asked.state is None else RoundState(asked.state),
        since=since,
        until=until,
        demo=asked.demo,
        brand=asked.brand,
        failure_code=_failure(asked),
        currency=asked.currency,
        staked_at_least=asked.staked,
        win_at_least=asked.win,
    )


def tenant(operator: str | None) -> Tenant:
    """Whoever has this machine runs the platform: nobody named is every operator. Raises
    typer.BadParameter."""
    from contracts.views import EVERY_OPERATOR

    _id("operator", operator)
    return EVERY_OPERATOR if operator is None else operator


def _id(name: str, value: str | None) -> None:
    if value is not None and _ID.fullmatch(value) is None:
        raise typer.BadParameter(f"--{name} is 1 to 64 of A-Z, a-z, 0-9, _ and -")


def _failure(asked: Asked) -> str | None:
    from contracts.failures import OF_DECLINED, OF_VOID

    code = asked.failure
    if code is None:
        return None
    of = {"declined": OF_DECLINED, "void": OF_VOID}
    state = next((name for name, codes in of.items() if code in codes), None)
    if state is None:
        raise typer.BadParameter(f"--failure is one of {', '.join(sorted(OF_DECLINED | OF_VOID))}")
    if asked.state not in (None, state):
        raise typer.BadParameter(f"--failure {code} is of rounds that are {state}, and of no others")
    return code


def _moments(asked: Asked) -> tuple[datetime | None, datetime | None]:
    from cli.moments import moment

    now = datetime.now(UTC)
    found = []
    for option, text in (("--from", asked.since), ("--to", asked.until)):
        try:
            found.append(None if text is None else moment(text, now))
        except ValueError as how:
            raise typer.BadParameter(f"{option} is {how}") from None
    since, until = found
    if since is not None and until is not None and since >= until:
        raise typer.BadParameter("--from is before --to")
    return since, until
