"""The operators that have figures of their own in a program's metrics: known before anything is counted."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from events.broker import reason
from runtime import metrics
from storage import operators
from storage.database import AWAY

REFRESH_S: Final = 15.0

log = logging.getLogger(__name__)


@asynccontextmanager
async def known(pool: asyncpg.Pool, most: int, wallets: Collection[str] = ()) -> AsyncIterator[None]:
    """Reads them at once, and now and then while the block runs; `wallets` names those that have one by then.
    Raises what the first reading raises."""
    metrics.OPERATORS.allow(most)
    await _learn(pool, most, wallets)
    learning = asyncio.create_task(_keep_learning(pool, most, wallets))
    try:
        yield
    finally:
        learning.cancel()
        with suppress(asyncio.CancelledError):
            await learning


async def _keep_learning(pool: asyncpg.Pool, most: int, wallets: Collection[str]) -> None:
    while True:
        await asyncio.sleep(REFRESH_S)
        try:
            await _learn(pool, most, wallets)
        except AWAY as error:
            log.warning("operators cannot be read for the metrics: %s", reason(error))


async def _learn(pool: asyncpg.Pool, most: int, wallets: Collection[str]) -> None:
    for operator_id in await operators.oldest(pool, limit=most):
        metrics.OPERATORS.of(operator_id)
    for operator_id in tuple(wallets):
        metrics.of_a_wallet(metrics.OPERATORS.of(operator_id))
