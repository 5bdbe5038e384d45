"""The ingress's HTTP server: its socket, its connections, and how it stops."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import uvicorn

from api.gateway.connections import SWEEP_S, ConnectionLimits, Connections
from api.gateway.rate_limits import RateLimits
from api.transports.websocket.protocol import FRAME_LIMIT_BYTES, SocketProtocol
from api.transports.websocket.server import DRAIN_S
from runtime.listening import open_listener
from runtime.settings import Settings, SettingsError
from workers.lifecycle import serve_metrics

# A player thinks for longer than the 5 s that uvicorn would keep an idle connection for.
KEEP_ALIVE_S: Final = 75
# Files that this process needs besides its clients' connections: to the services, logs, libraries.
OTHER_FILES: Final = 256
# How long requests under way may take after the signal to stop.
GRACE_S: Final = 15


async def serve_http(
    app: object,
    listener: socket.socket,
    settings: Settings,
    rates: RateLimits,
    stop: asyncio.Event,
    drain: Callable[[], Awaitable[None]],
) -> None:
    """Answers until `stop`, and for the drain delay after it; each connection ends with its next answer then.
    Requests under way may take GRACE_S seconds more; `drain` ends the sockets. The listener closes last, but
    at once where it is shared: then other processes take what comes, and what waits in it."""
    connections = _connections(settings, rates)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI callable; uvicorn's own type is narrower than ASGI's
        loop="none",
        http=connections.protocol,  # type: ignore[arg-type]  # it is called, whatever it is
        # gateway/rate_limits.py says whose request it is: uvicorn would take any local caller's word for it.
        proxy_headers=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S - int(DRAIN_S),
        ws=SocketProtocol,
        ws_max_size=FRAME_LIMIT_BYTES,
        ws_ping_interval=settings.socket_heartbeat_s,
        ws_ping_timeout=settings.socket_heartbeat_s,
        # A compressed message may unfold to far more, and each socket would keep a window for it.
        ws_per_message_deflate=False,
    )
    server = _Server(config, drain)
    ending = asyncio.create_task(_leave(server, connections, settings, stop))
    watching = asyncio.create_task(connections.watch())
    serve_metrics(settings)
    try:
        await server.serve(sockets=[listener])
    finally:
        ending.cancel()
        watching.cancel()
        listener.close()


class _Server(uvicorn.Server):
    """Leaves the signals to the program, which has more to end than its connections."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def close_listener(self) -> None:
        """Accepts nothing more."""
        for server in self.servers:
            server.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the WebSockets first: uvicorn would close them before their calls are answered. Who comes
        while they and the requests under way end is still served."""
        await asyncio.gather(self._drain(), _ended(set(self.server_state.tasks)))
        self.close_listener()
        await super().shutdown(sockets)


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    """Returns when all have ended, or after DRAIN_S seconds."""
    if tasks:
        await asyncio.wait(tasks, timeout=DRAIN_S)


async def _leave(server: _Server, connections: Connections, settings: Settings, stop: asyncio.Event) -> None:
    await stop.wait()
    connections.drain()
    if settings.http_fd is not None and server.started:
        server.close_listener()
    await asyncio.sleep(settings.drain_delay_s)
    server.should_exit = True


def _connections(settings: Settings, rates: RateLimits) -> Connections:
    """As many as the settings say, if the system lets this process have so many files."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + OTHER_FILES
    if files != resource.RLIM_INFINITY and files < wanted:
        files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    room = wanted if files == resource.RLIM_INFINITY else files
    return Connections(
        ConnectionLimits(
            total=min(settings.max_connections, max(room - OTHER_FILES, 1)),
            per_address=settings.max_connections_per_address,
            head_s=settings.request_head_timeout_s,
            body_s=settings.request_body_timeout_s,
            tick_s=min(SWEEP_S, settings.request_head_timeout_s / 4),
        ),
        rates,
    )


def listen(settings: Settings) -> socket.socket:
    """Bound before the worker starts, so that a port in use is one clear line and not a round lost."""
    if settings.http_fd is not None:
        return _handed_down(settings.http_fd)
    try:
        listener = open_listener(settings.http_host, settings.http_port or 0)
    except OSError as error:
        raise SettingsError(
            f"http_port {settings.http_port} of {settings.http_host} cannot be used: {error.strerror}"
        ) from None
    listener.setblocking(False)
    return listener


def _handed_down(descriptor: int) -> socket.socket:
    """A socket that whoever started this process has opened, and keeps."""
    try:
        listener = socket.socket(fileno=descriptor)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SettingsError(f"http_fd {descriptor} is no socket: {error.strerror}") from None
    if not listens:
        listener.close()
        raise SettingsError(f"http_fd {descriptor} is a socket that does not listen")
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener
