"""The ASGI application: routes, problems and the door, around the services it is given."""

from typing import Any, Final

from starlette.routing import WebSocketRoute

from api import (
    asyncapi,
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
from api.openapi import DESCRIPTION, TAGS, DescribedAPI, operation_id
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


def create_app(
    services: Services,
    readiness: ReadinessChecks,
    admission: Admission,
    limits: Limits | None = None,
    over_sockets: Sockets | None = None,
) -> Door:
    """The whole API as one ASGI application; without `over_sockets`, over HTTP alone."""
    app = _routes()
    app.state.services = services
    app.state.readiness = readiness
    if over_sockets is not None:
        app.router.routes.append(WebSocketRoute(sockets.PATH, over_sockets))
    return Door(app, admission, limits)


def described() -> dict[str, Any]:
    """The document at /openapi.json, without anything that could serve it."""
    return _routes().openapi()


def _routes() -> DescribedAPI:
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
    )
    for router in (*ROUTERS, sockets.router, asyncapi.router):
        app.include_router(router)
    problems.install(app)
    return app
