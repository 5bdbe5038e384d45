"""The composition root: opens what a process needs, in order, and closes it in reverse."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
from pydantic import SecretStr
from temporalio.client import Client

from contracts.failures import bounded
from events.publisher import Publisher
from runtime import build, sdk_metrics
from runtime.addresses import named
from runtime.program_metrics import show_keys, show_pool
from runtime.settings import Settings, SettingsError
from runtime.temporal import access, connect
from security.keyring import Keyring
from security.payload_codec import HasPayloadKeys
from security.signatures import Signer
from storage import schema
from storage.database import Database, LedgerRestored, NotAdmitted, open_database

RECOVERY_PAUSE_S: Final = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resources:
    """Open connections and loaded keys."""

    settings: Settings
    keyring: Keyring
    database: Database
    publisher: Publisher


def load_keyring(settings: Settings) -> Keyring:
    """The keyring that the settings hold, else the one in the file. Raises KeyringInvalid."""
    if settings.keyring_json is not None:
        keyring = Keyring.from_json(settings.keyring_json.get_secret_value())
    else:
        keyring = Keyring.load(settings.keyring)
    show_keys(keyring)
    return keyring


class Unreachable(Exception):
    """A service does not answer, or is no use to this program. The text names the service and the setting,
    never a password."""


@asynccontextmanager
async def open_resources(
    settings: Settings, *, connections: int = 10, plays: bool = False
) -> AsyncIterator[Resources]:
    """The database, the keyring and a started publisher. For who `plays` rounds, a ledger that was restored
    is away until it is recovered. Raises SettingsError when an address is missing, Unreachable when the
    database does not answer; the broker may come later."""
    async with AsyncExitStack() as stack:
        keyring = load_keyring(settings)
        database = await connect_database(settings, connections=connections, plays=plays)
        stack.push_async_callback(database.close)
        publisher = Publisher(required_secret(settings.amqp_url, "amqp_url"), Signer(keyring.events))
        publisher.start()
        stack.push_async_callback(publisher.close)
        yield Resources(settings, keyring, database, publisher)


async def connect_database(
    settings: Settings, *, connections: int, plays: bool = False, setting: str = "database_url"
) -> Database:
    """The one that `setting` names. Waits for a restored ledger's recovery where it `plays`. Raises
    SettingsError when no address is set, Unreachable when it does not answer or when its schema is another
    release's."""
    variable = f"CROUPIER_{setting.upper()}"
    # Whoever looks for what holds a lock, or keeps a transaction open, sees which program it is.
    url = named(required_secret(getattr(settings, setting), setting), f"croupier {build.program()}")
    try:
        database = await _once_recovered(lambda: open_database(url, connections=connections, plays=plays))
    except NotAdmitted as refused:
        raise Unreachable(f"{variable}: {refused}") from None
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise _unreachable("PostgreSQL", setting, error) from None
    try:
        await schema.check(database.pool)
    except BaseException as error:
        await database.close()
        if isinstance(error, schema.WrongSchema):
            raise Unreachable(f"PostgreSQL ({variable}): {error}") from None
        raise
    show_pool(database.pool)
    return database


async def connect_temporal(settings: Settings, keyring: HasPayloadKeys) -> Client:
    """Raises SettingsError when no address is set, Unreachable when it does not answer."""
    address = settings.temporal_address
    if address is None:
        raise _missing("temporal_address")
    try:
        return await connect(
            address,
            namespace=settings.temporal_namespace,
            keyring=keyring,
            access=access(settings),
            metrics=sdk_metrics.OF_THIS_PROCESS.config() if settings.metrics_port else None,
        )
    except RuntimeError as error:
        raise _unreachable("Temporal", "temporal_address", error) from None


async def _once_recovered(opening: Callable[[], Awaitable[Database]]) -> Database:
    told = False
    while True:
        try:
            return await opening()
        except LedgerRestored as restored:
            if not told:
                log.warning("%s. The reconciler does that, or ./croupier recover", restored)
                told = True
        await asyncio.sleep(RECOVERY_PAUSE_S)


def _unreachable(service: str, setting: str, error: BaseException) -> Unreachable:
    why = bounded(f"{type(error).__name__}: {error}")
    return Unreachable(f"{service} (CROUPIER_{setting.upper()}) does not answer: {why}")


def required_secret(value: SecretStr | None, name: str) -> str:
    if value is None:
        raise _missing(name)
    return value.get_secret_value()


def _missing(name: str) -> SettingsError:
    return SettingsError(f"setting {name} (CROUPIER_{name.upper()}) is missing: ./croupier up sets it")
