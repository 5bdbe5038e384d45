"""What a release brings to a database, where the database stands, and so what is still to be done."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.made_objects import MadeObject, in_order_of_dropping, read
from storage.schema import FUNCTIONS, VERSIONS, newest

MIGRATIONS: Final = VERSIONS.parent
HAS_BOOKS: Final = """
    SELECT to_regclass('alembic_version') IS NOT NULL AS has_revision,
           to_regclass('schema_version') IS NOT NULL AS has_books,
           to_regrole('croupier_app') IS NOT NULL AS has_role,
           to_regrole('croupier_reader') IS NOT NULL AS has_reader,
           to_regrole('croupier_console') IS NOT NULL AS has_console
"""
REVISION: Final = "SELECT version_num FROM alembic_version"
SERVED: Final = "SELECT version, serves_from FROM schema_version"
OBJECTS: Final = "SELECT key, digest, version FROM schema_objects"
EXISTING: Final = """
    SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'view ' || viewname FROM pg_views WHERE schemaname = current_schema()
    UNION ALL
    SELECT 'trigger ' || tgname || ' ON ' || relname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
    WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace
"""


class CannotMigrate(Exception):
    """Why a migration stopped, and what to do, in one line. What it had done stays; the next one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a database stands. `revision` is Alembic's; `version` is the schema that is whole, with its
    functions. Both are empty for an empty database. `objects` has, by key, the digest and the schema of each
    that was made."""

    revision: str = ""
    version: str = ""
    serves_from: str = ""
    objects: Mapping[str, tuple[str, str]]
    existing: frozenset[str]
    has_role: bool
    has_reader: bool = False
    has_console: bool = False

    def lacks(self, made: MadeObject, digest: str | None = None) -> bool:
        known, _ = self.objects.get(made.key, ("", ""))
        return known != (digest or made.digest) or (made.kind != "rights" and made.key not in self.existing)


async def standing(connection: AsyncConnection) -> Standing:
    """Reads it inside the transaction that the caller has begun."""
    ask = connection.exec_driver_sql
    has = (await ask(HAS_BOOKS)).mappings().one()
    roles = {name: has[name] for name in ("has_role", "has_reader", "has_console")}
    existing = frozenset((await ask(EXISTING)).scalars())
    revision = str((await ask(REVISION)).scalar() or "") if has["has_revision"] else ""
    if not has["has_books"]:
        return Standing(revision=revision, objects={}, existing=existing, **roles)
    served = (await ask(SERVED)).mappings().one()
    made = (await ask(OBJECTS)).mappings()
    return Standing(
        revision=revision,
        version=served["version"],
        serves_from=served["serves_from"],
        objects={row["key"]: (row["digest"], row["version"]) for row in made},
        existing=existing,
        **roles,
    )


@dataclass(frozen=True)
class Release:
    """The migrations and the database functions of one tree; unless said otherwise, of this one."""

    versions: Path = VERSIONS
    functions: Path = FUNCTIONS

    @cached_property
    def schema(self) -> str:
        return newest(self.versions)

    @cached_property
    def objects(self) -> list[MadeObject]:
        return read(self.functions)

    @cached_property
    def script(self) -> ScriptDirectory:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("version_locations", str(self.versions))
        config.set_main_option("path_separator", "newline")
        return ScriptDirectory.from_config(config)

    def steps_after(self, revision: str) -> list[Script]:
        """Migrations that come after this one, in their order."""
        newest_first = self.script.walk_revisions()
        return sorted((step for step in newest_first if step.revision > revision), key=_number)

    def to_make(self, found: Standing) -> list[MadeObject]:
        """What is new or has another text. A function that is replaced loses its settings: rights follow."""
        changed = [made for made in self.objects if made.kind != "rights" and found.lacks(made)]
        replaced = any(made.kind != "trigger" for made in changed)
        rights = [made for made in self.objects if made.kind == "rights"]
        return changed + [
            made for made in rights if replaced or found.lacks(made, self.digest_of_rights(made, found))
        ]

    def digest_of_rights(self, made: MadeObject, found: Standing) -> str:
        """They are given again after each migration, for a new table, and when a role is new."""
        others = (" and reader" if found.has_reader else "") + (" and console" if found.has_console else "")
        return f"{made.digest} {self.schema} {'with' if found.has_role else 'without'} role{others}"

    def to_contract(self, found: Standing) -> list[Script]:
        """Migrations whose second half is still to come."""
        return [step for step in self.steps_after(found.serves_from) if hasattr(step.module, "contract")]

    def to_drop(self, found: Standing) -> list[str]:
        """The keys of what an earlier schema's files made and this one's do not. What left them without a new
        migration stays: no number tells the programs that use it from those that do not."""
        kept = {made.key for made in self.objects}
        left = [key for key, (_, schema) in found.objects.items() if key not in kept and schema < self.schema]
        return in_order_of_dropping(left)


def _number(step: Script) -> str:
    return step.revision
