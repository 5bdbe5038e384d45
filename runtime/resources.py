"""What a process needs that plays rounds or publishes events: opened in order, and closed in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from events.publisher import Publisher
from runtime.services import connect_database, load_keyring, required_secret
from runtime.settings import Settings
from security.keyring import Keyring
from security.signatures import Signer
from storage.database import Database


@dataclass(frozen=True, slots=True)
class Resources:
    """Open connections and loaded keys."""

    settings: Settings
    keyring: Keyring
    database: Database
    publisher: Publisher


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
