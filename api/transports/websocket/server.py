"""/v1/game/ws: who may hold a socket, the conversation over it, and how it ends. See docs/game/sockets.md."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from fastapi import APIRouter
from starlette.types import Receive, Scope, Send

from api.gateway import problems
from api.gateway.admission import Admission
from api.gateway.authentication import session_claims
from api.gateway.caller import Caller
from api.gateway.problems import Problem, unavailable
from api.gateway.rate_limits import too_many
from api.result.schemas import round_body
from api.services import Services
from api.transports.websocket import messages as codes
from api.transports.websocket.calls import (
    MESSAGE_LIMIT_BYTES,
    TOO_LARGE,
    Asked,
    Client,
    admit,
    answer,
    checked,
    fields_of,
    problem_message,
)
from api.transports.websocket.feed import RESYNC, Feed
from api.transports.websocket.messages import Hello
from api.transports.websocket.outgoing import Outgoing
from api.wallet import calls as wallet_calls
from contracts.views import RoundView
from runtime import metrics
from runtime.unavailable import Cause

PATH: Final = "/v1/game/ws"
HELLO_LIMIT_S: Final = 5.0
# Messages of one socket that are worked on at once; the next one is read when one of them is answered.
AT_ONCE: Final = 8
REPLAYED_ROUNDS: Final = 100
# How long a socket that we end waits for the answers under way, and all of them together at a restart.
FINISH_S: Final = 4.0
DRAIN_S: Final = 5.0

log = logging.getLogger(__name__)

router = APIRouter()


@router.get(PATH, include_in_schema=False)
async def without_upgrade() -> None:
    """What HTTP answers where sockets are spoken to."""
    raise Problem("upgrade-required", "Open a WebSocket here.", headers={"Upgrade": "websocket"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """How many sockets one process holds, in all and of one session; and the seconds between our pings."""

    sockets: int
    per_session: int
    heartbeat_s: int


class SocketServer:
    """The ASGI application of sockets."""

    def __init__(self, services: Services, admission: Admission, limits: SocketLimits) -> None:
        self.services, self.admission, self.limits = services, admission, limits
        self.under_way: set[asyncio.Task[None]] = set()  # answers, also to sockets that are gone
        self._sockets: set[_Socket] = set()
        self._of_session: Counter[str] = Counter()
        self._in_use = metrics.in_use("sockets")
        metrics.limit("sockets", limits.sockets)
        self._draining = False
        self._empty = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # that the client wants to connect
        asked = self.services.limits
        address = asked.address_of(scope)
        if (wait_s := asked.addresses.take(address)) > 0:
            await _turn_away(send, too_many(wait_s))
            return
        if self._draining or len(self._sockets) >= self.limits.sockets:
            await _turn_away(send, unavailable(Cause.BUSY, "No socket is free: connect again after a while."))
            return
        socket = _Socket(self, address, scope["state"]["cut"], receive, send)
        self._sockets.add(socket)
        self._in_use.set(len(self._sockets))
        try:
            await send({"type": "websocket.accept"})
            await socket.run()
        except OSError:
            pass  # the client was gone before the conversation began
        finally:
            self._sockets.discard(socket)
            self._in_use.set(len(self._sockets))
            if not self._sockets:
                self._empty.set()

    def enter(self, session_id: str) -> bool:
        """Takes one of the session's permits. Returns False when there is none."""
        if self._of_session[session_id] >= self.limits.per_session:
            return False
        self._of_session[session_id] += 1
        return True

    def leave(self, session_id: str) -> None:
        self._of_session[session_id] -= 1
        if not self._of_session[session_id]:
            del self._of_session[session_id]

    async def drain(self) -> None:
        """Takes no more sockets, answers what was asked, and closes them all within DRAIN_S seconds, so that
        their clients connect to another process."""
        self._draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                for socket in tuple(self._sockets):
                    socket.end(codes.RESTARTING)
                while self._sockets:
                    self._empty.clear()
                    await self._empty.wait()
                await asyncio.gather(*self.under_way, return_exceptions=True)


class _Closing(Exception):
    """The hello is invalid: the socket gets the problem and is closed with the code."""

    def __init__(self, code: int, problem: Problem) -> None:
        super().__init__(code)
        self.code, self.problem = code, problem


class _Gone(Exception):
    """The client has closed the socket, or lost it."""


class _Socket:
    """One conversation. One task reads, one sends, and each message is answered by a task of its own."""

    def __init__(
        self, server: SocketServer, address: str, cut: Callable[[], None], receive: Receive, send: Send
    ) -> None:
        self._server, self._address = server, address
        self._receive, self._send = receive, send
        self._over: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._out = Outgoing(send, lambda: self._cut(cut))
        self._permits = asyncio.Semaphore(AT_ONCE)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._closed_round: RoundView | None = None  # its balance is not sent yet
        self._balancing: asyncio.Task[None] | None = None

    def end(self, code: int | None) -> None:
        """Ends the conversation with the code, or silently (None) when the client is gone."""
        if not self._over.done():
            self._over.set_result(code)

    async def run(self) -> None:
        """Runs until one side ends the conversation."""
        sending = asyncio.create_task(self._out.run())
        try:
            await self._converse()
        except _Closing as closing:
            await self._out.put(problem_message(closing.problem, None, uuid4().hex))
            await self._close(closing.code)
        except _Gone:
            pass
        finally:
            self._out.close()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _cut(self, cut: Callable[[], None]) -> None:
        """Cuts a client that does not read: every message to it, also a close, would only wait."""
        self.end(None)
        cut()

    async def _converse(self) -> None:
        hello = await self._hello()
        client = self._client(hello)
        session_id = client.claims.session_id
        if not self._server.enter(session_id):
            raise _Closing(
                codes.TOO_MANY, Problem("too-many-requests", "The session has its sockets already.")
            )
        feed = Feed(
            client.claims,
            push=self._out.push,
            on_closed=lambda view: self._send_balance_later(view, client),
            on_session_ended=lambda: self.end(codes.SESSION_ENDED),
        )
        try:
            await self._welcome(hello, client, feed)
            await self._serve(client, feed)
        finally:
            self._server.services.pushes.leave(feed)
            self._server.leave(session_id)

    # The hello

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(HELLO_LIMIT_S):
                text = await self._next()
        except TimeoutError:
            raise _Closing(codes.HELLO_TIMEOUT, Problem("invalid", "Say hello first.")) from None
        if text is None:
            raise _Closing(codes.NOT_TEXT, Problem("invalid", "Send text."))
        if len(text) > MESSAGE_LIMIT_BYTES:
            raise _Closing(codes.BAD_HELLO, TOO_LARGE)
        try:
            hello = checked(Hello, fields_of(text))
        except Problem as problem:
            raise _Closing(codes.BAD_HELLO, problem) from None
        assert isinstance(hello, Hello)
        return hello

    def _client(self, hello: Hello) -> Client:
        server = self._server
        try:
            claims = session_claims(hello.token, server.services, live=False, address=self._address)
        except Problem as problem:
            code = codes.UNAUTHENTICATED if problem.code == "unauthenticated" else codes.TOO_MANY
            raise _Closing(code, problem) from None
        return Client(hello.token, self._address, claims, server.services, server.admission)

    async def _welcome(self, hello: Hello, client: Client, feed: Feed) -> None:
        """Follows first and reads then, so that no change is missed in between."""
        permits = self._server.admission.requests
        if permits.full:
            raise _Closing(codes.TRY_LATER, unavailable(Cause.BUSY, "Connect again after a while."))
        try:
            with permits.one() as permit:
                permit.belongs_to(client.claims.operator_id)
                await self._server.services.pushes.join(feed)
                floor = await self._send_present_state(hello, client, feed)
        except (_Closing, _Gone):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client may try again
            raise _Closing(codes.TRY_LATER, problems.of(error, uuid4().hex)) from None
        feed.begin(floor)

    async def _send_present_state(self, hello: Hello, client: Client, feed: Feed) -> int:
        """Sends the answer to the hello, the rounds that closed since the client's last sequence, and an open
        round. Returns the player's sequence."""
        claims, services = client.claims, client.services
        session = await services.sessions.find(operator_id=claims.operator_id, session_id=claims.session_id)
        sequence = await services.results.sequence(claims.player_key)
        if session is None or sequence is None:
            raise _Closing(
                codes.UNAUTHENTICATED, Problem("unauthenticated", "The session is not known here.")
            )
        await self._out.put(
            {
                "type": "hello",
                "session_id": claims.session_id,
                "sequence": sequence,
                "heartbeat_s": self._server.limits.heartbeat_s,
            }
        )
        if session.ended_at is not None:
            self.end(codes.SESSION_ENDED)
        if hello.last_sequence is not None:
            await self._replay(hello.last_sequence, sequence, client, feed)
        round_id = await services.results.open_round(player_key=claims.player_key, game_id=claims.game_id)
        if round_id is not None:
            await self._send_open_round(round_id, client, feed)
        return sequence

    async def _replay(self, since: int, sequence: int, client: Client, feed: Feed) -> None:
        """Sends the rounds that closed after `since`, up to `sequence`. Later ones are pushed."""
        closed = await client.services.results.closed_after(
            client.claims.player_key, sequence=since, limit=REPLAYED_ROUNDS + 1
        )
        missed = [view for view in closed if view.sequence is not None and view.sequence <= sequence]
        for view in missed[:REPLAYED_ROUNDS]:
            await self._send_round(view, feed)
        if since > sequence or len(missed) > REPLAYED_ROUNDS:
            await self._out.put(RESYNC)

    async def _send_open_round(self, round_id: str, client: Client, feed: Feed) -> None:
        view = await client.services.results.look_up(client.claims.round_key(round_id))
        if view is not None and not view.state.final:  # one that closed meanwhile is pushed
            await self._send_round(view, feed)

    async def _send_round(self, view: RoundView, feed: Feed) -> None:
        body = round_body(view)
        feed.remember(body)
        await self._out.put({"type": "round", "round": body})

    # The messages

    async def _serve(self, client: Client, feed: Feed) -> None:
        reading = asyncio.create_task(self._read(client, feed))
        try:
            code = await self._over
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if code is not None:
            if self._in_hand:
                await asyncio.wait(self._in_hand, timeout=FINISH_S)
            if code == codes.SESSION_ENDED:
                await self._out.put({"type": "session-ended"})
            await self._close(code)

    async def _read(self, client: Client, feed: Feed) -> None:
        try:
            while True:
                await self._permits.acquire()
                text = await self._next()
                if text is None:
                    self.end(codes.NOT_TEXT)
                    return
                admitted = await admit(text, client)
                task = asyncio.create_task(self._answer(admitted.asked, client, feed))
                for tasks in (self._in_hand, self._server.under_way):
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                if admitted.pause_s:
                    await asyncio.sleep(admitted.pause_s)
        except _Gone:
            self.end(None)

    async def _answer(self, asked: Asked, client: Client, feed: Feed) -> None:
        """Answers one message. A lost socket does not stop the call, as over HTTP."""
        try:
            with feed.expecting(asked.round_id):
                message = await answer(asked, client)
                if "round" in message:
                    feed.remember(message["round"])
                await self._out.put(message)
        finally:
            self._permits.release()

    async def _next(self) -> str | None:
        """The next message, None for one that is not text. Raises _Gone."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            raise _Gone
        text: str | None = event.get("text")
        return text

    def _send_balance_later(self, view: RoundView, client: Client) -> None:
        """Sends the balance in a task of its own, once for rounds that close together."""
        if view.currency != client.claims.currency:
            return
        self._closed_round = view
        if self._balancing is None or self._balancing.done():
            self._balancing = asyncio.create_task(self._send_balances(client))

    async def _send_balances(self, client: Client) -> None:
        while (view := self._closed_round) is not None:
            self._closed_round = None
            body = await _balance_after(view, client)
            if body is not None:
                self._out.push({"type": "balance", **body})

    # The end

    async def _close(self, code: int) -> None:
        """Closes the socket after the messages that wait to be sent."""
        with suppress(OSError):
            async with asyncio.timeout(FINISH_S):
                await self._out.all_sent()
                await self._send({"type": "websocket.close", "code": code})


async def _balance_after(view: RoundView, client: Client) -> dict[str, Any] | None:
    """The balance to push after a round, or None."""
    caller = Caller(client.claims, client.services, uuid4().hex)
    try:
        return await wallet_calls.balance_after(view, caller)
    except Exception as error:  # noqa: BLE001 - the client did not ask for it, and can
        log.warning("a balance could not be pushed: %s", type(error).__name__)
        return None


async def _turn_away(send: Send, problem: Problem) -> None:
    status, headers, body = problems.document(problem, uuid4().hex)
    metrics.of_problem(problem.code, "socket").inc()
    headers |= {"Content-Type": problems.CONTENT_TYPE}
    await send(
        {
            "type": "websocket.http.response.start",
            "status": status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "websocket.http.response.body", "body": json.dumps(body).encode()})
