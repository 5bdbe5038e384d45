"""DBOS: the workflow is a decorated function, and each step's result is a row in PostgreSQL.

As its documentation recommends:
- `@DBOS.workflow` and `@DBOS.step` on coroutines, called directly from the request on its event loop, with
  SetWorkflowID as the idempotency key. Queues would add a poll between the request and its round.
- The system tables are in a database of their own on the same PostgreSQL server, over psycopg, with the
  library's own pool. LISTEN/NOTIFY is left on, as is the default serializer.
- Transactional steps of the library are not used: they need its own SQLAlchemy sessions, and every variant
  calls the same ledger over the same driver. A step is recorded after it has run, so it may run twice, which
  the ledger allows.
- No tracing, no conductor, and only warnings in the log.
"""

import asyncio
from typing import Final

from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy import make_url

from bench.peers.front import Bets, Front, serve
from bench.peers.steps import Closed, Held, Steps
from contracts.rounds import Bet, DrawReference, Resolution
from games.registry import Registry
from runtime.resources import open_resources
from runtime.services import required_secret
from runtime.settings import Settings
from workers.lifecycle import run

SYSTEM_DATABASE: Final = "bench_dbos"


class Opened:
    """The library registers functions of a module, so what they need is put here before the launch."""

    steps: Steps


@DBOS.step()
async def reserve(bet: Bet) -> Held:
    return await Opened.steps.reserve(bet)


@DBOS.step()
async def resolve(bet: Bet, draw: DrawReference) -> Resolution:
    return await Opened.steps.resolve(bet, draw)


@DBOS.step()
async def settle(bet: Bet, resolution: Resolution) -> Closed:
    return await Opened.steps.settle(bet, resolution)


@DBOS.step()
async def release(bet: Bet, reason: str) -> Closed:
    return await Opened.steps.release(bet, reason)


@DBOS.step(retries_allowed=True)
async def emit(event_id: str) -> bool:
    return await Opened.steps.emit(event_id)


@DBOS.workflow()
async def round_(bet: Bet) -> Closed:
    held = await reserve(bet)
    if held.draw is None:
        assert held.closed is not None
        return held.closed
    try:
        resolution = await resolve(bet, held.draw)
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        closed = await release(bet, str(error))
    else:
        closed = await settle(bet, resolution)
    if closed.event_id is not None:
        await emit(closed.event_id)
    return closed


async def play(bet: Bet) -> Closed:
    with SetWorkflowID(bet.key.workflow_id):
        return await round_(bet)


async def main(settings: Settings, stop: asyncio.Event) -> None:
    registry = Registry.load(settings.games)
    async with open_resources(settings) as resources:
        Opened.steps = Steps.over(resources, registry)
        DBOS(config=_config(settings))
        await asyncio.to_thread(DBOS.launch)
        try:
            await serve(Front(Bets.of(resources, registry), play), settings, stop)
        finally:
            await asyncio.to_thread(DBOS.destroy)


def _config(settings: Settings) -> DBOSConfig:
    url = make_url(required_secret(settings.database_url, "database_url")).set(
        drivername="postgresql", database=SYSTEM_DATABASE
    )
    return {
        "name": "croupier-bench",
        "system_database_url": url.render_as_string(hide_password=False),
        "log_level": "WARNING",
        "enable_otlp": False,
    }


if __name__ == "__main__":
    run(main)
