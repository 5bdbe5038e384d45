"""`croupier operator`: operators added, listed, disabled and enabled."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING, TypeVar

import typer

from api.gateway.schemas import ID_PATTERN
from api.operator.service import KEY_CACHE_S, OperatorKeys
from api.platform.schemas import OPERATOR_NAME_LIMIT, operator_body
from api.platform.service import Operators
from cli.options import told
from cli.services import database_of, whoever, with_database
from contracts.texts import is_one_line
from runtime.services import Unreachable
from runtime.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from contracts.views import IssuedApiKey, OperatorRecord
    from runtime.settings import Settings

Answer = TypeVar("Answer")
PAGE = 1_000


class _CannotDo(Exception):
    """Why nothing was done, as its reader is told."""


def add(settings: Settings, operator_id: str, name: str | None, *, as_json: bool = False) -> int:
    """Prints the new operator's first key, alone on standard output. Returns 0, or 1 when none was made."""

    async def make(pool: asyncpg.Pool) -> IssuedApiKey:
        _need_usable(operator_id, name or operator_id)
        verdict, _ = await Operators(pool).add(operator_id=operator_id, name=name or operator_id)
        if verdict != "added":
            raise _CannotDo(
                f"there is an operator {operator_id}: ./croupier operator key add {operator_id} makes a key"
            )
        key = await OperatorKeys(pool).issue(operator_id=operator_id, scope="admin", by=whoever())
        assert key is not None
        return key

    def say(key: IssuedApiKey) -> None:
        typer.echo(f"operator {operator_id}; its key {key.key_id}, {key.scope}, is shown only now:", err=True)
        document = {"operator_id": operator_id, "key_id": key.key_id, "scope": key.scope, "key": key.text}
        told(document, key.text, as_json=as_json)

    return _run(settings, make, say)


def show(settings: Settings, *, as_json: bool) -> int:
    """Prints all operators. Returns 0, or 1 when they cannot be read."""

    async def read(pool: asyncpg.Pool) -> list[OperatorRecord]:
        found: list[OperatorRecord] = []
        while page := await Operators(pool).listed(after=found[-1].operator_id if found else "", limit=PAGE):
            found += page
        return found

    def say(found: list[OperatorRecord]) -> None:
        if as_json:
            sys.stdout.write(json.dumps([operator_body(one) for one in found], indent=2) + "\n")
            return
        for one in found:
            state = f"disabled {one.disabled_at:%Y-%m-%d %H:%M} UTC" if one.disabled_at else "enabled"
            typer.echo(f"{one.operator_id}  {state}  {one.name}")
        if not found:
            typer.echo("no operators")

    return _run(settings, read, say)


def disable(settings: Settings, operator_id: str, *, as_json: bool = False) -> int:
    """Returns 0, or 1 when there is no such operator."""

    def say(ended: int | None) -> None:
        if ended is None:
            raise _CannotDo(f"there is no operator {operator_id}")
        keys = f"its keys only read after {KEY_CACHE_S:.0f} seconds at the latest"
        line = f"{operator_id} is disabled: {ended} sessions ended, rounds under way finish, {keys}"
        told({"operator_id": operator_id, "sessions_ended": ended}, line, as_json=as_json)

    return _run(settings, lambda pool: Operators(pool).disable(operator_id), say)


def enable(settings: Settings, operator_id: str, *, as_json: bool = False) -> int:
    """Returns 0, or 1 when there is no such operator."""

    def say(known: bool) -> None:
        if not known:
            raise _CannotDo(f"there is no operator {operator_id}")
        line = f"{operator_id} is enabled; its players need new sessions"
        told({"operator_id": operator_id}, line, as_json=as_json)

    return _run(settings, lambda pool: Operators(pool).enable(operator_id), say)


def _need_usable(operator_id: str, name: str) -> None:
    if re.fullmatch(ID_PATTERN.strip("^$"), operator_id) is None:
        raise _CannotDo("an operator's id is 1 to 64 of A-Z a-z 0-9 _ -")
    if len(name) > OPERATOR_NAME_LIMIT or not is_one_line(name):
        raise _CannotDo(f"an operator's name is 1 to {OPERATOR_NAME_LIMIT} characters that can be printed")


def _run(
    settings: Settings, ask: Callable[[asyncpg.Pool], Awaitable[Answer]], say: Callable[[Answer], None]
) -> int:
    try:
        say(asyncio.run(_ask(with_database(settings), ask)))
    except (_CannotDo, Unreachable, SettingsError) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        return 1
    return 0


async def _ask(settings: Settings, ask: Callable[[asyncpg.Pool], Awaitable[Answer]]) -> Answer:
    async with database_of(settings, _CannotDo) as database:
        return await ask(database.pool)
