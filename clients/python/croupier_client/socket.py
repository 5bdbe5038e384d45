"""The WebSocket: the same calls on one connection, answers by id, and the server's pushes. A lost connection
is made again, calls under way are sent again with the same ids, and missed rounds are pushed."""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from croupier_client.calls import POLL_S, Strategy, new_id
from croupier_client.models import Money, Round, RoundState, Session
from croupier_client.problems import CroupierError, Unanswered, is_refusal, problem
from croupier_client.steps import PAUSE_MAX_S, Patience, ids_of

# What the server closes a socket with when connecting again would not help.
REFUSED: Final[Mapping[int, str]] = {
    4400: "the first message was refused",
    4401: "the token is not valid",
    4410: "the session is over",
}
PUSHES_MAX: Final = 1_000
# Pushes may overtake each other. What came within this time before a connection was lost may have overtaken
# something that never came, so the next connection asks for everything since before it.
OVERTAKING_S: Final = 10.0


class SessionEnded(CroupierError):
    """The operator has ended the session, or its token is not valid: a new socket needs a new token."""


@dataclass(frozen=True, slots=True)
class Resync:
    """Rounds may have closed that were not pushed: `rounds` over HTTP has them all."""


Push: TypeAlias = Round | Money | Resync


@dataclass(slots=True)
class _Asked:
    message: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]] = field(default_factory=asyncio.Future)


class GameSocket:
    """A player at a game over one connection. `async with GameSocket(base_url, token) as socket: ...`

    Calls raise Problem when the casino refuses, Unanswered when the patience ends first, and SessionEnded
    when no connection will be taken any more."""

    def __init__(self, base_url: str, token: str, *, patience: Patience | None = None) -> None:
        scheme, _, rest = base_url.rstrip("/").partition("://")
        self._url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/v1/game/ws"
        self._token = token
        self._patience = patience or Patience()
        self._asked: dict[str, _Asked] = {}
        self._pushes: deque[Push] = deque(maxlen=PUSHES_MAX)
        self._pushed = asyncio.Event()
        self._connection: ClientConnection | None = None
        self._ended: SessionEnded | None = None
        self._running: asyncio.Task[None] | None = None
        self._told_until: int | None = None  # the sequence up to which nothing is missing
        self._told_lately: deque[tuple[float, int]] = deque()
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def session(self) -> Session:
        """The session: the game, the balance, an open round to go on with, and the commitment."""
        return Session.parse((await self._ask("session"))["session"])

    async def balance(self) -> Money:
        """What the player can bet."""
        return Money.parse((await self._ask("balance"))["balance"])

    async def round(self, round_id: str) -> Round:
        """One of the player's own rounds."""
        return self._seen((await self._ask("round", round_id=round_id))["round"])

    async def ping(self) -> None:
        """Returns when the server has answered."""
        await self._ask("ping")

    async def bet(
        self,
        stake: int,
        choice: Mapping[str, Any] | None = None,
        *,
        mode: str = "base",
        round_id: str | None = None,
    ) -> Round:
        """Plays a round; `stake` in minor units. The round is final, or awaits a choice."""
        body: dict[str, Any] = {"round_id": round_id or new_id(), "stake": stake, "mode": mode}
        if choice is not None:
            body["choice"] = choice
        return await self._until_certain("bet", body)

    async def act(
        self,
        round_id: str,
        action: str,
        params: Mapping[str, Any] | None = None,
        *,
        action_id: str | None = None,
    ) -> Round:
        """Makes one of an open round's choices."""
        body: dict[str, Any] = {"round_id": round_id, "action_id": action_id or new_id(), "action": action}
        if params is not None:
            body["params"] = params
        return await self._until_certain("action", body)

    async def finish(self, round_: Round, strategy: Strategy) -> Round:
        """Plays an open round to its end: each time it offers choices, `strategy` decides."""
        while not round_.state.final:
            if round_.state is RoundState.AWAITING_CHOICE:
                decision = strategy(round_)
                round_ = await self.act(round_.round_id, decision.action, decision.params)
            else:
                round_ = await self._until_certain("round", {"round_id": round_.round_id})
        return round_

    async def pushes(self) -> AsyncIterator[Push]:
        """The server's pushes: rounds, balances, and Resync. Ends with SessionEnded. Whoever does
        not read keeps the newest ones."""
        while True:
            while self._pushes:
                yield self._pushes.popleft()
            if self._ended is not None:
                raise self._ended
            self._pushed.clear()
            await self._pushed.wait()

    async def _until_certain(self, kind: str, body: dict[str, Any]) -> Round:
        """A round that is final or awaits a choice: it is asked again while the casino is at it."""
        round_: Round | None = None
        try:
            async with asyncio.timeout(self._patience.total_s):
                while True:
                    round_ = self._seen((await self._answered(kind, body))["round"])
                    if not round_.state.under_way:
                        return round_
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise Unanswered(kind, ids_of(body), unfinished=round_) from None

    async def _ask(self, kind: str, **body: Any) -> dict[str, Any]:
        """The answer to a message, which is sent again, with the same ids, on every new connection and after
        what says nothing about the message itself."""
        try:
            async with asyncio.timeout(self._patience.total_s):
                return await self._answered(kind, body)
        except TimeoutError:
            raise Unanswered(kind, ids_of(body)) from None

    async def _answered(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        while True:
            answer = await self._ask_once({"type": kind, "id": new_id(), **body})
            if answer["type"] != "problem":
                return answer
            document = answer["problem"]
            refused = problem(document["status"], document)
            if is_refusal(refused.status, document):
                raise refused
            await asyncio.sleep(float(refused.members.get("retry_after", 1)))

    async def _ask_once(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._ended is not None:
            raise self._ended
        asked = self._asked[message["id"]] = _Asked(message)
        try:
            if self._connection is not None:
                with suppress(ConnectionClosed):  # it is sent on the next connection
                    await self._connection.send(json.dumps(message))
            return await asked.answer
        finally:
            del self._asked[message["id"]]

    async def _run(self) -> None:
        pause_s = self._patience.first_pause_s
        while self._ended is None:
            try:
                async with connect(self._url, compression=None) as connection:
                    await self._greet(connection)
                    pause_s = self._patience.first_pause_s
                    await self._listen(connection)
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code in REFUSED:
                    self._end(REFUSED[closed.rcvd.code])
            except (OSError, InvalidHandshake, TimeoutError):
                pass  # the server is not there, or not yet
            except (ValueError, TypeError, KeyError, AttributeError):
                pass  # what speaks here is not the casino
            finally:
                self._connection = None
            if self._ended is None:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _greet(self, connection: ClientConnection) -> None:
        hello: dict[str, Any] = {"type": "hello", "token": self._token}
        if self._told_until is not None:
            hello["last_sequence"] = self._settle()
        await connection.send(json.dumps(hello))
        while (answer := json.loads(await connection.recv()))["type"] != "hello":
            pass  # a problem in words; the connection is closed after it
        if self._told_until is None:
            self._told_until = answer["sequence"]
        self.connections += 1
        self._connection = connection
        for asked in list(self._asked.values()):
            await connection.send(json.dumps(asked.message))

    async def _listen(self, connection: ClientConnection) -> None:
        while True:
            self._take(json.loads(await connection.recv()))

    def _take(self, message: dict[str, Any]) -> None:
        asked = self._asked.get(message.get("id") or "")
        if asked is not None:
            if not asked.answer.done():
                asked.answer.set_result(message)
            return
        match message["type"]:
            case "round":
                known = {sequence for _, sequence in self._told_lately}
                if message["round"]["sequence"] not in known:
                    self._push(self._seen(message["round"]))
            case "balance":
                self._push(Money.parse(message["balance"]))
            case "resync":
                self._push(Resync())
            case "session-ended":
                self._end("the operator has ended the session")

    def _push(self, push: Push) -> None:
        self._pushes.append(push)
        self._pushed.set()

    def _seen(self, body: Mapping[str, Any]) -> Round:
        round_ = Round.parse(body)
        if round_.sequence is not None:
            self._settle()
            self._told_lately.append((time.monotonic(), round_.sequence))
        return round_

    def _settle(self) -> int:
        """The sequence up to which nothing can be missing any more."""
        told_until = self._told_until or 0
        while self._told_lately and self._told_lately[0][0] < time.monotonic() - OVERTAKING_S:
            told_until = max(told_until, self._told_lately.popleft()[1])
        self._told_until = told_until
        return told_until

    def _end(self, why: str) -> None:
        self._ended = SessionEnded(why)
        self._pushed.set()
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(self._ended)
