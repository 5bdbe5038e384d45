"""The clients for programs with an event loop: the same calls as the synchronous ones, awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from croupier_client.calls import GameCalls, OperatorCalls, Strategy, filters_of, query
from croupier_client.models import (
    Balance,
    Event,
    GameInfo,
    Money,
    Moved,
    Page,
    Posting,
    Round,
    SeedRotation,
    Session,
    SessionOpened,
)
from croupier_client.steps import Patience, Pause, Response, Steps

T = TypeVar("T")


class _Client:
    """Sends what steps ask for. Use as a context manager, or call `close`."""

    def __init__(
        self, base_url: str, bearer: str, *, timeout_s: float, http: httpx.AsyncClient | None
    ) -> None:
        self._http = http or httpx.AsyncClient()
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {bearer}"}
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def _run(self, steps: Steps[T]) -> T:
        response: Response | None = None
        while True:
            try:
                wanted = steps.send(response)
            except StopIteration as done:
                result: T = done.value
                return result
            if isinstance(wanted, Pause):
                await asyncio.sleep(wanted.seconds)
                response = None
                continue
            try:
                got = await self._http.request(
                    wanted.method,
                    self._base_url + wanted.path,
                    params=wanted.query,
                    json=wanted.body,
                    headers=self._headers,
                    timeout=self._timeout_s,
                )
                response = Response(got.status_code, dict(got.headers), got.content)
            except httpx.RequestError:  # the connection, or content that cannot be decoded
                response = None


class AsyncGameClient(_Client):
    """A player at a game, by the session's token. Each call is repeated, with the same ids, until the answer
    is certain; it raises Problem when the casino refuses, and Unanswered when the patience ends first."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        patience: Patience | None = None,
        timeout_s: float = 15.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(base_url, token, timeout_s=timeout_s, http=http)
        self._calls = GameCalls(patience or Patience())

    async def session(self) -> Session:
        """The session: the game, the balance, an open round to go on with, and the commitment."""
        return await self._run(self._calls.session())

    async def balance(self) -> Money:
        """What the player can bet."""
        return await self._run(self._calls.balance())

    async def bet(
        self,
        stake: int,
        choice: Mapping[str, Any] | None = None,
        *,
        mode: str = "base",
        round_id: str | None = None,
    ) -> Round:
        """Plays a round; `stake` in minor units. Note `round_id` before you call, and the same bet may be
        made again after a crash of your own. The round is final, or awaits a choice."""
        return await self._run(self._calls.bet(stake, choice, mode=mode, round_id=round_id))

    async def act(
        self,
        round_id: str,
        action: str,
        params: Mapping[str, Any] | None = None,
        *,
        action_id: str | None = None,
    ) -> Round:
        """Makes one of an open round's choices."""
        return await self._run(self._calls.act(round_id, action, params, action_id=action_id))

    async def finish(self, round_: Round, strategy: Strategy) -> Round:
        """Plays an open round to its end: each time it offers choices, `strategy` decides."""
        return await self._run(self._calls.finish(round_, strategy))

    async def round(self, round_id: str) -> Round:
        """One of the player's own rounds."""
        return await self._run(self._calls.round(round_id))

    async def rounds(self, limit: int = 20, cursor: str | None = None) -> Page[Round]:
        """A page of the player's history, newest first."""
        return await self._run(self._calls.rounds(cursor, limit))

    async def history(self) -> AsyncIterator[Round]:
        """The player's history, newest first, page after page."""
        async for round_ in _every(lambda cursor: self.rounds(100, cursor)):
            yield round_

    async def rotate_seed(self, client_seed: str, server_seed_hash: str | None = None) -> SeedRotation:
        """Reveals the server seed of the rounds so far, and commits to the next one."""
        return await self._run(self._calls.rotate_seed(client_seed, server_seed_hash))

    async def report(self, events: list[Mapping[str, Any]]) -> None:
        """Hands events of the game client's own over, each once: `event_id`, `type`, `at`, `data`."""
        return await self._run(self._calls.report(events))


class AsyncOperatorClient(_Client):
    """An operator, by its API key. Money is moved once for each transaction id."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        patience: Patience | None = None,
        timeout_s: float = 15.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(base_url, key, timeout_s=timeout_s, http=http)
        self._calls = OperatorCalls(patience or Patience())

    async def games(self) -> tuple[GameInfo, ...]:
        """The games on offer."""
        return await self._run(self._calls.games())

    async def open_session(
        self, player_id: str, game_id: str, currency: str, **options: Any
    ) -> SessionOpened:
        """A session at a game; `options` are those of the API, such as `client_seed` or `limits`, and what
        the game's page is told: `lang`, `device`, `country`, `lobby_url`, `deposit_url`, `history_url`."""
        body = {"player_id": player_id, "game_id": game_id, "currency": currency, **options}
        return await self._run(self._calls.open_session(body))

    async def end_session(self, session_id: str) -> None:
        """Ends a session; rounds in flight finish."""
        return await self._run(self._calls.end_session(session_id))

    async def deposit(self, player_id: str, amount: Money, *, transaction_id: str | None = None) -> Moved:
        """Credits the player, once per transaction id."""
        return await self._run(self._calls.move("deposits", player_id, amount, transaction_id))

    async def withdraw(self, player_id: str, amount: Money, *, transaction_id: str | None = None) -> Moved:
        """Pays out to the player, once per transaction id."""
        return await self._run(self._calls.move("withdrawals", player_id, amount, transaction_id))

    async def balance(self, player_id: str, currency: str) -> Balance:
        """The player's balance in one currency, with what open rounds hold."""
        return await self._run(self._calls.balance(player_id, currency))

    async def statement(self, player_id: str, **filters: str | datetime) -> AsyncIterator[Posting]:
        """The player's postings, newest first; filters are `currency`, `since` and `until`."""
        wanted = filters_of(filters)
        async for posting in _every(
            lambda cursor: self._run(self._calls.statement(player_id, wanted | query(cursor=cursor)))
        ):
            yield posting

    async def rounds(self, **filters: str | datetime) -> AsyncIterator[Round]:
        """Rounds, newest first; filters are `player_id`, `game_id`, `state`, `since` and `until`."""
        wanted = filters_of(filters)
        async for round_ in _every(
            lambda cursor: self._run(self._calls.rounds(wanted | query(cursor=cursor)))
        ):
            yield round_

    async def round(self, round_id: str, *, player_id: str | None = None) -> Round:
        """One round; `more` has every wallet attempt, intervention and the event."""
        return await self._run(self._calls.round(round_id, player_id))

    async def void(self, round_id: str, reason: str, *, player_id: str | None = None) -> Round:
        """Gives an open round's stake back."""
        return await self._run(self._calls.decide("void", round_id, {"reason": reason}, player_id))

    async def resolve(
        self, round_id: str, action: str, reason: str, *, player_id: str | None = None
    ) -> Round:
        """Decides about a round that does not come to its end."""
        body = {"action": action, "reason": reason}
        return await self._run(self._calls.decide("resolve", round_id, body, player_id))

    async def events(self, after: str | None = None, limit: int = 100) -> Page[Event]:
        """A page of the event feed, oldest first; keep `next_cursor` with what you made of the events."""
        return await self._run(self._calls.events(after, limit))

    async def feed(self, after: str | None = None) -> AsyncIterator[Page[Event]]:
        """The event feed from `after` to its present end, page by page. Keep each page's `next_cursor`
        together with what you made of its events, and go on from there later."""
        while (page := await self.events(after)).items:
            yield page
            after = page.next_cursor

    async def set_game(self, game_id: str, *, enabled: bool) -> Mapping[str, Any]:
        """Switches a game on or off; rounds under way finish."""
        return await self._run(self._calls.switch("games", game_id, {"enabled": enabled}))

    async def set_player(self, player_id: str, *, blocked: bool) -> Mapping[str, Any]:
        """Blocks a player from betting, or lets the player bet again."""
        return await self._run(self._calls.switch("players", player_id, {"blocked": blocked}))


async def _every(fetch: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        for item in page.items:
            yield item
        cursor = page.next_cursor
        if cursor is None:
            return
