"""What every program needs before it can begin: keys, the database, and words for what is missing.

Nothing here knows Temporal or the broker: a program that uses neither does not load their libraries, which
takes longer than all of its own code."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from pydantic import SecretStr

from contracts.failures import error_line
from runtime import build
from runtime.addresses import named
from runtime.program_metrics import show_keys, show_pool
from runtime.settings import Settings, SettingsError
from security.keyring import Keyring
from storage import schema
from storage.connected import name_of
from storage.database import Database, LedgerRestored, NotAdmitted, open_database

RECOVERY_PAUSE_S: Final = 0.5

log = logging.getLogger(__name__)


class Unreachable(Exception):
    """A service does not answer, or is no use to this program. The text names the service and the setting,
    never a password."""


def load_keyring(settings: Settings) -> Keyring:
    """The keyring that the settings hold, else the one in the file. Raises KeyringInvalid."""
    if settings.keyring_json is not None:
        keyring = Keyring.from_json(settings.keyring_json.get_secret_value())
    else:
        keyring = Keyring.load(settings.keyring)
    show_keys(keyring)
    return keyring


async def connect_database(
    settings: Settings, *, connections: int, plays: bool = False, setting: str = "database_url"
) -> Database:
    """The one that `setting` names. Waits for a restored ledger's recovery where it `plays`. Raises
    SettingsError when no address is set, Unreachable when it does not answer or when its schema is another
    release's."""
    variable = f"CROUPIER_{setting.upper()}"
    # Whoever looks for what holds a lock, or keeps a transaction open, sees which program it is; a migration,
    # whether one of an earlier release still runs.
    shown = name_of(build.program(), schema.newest())
    url = named(required_secret(getattr(settings, setting), setting), shown)
    try:
        database = await _once_recovered(lambda: open_database(url, connections=connections, plays=plays))
    except NotAdmitted as refused:
        raise Unreachable(f"{variable}: {refused}") from None
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise unreachable("PostgreSQL", setting, error) from None
    try:
        await schema.check(database.pool)
    except BaseException as error:
        await database.close()
        if isinstance(error, schema.WrongSchema):
            raise Unreachable(f"PostgreSQL ({variable}): {error}") from None
        raise
    show_pool(database.pool)
    return database


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


def unreachable(service: str, setting: str, error: BaseException) -> Unreachable:
    return Unreachable(f"{service} (CROUPIER_{setting.upper()}) does not answer: {error_line(error)}")


def required_secret(value: SecretStr | None, name: str) -> str:
    if value is None:
        raise missing(name)
    return value.get_secret_value()


def missing(name: str) -> SettingsError:
    return SettingsError(f"setting {name} (CROUPIER_{name.upper()}) is missing: ./croupier up sets it")
