"""What `up` plays once everything runs: a few rounds through HTTP, for a person to read in ten seconds."""

import asyncio
import secrets
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from verification.check.api_client import (
    CasinoError,
    Json,
    Money,
    OperatorClient,
    PlayedRound,
    Player,
    Refused,
)

CURRENCY: Final = "EUR"
DEPOSIT: Final = 100_000  # minor units
ROUNDS: Final[tuple[tuple[str, int, Json | None], ...]] = (
    ("dice", 500, {"direction": "over", "target": 4999}),
    ("dice", 1_000, {"direction": "under", "target": 2500}),
    ("fruit-lines", 100, None),
    ("fruit-lines", 200, None),
    ("fruit-lines", 500, None),
)
STAKE_OFF_THE_LADDER: Final = 333


def play(stack: dict[str, Any]) -> None:
    """Plays on the running `stack` (what stack.json holds) and prints. When something is wrong it says so
    in one line: the stack is up all the same."""
    console = Console(highlight=False)
    try:
        asyncio.run(_play(stack, console))
    except CasinoError as error:
        console.print(f"the demonstration ended early: {escape(str(error))}", style="red")


async def _play(stack: dict[str, Any], console: Console) -> None:
    player_id = f"demo-{secrets.token_hex(3)}"
    async with OperatorClient(stack["base_url"], stack["operator_key"]) as operator:
        players = await _sit_down(operator, player_id)
        balance = await operator.deposit(player_id, f"deposit-{player_id}", DEPOSIT, CURRENCY)
        table = _table(player_id, balance)
        answers = [
            await _play_round(table, players[game], f"{game}-{number}", stake, choice)
            for number, (game, stake, choice) in enumerate(ROUNDS, 1)
        ]
        await _repeat(table, players[ROUNDS[0][0]], answers[0])
        await _bet_off_the_ladder(table, players[ROUNDS[0][0]])
        last = await operator.round(answers[-1].body["round_id"], player_id=player_id)
    console.print(table)
    console.print(_where_to_look(stack, last), soft_wrap=True)


async def _sit_down(operator: OperatorClient, player_id: str) -> dict[str, Player]:
    """A session at each game, with one balance."""
    games = dict.fromkeys(game for game, _, _ in ROUNDS)
    return {game: operator.player(await operator.open_session(player_id, game, CURRENCY)) for game in games}


def _table(player_id: str, balance: Money) -> Table:
    table = Table(
        title=f"a demonstration: player {player_id}, deposit {_money(balance)}",
        title_justify="left",
        box=None,
    )
    for heading, justify in (("round", "left"), ("bet", "right"), ("win", "right"), ("balance", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    table.add_column("")
    return table


async def _play_round(
    table: Table, player: Player, round_id: str, stake: int, choice: Json | None
) -> PlayedRound:
    answer = await player.bet(round_id, stake, choice=choice)
    _show(table, answer, _summary(answer.body["outcome"]))
    return answer


async def _repeat(table: Table, player: Player, first: PlayedRound) -> None:
    """The same bet again, as after a lost connection: one effect, the same answer."""
    _, stake, choice = ROUNDS[0]
    again = await player.bet(first.body["round_id"], stake, choice=choice)
    same = again.replayed and again.body == first.body
    _show(table, again, "replayed: nothing moved" if same else "ANOTHER ANSWER")


async def _bet_off_the_ladder(table: Table, player: Player) -> None:
    _, _, choice = ROUNDS[0]
    body = {"round_id": "off-the-ladder", "stake": STAKE_OFF_THE_LADDER, "choice": choice}
    try:
        await player.try_bet(body)
    except Refused as refused:
        balance = _money(await player.balance())
        table.add_row(
            "off-the-ladder", _amount(STAKE_OFF_THE_LADDER), "", balance, f"refused: {refused.code}"
        )


def _show(table: Table, answer: PlayedRound, note: str) -> None:
    body = answer.body
    balance = "" if body["balance"] is None else _money(body["balance"])
    win = f"[green]{_amount(answer.win)}[/green]" if answer.win else "0.00"
    table.add_row(body["round_id"], _amount(answer.stake), win, balance, escape(note))


def _summary(outcome: Json | None) -> str:
    """An outcome of the games that are played here, in a few words."""
    match outcome:
        case {"roll": roll, "direction": direction, "target": target}:
            return f"rolled {roll}, bet on {direction} {target}"
        case {"spins": [{"grid": grid}, *free]}:
            return " ".join(grid) + (f", {len(free)} free spins" if free else "")
        case _:
            return ""


def _where_to_look(stack: dict[str, Any], last: Json) -> str:
    lines = ["[bold]Where to look next[/bold]"]
    if stack.get("temporal_ui"):
        workflows = f"{stack['temporal_ui']}/namespaces/{stack['temporal_namespace']}/workflows"
        lines.append(f"  the last round's workflow: {workflows}/{last['workflow_id']}")
    lines.append(f"  the games and their rules: {stack['base_url']}/v1/games")
    return "\n".join(lines)


def _money(money: Money) -> str:
    return f"{_amount(money['amount'])} {money['currency']}"


def _amount(minor_units: int) -> str:
    """Of a currency with two decimals, as the demonstration's is."""
    return f"{minor_units // 100:,}.{minor_units % 100:02d}"
