"""Operators and players as they use the API over HTTP, and the books behind it, to see what moved."""

import asyncio
import dataclasses
import re
import time
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.operator.service import OperatorKeys
from api.result.schemas import RoundOut
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.sessions import SessionClaims
from contracts.views import ApiKeyView
from security.api_keys import PLATFORM, new_api_key
from security.keyring import Keyring
from security.tokens import TokenExpired, TokenIssuer, TokenVerifier
from storage import operators, rounds
from storage.database import Database
from tests.support.acting import BY
from tests.support.conditions import until
from tests.support.sockets import opened
from verification.invariants.invariant import Invariant

JSON: Final = {"content-type": "application/json"}
OVER_HALF: Final = {"direction": "over", "target": 4_999}

# Nothing of how it is made belongs into an answer: no stack, no SQL, no library, no file.
LEAKS: Final = re.compile(
    r"Traceback|File \"|\.py\b|asyncpg|sqlalchemy|pydantic|starlette|fastapi|temporal|psycopg|"
    r"\b(SELECT|INSERT|UPDATE|DELETE)\b .*\b(FROM|INTO|SET)\b|relation \"|violates|constraint",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Gateway:
    """One running ingress. `secrets` collects every key and token that was handed out, to look for later."""

    http: httpx.AsyncClient
    database: Database
    temporal: Client
    keyring: Keyring
    secrets: list[str] = dataclasses.field(repr=False)

    async def new_operator(self) -> "Operator":
        """An operator with an API key, and nobody else's players."""
        operator_id = f"op-{uuid4().hex[:12]}"
        await operators.ensure_operator(self.database.pool, operator_id=operator_id, name="a test's")
        return Operator(self, operator_id, await self.new_key(operator_id))

    async def new_key(
        self, operator_id: str, *, scope: str = "operator", expires_at: datetime | None = None
    ) -> str:
        made = new_api_key()
        stored = ApiKeyView(
            key_id=made.key_id,
            operator_id=operator_id,
            secret_hash=made.secret_hash,
            scope=scope,
            expires_at=expires_at,
        )
        await operators.add_key(self.database.pool, stored, by=BY)
        self.secrets.append(made.text)
        return made.text

    async def platform_key(self) -> str:
        """The first key of the platform is one that a command makes."""
        made = await OperatorKeys(self.database.pool).issue(operator_id=None, scope=PLATFORM, by=BY)
        assert made is not None
        self.secrets.append(made.text)
        return made.text

    async def revoke(self, key: str) -> None:
        await self.database.pool.execute(
            "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = $1", key.split("_")[1]
        )

    async def has_workflow(self, workflow_id: str) -> bool:
        try:
            await self.temporal.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True


@dataclasses.dataclass(frozen=True, slots=True)
class Operator:
    """An operator that calls with its key."""

    gateway: Gateway
    operator_id: str
    key: str = dataclasses.field(repr=False)

    async def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        return await self.gateway.http.request(
            method, f"/v1/operator{path}", **_authorized(request, self.key)
        )

    async def forget_webhooks(self) -> None:
        """Each would be looked at every second until the stack ends."""
        await self.gateway.database.pool.execute(
            "DELETE FROM webhooks WHERE operator_id = $1", self.operator_id
        )

    async def open_session(
        self,
        player_id: str | None = None,
        *,
        game_id: str = "dice",
        currency: str = "EUR",
        balance: int = 0,
        client_seed: str | None = None,
        **terms: Any,
    ) -> "Player":
        """A player in a session, with `balance` minor units more than before. `terms` are further fields of
        the request: limits, jurisdiction, mode."""
        player_id = player_id or f"p-{uuid4().hex[:12]}"
        body = {"player_id": player_id, "game_id": game_id, "currency": currency, **terms}
        if client_seed is not None:
            body["client_seed"] = client_seed
        opened = await self.call("POST", "/sessions", json=body)
        assert opened.status_code == 201, opened.text
        self.gateway.secrets.append(opened.json()["token"])
        player = Player(self, opened.json()["session_id"], opened.json()["token"])
        if balance:
            assert (await player.deposit(balance)).status_code == 201
        return player

    async def rounds(self, **filters: Any) -> list[dict[str, Any]]:
        """Every round that passes the filters, page after page, newest first."""
        return await every_page(lambda cursor: self.call("GET", "/rounds", params={**filters, **cursor}))

    async def books(self) -> asyncpg.Record:
        """All that the ledger has of this operator: equal books mean that nothing happened."""
        return await self.gateway.database.pool.fetchrow(BOOKS, self.operator_id)


@dataclasses.dataclass(frozen=True, slots=True)
class Player:
    """A player at a game, with the session's token."""

    operator: Operator
    session_id: str
    token: str = dataclasses.field(repr=False)

    @property
    def claims(self) -> SessionClaims:
        try:
            return TokenVerifier(self.operator.gateway.keyring, time.time).verify(self.token)
        except TokenExpired as expired:
            return expired.claims

    @property
    def player_id(self) -> str:
        return self.claims.player_id

    async def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        return await self.operator.gateway.http.request(
            method, f"/v1/game{path}", **_authorized(request, self.token)
        )

    async def deposit(self, amount: int, transaction_id: str | None = None, **money: Any) -> httpx.Response:
        body = {
            "transaction_id": transaction_id or uuid4().hex,
            "amount": {"amount": amount, "currency": self.claims.currency, **money},
        }
        return await self.operator.call("POST", f"/players/{self.player_id}/deposits", json=body)

    async def bet(self, round_id: str | None = None, **changes: Any) -> httpx.Response:
        return await self.call("POST", "/rounds", json=self.wager(round_id, **changes))

    def wager(self, round_id: str | None = None, **changes: Any) -> dict[str, Any]:
        """The body of a bet that the session's game takes."""
        choice = {"choice": OVER_HALF} if self.claims.game_id == "dice" else {}
        return {"round_id": round_id or uuid4().hex, "stake": 100, **choice, **changes}

    async def played(self, **changes: Any) -> dict[str, Any]:
        """A settled round. As a client should, it sends the same bet again while it is told to."""
        wager = self.wager(**changes)

        async def ended() -> httpx.Response | None:
            answer = await self.call("POST", "/rounds", json=wager)
            return None if answer.status_code in (202, 503) else answer

        response = await until(ended)
        assert response is not None
        assert response.status_code in (200, 201), response.text
        return checked_round(response)

    async def balance(self) -> int:
        """Asked for again while a wallet or a service is slow to say."""

        async def told() -> httpx.Response | None:
            answer = await self.call("GET", "/balance")
            return None if answer.status_code in (502, 503) else answer

        response = await until(told)
        assert response is not None
        assert response.status_code == 200, response.text
        return int(response.json()["balance"]["amount"])

    async def history(self, limit: int = 100) -> list[dict[str, Any]]:
        return await every_page(lambda cursor: self.call("GET", "/rounds", params={"limit": limit, **cursor}))

    def expired(self) -> "Player":
        """The same session with a genuine token whose time is over."""
        return self.with_claims(expires_at=int(time.time()) - 1)

    def with_claims(self, **changes: Any) -> "Player":
        token = TokenIssuer(self.operator.gateway.keyring).issue(dataclasses.replace(self.claims, **changes))
        self.operator.gateway.secrets.append(token)
        return dataclasses.replace(self, token=token)

    def with_token(self, token: str) -> "Player":
        return dataclasses.replace(self, token=token)

    def round_key(self, round_id: str) -> RoundKey:
        return RoundKey(
            operator_id=self.operator.operator_id, player_key=self.claims.player_key, round_id=round_id
        )

    def stored_bet(self, round_id: str) -> Bet:
        """A bet for the ledger itself, past the ingress: a test can hold a round open with it."""
        claims = self.claims
        return Bet(
            key=self.round_key(round_id),
            player_id=claims.player_id,
            account_id=claims.account_id,
            session_id=claims.session_id,
            game_id=claims.game_id,
            game_version="1.0.0",
            currency=claims.currency,
            stake=100,
            mode="base",
            choice=OVER_HALF if claims.game_id == "dice" else None,
            request_id=uuid4().hex,
            demo=claims.demo,
            jurisdiction=claims.jurisdiction,
        )

    async def held(self) -> str:
        """A round that holds its stake, and whose workflow never began; its id."""
        bet = self.stored_bet(uuid4().hex)
        assert (await rounds.reserve(self.operator.gateway.database.pool, bet)).state is RoundState.PENDING
        return bet.key.round_id


BOOKS: Final = """
    SELECT
        (SELECT count(*) FROM players p WHERE p.operator_id = $1) AS players,
        (SELECT count(*) FROM sessions s WHERE s.operator_id = $1) AS sessions,
        (SELECT count(*) FROM sessions s WHERE s.operator_id = $1 AND s.ended_at IS NOT NULL) AS ended,
        (SELECT count(*) FROM rounds r WHERE r.operator_id = $1) AS rounds,
        (SELECT count(*) FROM outbox o WHERE o.operator_id = $1) AS events,
        (SELECT count(*) FROM accounts a WHERE a.operator_id = $1) AS accounts,
        (SELECT sum(a.balance) FROM accounts a WHERE a.operator_id = $1) AS balance,
        (SELECT sum(a.held) FROM accounts a WHERE a.operator_id = $1) AS held,
        (SELECT sum(p.chain_length) FROM players p WHERE p.operator_id = $1) AS transfers,
        (SELECT sum(p.sequence) FROM players p WHERE p.operator_id = $1) AS sequences,
        (SELECT sum(d.next_nonce) FROM seeds d JOIN players p ON p.id = d.player_key
         WHERE p.operator_id = $1) AS nonces
"""


async def broken(database: Database, *rules: Invariant, overdue_after_s: float = 0) -> set[str]:
    """What breaks the rules, by its rule and subject: also what another test left so, which the caller knows
    from a look before it began."""
    found: set[str] = set()
    for rule in rules:
        statement = f"""
            WITH overdue AS (SELECT now() - make_interval(secs => $1) AS moment)
            SELECT subject FROM ({rule.broken}) broken
        """  # noqa: S608 - put together from constants
        rows = await database.pool.fetch(statement, overdue_after_s)
        found |= {f"{rule.name}: {row['subject']}" for row in rows}
    return found


def checked_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, after a check that it is exactly one, and that it tells no internals."""
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), response.text
    body: dict[str, Any] = response.json()
    assert body["code"] == code, body
    assert body["type"] == f"urn:croupier:problem:{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert not LEAKS.search(response.text), response.text
    return body


def checked_round(response: httpx.Response) -> dict[str, Any]:
    """The round, after a check that it has every field of the contract and no other."""
    body: dict[str, Any] = response.json()
    assert set(body) == set(RoundOut.model_fields)
    RoundOut.model_validate_json(response.content)
    return body


async def every_page(fetch: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        response = await fetch(cursor)
        assert response.status_code == 200, response.text
        page = response.json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert page["items"], "a page with a next one is not empty"
        cursor = {"cursor": page["next_cursor"]}


async def is_told_of_rounds(base_url: str, player: Player) -> bool:
    """Whether the ingress has its queue of pushes: what is told of while it has none is not made up for."""
    async with opened(base_url, player.token) as socket:
        await player.played()
        with suppress(TimeoutError):
            # A push that takes longer is taken for none, and the next try may have it sooner.
            return bool((await asyncio.wait_for(socket.pushed.get(), 2))["type"] == "round")
    return False


def _authorized(request: dict[str, Any], secret: str) -> dict[str, Any]:
    return {**request, "headers": {"authorization": f"Bearer {secret}", **request.get("headers", {})}}
