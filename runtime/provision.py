"""What a first start needs: a keyring, a schema's first operator, and that operator's key."""

import asyncio
import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import asyncpg

from contracts.audit import By
from contracts.views import ApiKeyView
from runtime.services import connect_database
from runtime.settings import Settings, SettingsError
from security.api_keys import ApiKeyInvalid, new_api_key, parse_api_key
from security.keyring import Keyring
from storage import operators, sessions

DEMO_OPERATOR: Final = "demo"
OPERATOR_FILE: Final = "operator.json"


@dataclass(frozen=True, slots=True)
class DemoOperator:
    """The operator that comes with the embedded stack. The database knows only the key's hash; the key
    itself stays in a file of the stack's own home, for its owner to read."""

    operator_id: str
    operator_key: str = field(repr=False)


def ensure(settings: Settings) -> DemoOperator:
    """Makes the keyring and the demo operator when they are missing; changes nothing otherwise. Raises
    SettingsError when the keyring is gone that the database's seeds are sealed with."""
    return asyncio.run(_ensure(settings))


async def _ensure(settings: Settings) -> DemoOperator:
    database = await connect_database(settings, connections=1)
    try:
        if settings.keyring_json is None and not settings.keyring.exists():
            if await sessions.any_seed(database.pool):
                raise SettingsError(
                    f"the keyring {settings.keyring} is missing, and the database has seeds that only it"
                    " opens: bring it back, or start over with ./croupier reset"
                )
            # Another process may be first; its keyring is then the one to use.
            with contextlib.suppress(FileExistsError):
                Keyring.generate().save(settings.keyring)
        await operators.ensure_operator(database.pool, operator_id=DEMO_OPERATOR, name="Demo casino")
        path = settings.home / OPERATOR_FILE
        known = _read(path)
        if known is not None and await _is_valid(database.pool, known.operator_key):
            return known
        made = await _make_key(database.pool)
        _write(path, made)
        return made
    finally:
        await database.close()


async def _is_valid(pool: asyncpg.Pool, text: str) -> bool:
    try:
        presented = parse_api_key(text)
    except ApiKeyInvalid:
        return False
    stored = await operators.find_key(pool, presented.key_id)
    return stored is not None and presented.matches(stored.secret_hash)


async def _make_key(pool: asyncpg.Pool) -> DemoOperator:
    key = new_api_key()
    await operators.add_key(
        pool,
        ApiKeyView(
            key_id=key.key_id, operator_id=DEMO_OPERATOR, secret_hash=key.secret_hash, scope="operator"
        ),
        by=By("cli:up"),
    )
    return DemoOperator(DEMO_OPERATOR, key.text)


def _read(path: Path) -> DemoOperator | None:
    try:
        return DemoOperator(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, operator: DemoOperator) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(operator), file)
