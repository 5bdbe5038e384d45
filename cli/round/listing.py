"""`croupier round list` and `round now`: rounds by filters, newest first; and how many are open."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import typer
from temporalio.client import Client

from api.gateway.paging import cursor, position
from api.gateway.problems import Problem
from cli.options import fail
from cli.services import CannotShow, database_of, looking
from contracts.failures import one_line
from contracts.views import RoundFilter, RoundView, Tenant, operator_or_none
from overview.model import RoundPage
from overview.rounds import NO_KEY, Rounds, Sources
from runtime.services import Unreachable, load_keyring
from runtime.settings import Settings, SettingsError
from runtime.temporal import connect_temporal
from security.keyring import KeyringInvalid
from storage.stuck import OpenNow
from timeline.wording import minute, moment, money

# Of a search that finds little: some 200,000 rounds, in a second or so. Then it says how it goes on.
PARTS: Final = 40
AGES: Final = ("under a minute", "under an hour", "under a day", "a day and more")
STATES: Final = {
    "asked": "wait for a wallet to take their stake",
    "pending": "hold their stake, and have no result yet",
    "awaiting_choice": "wait for their player",
    "settling": "have a result that a wallet has not taken",
}
PROBLEMS: Final = (CannotShow, Unreachable, SettingsError, KeyringInvalid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to list. `player_id` is the operator's, whom the filter names."""

    rounds: RoundFilter
    player_id: str | None
    limit: int
    cursor: str | None


def show(settings: Settings, wanted: Wanted, *, as_json: bool) -> int:
    """Prints the rounds. Returns 0, or 2 when they cannot be read."""
    try:
        before = position(wanted.cursor)
        found = asyncio.run(_read(settings, wanted, before))
    except Problem:
        return fail("--cursor is what an earlier list has printed")
    except PROBLEMS as problem:
        return fail(str(problem))
    if as_json:
        document = {
            "items": found.items(),
            "next_cursor": cursor(found.following),
            "reached": None if found.reached is None else moment(found.reached),
        }
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        typer.echo("\n".join(_lines(found)))
    return 0


def now(settings: Settings, tenant: Tenant, *, as_json: bool) -> int:
    """Prints how many rounds are open. Returns 0, or 2 when they cannot be read."""
    try:
        found = asyncio.run(_now(settings, tenant))
    except PROBLEMS as problem:
        return fail(str(problem))
    if as_json:
        sys.stdout.write(json.dumps([_as_dict(each) for each in found], indent=2) + "\n")
    else:
        typer.echo("\n".join(_stages(found)) or "no round is open")
    return 0


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Rounds]:
    """The read model on the stack that runs here, or on the services that the settings name. Raises one of
    PROBLEMS."""
    reached, _ = looking(settings)
    amqp_url = None if reached.amqp_url is None else reached.amqp_url.get_secret_value()

    async def connect() -> Client:
        return await connect_temporal(reached, load_keyring(reached))

    async with database_of(reached, CannotShow) as database:
        yield Rounds(Sources(database.pool, connect, amqp_url))


async def _read(settings: Settings, wanted: Wanted, before: int | None) -> RoundPage:
    async with opened(settings) as rounds:
        filter_ = await with_player(rounds, wanted.rounds, wanted.player_id)
        found: list[RoundView] = []
        page = RoundPage([], before, None)
        for _ in range(PARTS):
            page = await rounds.page(filter_, before=page.following, limit=wanted.limit - len(found))
            found += page.rounds
            if page.following is None or len(found) >= wanted.limit:
                break
    return replace(page, rounds=found)


async def with_player(rounds: Rounds, filter_: RoundFilter, player_id: str | None) -> RoundFilter:
    """The filter with the player's key. Raises CannotShow when there is no such operator or player."""
    await check_operator(rounds, filter_.operator_id)
    operator_id = operator_or_none(filter_.operator_id)
    if player_id is None or operator_id is None:
        return filter_
    key = await rounds.player_key(operator_id, player_id, demo=filter_.demo)
    if key == NO_KEY:
        money_ = "demo" if filter_.demo else "real"
        raise CannotShow(one_line(f"operator {operator_id} has no player {player_id} with {money_} money"))
    return replace(filter_, player_key=key)


async def _now(settings: Settings, tenant: Tenant) -> list[OpenNow]:
    async with opened(settings) as rounds:
        await check_operator(rounds, tenant)
        return await rounds.now(tenant)


async def check_operator(rounds: Rounds, tenant: Tenant) -> None:
    """Raises CannotShow when there is none of this id."""
    operator_id = operator_or_none(tenant)
    if operator_id is not None and not await rounds.has_operator(operator_id):
        raise CannotShow(one_line(f"there is no operator {operator_id}: ./croupier operator list shows them"))


def _lines(found: RoundPage) -> Iterator[str]:
    if found.rounds:
        yield "times in UTC, amounts in minor units of the currency"
    yield from map(line_of, found.rounds)
    if not found.rounds:
        yield "no round passes"
    if found.following is not None:
        reached = "" if found.reached is None else f" (so far, back to {minute(found.reached)})"
        yield f"there may be more{reached}: again with --cursor {cursor(found.following)}"


def line_of(view: RoundView) -> str:
    """A round in one line."""
    amounts = f"stake {money(view.staked, view.currency)}, win {money(view.win, view.currency)}"
    why = f", {view.failure_code}" if view.failure_code else ""
    kind = ", demo" if view.demo else ""
    brand = f", brand {view.brand}" if view.brand else ""
    whose = f"{view.key.operator_id}  {view.player_id}"
    state = "asked" if view.begun_only else view.state.value
    return one_line(
        f"{minute(view.created_at)}  {state:<15}  {whose}  {view.key.round_id}  {view.game_id}  {amounts}"
        f"{why}{kind}{brand}"
    )


def _stages(found: list[OpenNow]) -> Iterator[str]:
    for state, what in STATES.items():
        of_state = [each for each in found if each.state == state]
        if not of_state:
            continue
        yield f"{sum(each.rounds for each in of_state):,} rounds {what} ({state})"
        for each in of_state:
            since = f"the oldest since {minute(each.oldest)}"
            holds = f"{money(each.amount, each.currency)}{' of demo money' if each.demo else ''}"
            yield f"  {AGES[each.age]:<15} {each.rounds:>7,}  {holds}, {since}"


def _as_dict(each: OpenNow) -> dict[str, Any]:
    return {
        "state": each.state,
        "demo": each.demo,
        "age": AGES[each.age],
        "rounds": each.rounds,
        "currency": each.currency,
        "amount": each.amount,
        "oldest": moment(each.oldest),
    }
