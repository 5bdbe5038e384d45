"""`croupier webhooks`: how operators' webhooks fare, the events that are dead, and sending those again."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg
import typer

from api.webhook.schemas import dead_event_item, webhook_body
from cli.options import told
from cli.services import CannotShow, database_of, where, whoever
from contracts.failures import one_line
from contracts.webhooks import DeadDelivery, WebhookKey, WebhookStatus
from runtime.services import Unreachable
from runtime.settings import Settings
from storage import webhooks as stored

LISTED: Final = 1_000

Work = Callable[[asyncpg.Pool], Awaitable[int]]


def show(settings: Settings, *, operator_id: str | None, as_json: bool) -> int:
    """Prints the webhooks, of every operator for None. Returns 0, 1 when events are dead, 2 when it cannot be
    read."""

    async def work(pool: asyncpg.Pool) -> int:
        found = await stored.listed(pool, operator_id=operator_id)
        _print(
            [_webhook(status) for status in found], _lines(found) or "there is no webhook", as_json=as_json
        )
        return 1 if any(status.dead for status in found) else 0

    return _with_database(settings, work)


def dead(settings: Settings, webhook_id: str, *, as_json: bool) -> int:
    """Prints the events that were given up, oldest failure first. Returns 0 when there is none, 1 when there
    are some, 2 when it cannot be read."""

    async def work(pool: asyncpg.Pool) -> int:
        found, _ = await stored.dead_page(pool, await _key(pool, webhook_id), after=0, limit=LISTED)
        items = [dead_event_item(item) for item in found]
        _print(items, "\n".join(map(_dead_line, found)) or "no event is dead", as_json=as_json)
        return 1 if found else 0

    return _with_database(settings, work)


def replay(
    settings: Settings, webhook_id: str, event_ids: list[str], *, all_dead: bool, as_json: bool = False
) -> int:
    """Begins dead events anew. Returns 0, 1 when none of them was dead, 2 when it could not be done."""

    async def work(pool: asyncpg.Pool) -> int:
        key = await _key(pool, webhook_id)
        replayed = await stored.replay(pool, key, None if all_dead else event_ids, by=whoever())
        told({"replayed": replayed}, f"{replayed} events are sent again", as_json=as_json)
        return 0 if replayed else 1

    return _with_database(settings, work)


def _with_database(settings: Settings, work: Work) -> int:
    try:
        return asyncio.run(_connected(where(settings)[0], work))
    except (CannotShow, Unreachable) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        return 2


async def _connected(settings: Settings, work: Work) -> int:
    async with database_of(settings, CannotShow) as database:
        return await work(database.pool)


async def _key(pool: asyncpg.Pool, webhook_id: str) -> WebhookKey:
    """Whoever runs Croupier need not say whose webhook it is."""
    for status in await stored.listed(pool, operator_id=None):
        if status.webhook.key.webhook_id == webhook_id:
            return status.webhook.key
    raise CannotShow(one_line(f"there is no webhook {webhook_id}: ./croupier webhooks list shows them"))


def _webhook(status: WebhookStatus) -> dict[str, Any]:
    return {"operator_id": status.webhook.key.operator_id, **webhook_body(status)}


def _print(items: list[dict[str, Any]], text: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(items, indent=2) + "\n")
    else:
        typer.echo(text)


def _lines(found: list[WebhookStatus]) -> str:
    return "\n".join(one_line(_line(status)) for status in found)


def _line(status: WebhookStatus) -> str:
    webhook = status.webhook
    state = "enabled" if webhook.disabled is None else f"disabled ({webhook.disabled})"
    said = f"  last error: {status.last_error}" if status.last_error else ""
    return (
        f"{webhook.key.webhook_id}  {webhook.key.operator_id}  {webhook.url}  {state}"
        f"  pending {status.pending}  dead {status.dead}{said}"
    )


def _dead_line(item: DeadDelivery) -> str:
    return one_line(
        f"{item.dead_at:%Y-%m-%d %H:%M:%S}  {item.event_id}  {item.type}  {item.subject}"
        f"  {item.attempts} attempts, the last: {item.last_error}"
    )
