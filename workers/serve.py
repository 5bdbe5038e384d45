"""The ingress and the round worker in one process, so that a round's answer never leaves it."""

import asyncio
import contextlib
import ipaddress
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

import uvicorn
from temporalio.client import Client

from api.actions import ActionDesk
from api.admission import Admission
from api.app import create_app
from api.bets import BetDesk
from api.connections import SWEEP_S, ConnectionLimits, Connections
from api.door import BODY_LIMIT_BYTES
from api.limits import Limits, Rate
from api.open_routes import ReadinessChecks
from api.queue_ingress import QueueIngress
from api.services import Services
from api.sockets import SocketLimits, Sockets
from contracts.views import RoundView
from events.command_consumer import CommandConsumer
from games.registry import Registry
from runtime import metrics
from runtime.answers import WaitingRoom
from runtime.interventions import Interventions
from runtime.pushes import Pushes
from runtime.resources import Resources, connect_temporal, open_resources, required_secret
from runtime.services import (
    EventFeed,
    GameEvents,
    GameSwitches,
    OperatorKeys,
    Players,
    Rounds,
    Sessions,
)
from runtime.settings import Settings, SettingsError
from runtime.webhooks import Webhooks
from security.seeds import SeedVault
from security.tokens import TokenIssuer, TokenVerifier
from security.webhook_secrets import WebhookVault
from storage.feed import Feed
from wallet.directory import WalletDirectory
from workers import round_worker, wallets
from workers.lifecycle import run, serve_metrics
from workers.socket_protocol import SocketProtocol

# A player thinks for longer than the 5 s that uvicorn would keep an idle connection for.
KEEP_ALIVE_S: Final = 75
# Files that this process needs besides its clients' connections: to the services, logs, libraries.
OTHER_FILES: Final = 256
# How long what is under way may take after the signal to stop.
GRACE_S: Final = 15


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop`: then takes no new requests, answers those it has, and lets the worker finish."""
    registry = Registry.load(settings.games)
    waiting_room = WaitingRoom()

    def deliver(view: RoundView) -> None:
        if view.state.final:
            metrics.ROUNDS_CLOSED.labels(view.game_id, view.state.value).inc()
        waiting_room.deliver(view)
        if view.demo or not view.state.final:  # all other ends have their event
            pushes.round_changed(view)

    async with open_resources(settings) as resources:
        client = await connect_temporal(settings, resources.keyring)
        rounds = Rounds(resources.database)
        pushes = Pushes(required_secret(settings.amqp_url, "amqp_url"), rounds)
        listener = _listen(settings)
        async with (
            wallets.opened(resources) as operators,
            round_worker.running(client, resources, registry, operators, deliver),
        ):
            bets = _bet_desk(settings, client, rounds, waiting_room)
            services = _services(
                settings, resources, client, registry, operators, bets, rounds, pushes, _address(listener)
            )
            admission = Admission(
                max_open_requests=settings.max_open_requests,
                max_open_bets=settings.max_open_bets,
                max_running_bets=settings.max_running_bets,
            )
            sockets = Sockets(services, admission, _socket_limits(settings))
            app = create_app(services, _readiness(resources, client), admission, services.limits, sockets)
            connections = _connections(settings, services.limits)
            pushes.start()
            try:
                async with _commands(settings, QueueIngress(services, admission), stop):
                    await _serve_http(app, listener, settings, connections, stop, sockets.drain)
            finally:
                await pushes.close()


@contextlib.asynccontextmanager
async def _commands(settings: Settings, handler: QueueIngress, stop: asyncio.Event) -> AsyncIterator[None]:
    """Takes commands from the broker inside the block, and until `stop`; leaving it waits for their ends.
    The broker may be away at any time: that neither delays nor ends anything else."""
    if not settings.commands_enabled:
        yield
        return
    consumer = CommandConsumer(
        required_secret(settings.amqp_url, "amqp_url"),
        handler=handler,
        prefetch=settings.commands_prefetch or settings.max_running_bets,
    )
    metrics.COMMANDS_CONNECTED.set_function(lambda: consumer.connected)
    consumer.start()

    async def end_with_the_rest() -> None:
        await stop.wait()
        await consumer.stop(grace_seconds=GRACE_S)

    ending = asyncio.create_task(end_with_the_rest())
    try:
        yield
    finally:
        stop.set()
        await ending


async def _serve_http(
    app: object,
    listener: socket.socket,
    settings: Settings,
    connections: Connections,
    stop: asyncio.Event,
    drain: Callable[[], Awaitable[None]],
) -> None:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI callable; uvicorn's own type is narrower than ASGI's
        loop="none",
        http=connections.protocol,  # type: ignore[arg-type]  # it is called, whatever it is
        # Whose request it is, api/limits.py says: uvicorn would take any local caller's word for it.
        proxy_headers=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ws=SocketProtocol,
        ws_max_size=BODY_LIMIT_BYTES,
        ws_ping_interval=settings.socket_heartbeat_s,
        ws_ping_timeout=settings.socket_heartbeat_s,
        # What is compressed may unfold to far more, and each socket would keep a window for it.
        ws_per_message_deflate=False,
    )
    server = _Server(config, drain)
    ending = asyncio.create_task(_end_with(server, stop))
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn closes WebSockets before what they asked for is answered, so they are ended first."""
        for server in self.servers:
            server.close()
        await self._drain()
        await super().shutdown(sockets)


async def _end_with(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


def _limits(settings: Settings) -> Limits:
    return Limits(
        sessions=Rate(per_s=settings.limit_session_per_s, burst=settings.limit_session_burst),
        keys=Rate(per_s=settings.limit_key_per_s, burst=settings.limit_key_burst),
        addresses=Rate(per_s=settings.limit_address_per_s, burst=settings.limit_address_burst),
        failures=Rate(per_s=settings.limit_failures_per_s, burst=settings.limit_failures_burst),
        trusted_proxies=[ipaddress.ip_network(network) for network in settings.trusted_proxies],
    )


def _connections(settings: Settings, limits: Limits) -> Connections:
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
        limits,
    )


def _listen(settings: Settings) -> socket.socket:
    """Bound before the worker starts, so that a port in use is one clear line and not a round lost."""
    try:
        listener = socket.create_server(
            (settings.http_host, settings.http_port or 0), backlog=1024, reuse_port=False
        )
    except OSError as error:
        raise SettingsError(
            f"http_port {settings.http_port} of {settings.http_host} cannot be used: {error.strerror}"
        ) from None
    listener.setblocking(False)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def _bet_desk(settings: Settings, client: Client, rounds: Rounds, waiting_room: WaitingRoom) -> BetDesk:
    return BetDesk(
        client,
        rounds,
        waiting_room,
        task_queue=settings.task_queue,
        patience_s=settings.client_patience_ms / 1000,
    )


def _socket_limits(settings: Settings) -> SocketLimits:
    return SocketLimits(
        sockets=settings.max_sockets,
        per_session=settings.max_sockets_per_session,
        heartbeat_s=settings.socket_heartbeat_s,
    )


def _services(
    settings: Settings,
    resources: Resources,
    client: Client,
    registry: Registry,
    operators: WalletDirectory,
    bets: BetDesk,
    rounds: Rounds,
    pushes: Pushes,
    base_url: str,
) -> Services:
    pool = resources.database.pool
    return Services(
        games=registry,
        bets=bets,
        actions=ActionDesk(
            client,
            rounds,
            task_queue=settings.task_queue,
            patience_s=settings.client_patience_ms / 1000,
        ),
        sessions=Sessions(
            pool,
            SeedVault(resources.keyring),
            TokenIssuer(resources.keyring),
            lifetime_s=settings.session_lifetime_s,
        ),
        players=Players(pool, operators),
        switches=GameSwitches(pool),
        rounds=rounds,
        pushes=pushes,
        interventions=Interventions(client, resources.database, task_queue=settings.task_queue),
        feed=EventFeed(pool),
        game_events=GameEvents(pool),
        webhooks=Webhooks(pool, Feed(pool), WebhookVault(resources.keyring), local=settings.webhooks_local),
        operator_keys=OperatorKeys(pool),
        tokens=TokenVerifier(resources.keyring, time.time),
        game_client_url=settings.game_client_url or f"{base_url}/play",
        limits=_limits(settings),
    )


def _readiness(resources: Resources, client: Client) -> ReadinessChecks:
    async def broker() -> None:
        if not resources.publisher.connected:
            raise ConnectionError("the publisher has no channel")

    async def database() -> None:
        await resources.database.pool.fetchval("SELECT 1")

    async def temporal() -> None:
        await client.service_client.check_health()

    return {"database": database, "broker": broker, "temporal": temporal}


if __name__ == "__main__":
    run(serve)
