"""The command lines of the embedded services, with what reaches them: psql, temporal and rabbitmqctl.

Passwords and the node's cookie go through the environment and files, never through arguments, which everybody
on the machine can read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from compose import control, postgres, rabbitmq, rabbitmq_programs, temporal
from compose.layout import Layout, read_json
from compose.problems import StackProblem
from runtime.settings import Settings

NOT_UP: Final = "the stack in {home} is not up: start it with ./croupier up"
OUTSIDE: Final = "{service} is one of your own ({setting}): use its own tools there"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program with its first arguments, and the environment that leads it to its service."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


def psql(settings: Settings, *, write: bool = False) -> Tool:
    """For a role that can read and nothing else; with `write` for the owner, who can do everything. Raises
    StackProblem."""
    info = _running(settings)
    if info.get("reader_database_url") is None:
        raise StackProblem(OUTSIDE.format(service="PostgreSQL", setting="CROUPIER_DATABASE_URL"))
    url = urlsplit(info["database_url" if write else "reader_database_url"])
    known = {
        "PGHOST": str(url.hostname),
        "PGPORT": str(url.port),
        "PGUSER": unquote(url.username or ""),
        "PGPASSWORD": unquote(url.password or ""),
        "PGDATABASE": unquote(url.path[1:]),
        "PGAPPNAME": "croupier psql",
        "PGCONNECT_TIMEOUT": "5",
    }
    program = postgres.programs() / "bin" / "psql"
    # What the person has set for a server of theirs would lead elsewhere, or ask for another way in.
    return Tool((str(program),), {**_but("PG"), **known})


def temporal_cli(settings: Settings) -> Tool:
    """For the stack's namespace. Raises StackProblem."""
    info = _running(settings)
    if info.get("temporal_ui") is None:
        raise StackProblem(OUTSIDE.format(service="Temporal", setting="CROUPIER_TEMPORAL_ADDRESS"))
    known = {
        "TEMPORAL_ADDRESS": info["temporal_address"],
        "TEMPORAL_NAMESPACE": info["temporal_namespace"],
        # The person's own profile may name another server.
        "TEMPORAL_DISABLE_CONFIG_FILE": "true",
    }
    if info.get("temporal_codec") is not None:
        known["TEMPORAL_CODEC_ENDPOINT"] = info["temporal_codec"]  # opens what histories have sealed
    return Tool((str(temporal.program()),), {**_but("TEMPORAL_"), **known})


def rabbitmqctl(settings: Settings) -> Tool:
    """For the stack's node, whose cookie lets its owner in. Raises StackProblem."""
    _running(settings)
    layout = Layout(settings.home)
    mapper_port = (read_json(layout.memory_file) or {}).get("rabbitmq_mapper_port")
    if settings.amqp_url is not None or mapper_port is None:
        raise StackProblem(OUTSIDE.format(service="RabbitMQ", setting="CROUPIER_AMQP_URL"))
    programs = rabbitmq_programs.find_or_fetch(lambda _: None)
    node = rabbitmq.node_environment(programs, rabbitmq.folder_of(layout), mapper_port)
    known = {**node, "RABBITMQ_CTL_ERL_ARGS": rabbitmq.ON_LOOPBACK, "TERM": os.environ.get("TERM", "dumb")}
    return Tool(("/bin/sh", str(programs.server.with_name("rabbitmqctl"))), known)


Find = Callable[[Settings], Tool]


def become(tool: Tool, arguments: list[str]) -> None:
    """This process becomes the program: its terminal, signals and exit code are the program's own. Does not
    return."""
    os.execve(tool.argv[0], [*tool.argv, *arguments], dict(tool.environment))  # noqa: S606 - it is ours


def _running(settings: Settings) -> dict[str, Any]:
    info = control.stack_info(Layout(settings.home))
    if info is None:
        raise StackProblem(NOT_UP.format(home=settings.home))
    return info


def _but(prefix: str) -> dict[str, str]:
    """The person's environment, without settings of this tool and without ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith((prefix, "CROUPIER_"))}
