"""Where a command finds its services: what the settings name, or else the stack that runs here."""

from __future__ import annotations

import getpass
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr

from compose import control
from compose.layout import Layout
from contracts import actors
from contracts.audit import By
from contracts.failures import error_line
from runtime.services import connect_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.settings import Settings
    from storage.database import Database


def whoever() -> By:
    """Whoever uses the command line, as the audit log names them."""
    return By(actors.by_command_line(getpass.getuser()))


class CannotShow(Exception):
    """Why nothing can be shown, in one line."""


def where(settings: Settings) -> tuple[Settings, str | None]:
    """The settings with the addresses of the stack that runs, and the address of Temporal's web interface
    if there is one. Services that are set from outside need no stack. Raises CannotShow."""
    info = control.stack_info(Layout(settings.home)) or {}
    if settings.database_url is not None and settings.temporal_address is not None:
        same = info.get("temporal_address") == settings.temporal_address
        return settings, info.get("temporal_ui") if same else None
    if not info:
        raise CannotShow(
            f"the stack in {settings.home} is not up: start it with ./croupier up, or name services of your"
            " own with CROUPIER_DATABASE_URL and CROUPIER_TEMPORAL_ADDRESS"
        )
    _need_the_same(settings, info)
    addresses = {
        "database_url": SecretStr(info["database_url"]),
        "temporal_address": info["temporal_address"],
        "temporal_namespace": info["temporal_namespace"],
    }
    return settings.model_copy(update=addresses), info.get("temporal_ui")


def looking(settings: Settings) -> tuple[Settings, str | None]:
    """The same for whoever only looks: with the role that can read and nothing else, and the broker's
    address, where the stack has them. Raises CannotShow."""
    reached, ui = where(settings)
    if settings.database_url is not None:
        return reached, ui
    info = control.stack_info(Layout(settings.home)) or {}
    known = {
        "database_url": info.get("reader_database_url") or info["database_url"],
        "amqp_url": info["amqp_url"],
    }
    return reached.model_copy(update={name: SecretStr(url) for name, url in known.items()}), ui


def _need_the_same(settings: Settings, info: dict[str, Any]) -> None:
    """One address that is set and one of the stack would be two installations: a decision about a round would
    go to another one's. Raises CannotShow."""
    if settings.database_url is not None:
        set_, stacks = urlsplit(settings.database_url.get_secret_value()), urlsplit(info["database_url"])
        if (set_.hostname, set_.port, set_.path) != (stacks.hostname, stacks.port, stacks.path):
            raise CannotShow(
                "CROUPIER_DATABASE_URL is not the database of the stack here: name its Temporal too,"
                " with CROUPIER_TEMPORAL_ADDRESS, or neither"
            )
    if settings.temporal_address not in (None, info["temporal_address"]):
        raise CannotShow(
            "CROUPIER_TEMPORAL_ADDRESS is not the Temporal of the stack here: name its database too,"
            " with CROUPIER_DATABASE_URL, or neither"
        )


def with_database(settings: Settings) -> Settings:
    """The settings with the database of the stack that runs here, unless they name one. Without a stack they
    are as they were."""
    info = control.stack_info(Layout(settings.home))
    if settings.database_url is not None or not info:
        return settings
    return settings.model_copy(update={"database_url": SecretStr(info["database_url"])})


@asynccontextmanager
async def database_of(settings: Settings, problem: type[Exception]) -> AsyncIterator[Database]:
    """The database that the settings name, with one connection. What PostgreSQL has against the work is
    raised as `problem`, in one line. Raises Unreachable or SettingsError when it cannot begin."""
    database = await connect_database(settings, connections=1)
    try:
        yield database
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise problem(f"PostgreSQL: {error_line(error)}") from None
    finally:
        await database.close()
