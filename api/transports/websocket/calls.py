"""What a game client asks for over a socket: each message is one of its calls, answered as over HTTP."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from api.bet import calls as bet_calls
from api.gateway import problems, request_ids
from api.gateway.admission import Admission
from api.gateway.authentication import session_claims
from api.gateway.caller import REPLAYED, Caller, Reply
from api.gateway.middleware import BODY_LIMIT_BYTES
from api.gateway.problems import RETRY_AFTER_S, Problem
from api.gateway.rate_limits import too_many
from api.gateway.strict_json import loads
from api.result import calls as result_calls
from api.services import Services
from api.session import calls as session_calls
from api.transports.websocket.messages import (
    ActionMessage,
    BalanceMessage,
    BetMessage,
    PingMessage,
    RoundMessage,
    SessionMessage,
)
from api.wallet import calls as wallet_calls
from contracts.sessions import SessionClaims
from runtime import metrics
from runtime.unavailable import Cause

Message = dict[str, Any]

# What the longest bet or action needs. A longer message is not read.
MESSAGE_LIMIT_BYTES: Final = BODY_LIMIT_BYTES
# Who goes on sending beyond the session's limit is read more slowly, and costs the less.
SHORTEST_PAUSE_S: Final = 0.02
PAUSE_LIMIT_S: Final = 0.1
TOO_LARGE: Final = Problem("too-large", f"A message has at most {MESSAGE_LIMIT_BYTES} bytes.")


@dataclass(frozen=True, slots=True)
class Client:
    """Who holds a socket: the token of its hello, the address that it came from, and whose it was then."""

    token: str = field(repr=False)
    address: str
    claims: SessionClaims
    services: Services
    admission: Admission

    def caller(self, *, live: bool, request_id: str) -> Caller:
        """As if each message came with its token: its time may end while the socket is open. Raises
        Problem."""
        claims = session_claims(self.token, self.services, live=live, address=self.address, counted=True)
        return Caller(claims, self.services, request_id)


@dataclass(frozen=True, slots=True)
class Call:
    """`answer` is the type of the answer's message; `wrap` puts a reply's body into it."""

    message: type[BaseModel]
    answer: str
    serve: Callable[[Any, Caller], Awaitable[Reply]]
    wrap: Callable[[Reply], Message]
    bet: bool = False


async def _action(message: ActionMessage, caller: Caller) -> Reply:
    return await bet_calls.take_action(message.round_id, message, caller)


async def _round(message: RoundMessage, caller: Caller) -> Reply:
    return await result_calls.find_round(message.round_id, caller)


async def _balance(_message: BalanceMessage, caller: Caller) -> Reply:
    return await wallet_calls.balance(caller)


async def _session(_message: SessionMessage, caller: Caller) -> Reply:
    return await session_calls.session(caller)


async def _ping(_message: PingMessage, _caller: Caller) -> Reply:
    return Reply(200, {})


def _round_of(reply: Reply) -> Message:
    return {"replayed": _is_replay(reply.headers), "round": reply.body}


CALLS: Final[dict[str, Call]] = {
    "bet": Call(BetMessage, "round", bet_calls.place_bet, _round_of, bet=True),
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


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message that counted for its session. When the session had no token left, its answer says so, and the
    next message is not read for `pause_s` seconds."""

    asked: Asked
    pause_s: float = 0.0


async def admit(text: str, client: Client) -> Admitted:
    """Reads a message, when it is its turn. Every message counts, by its size, whatever it is. Raises
    nothing."""
    size = len(text)  # no text has fewer bytes than characters, and a limit need not be exact
    wait_s = client.services.limits.take_of_session(client.claims.session_id, size)
    if size > MESSAGE_LIMIT_BYTES:
        asked = Asked(None, problem=TOO_LARGE)
    else:
        await client.admission.large.wait(client.claims.session_id, size)
        asked = read(text)
    if wait_s > 0:
        return Admitted(
            Asked(asked.id, problem=too_many(wait_s)), min(max(wait_s, SHORTEST_PAUSE_S), PAUSE_LIMIT_S)
        )
    return Admitted(asked)


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


async def answer(asked: Asked, client: Client) -> Message:
    """The answer to a message; whatever goes wrong is a problem."""
    with request_ids.begun(f"websocket {type(asked.message).__name__}", asked.id) as request_id:
        return await _answer(asked, client, request_id)


async def _answer(asked: Asked, client: Client, request_id: str) -> Message:
    if asked.problem is not None:
        return problem_message(asked.problem, asked.id, request_id)
    call = asked.call
    assert call is not None
    if (full := client.admission.full(bet=call.bet)) is not None:
        if call.bet:
            metrics.BETS_REFUSED.labels("overloaded").inc()
        problem = problems.unavailable(Cause.BUSY, "Try again after retry_after seconds.")
        return problem_message(problem, asked.id, request_id, retry_after_s=full.retry_after_s)
    try:
        async with client.admission.call(client.claims.operator_id, bet=call.bet):
            reply = await call.serve(asked.message, client.caller(live=call.bet, request_id=request_id))
    except Exception as error:  # noqa: BLE001 - nothing that a message does may end its socket
        return problem_message(problems.of(error, request_id), asked.id, request_id)
    return {"type": call.answer, "id": asked.id, **call.wrap(reply)}


def problem_message(
    problem: Problem, id_: str | None, request_id: str, *, retry_after_s: int = RETRY_AFTER_S
) -> Message:
    metrics.of_problem(problem.code, "socket").inc()
    _, _, body = problems.document(problem, request_id, retry_after_s=retry_after_s)
    return {"type": "problem", "id": id_, "replayed": _is_replay(problem.headers), "problem": body}


def _is_replay(headers: Mapping[str, str]) -> bool:
    return REPLAYED.items() <= headers.items()
