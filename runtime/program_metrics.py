"""What every program shows of itself beside its work: its release, its keys, and its connections to the
database."""

import re
from datetime import UTC, datetime
from typing import Final

import asyncpg
from prometheus_client import Gauge

from runtime.build import commit, version
from security.keyring import SECTIONS, Keyring

BUILD_INFO: Final = Gauge(
    "croupier_build_info", "1, with the release and, where it is known, the commit.", ["version", "commit"]
)
KEY_CREATED: Final = Gauge(
    "croupier_key_created_timestamp_seconds",
    "The day on which a section's active key was made, as its id says; no series for an id without a day.",
    ["section"],
)
POOL_CONNECTIONS: Final = Gauge(
    "croupier_database_pool_connections", "Connections to PostgreSQL: `idle` or `used`.", ["state"]
)
POOL_LIMIT: Final = Gauge("croupier_database_pool_limit", "The most connections to PostgreSQL at once.")
POOL_WAITING: Final = Gauge("croupier_database_pool_waiting", "Calls that wait for such a connection.")

# section-YYYYMMDD-digits: see security/keyring.py.
_DAY: Final = re.compile(r"-(\d{8})-")


def show_build() -> None:
    BUILD_INFO.labels(version(), commit()).set(1)


def show_keys(keyring: Keyring) -> None:
    for name in SECTIONS:
        if (made_at := made(getattr(keyring, name).active)) is not None:
            KEY_CREATED.labels(name).set(made_at.timestamp())


def made(key_id: str) -> datetime | None:
    """The day that a key's id names, in UTC; None for one that names none."""
    found = _DAY.search(key_id)
    try:
        return None if found is None else datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def show_pool(pool: asyncpg.Pool) -> None:
    """Reads the pool when the metrics are asked for, and costs its users nothing."""
    POOL_CONNECTIONS.labels("idle").set_function(pool.get_idle_size)
    POOL_CONNECTIONS.labels("used").set_function(lambda: pool.get_size() - pool.get_idle_size())
    POOL_LIMIT.set_function(pool.get_max_size)
    # asyncpg has no public name for its queue, nor asyncio for who waits at one.
    POOL_WAITING.set_function(lambda: sum(not waiter.done() for waiter in tuple(pool._queue._getters)))
