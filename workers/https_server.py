"""How the programs that browsers reach by themselves listen: with a certificate, or on loopback alone."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from api.gateway.connections import SWEEP_S, ConnectionLimits, Connections
from api.gateway.rate_limits import RateLimits
from runtime.listening import is_loopback, open_listener
from runtime.settings import Settings, SettingsError

KEEP_ALIVE_S: Final = 75
GRACE_S: Final = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program listens. Its settings begin with `prefix`."""

    prefix: str
    host: str
    port: int | None
    cert: Path | None
    key: Path | None
    settings: Settings

    @classmethod
    def of(cls, settings: Settings, prefix: str) -> "Place":
        host, port, cert, key = (
            getattr(settings, f"{prefix}_{name}") for name in ("host", "port", "tls_cert", "tls_key")
        )
        return cls(prefix, host, port, cert, key, settings)

    def check(self, what: str) -> None:
        """`what` would travel in the clear. Raises SettingsError."""
        prefix = self.prefix
        if (self.cert is None) != (self.key is None):
            raise SettingsError(
                f"settings {prefix}_tls_cert and {prefix}_tls_key come together: give both or none"
            )
        if self.cert is None and not is_loopback(self.host):
            raise SettingsError(
                f"{prefix}_host {self.host} is not loopback, and {what} would travel in the clear:"
                f" set {prefix}_tls_cert and {prefix}_tls_key"
            )

    def listen(self) -> socket.socket:
        """Raises SettingsError."""
        try:
            return open_listener(self.host, self.port or 0)
        except OSError as error:
            raise SettingsError(
                f"{self.prefix}_port {self.port} of {self.host} cannot be used: {error.strerror}"
            ) from None

    def server(self, app: object, *, connections: int) -> uvicorn.Server:
        """Serves the application to at most so many connections, half of them of one address; a request must
        arrive in the ingress's times. Raises SettingsError."""
        settings = self.settings
        limits = ConnectionLimits(
            total=connections,
            per_address=connections // 2,
            head_s=settings.request_head_timeout_s,
            body_s=settings.request_body_timeout_s,
            tick_s=min(SWEEP_S, settings.request_head_timeout_s / 4),
        )
        proxies = tuple(ipaddress.ip_network(proxy) for proxy in settings.trusted_proxies)
        guarded = Connections(limits, RateLimits(trusted_proxies=proxies))
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]  # an ASGI callable; uvicorn's own type is narrower than ASGI's
            loop="none",
            http=guarded.protocol,  # type: ignore[arg-type]  # it is called, whatever it is
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=self.cert,
            ssl_keyfile=self.key,
        )
        try:
            config.load()
        except OSError as error:  # what is wrong with a certificate is one too
            raise SettingsError(
                f"settings {self.prefix}_tls_cert and {self.prefix}_tls_key cannot be used:"
                f" {error.strerror or error}"
            ) from None
        return _Server(config, guarded)


class _Server(uvicorn.Server):
    """Leaves the signals to the program, and watches its connections."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        watching = asyncio.create_task(self._connections.watch())
        try:
            await super().serve(sockets=sockets)
        finally:
            watching.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
