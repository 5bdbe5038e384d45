"""The composition root: opens what a process needs, in order, and closes it in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
from pydantic import SecretStr
from temporalio.client import Client

from contracts.failures import bounded
from events.publisher import Publisher
from runtime.settings import Settings, SettingsError
from runtime.temporal import access, connect
from security.keyring import Keyring
from security.signatures import Signer
from storage import schema
from storage.database import Database, NotAdmitted, open_database


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
        return Keyring.from_json(settings.keyring_json.get_secret_value())
    return Keyring.load(settings.keyring)


class Unreachable(Exception):
    """A service does not answer, or is no use to this program. The text names the service and the setting,
    never a password."""


@asynccontextmanager
async def open_resources(settings: Settings, *, connections: int = 10) -> AsyncIterator[Resources]:
    """The database, the keyring and a started publisher. Raises SettingsError when an address is missing,
    Unreachable when the database does not answer; the broker may come later."""
    async with AsyncExitStack() as stack:
        keyring = load_keyring(settings)
        database = await connect_database(settings, connections=connections)
        stack.push_async_callback(database.close)
        publisher = Publisher(required_secret(settings.amqp_url, "amqp_url"), Signer(keyring.events))
        publisher.start()
        stack.push_async_callback(publisher.close)
        yield Resources(settings, keyring, database, publisher)


async def connect_database(settings: Settings, *, connections: int) -> Database:
    """Raises SettingsError when no address is set, Unreachable when it does not answer or when its schema is
    another release's."""
    url = required_secret(settings.database_url, "database_url")
    try:
        database = await open_database(url, connections=connections)
    except NotAdmitted as refused:
        raise Unreachable(f"CROUPIER_DATABASE_URL: {refused}") from None
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise _unreachable("PostgreSQL", "database_url", error) from None
    try:
        await schema.check(database.pool)
    except BaseException as error:
        await database.close()
        if isinstance(error, schema.WrongSchema):
            raise Unreachable(f"PostgreSQL (CROUPIER_DATABASE_URL): {error}") from None
        raise
    return database


async def connect_temporal(settings: Settings, keyring: Keyring) -> Client:
    """Raises SettingsError when no address is set, Unreachable when it does not answer."""
    address = settings.temporal_address
    if address is None:
        raise _missing("temporal_address")
    try:
        return await connect(
            address, namespace=settings.temporal_namespace, keyring=keyring, access=access(settings)
        )
    except RuntimeError as error:
        raise _unreachable("Temporal", "temporal_address", error) from None


def _unreachable(service: str, setting: str, error: BaseException) -> Unreachable:
    why = bounded(f"{type(error).__name__}: {error}")
    return Unreachable(f"{service} (CROUPIER_{setting.upper()}) does not answer: {why}")


def required_secret(value: SecretStr | None, name: str) -> str:
    if value is None:
        raise _missing(name)
    return value.get_secret_value()


def _missing(name: str) -> SettingsError:
    return SettingsError(f"setting {name} (CROUPIER_{name.upper()}) is missing: ./croupier up sets it")
