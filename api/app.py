"""The ASGI application: routes, problems and the door, around the services it is given."""

from typing import Final

from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from api import (
    event_routes,
    game_routes,
    intervention_routes,
    key_routes,
    open_routes,
    operator_routes,
    problems,
    sockets,
    webhook_routes,
)
from api.admission import Admission
from api.door import Door
from api.limits import Limits
from api.open_routes import ReadinessChecks
from api.services import Services
from api.sockets import Sockets

ROUTERS: Final = (
    open_routes.router,
    game_routes.router,
    operator_routes.router,
    intervention_routes.router,
    event_routes.router,
    key_routes.router,
    webhook_routes.router,
)
DESCRIPTION: Final = "Casino game rounds as durable workflows. Amounts are integers in minor units."


def create_app(
    services: Services,
    readiness: ReadinessChecks,
    admission: Admission,
    limits: Limits | None = None,
    over_sockets: Sockets | None = None,
) -> Door:
    """The whole API as one ASGI application; without `over_sockets`, over HTTP alone."""
    app = FastAPI(
        title="Croupier",
        version="1",
        description=DESCRIPTION,
        redirect_slashes=False,
        # The pages that FastAPI makes load their scripts from a third party, into a page that is given keys.
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.readiness = readiness
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(sockets.router)
    if over_sockets is not None:
        app.router.routes.append(WebSocketRoute(sockets.PATH, over_sockets))
    problems.install(app)
    return Door(app, admission, limits)
