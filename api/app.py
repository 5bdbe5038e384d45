"""The ASGI application: routes, problems and the edge middleware, around the services it is given."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp

from api.bet import routes as bet
from api.event import routes as event
from api.game import routes as game
from api.gateway import asyncapi, health, http_metrics, problems
from api.gateway.admission import Admission
from api.gateway.cross_origin import CrossOrigin, Preflights
from api.gateway.head import HeadAsGet
from api.gateway.health import ReadinessChecks
from api.gateway.middleware import EdgeMiddleware
from api.gateway.openapi import DESCRIPTION, TAGS, DescribedAPI, operation_id
from api.gateway.rate_limits import RateLimits
from api.operator import key_routes, switch_routes
from api.pages import files as page_files
from api.pages import lobby
from api.pages import routes as pages
from api.platform import routes as platform
from api.result import intervention_routes
from api.result import operator_routes as operator_result
from api.result import routes as result
from api.services import Services
from api.session import operator_routes as operator_session
from api.session import routes as session
from api.transports.websocket import server as websocket
from api.transports.websocket.server import SocketServer
from api.wallet import operator_routes as operator_wallet
from api.wallet import routes as wallet
from api.webhook import routes as webhook

ROUTERS: Final = tuple(
    part.router
    for part in (
        *(health, game, session, operator_session, bet, result, operator_result, intervention_routes),
        *(wallet, operator_wallet, event, webhook, switch_routes, key_routes, platform, websocket, asyncapi),
        *(pages, lobby),
    )
)


def create_app(
    services: Services,
    readiness: ReadinessChecks,
    admission: Admission,
    limits: RateLimits | None = None,
    over_sockets: SocketServer | None = None,
    origins: Sequence[str] = (),
) -> ASGIApp:
    """The whole API as one ASGI application; without `over_sockets`, over HTTP alone. Pages of `origins` may
    call what games call."""
    app = routed()
    http_metrics.know(app)
    app.state.services = services
    app.state.readiness = readiness
    app.state.admission = admission
    app.state.pages = page_files.read()
    if over_sockets is not None:
        app.router.routes.append(WebSocketRoute(websocket.PATH, over_sockets))
    edge = EdgeMiddleware(HeadAsGet(Preflights(app, origins)), admission, limits)
    return CrossOrigin(edge, origins)


def described() -> dict[str, Any]:
    """The document at /openapi.json, without anything that could serve it."""
    return routed().openapi()


def routed() -> DescribedAPI:
    """The routes, without what is around them."""
    app = DescribedAPI(
        title="Croupier",
        version="1",
        description=DESCRIPTION,
        openapi_tags=[*TAGS],
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        # The pages that FastAPI makes load their scripts from a third party, into a page that is given keys.
        docs_url=None,
        redoc_url=None,
        # Its own spans have paths and what was wrong with a body. Ours are in runtime/traces.py.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    return app
