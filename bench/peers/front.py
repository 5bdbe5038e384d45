"""The HTTP front of the peers: bare ASGI on the product's HTTP server, with nothing that is not needed.

It verifies the session token and the wager as the product does. It has no framework, no request models and
no metrics, so a peer's front costs less than the product's.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final
from uuid import uuid4

import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from bench.peers.steps import Closed
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.sessions import SessionClaims
from games.checks import check_wager
from games.protocol import Wager, WagerRefused
from games.registry import Registry
from runtime.resources import Resources
from runtime.settings import Settings, SettingsError
from security.tokens import TokenExpired, TokenInvalid, TokenVerifier

BODY_LIMIT: Final = 16_384

Play = Callable[[Bet], Awaitable[Closed]]


class Refused(Exception):
    """A request that starts no round, with the status to answer."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Bets:
    """Reads requests as bets."""

    def __init__(self, registry: Registry, verifier: TokenVerifier) -> None:
        self._registry = registry
        self._verifier = verifier

    @classmethod
    def of(cls, resources: Resources, registry: Registry) -> "Bets":
        return cls(registry, TokenVerifier(resources.keyring, time.time))

    def claims(self, authorization: str) -> SessionClaims:
        """Raises Refused, or TokenExpired for a genuine token whose time is over."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(401, "unauthenticated")
        try:
            return self._verifier.verify(token)
        except TokenInvalid:
            raise Refused(401, "unauthenticated") from None

    def bet(self, claims: SessionClaims, body: Any, request_id: str) -> Bet:
        """Raises Refused."""
        if not isinstance(body, dict) or type(body.get("round_id")) is not str:
            raise Refused(400, "invalid")
        game = self._registry.get(claims.game_id)
        wager = Wager(stake=body.get("stake", 0), mode="base", choice=body.get("choice"))
        try:
            check_wager(game, wager)
        except WagerRefused as refused:
            raise Refused(422, refused.code) from None
        return Bet(
            key=RoundKey(
                operator_id=claims.operator_id, player_key=claims.player_key, round_id=body["round_id"]
            ),
            player_id=claims.player_id,
            account_id=claims.account_id,
            session_id=claims.session_id,
            game_id=game.id,
            game_version=game.version,
            currency=claims.currency,
            stake=wager.stake,
            mode=wager.mode,
            choice=wager.choice,
            request_id=request_id,
        )


def answer(closed: Closed) -> dict[str, Any]:
    """The part of the product's answer that the benchmark and its tests read. Raises Refused for a round
    that was declined."""
    if closed.state is RoundState.DECLINED:
        raise Refused(409, closed.failure_code or "invalid")
    currency = closed.currency
    return {
        "round_id": closed.round_id,
        "state": closed.state.value,
        "win": {"amount": closed.win, "currency": currency},
        "balance": None if closed.balance is None else {"amount": closed.balance, "currency": currency},
        "outcome": closed.outcome,
    }


class Front:
    """The ASGI application: POST /v1/game/rounds and GET /readyz."""

    def __init__(self, bets: Bets, play: Play) -> None:
        self._bets = bets
        self._play = play

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        route = (scope["method"], scope["path"])
        if route == ("POST", "/v1/game/rounds"):
            try:
                status, content = 201, await self._round(scope["headers"], receive)
            except Refused as refused:
                status, content = refused.status, {"code": refused.code}
        elif route == ("GET", "/readyz"):
            status, content = 200, {"ready": True}
        else:
            status, content = 404, {"code": "not-found"}
        await _respond(send, status, content)

    async def _round(self, headers: Any, receive: ASGIReceiveCallable) -> dict[str, Any]:
        authorization = next((value for name, value in headers if name == b"authorization"), b"")
        try:
            claims = self._bets.claims(authorization.decode("latin-1"))
            body = json.loads(await _read(receive))
        except TokenExpired:
            raise Refused(401, "session-expired") from None
        except ValueError:
            raise Refused(400, "invalid") from None
        return answer(await self._play(self._bets.bet(claims, body, uuid4().hex)))


async def _read(receive: ASGIReceiveCallable) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "invalid")
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise Refused(413, "invalid")
        if not message.get("more_body", False):
            return body


async def _respond(send: ASGISendCallable, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def http_port(settings: Settings) -> int:
    """Raises SettingsError when none is given: a peer does not choose its own."""
    if settings.http_port is None:
        raise SettingsError("setting http_port (CROUPIER_HTTP_PORT) is missing: a peer needs it")
    return settings.http_port


async def serve(front: Front, settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop`, with the server settings of the product; requests under way are answered."""
    config = uvicorn.Config(
        front,
        host=settings.http_host,
        port=http_port(settings),
        loop="none",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=15,
    )
    server = _Server(config)
    ending = asyncio.create_task(_end_with(server, stop))
    try:
        await server.serve()
    finally:
        ending.cancel()


class _Server(uvicorn.Server):
    """Leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _end_with(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
