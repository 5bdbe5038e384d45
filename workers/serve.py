"""The ingress and the round worker in one process, so that a round's answer never leaves it."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import time
from collections.abc import AsyncIterator

from starlette.types import ASGIApp
from temporalio.client import Client

from api.app import create_app
from api.bet.actions import ActionService
from api.bet.elsewhere import Elsewhere
from api.bet.result_waiter import ResultWaiter
from api.bet.service import BetService
from api.event.service import EventFeed, GameEvents
from api.gateway.admission import Admission
from api.gateway.health import CHECK_TIMEOUT_S, ReadinessChecks
from api.gateway.problems import PROBLEMS
from api.gateway.rate_limits import Rate, RateLimits
from api.operator.people import People
from api.operator.service import OperatorKeys, Switches
from api.pages.demo_sessions import DemoSessions
from api.platform.service import Operators
from api.result.interventions import Interventions
from api.result.pushes import Pushes
from api.result.replay import Replays
from api.result.service import ResultService
from api.services import Services
from api.session.service import SessionService
from api.transports.queue.ingress import QueueIngress
from api.transports.websocket.server import SocketLimits, SocketServer
from api.wallet.service import WalletService
from api.webhook.service import WebhookService
from contracts.views import RoundView
from events.command_consumer import CommandConsumer
from games.registry import Registry
from hosting.health import GameHealth
from runtime import games, metrics
from runtime.addresses import origin_of
from runtime.listening import is_every_address, url_host
from runtime.past_rounds import PastRounds
from runtime.provision import DEMO_OPERATOR
from runtime.recovery import until_open
from runtime.resources import Resources, open_resources
from runtime.round_start import RoundStart
from runtime.round_workflows import RoundWorkflows
from runtime.services import required_secret
from runtime.settings import Settings
from runtime.temporal import connect_temporal
from runtime.webhook_workflows import WebhookTests
from security.seeds import SeedVault
from security.tokens import TokenIssuer, TokenVerifier
from security.webhook_secrets import WebhookVault
from storage.feed import Feed
from wallet.directory import WalletDirectory
from workers import round_worker, wallets
from workers.http_server import GRACE_S, listen, serve_http
from workers.issuers import access_tokens
from workers.known_operators import known
from workers.lifecycle import run

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop`: then is not ready, answers what it has and what still comes (http_server.py says
    for how long), and lets the worker finish."""
    health = GameHealth(round_worker.GameMetrics())
    waiter = ResultWaiter()

    def deliver(view: RoundView) -> None:
        if view.state.final:
            closed.count(view.key.operator_id, view.game_id, view.state.value)
        waiter.deliver(view)
        if view.demo or not view.state.final:  # all other ends have their event
            pushes.round_changed(view)

    async with games.opened(settings, health) as registry, open_resources(settings, plays=True) as resources:
        closed = _at_zero(registry)
        await games.name_missing(resources.database.pool, registry)
        client = await connect_temporal(settings, resources.keyring)
        await until_open(resources.database.pool, PastRounds(client))
        begins = RoundStart(client, resources.keyring, resources.database.pool)
        workflows = RoundWorkflows(client, task_queue=settings.task_queue, begins=begins)
        results = ResultService(resources.database, workflows)
        pushes = Pushes(required_secret(settings.amqp_url, "amqp_url"), results)
        listener = listen(settings)
        async with (
            begins.kept_fresh(),
            wallets.opened(resources) as operators,
            known(resources.database.pool, settings.metrics_operators, operators.wallets),
            round_worker.running(client, resources, registry, operators, deliver, health, waiter.left),
            access_tokens(settings) as tokens,
        ):
            services = _services(
                resources,
                registry,
                operators,
                workflows,
                results,
                waiter,
                pushes,
                WebhookTests(client),
                _game_client_url(settings, listener),
                None if tokens is None else People(resources.database.pool, tokens),
            )
            admission = Admission(
                max_open_requests=settings.max_open_requests,
                max_open_bets=settings.max_open_bets,
                max_running_bets=settings.max_running_bets,
                max_commands=settings.commands_prefetch,
            )
            sockets = SocketServer(services, admission, _socket_limits(settings))
            readiness = _readiness(resources, client, stop)
            origins = settings.game_client_origins or (origin_of(services.game_client_url),)
            app = create_app(services, readiness, admission, services.limits, sockets, origins)
            traced = _traced(app, settings)
            commands = _commands(settings, QueueIngress(services, admission), admission.commands.limit, stop)
            async with _followed(pushes), commands:
                await serve_http(traced, listener, settings, services.limits, stop, sockets.drain)


def _at_zero(registry: Registry) -> metrics.RoundsClosed:
    """Makes the series that this program counts in."""
    metrics.of_an_ingress(PROBLEMS)
    for game in registry:
        metrics.GAME_FAILURES.labels(game.id)
        metrics.GAME_HEALTHY.labels(game.id, game.version).set(1)
    return metrics.RoundsClosed(game.id for game in registry)


@contextlib.asynccontextmanager
async def _followed(pushes: Pushes) -> AsyncIterator[None]:
    """Sockets hear of what happens elsewhere inside the block."""
    pushes.start()
    try:
        yield
    finally:
        await pushes.close()


@contextlib.asynccontextmanager
async def _commands(
    settings: Settings, handler: QueueIngress, prefetch: int, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Takes commands from the broker inside the block, and until `stop`; leaving it waits for their ends.
    The broker may be away at any time: that neither delays nor ends anything else."""
    if not settings.commands_enabled:
        yield
        return
    consumer = CommandConsumer(
        required_secret(settings.amqp_url, "amqp_url"),
        handler=handler,
        prefetch=prefetch,
    )
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


def _traced(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The same where nobody wants traces."""
    if settings.traces_endpoint is None:
        return app
    from runtime.traces import TracedApp

    return TracedApp(app)


def _rate_limits(settings: Settings) -> RateLimits:
    return RateLimits(
        sessions=Rate(per_s=settings.limit_session_per_s, burst=settings.limit_session_burst),
        keys=Rate(per_s=settings.limit_key_per_s, burst=settings.limit_key_burst),
        addresses=Rate(per_s=settings.limit_address_per_s, burst=settings.limit_address_burst),
        failures=Rate(per_s=settings.limit_failures_per_s, burst=settings.limit_failures_burst),
        trusted_proxies=[ipaddress.ip_network(network) for network in settings.trusted_proxies],
    )


def _game_client_url(settings: Settings, listener: socket.socket) -> str:
    """Where launch URLs point: as is set, or to the ingress itself, as this machine reaches it."""
    if settings.game_client_url:
        return settings.game_client_url
    if is_every_address(settings.http_host):
        log.warning("game_client_url is not set: launch URLs lead to this machine's own address alone")
    return f"http://{url_host(settings.http_host)}:{listener.getsockname()[1]}/play"


def _demo_sessions(settings: Settings, sessions: SessionService) -> DemoSessions | None:
    """Of the demo operator, where a lobby is wanted."""
    if settings.lobby_key is None:
        return None
    return DemoSessions(sessions, operator_id=DEMO_OPERATOR, key=settings.lobby_key.get_secret_value())


def _socket_limits(settings: Settings) -> SocketLimits:
    return SocketLimits(
        sockets=settings.max_sockets,
        per_session=settings.max_sockets_per_session,
        heartbeat_s=settings.socket_heartbeat_s,
    )


def _services(
    resources: Resources,
    registry: Registry,
    operators: WalletDirectory,
    workflows: RoundWorkflows,
    results: ResultService,
    waiter: ResultWaiter,
    pushes: Pushes,
    webhook_tests: WebhookTests,
    game_client_url: str,
    people: People | None,
) -> Services:
    settings, pool, keyring = resources.settings, resources.database.pool, resources.keyring
    patience_s = settings.client_patience_ms / 1000
    issuer = TokenIssuer(keyring)
    vault = WebhookVault(keyring)
    elsewhere = Elsewhere(workflows, results, waiter, pushes)
    seeds = SeedVault(keyring)
    sessions = SessionService(pool, seeds, issuer, lifetime_s=settings.session_lifetime_s)
    return Services(
        games=registry,
        bets=BetService(workflows, results, waiter, elsewhere, patience_s=patience_s),
        actions=ActionService(workflows, results, waiter, registry, patience_s=patience_s),
        sessions=sessions,
        wallet=WalletService(pool, operators),
        results=results,
        replays=Replays(registry, seeds),
        interventions=Interventions(workflows, resources.database),
        feed=EventFeed(pool),
        game_events=GameEvents(pool),
        webhooks=WebhookService(pool, Feed(pool), vault, local=settings.webhooks_local),
        webhook_tests=webhook_tests,
        switches=Switches(pool),
        operator_keys=OperatorKeys(pool),
        operators=Operators(pool),
        pushes=pushes,
        tokens=TokenVerifier(keyring, time.time),
        game_client_url=game_client_url,
        frame_origins=settings.frame_origins,
        demo_sessions=_demo_sessions(settings, sessions),
        people=people,
        limits=_rate_limits(settings),
    )


def _readiness(resources: Resources, client: Client, stop: asyncio.Event) -> ReadinessChecks:
    async def draining() -> None:
        if stop.is_set():
            raise InterruptedError

    async def broker() -> None:
        # A process that has just started is not degraded before it has tried. Whoever probes a process that
        # is degraded gets its answer well within a second.
        await resources.publisher.established(timeout_seconds=CHECK_TIMEOUT_S / 2)

    async def database() -> None:
        await resources.database.pool.fetchval("SELECT 1")

    async def temporal() -> None:
        await client.service_client.check_health()

    return {"database": database, "broker": broker, "temporal": temporal, "draining": draining}


if __name__ == "__main__":
    run(serve)
