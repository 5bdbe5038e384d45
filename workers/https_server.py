"""How the programs that browsers reach by themselves listen: with a certificate, or on loopback alone."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

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

    @classmethod
    def of(cls, settings: Settings, prefix: str) -> "Place":
        names = ("host", "port", "tls_cert", "tls_key")
        return cls(prefix, *(getattr(settings, f"{prefix}_{name}") for name in names))

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
        """Serves the application to at most so many connections. Raises SettingsError."""
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]  # an ASGI callable; uvicorn's own type is narrower than ASGI's
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=connections,
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
        return _Server(config)


class _Server(uvicorn.Server):
    """Leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
