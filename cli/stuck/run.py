"""`croupier stuck`: prints what does not go on, and what can be done about it."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import typer

from cli.options import fail
from cli.round.listing import PROBLEMS, check_operator, opened
from contracts.views import Tenant
from overview.model import Stuck, StuckReport
from runtime.settings import Settings
from timeline.wording import minute

NOTHING: Final = 0
SOMETHING: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """`limit` is of each kind."""

    tenant: Tenant
    older_than: timedelta
    limit: int
    as_json: bool


def run(settings: Settings, choices: Choices) -> int:
    """Prints what is stuck. Returns 0 when nothing is, 1 when something is, 2 when it cannot be read."""
    try:
        found = asyncio.run(_read(settings, choices))
    except PROBLEMS as problem:
        return fail(str(problem))
    if choices.as_json:
        sys.stdout.write(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) + "\n")
    else:
        typer.echo("\n".join(_lines(found)))
    return SOMETHING if found.stuck else NOTHING


async def _read(settings: Settings, choices: Choices) -> StuckReport:
    async with opened(settings) as rounds:
        await check_operator(rounds, choices.tenant)
        return await rounds.stuck(choices.tenant, older_than=choices.older_than, limit=choices.limit)


def _lines(found: StuckReport) -> Iterator[str]:
    if not found.stuck:
        yield "nothing is stuck"
    for one in found.stuck:
        yield from _told(one)
    for kind, count in found.more.items():
        if count:
            yield f"and {count:,} more of the kind {kind}: --limit shows more of them"
    yield from (f"not looked at: {what}" for what in found.unasked)


def _told(one: Stuck) -> Iterator[str]:
    since = "" if one.since is None else f", since {minute(one.since)}"
    whose = "" if one.player_id is None else f" of {one.player_id} at {one.operator_id}"
    name = one.subject if one.round_id is None or one.player_id is None else f"{one.round_id}{whose}"
    yield f"{one.kind} {name}{since}"
    yield f"  {one.why}"
    yield f"  It waits for: {one.waits_for}"
    if one.actions:
        yield f"  You may decide: {', '.join(one.actions)} (./croupier round resolve)"
    yield f"  Next: {one.next}"
