"""Opens payloads for Temporal's web interface and tools: the codec server as a program."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from api.codec.access import Access, Tokens, own_accounts
from api.codec.app import create_app
from runtime.keys import payload_keys
from runtime.services import required_secret
from runtime.settings import Settings, SettingsError
from security.payload_reader import PayloadReader
from workers.https_server import Place
from workers.lifecycle import run, serve_metrics

# People's browsers: far more at once is somebody else.
CONNECTIONS_LIMIT = 64


async def codec(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises SettingsError for settings that would let everybody in, or nobody."""
    check(settings)
    payloads = PayloadReader(payload_keys(settings))
    place = Place.of(settings, "codec")
    listener = place.listen()
    async with _access(settings) as access:
        app = create_app(payloads, access, settings.codec_origins)
        server = place.server(app, connections=CONNECTIONS_LIMIT)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        serve_metrics(settings)
        await stop.wait()
        server.should_exit = True
        await serving


def check(settings: Settings) -> None:
    """Raises SettingsError."""
    Place.of(settings, "codec").check("what is opened")
    if (settings.codec_oidc_issuer is None) != (settings.codec_oidc_audience is None):
        raise SettingsError(
            "settings codec_oidc_issuer and codec_oidc_audience come together: give both or none"
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
    from api.codec.people import People
    from workers.issuers import opened_issuer

    assert settings.codec_oidc_issuer
    assert settings.codec_oidc_audience
    async with opened_issuer(settings.codec_oidc_issuer) as (issuer, _):
        yield People(issuer, audience=settings.codec_oidc_audience, claim=settings.codec_oidc_claim)


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


if __name__ == "__main__":
    run(codec)
