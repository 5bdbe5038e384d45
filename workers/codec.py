"""Opens payloads for Temporal's web interface and tools: the codec server as a program."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import uvicorn

from api.codec.access import Access, Tokens, own_accounts
from api.codec.app import create_app
from runtime.keys import payload_keys
from runtime.listening import is_loopback, open_listener
from runtime.resources import required_secret
from runtime.settings import Settings, SettingsError
from security.payload_reader import PayloadReader
from workers.lifecycle import run, serve_metrics

KEEP_ALIVE_S = 75
GRACE_S = 5
# People's browsers: far more at once is somebody else.
CONNECTIONS_LIMIT = 64


async def codec(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises SettingsError for settings that would let everybody in, or nobody."""
    check(settings)
    payloads = PayloadReader(payload_keys(settings))
    listener = _listen(settings)
    async with _access(settings) as access:
        server = _Server(_config(create_app(payloads, access, settings.codec_origins), settings))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        serve_metrics(settings)
        await stop.wait()
        server.should_exit = True
        await serving


def check(settings: Settings) -> None:
    """Raises SettingsError."""
    for one, other in (
        ("codec_tls_cert", "codec_tls_key"),
        ("codec_oidc_issuer", "codec_oidc_audience"),
    ):
        if (getattr(settings, one) is None) != (getattr(settings, other) is None):
            raise SettingsError(f"settings {one} and {other} come together: give both or none")
    if settings.codec_tls_cert is None and not is_loopback(settings.codec_host):
        raise SettingsError(
            f"codec_host {settings.codec_host} is not loopback, and what is opened would travel in the clear:"
            " set codec_tls_cert and codec_tls_key"
        )
    if settings.codec_path is not None and settings.codec_host != "127.0.0.1":
        raise SettingsError("codec_path lets in without a token: it counts on codec_host 127.0.0.1 alone")
    if not (settings.codec_path or settings.codec_oidc_issuer or settings.database_url):
        raise SettingsError(
            "nobody could have a payload opened: set codec_oidc_issuer for people's tokens, or database_url"
            " for keys of the platform"
        )


@asynccontextmanager
async def _access(settings: Settings) -> AsyncIterator[Access]:
    """Every way in that the settings open, inside the block. Each loads what it needs, so that the codec of
    an embedded stack, which has a path alone, starts with none of it."""
    tokens: list[Tokens] = []
    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            tokens.append(await stack.enter_async_context(_platform_keys(settings)))
        if settings.codec_oidc_issuer is not None:
            tokens.append(await stack.enter_async_context(_people(settings)))
        path = settings.codec_path
        yield Access(
            tuple(tokens),
            path=None if path is None else path.get_secret_value(),
            accounts=own_accounts(),
        )


@asynccontextmanager
async def _people(settings: Settings) -> AsyncIterator[Tokens]:
    from api.codec.oidc import people

    assert settings.codec_oidc_issuer
    assert settings.codec_oidc_audience
    found, client = people(
        settings.codec_oidc_issuer, settings.codec_oidc_audience, settings.codec_oidc_claim
    )
    try:
        yield found
    finally:
        await client.aclose()


@asynccontextmanager
async def _platform_keys(settings: Settings) -> AsyncIterator[Tokens]:
    from api.codec.platform_keys import PlatformKeys
    from api.gateway.rate_limits import Buckets, Rate
    from api.operator.service import OperatorKeys
    from storage.database import open_database

    url = required_secret(settings.database_url, "database_url")
    failures = Rate(per_s=settings.limit_failures_per_s, burst=settings.limit_failures_burst)
    async with AsyncExitStack() as stack:

        async def open_keys() -> OperatorKeys:
            database = await open_database(url, connections=2)
            stack.push_async_callback(database.close)
            return OperatorKeys(database.pool)

        yield PlatformKeys(open_keys, Buckets(failures, "failures"))


def _listen(settings: Settings) -> socket.socket:
    try:
        return open_listener(settings.codec_host, settings.codec_port or 0)
    except OSError as error:
        raise SettingsError(
            f"codec_port {settings.codec_port} of {settings.codec_host} cannot be used: {error.strerror}"
        ) from None


def _config(app: object, settings: Settings) -> uvicorn.Config:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI callable; uvicorn's own type is narrower than ASGI's
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_LIMIT,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=settings.codec_tls_cert,
        ssl_keyfile=settings.codec_tls_key,
    )
    try:
        config.load()
    except OSError as error:  # what is wrong with a certificate is one too
        raise SettingsError(
            f"settings codec_tls_cert and codec_tls_key cannot be used: {error.strerror or error}"
        ) from None
    return config


class _Server(uvicorn.Server):
    """Leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


if __name__ == "__main__":
    run(codec)
