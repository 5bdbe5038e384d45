"""Shows operators their rounds, and lets them decide: the console as a program."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from temporalio.client import Client

from api.console.app import create_app
from api.console.console import Console
from api.console.operator_api import OperatorApi
from api.console.sessions import Sessions
from api.gateway.rate_limits import Buckets, Rate
from overview.rounds import Rounds, Sources
from runtime.keys import PayloadKeys, payload_keys
from runtime.resources import connect_database, connect_temporal
from runtime.settings import Settings, SettingsError
from workers.https_server import Place
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
    async with _console(settings, api_url) as made:
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
    if settings.console_api_url is None:
        raise SettingsError(
            "setting console_api_url (CROUPIER_CONSOLE_API_URL) is missing: ./croupier up sets it"
        )
    return settings.console_api_url


@asynccontextmanager
async def _console(settings: Settings, api_url: str) -> AsyncIterator[Console]:
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
            )
    finally:
        await database.close()


if __name__ == "__main__":
    run(console)
