"""What a game client asks for over a socket: each message is one of its calls, answered as over HTTP."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection

from api import authentication, game_calls, problems
from api.admission import Admission, Places
from api.game_calls import REPLAYED, Reply
from api.problems import RETRY_AFTER_S, Problem
from api.services import Services
from api.socket_messages import (
    ActionMessage,
    BalanceMessage,
    BetMessage,
    PingMessage,
    RoundMessage,
    SessionMessage,
)
from api.strict_json import loads
from contracts.sessions import SessionClaims
from runtime import metrics

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which connection."""

    claims: SessionClaims
    connection: HTTPConnection
    credentials: HTTPAuthorizationCredentials
    services: Services
    admission: Admission

    async def ask(self, *, bet: bool) -> SessionClaims:
        """As if each message came with its token: its time may end while the socket is open, and its session
        may ask only so often. Raises Problem."""
        identify = authentication.live_session if bet else authentication.any_session
        return await identify(self.connection, self.credentials, self.services)


@dataclass(frozen=True, slots=True)
class Call:
    """`answer` is the type of the answer's message; `wrap` puts a reply's body into it."""

    message: type[BaseModel]
    answer: str
    serve: Callable[[Any, SessionClaims, Services, str], Awaitable[Reply]]
    wrap: Callable[[Reply], Message]
    bet: bool = False


async def _action(
    message: ActionMessage, claims: SessionClaims, services: Services, request_id: str
) -> Reply:
    return await game_calls.take_action(message.round_id, message, claims, services, request_id)


async def _round(message: RoundMessage, claims: SessionClaims, services: Services, _: str) -> Reply:
    return await game_calls.find_round(message.round_id, claims, services)


async def _balance(_message: BalanceMessage, claims: SessionClaims, services: Services, _: str) -> Reply:
    return await game_calls.balance(claims, services)


async def _session(_message: SessionMessage, claims: SessionClaims, services: Services, _: str) -> Reply:
    return await game_calls.session(claims, services)


async def _ping(_message: PingMessage, _claims: SessionClaims, _services: Services, _: str) -> Reply:
    return Reply(200, {})


def _round_of(reply: Reply) -> Message:
    return {"replayed": _is_replay(reply.headers), "round": reply.body}


CALLS: Final[dict[str, Call]] = {
    "bet": Call(BetMessage, "round", game_calls.place_bet, _round_of, bet=True),
    "action": Call(ActionMessage, "round", _action, _round_of),
    "round": Call(RoundMessage, "round", _round, _round_of),
    "balance": Call(BalanceMessage, "balance", _balance, lambda reply: reply.body),
    "session": Call(SessionMessage, "session", _session, lambda reply: {"session": reply.body}),
    "ping": Call(PingMessage, "pong", _ping, lambda reply: reply.body),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A message that was read, before it is answered. `problem` is set when it cannot be."""

    id: str | None
    round_id: str | None = None
    call: Call | None = None
    message: BaseModel | None = None
    problem: Problem | None = None


def read(text: str) -> Asked:
    """Raises nothing: what is wrong with the message is its answer."""
    try:
        fields = fields_of(text)
    except Problem as problem:
        return Asked(None, problem=problem)
    own_id = fields.get("id")
    id_ = own_id if isinstance(own_id, str) and len(own_id) <= 64 else None
    try:
        call = _call(fields.get("type"))
        message = checked(call.message, fields)
    except Problem as problem:
        return Asked(id_, problem=problem)
    return Asked(id_, getattr(message, "round_id", None), call, message)


def fields_of(text: str) -> dict[str, Any]:
    """The members of a message. Raises Problem."""
    try:
        fields = loads(text.encode())
    except json.JSONDecodeError as broken:
        raise Problem("invalid", f"The message is not valid JSON: {broken.msg}") from None
    if not isinstance(fields, dict):
        raise Problem("invalid", "A message is a JSON object.")
    return fields


def checked(model: type[BaseModel], fields: Mapping[str, Any]) -> BaseModel:
    """Raises Problem."""
    try:
        return model.model_validate(fields)
    except ValidationError as invalid:
        raise problems.invalid(invalid.errors(include_url=False, include_input=False)) from None


def _call(kind: object) -> Call:
    call = CALLS.get(kind) if isinstance(kind, str) else None
    if call is None:
        raise Problem("invalid", f"type: one of {', '.join(CALLS)}")
    return call


async def answer(asked: Asked, caller: Caller) -> Message:
    """The answer to a message; whatever goes wrong is a problem."""
    request_id, retry_after_s = uuid4().hex, RETRY_AFTER_S
    if asked.problem is not None:
        return problem_message(asked.problem, asked.id, request_id)
    call = asked.call
    assert call is not None
    try:
        async with _admitted(caller.admission, bet=call.bet):
            claims = await caller.ask(bet=call.bet)
            reply = await call.serve(asked.message, claims, caller.services, request_id)
    except _Full as full:
        if call.bet:
            metrics.BETS_REFUSED.labels("overloaded").inc()
        problem, retry_after_s = (
            Problem("overloaded", "Try again after retry_after seconds."),
            full.retry_after_s,
        )
    except Exception as error:  # noqa: BLE001 - nothing that a message does may end its socket
        problem = problems.of(error, request_id)
    else:
        return {"type": call.answer, "id": asked.id, **call.wrap(reply)}
    return problem_message(problem, asked.id, request_id, retry_after_s=retry_after_s)


def problem_message(
    problem: Problem, id_: str | None, request_id: str, *, retry_after_s: int = RETRY_AFTER_S
) -> Message:
    _, _, body = problems.document(problem, request_id, retry_after_s=retry_after_s)
    return {"type": "problem", "id": id_, "replayed": _is_replay(problem.headers), "problem": body}


def _is_replay(headers: Mapping[str, str]) -> bool:
    return REPLAYED.items() <= headers.items()


class _Full(Exception):
    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


@asynccontextmanager
async def _admitted(admission: Admission, *, bet: bool) -> AsyncIterator[None]:
    """A place, as a request over HTTP takes one. Raises _Full."""
    if bet:
        _need_room(admission.bets)
    _need_room(admission.requests)
    with admission.requests.one():
        if not bet:
            yield
            return
        async with admission.bet():
            yield


def _need_room(places: Places) -> None:
    if places.full:
        raise _Full(places.retry_after_s)
