"""The composition root: opens what a process needs, in order, and closes it in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr
from temporalio.client import Client

from events.publisher import Publisher
from runtime.settings import Settings, SettingsError
from runtime.temporal import connect
from security.keyring import Keyring
from security.signatures import Signer
from storage.database import Database, open_database


@dataclass(frozen=True, slots=True)
class Resources:
    """Open connections and loaded keys."""

    settings: Settings
    keyring: Keyring
    database: Database
    publisher: Publisher


@asynccontextmanager
async def open_resources(settings: Settings, *, connections: int = 10) -> AsyncIterator[Resources]:
    """The database, the keyring and a started publisher. Raises SettingsError when an address is missing."""
    async with AsyncExitStack() as stack:
        keyring = Keyring.load(settings.keyring)
        database = await open_database(
            required_secret(settings.database_url, "database_url"), connections=connections
        )
        stack.push_async_callback(database.close)
        publisher = Publisher(required_secret(settings.amqp_url, "amqp_url"), Signer(keyring.events))
        publisher.start()
        stack.push_async_callback(publisher.close)
        yield Resources(settings, keyring, database, publisher)


async def connect_temporal(settings: Settings, keyring: Keyring) -> Client:
    """Raises SettingsError when no address is set, RuntimeError when it does not answer."""
    if settings.temporal_address is None:
        raise _missing("temporal_address")
    return await connect(settings.temporal_address, namespace=settings.temporal_namespace, keyring=keyring)


def required_secret(value: SecretStr | None, name: str) -> str:
    if value is None:
        raise _missing(name)
    return value.get_secret_value()


def _missing(name: str) -> SettingsError:
    return SettingsError(f"setting {name} (CROUPIER_{name.upper()}) is missing: ./croupier up sets it")
