"""Shows operators their rounds, and lets them decide: the console as a program."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from temporalio.client import Client

from api.console.app import create_app
from api.console.console import Console
from api.console.operator_api import OperatorApi
from api.console.party import Party
from api.console.sessions import Sessions
from api.gateway.rate_limits import Buckets, Rate
from overview.rounds import Rounds, Sources
from runtime.keys import PayloadKeys, payload_keys
from runtime.listening import is_every_address, url_host
from runtime.services import connect_database
from runtime.settings import Settings, SettingsError
from runtime.temporal import connect_temporal
from workers.https_server import Place
from workers.issuers import check_issuer, opened_issuer, tokens_of
from workers.lifecycle import run, serve_metrics

DATABASE = "console_database_url"
DATABASE_CONNECTIONS = 8
# People's browsers: far more at once is somebody else.
CONNECTIONS_LIMIT = 256


async def console(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises SettingsError, and Unreachable when the database does not answer."""
    api_url = check(settings)
    place = Place.of(settings, "console")
    listener = place.listen()
    async with _party(settings, listener) as party, _console(settings, api_url, party) as made:
        app = create_app(made)
        server = place.server(app, connections=CONNECTIONS_LIMIT)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        serve_metrics(settings)
        await stop.wait()
        await app.state.live.close()
        server.should_exit = True
        await serving


def check(settings: Settings) -> str:
    """Returns where the API is. Raises SettingsError."""
    Place.of(settings, "console").check("keys")
    if settings.console_oidc_client_id is not None and check_issuer(settings) is None:
        raise SettingsError("setting console_oidc_client_id is of an issuer: set oidc_issuer too")
    if settings.console_api_url is None:
        raise SettingsError(
            "setting console_api_url (CROUPIER_CONSOLE_API_URL) is missing: ./croupier up sets it"
        )
    return settings.console_api_url


@asynccontextmanager
async def _console(settings: Settings, api_url: str, party: Party | None) -> AsyncIterator[Console]:
    keys = PayloadKeys(payload_keys(settings))
    clients: list[Client] = []

    async def connect() -> Client:
        """When the first round is looked at: the console is of use while Temporal is away."""
        if not clients:
            clients.append(await connect_temporal(settings, keys))
        return clients[0]

    database = await connect_database(settings, connections=DATABASE_CONNECTIONS, setting=DATABASE)
    failures = Rate(per_s=settings.limit_failures_per_s, burst=settings.limit_failures_burst)
    try:
        async with httpx.AsyncClient(base_url=api_url, trust_env=False) as http:
            yield Console(
                database.pool,
                Rounds(Sources(database.pool, connect)),
                OperatorApi(http),
                Sessions(),
                Buckets(failures, "failures"),
                settings.console_temporal_ui,
                party,
            )
    finally:
        await database.close()


@asynccontextmanager
async def _party(settings: Settings, listener: socket.socket) -> AsyncIterator[Party | None]:
    """What people of the issuer sign in by, inside the block; None where none is set."""
    if settings.oidc_issuer is None or settings.console_oidc_client_id is None:
        yield None
        return
    secret = settings.console_oidc_client_secret
    async with opened_issuer(settings.oidc_issuer) as (issuer, client):
        yield Party(
            issuer,
            client,
            tokens_of(issuer, settings),
            client_id=settings.console_oidc_client_id,
            secret=None if secret is None else secret.get_secret_value(),
            scopes=settings.console_oidc_scopes,
            origin=settings.console_url or _origin(settings, listener),
        )


def _origin(settings: Settings, listener: socket.socket) -> str:
    """As browsers have it that call the console by the address on which it listens. Raises SettingsError."""
    if is_every_address(settings.console_host):
        raise SettingsError(
            "setting console_url (CROUPIER_CONSOLE_URL) is missing: the issuer leads browsers back there"
        )
    scheme = "http" if settings.console_tls_cert is None else "https"
    return f"{scheme}://{url_host(settings.console_host)}:{listener.getsockname()[1]}"


if __name__ == "__main__":
    run(console)
