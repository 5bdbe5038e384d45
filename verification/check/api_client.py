"""The API as its callers use it: an operator and its players over HTTP, with the safe way to repeat a bet."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

import httpx

TIMEOUT_S: Final = 15.0  # more than the ingress's own patience, so that its 202 arrives
PATIENCE_S: Final = 60.0  # a bet is repeated for this long
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
FINAL_STATES: Final = frozenset({"settled", "declined", "void"})

Money = dict[str, Any]  # {"amount": minor units, "currency"}
Json = dict[str, Any]


class CasinoError(Exception):
    """A call that did not give what it was made for."""


class Refused(CasinoError):
    """The API answered with a problem document: the request is known, and it was not granted."""

    def __init__(self, status: int, document: Json, *, replayed: bool = False) -> None:
        super().__init__(f"{status} {document.get('code', '')}: {document.get('detail', '')}")
        self.status = status
        self.document = document
        self.replayed = replayed

    @property
    def code(self) -> str:
        return str(self.document.get("code", ""))


class NoAnswer(CasinoError):
    """Nothing final was heard in time. The round may go on: ask for it, or repeat its bet."""


@dataclass(frozen=True, slots=True)
class PlayedRound:
    """A round as the answer has it. `replayed`: this was not the first answer. `sent`: requests it took."""

    body: Json
    replayed: bool
    sent: int

    @property
    def state(self) -> str:
        return str(self.body["state"])

    @property
    def stake(self) -> int:
        """In minor units, as `win` and `balance`."""
        return int(self.body["stake"]["amount"])

    @property
    def win(self) -> int:
        return int(self.body["win"]["amount"])

    @property
    def balance(self) -> int | None:
        balance = self.body["balance"]
        return None if balance is None else int(balance["amount"])


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """`token` is a secret: whoever has it plays with the player's money."""

    session_id: str
    token: str = field(repr=False)
    launch_url: str = field(repr=False)  # has the token in its fragment
    expires_at: str


@dataclass(frozen=True, slots=True)
class _Line:
    """An HTTP connection pool with a bearer secret. What it raises is a CasinoError."""

    http: httpx.AsyncClient
    bearer: str = field(repr=False)

    async def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.bearer}"}
        try:
            return await self.http.request(method, path, headers=headers, **arguments)
        except httpx.TransportError as error:
            raise NoAnswer(f"{method} {path}: {type(error).__name__}") from None

    async def ask(self, method: str, path: str, **arguments: Any) -> Json:
        """The JSON of a successful answer. Raises Refused or NoAnswer."""
        return _granted(await self.send(method, path, **arguments))


class Player:
    """Who holds a session's token. Usable until the client that made it is closed."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._line = _Line(http, token)

    def __repr__(self) -> str:
        return "Player(...)"

    @classmethod
    @asynccontextmanager
    async def connect(cls, base_url: str, token: str) -> AsyncIterator[Self]:
        """A player with a connection of its own."""
        async with open_http(base_url) as http:
            yield cls(http, token)

    async def bet(
        self,
        round_id: str,
        stake: int,
        *,
        mode: str = "base",
        choice: Json | None = None,
        patience_s: float = PATIENCE_S,
    ) -> PlayedRound:
        """Plays a round and answers its end; `stake` in minor units.

        After a lost connection, 202, 429 or any 5xx the same bet is sent again under the same id, with
        growing pauses: it is played once. Raises Refused, or NoAnswer when `patience_s` ends first.
        """
        body: Json = {"round_id": round_id, "stake": stake, "mode": mode}
        if choice is not None:
            body["choice"] = choice
        sent, pause_s, last = 0, FIRST_PAUSE_S, "not sent"
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience_s
        while clock() < deadline:
            sent += 1
            try:
                response = await self._line.send("POST", "/v1/game/rounds", json=body)
            except NoAnswer as unheard:
                last = str(unheard)
            else:
                if not _wants_repeat(response):
                    return PlayedRound(_granted(response), _is_replay(response), sent)
                last = f"status {response.status_code}"
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        raise NoAnswer(f"round {round_id} after {sent} tries: {last}")

    async def try_bet(self, body: Mapping[str, Any]) -> PlayedRound:
        """Sends one bet as it is, once. Raises Refused or NoAnswer."""
        response = await self._line.send("POST", "/v1/game/rounds", json=dict(body))
        return PlayedRound(_granted(response), _is_replay(response), 1)

    async def act(self, round_id: str, action_id: str, choice: Json) -> PlayedRound:
        """Takes one of a waiting round's choices, with the first value of each of its params, once. Raises
        Refused or NoAnswer."""
        params = {name: values[0] for name, values in choice["params"].items()}
        body = {"action_id": action_id, "action": choice["action"], "params": params}
        response = await self._line.send("POST", f"/v1/game/rounds/{round_id}/actions", json=body)
        return PlayedRound(_granted(response), _is_replay(response), 1)

    async def round(self, round_id: str) -> Json:
        return await self._line.ask("GET", f"/v1/game/rounds/{round_id}")

    async def session(self) -> Json:
        return await self._line.ask("GET", "/v1/game/session")

    async def balance(self) -> Money:
        """What can be bet."""
        balance: Money = (await self._line.ask("GET", "/v1/game/balance"))["balance"]
        return balance

    async def history(self, *, limit: int = 100) -> AsyncIterator[Json]:
        """The player's own rounds, newest first, page by page."""
        async for item in _pages(self._line, "/v1/game/rounds", {"limit": limit}):
            yield item


class OperatorClient:
    """An operator's side of the API. `async with OperatorClient(base_url, key) as operator: ...`"""

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url
        self._http = open_http(base_url)
        self._line = _Line(self._http, key)

    def __repr__(self) -> str:
        return f"OperatorClient({self._base_url!r}, ...)"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def player(self, session: OpenedSession) -> Player:
        """The player of a session, over this client's connections."""
        return Player(self._http, session.token)

    async def games(self) -> list[Json]:
        games: list[Json] = (await self._line.ask("GET", "/v1/games"))["items"]
        return games

    async def open_session(
        self, player_id: str, game_id: str, currency: str, *, client_seed: str | None = None
    ) -> OpenedSession:
        body = {"player_id": player_id, "game_id": game_id, "currency": currency}
        if client_seed is not None:
            body["client_seed"] = client_seed
        opened = await self._line.ask("POST", "/v1/operator/sessions", json=body)
        return OpenedSession(**{known.name: opened[known.name] for known in fields(OpenedSession)})

    async def end_session(self, session_id: str) -> None:
        response = await self._line.send("DELETE", f"/v1/operator/sessions/{session_id}")
        if response.status_code != 204:
            raise _refusal(response)

    async def deposit(self, player_id: str, transaction_id: str, amount: int, currency: str) -> Money:
        """Credits `amount` minor units once per transaction id; the balance after it."""
        body = {"transaction_id": transaction_id, "amount": {"amount": amount, "currency": currency}}
        path = f"/v1/operator/players/{player_id}/deposits"
        balance: Money = (await self._line.ask("POST", path, json=body))["balance"]
        return balance

    async def balance(self, player_id: str, currency: str) -> Json:
        """`balance` (available), `held` and `total`, each Money."""
        path = f"/v1/operator/players/{player_id}/balance"
        return await self._line.ask("GET", path, params={"currency": currency})

    async def round(self, round_id: str, *, player_id: str | None = None) -> Json:
        params = {} if player_id is None else {"player_id": player_id}
        return await self._line.ask("GET", f"/v1/operator/rounds/{round_id}", params=params)

    async def rounds(self, *, limit: int = 100, **filters: str) -> AsyncIterator[Json]:
        """The operator's rounds, newest first. Filters: player_id, game_id, state."""
        async for item in _pages(self._line, "/v1/operator/rounds", {**filters, "limit": limit}):
            yield item


def open_http(base_url: str) -> httpx.AsyncClient:
    """Proxies and other settings of the environment are not for calls to our own ingress."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    return httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT_S, limits=limits, trust_env=False)


async def _pages(line: _Line, path: str, params: Json) -> AsyncIterator[Json]:
    cursor: str | None = None
    while True:
        page = await line.ask("GET", path, params=params if cursor is None else {**params, "cursor": cursor})
        for item in page["items"]:
            yield item
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _wants_repeat(response: httpx.Response) -> bool:
    """Nothing final yet. Of the 5xx, none says what became of the round; a repeat does."""
    return response.status_code in (202, 429) or response.status_code >= 500


def _is_replay(response: httpx.Response) -> bool:
    return bool(response.headers.get("Idempotent-Replayed") == "true")


def _granted(response: httpx.Response) -> Json:
    if response.status_code >= 400:
        raise _refusal(response)
    answer: Json = response.json()
    return answer


def _refusal(response: httpx.Response) -> Refused:
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"detail": "the answer is no problem document"}
    return Refused(response.status_code, document, replayed=_is_replay(response))
