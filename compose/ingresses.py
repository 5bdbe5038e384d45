"""Several ingress processes behind one port: the socket that they share, and for each its part of the limits.

The supervisor opens the socket and hands it down. Whichever process is free accepts the next connection; when
one ends, what waits in the socket waits for the others, and is not reset.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Final

from compose.layout import Memory
from compose.problems import StackProblem
from compose.programs import OwnProgram
from runtime.listening import is_loopback, open_listener, url_host
from runtime.settings import PREFIX, Settings

FIRST: Final = "ingress"
MODULE: Final = "workers.serve"
LOBBY_KEY: Final = f"{PREFIX}LOBBY_KEY"
# What all of them may serve together, and each a part of. Of what is counted, each has 1 at least.
COUNTS: Final = (
    *("max_open_requests", "max_open_bets", "max_running_bets", "commands_prefetch"),
    *("max_sockets", "max_sockets_per_session", "max_connections", "max_connections_per_address"),
    *("limit_session_burst", "limit_key_burst", "limit_address_burst", "limit_failures_burst"),
)
RATES: Final = ("limit_session_per_s", "limit_key_per_s", "limit_address_per_s", "limit_failures_per_s")

# The settings of one process, as variables, by its name: with a metrics port of its own.
Variables = Callable[[str], dict[str, str]]


def names(count: int) -> list[str]:
    """The first has the name that it has alone."""
    return [FIRST, *(f"{FIRST}-{number}" for number in range(2, count + 1))]


def share(settings: Settings, port: int) -> socket.socket:
    """The socket, which listens until it is closed here and in every process. Raises StackProblem."""
    try:
        return open_listener(settings.http_host, port)
    except OSError as error:
        raise StackProblem(f"port {port} of {settings.http_host} cannot be used: {error.strerror}") from None


def programs(
    count: int, listener: socket.socket, settings: Settings, variables: Variables
) -> Iterator[OwnProgram]:
    """The processes. Each says on its metrics port that it is ready: behind the other any of them answers."""
    descriptor = listener.fileno()
    for number, name in enumerate(names(count)):
        own = variables(name) | part(settings, number, count) | {f"{PREFIX}HTTP_FD": str(descriptor)}
        yield OwnProgram(
            name=name, module=MODULE, ready_url=metrics_url(own), settings=own, pass_fds=(descriptor,)
        )


def part(settings: Settings, number: int, count: int) -> dict[str, str]:
    """The limits of process `number` (from 0) of `count`, as variables: together they make what is set."""
    counts = {
        name: max(value // count + (number < value % count), 1)
        for name in COUNTS
        if (value := getattr(settings, name)) is not None
    }
    rates = {name: getattr(settings, name) / count for name in RATES}
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in (counts | rates).items()}


def lobby(settings: Settings, memory: Memory) -> dict[str, str]:
    """What opens the lobby, as a variable: a key that is made once, and kept as passwords are. Nothing where
    others than this machine reach the ingress."""
    if settings.lobby_key is not None:
        return {LOBBY_KEY: settings.lobby_key.get_secret_value()}
    return {LOBBY_KEY: memory.secret("lobby_key")} if is_loopback(settings.http_host) else {}


def lobby_url(base_url: str, variables: dict[str, str]) -> dict[str, str]:
    """Where a browser opens it, for stack.json. The key is in the fragment, which no server sees."""
    key = variables.get(LOBBY_KEY)
    return {} if key is None else {"lobby_url": f"{base_url}/lobby#key={key}"}


def metrics_url(variables: dict[str, str]) -> str:
    """Where a program of ours with these settings serves its metrics."""
    host = url_host(variables[f"{PREFIX}METRICS_HOST"])
    return f"http://{host}:{variables[f'{PREFIX}METRICS_PORT']}/metrics"
