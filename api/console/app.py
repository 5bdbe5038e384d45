"""The console as an application: its pages, its few files, and what it answers when something is wrong."""

from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from api.console.audit import audit_page
from api.console.console import Console
from api.console.forms import FormRefused
from api.console.games import game_page, games_page, switch_game
from api.console.incidents import incidents_page
from api.console.keys import create_key, keys_page, revoke_key
from api.console.live import Live
from api.console.now import now_events, now_page, numbers
from api.console.oidc_sign_in import from_issuer, to_issuer
from api.console.pages import HEADERS, message
from api.console.party import DONE
from api.console.players import find_page, player_page, switch_player
from api.console.round_list import rounds_csv, rounds_page
from api.console.round_page import decide, replay_page, round_page
from api.console.sign_in import home, sign_in, sign_in_page, sign_out
from api.console.webhooks import act_on_webhook, delivery_page, webhook_page, webhooks_page
from api.oidc.issuer import IssuerAway
from api.pages import files
from storage.database import AWAY, NotAdmitted

# By their addresses below /console/files: those of `pages/` that the console's pages load.
FILES: Final = {
    "console.css": "console/console.css",
    "now.js": "console/now.js",
    "tokens.css": "shared/tokens.css",
}
ROUTES: Final = (
    Route("/", home),
    Route("/console", home),
    Route("/console/", home),
    Route("/console/sign-in", sign_in_page, methods=["GET"]),
    Route("/console/sign-in", sign_in, methods=["POST"]),
    Route("/console/sign-in/oidc", to_issuer, methods=["GET"]),
    Route(DONE, from_issuer, methods=["GET"]),
    Route("/console/sign-out", sign_out, methods=["POST"]),
    Route("/console/audit", audit_page),
    Route("/console/games", games_page),
    Route("/console/games/{game_id}", game_page, methods=["GET"]),
    Route("/console/games/{game_id}/switch", switch_game, methods=["POST"]),
    Route("/console/incidents", incidents_page),
    Route("/console/keys", keys_page),
    Route("/console/keys/create", create_key, methods=["POST"]),
    Route("/console/keys/{key_id}/revoke", revoke_key, methods=["POST"]),
    Route("/console/now", now_page),
    Route("/console/now/events", now_events),
    Route("/console/players", find_page),
    Route("/console/players/{player_id}", player_page, methods=["GET"]),
    Route("/console/players/{player_id}/switch", switch_player, methods=["POST"]),
    Route("/console/rounds", rounds_page),
    Route("/console/rounds.csv", rounds_csv),
    Route("/console/rounds/{round_id}", round_page, methods=["GET"]),
    Route("/console/rounds/{round_id}/replay", replay_page),
    Route("/console/rounds/{round_id}/decide", decide, methods=["POST"]),
    Route("/console/webhooks", webhooks_page),
    Route("/console/webhooks/{webhook_id}", webhook_page, methods=["GET"]),
    Route("/console/webhooks/{webhook_id}/act", act_on_webhook, methods=["POST"]),
    Route("/console/webhooks/{webhook_id}/deliveries/{event_id}", delivery_page),
)
BROKEN: Final = (
    "Something went wrong here, and its log says what. Try again; then tell whoever runs the console."
)


def create_app(console: Console) -> Starlette:
    """For browsers. Whoever serves it closes `app.state.live` first, for its streams do not end by
    themselves."""
    found = files.read()
    known = {name: found[path] for name, path in FILES.items()}

    async def file(request: Request) -> Response:
        asked = known.get(request.path_params["name"])
        if asked is None:
            raise HTTPException(404)
        headers = {**HEADERS, "content-security-policy": files.ASSET_CSP, "cache-control": "no-cache"}
        headers["etag"] = asked.etag
        if request.headers.get("if-none-match") == asked.etag:
            return Response(status_code=304, headers=headers)
        return Response(asked.body, headers=headers, media_type=asked.media_type)

    handlers: dict[int | type[Exception], ExceptionHandler] = dict.fromkeys((*AWAY, NotAdmitted), _away)
    handlers |= {IssuerAway: _issuer_away}
    handlers |= {FormRefused: _form_refused, HTTPException: _no_such_page, Exception: _broken}
    app = Starlette(routes=[*ROUTES, Route("/console/files/{name}", file)], exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.console = console
    app.state.live = Live(partial(numbers, console.pool), console.lasting)
    return app


async def _away(request: Request, raised: Exception) -> Response:
    return message("Away", "The database does not answer. Try again soon.", status=503)


async def _issuer_away(request: Request, raised: Exception) -> Response:
    return message("Away", f"Your session has to be renewed. {raised}", status=503)


async def _form_refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, FormRefused)
    return message("Not done", str(refused), status=refused.status)


async def _no_such_page(request: Request, raised: Exception) -> Response:
    assert isinstance(raised, HTTPException)
    if raised.status_code == 405:
        answer = message("Not done", "This address takes no such request.", status=405)
        answer.headers.update(raised.headers or {})
        return answer
    return message("No such page", "There is no page at this address.", status=404)


async def _broken(request: Request, raised: Exception) -> Response:
    return message("Broken", BROKEN, status=500)
