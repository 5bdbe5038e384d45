"""`croupier operator key` and `platform key`: API keys. A new one is printed once, alone, on standard output.

An `operator_id` of None means the keys of the platform."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from api.operator.schemas import api_key_body
from api.operator.service import KEY_CACHE_S, OperatorKeys, TooManyKeys
from cli.options import told
from cli.services import database_of, whoever, with_database
from runtime.services import Unreachable
from runtime.settings import SettingsError
from timeline.wording import moment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from contracts.views import IssuedApiKey
    from runtime.settings import Settings
    from security.api_keys import KeyScope, PlatformScope

Answer = TypeVar("Answer")


class _CannotDo(Exception):
    """Why nothing was done, in one line."""


def add(
    settings: Settings,
    operator_id: str | None,
    scope: KeyScope | PlatformScope,
    *,
    days: int | None,
    brand: str | None = None,
    as_json: bool = False,
) -> int:
    """Prints a new key. Returns 0, or 1 when none was made."""
    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)

    async def issue(keys: OperatorKeys) -> IssuedApiKey | None:
        return await keys.issue(
            operator_id=operator_id, scope=scope, expires_at=ends, brand=brand, by=whoever()
        )

    missing = f"there is no operator {operator_id}"
    return _run(settings, issue, lambda key: _show(key, missing, as_json=as_json))


def rotate(
    settings: Settings, operator_id: str | None, key_id: str, *, overlap_s: int, as_json: bool = False
) -> int:
    """Prints the key that takes the place of `key_id`. Returns 0, or 1 when none was made."""

    async def replace(keys: OperatorKeys) -> IssuedApiKey | None:
        return await keys.rotate(operator_id=operator_id, key_id=key_id, overlap_s=overlap_s, by=whoever())

    missing = f"{_owner(operator_id)} has no key {key_id} that opens anything"
    return _run(settings, replace, lambda key: _show(key, missing, as_json=as_json))


def revoke(settings: Settings, operator_id: str | None, key_id: str, *, as_json: bool = False) -> int:
    """Returns 0, or 1 when the operator has no such key."""

    async def end(keys: OperatorKeys) -> bool:
        return await keys.revoke(operator_id=operator_id, key_id=key_id, by=whoever())

    def say(known: bool) -> None:
        if not known:
            raise _CannotDo(f"{_owner(operator_id)} has no key {key_id}")
        after = f"after {KEY_CACHE_S:.0f} seconds at the latest"
        line = f"key {key_id} of {_owner(operator_id)} opens nothing {after}"
        told({"operator_id": operator_id, "key_id": key_id, "revoked": True}, line, as_json=as_json)

    return _run(settings, end, say)


def show(settings: Settings, operator_id: str | None, *, as_json: bool) -> int:
    """Prints what the operator's keys are, and no secret."""

    async def items(keys: OperatorKeys) -> list[dict[str, Any]]:
        return [api_key_body(record) for record in await keys.listed(operator_id)]

    return _run(settings, items, lambda found: _print_all(found, as_json=as_json))


def _print_all(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for key in found:
        state = "active" if key["active"] else "revoked" if key["revoked_at"] else "expired"
        until = f"  until {key['expires_at']}" if key["expires_at"] else ""
        of = f"  brand {key['brand']}" if key["brand"] else ""
        typer.echo(f"{key['key_id']}  {key['scope']:<8}  {state:<7}  made {key['created_at']}{until}{of}")
    if not found:
        typer.echo("no keys")


def _show(key: IssuedApiKey | None, missing: str, *, as_json: bool) -> None:
    """The key on standard output, so that it can go into a secret store unseen; words on standard error."""
    if key is None:
        raise _CannotDo(missing)
    until = f" until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
    typer.echo(f"key {key.key_id}, {key.scope}{until}; it is shown only now:", err=True)
    if key.replaces is not None:
        typer.echo(
            f"{key.replaces} opens what it did until {key.replaced_until:%Y-%m-%d %H:%M:%S} UTC", err=True
        )
    told(_as_dict(key), key.text, as_json=as_json)


def _as_dict(key: IssuedApiKey) -> dict[str, Any]:
    until = {"expires_at": key.expires_at, "replaced_until": key.replaced_until}
    shown = {name: None if at is None else moment(at) for name, at in until.items()}
    known = {"key_id": key.key_id, "scope": key.scope, "brand": key.brand, "replaces": key.replaces}
    return {**known, **shown, "key": key.text}


def _owner(operator_id: str | None) -> str:
    return "the platform" if operator_id is None else operator_id


def _run(
    settings: Settings, ask: Callable[[OperatorKeys], Awaitable[Answer]], say: Callable[[Answer], None]
) -> int:
    try:
        say(asyncio.run(_ask(with_database(settings), ask)))
    except TooManyKeys:
        typer.echo("croupier: there are as many keys as there may be: revoke one first", err=True)
        return 1
    except (_CannotDo, Unreachable, SettingsError) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        return 1
    return 0


async def _ask(settings: Settings, ask: Callable[[OperatorKeys], Awaitable[Answer]]) -> Answer:
    async with database_of(settings, _CannotDo) as database:
        return await ask(OperatorKeys(database.pool))
