"""The queue's way in: a command from the broker becomes the same call that HTTP makes, and gets the same
answer."""

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from api.bet import calls
from api.gateway import problems, request_ids, strict_json
from api.gateway.admission import Admission, ShareFull
from api.gateway.authentication import session_claims
from api.gateway.caller import Caller, Reply
from api.gateway.middleware import BET_LIMIT_BYTES
from api.gateway.problems import DATABASE_AWAY, Problem
from api.services import Services
from api.transports.queue.messages import ActOnRound, SubmitRound
from events.command_consumer import is_plain
from events.commands import ACT_ON_ROUND, STATUS_HEADER, SUBMIT_ROUND, Answer, Command, TryAgain
from runtime import metrics
from security.payload_codec import CANNOT_OPEN
from security.tokens import TOKEN_LIMIT

REQUEST_ID_HEADER: Final = "X-Request-Id"
JSON_TYPE: Final = "application/json"
COMMAND_LIMIT_BYTES: Final = BET_LIMIT_BYTES + TOKEN_LIMIT

log = logging.getLogger(__name__)


async def _act(body: ActOnRound, caller: Caller) -> Reply:
    return await calls.take_action(body.round_id, body, caller)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of command: the model of its body, the call that it is, and whether it is a bet: that needs a
    live session, and takes a place among the commands and a turn among the bets."""

    model: type[Any]
    call: Callable[[Any, Caller], Awaitable[Reply]]
    is_bet: bool


KINDS: Final[dict[str, _Kind]] = {
    SUBMIT_ROUND: _Kind(SubmitRound, calls.place_bet, is_bet=True),
    ACT_ON_ROUND: _Kind(ActOnRound, _act, is_bet=False),
}


class _Unusable(Exception):
    """The message is no valid command. Its sender and the dead letter get the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class QueueIngress:
    """Answers commands. A valid command is answered as HTTP would answer it. An invalid one is parked, and
    its sender gets the problem as well; so is one of an operator that has nearly all places already, with
    calls that come to no end."""

    def __init__(self, services: Services, admission: Admission) -> None:
        self._services = services
        self._admission = admission

    async def __call__(self, command: Command) -> Answer:
        """Raises TryAgain while a service that the command needs is away: the command waits in its queue."""
        with request_ids.begun("command", command.name) as request_id:
            return await self._answer(command, request_id)

    async def _answer(self, command: Command, request_id: str) -> Answer:
        try:
            answer = _answered(await self._obey(command, request_id), request_id)
        except _Unusable as unusable:
            why = f"{unusable.problem.code}: {unusable.problem.detail}"
            answer = _refused(unusable.problem, request_id, parked_because=why)
        except ShareFull as full:
            if command.repeated:  # it may have staked something, which a refusal would deny
                raise TryAgain(full.detail) from None
            answer = _refused(full, request_id, parked_because=f"{full.code}: {full.detail}")
        except Problem as problem:
            if problem.code == "overloaded":
                raise TryAgain(problem.detail) from None
            answer = _refused(problem, request_id)
        except DATABASE_AWAY as error:
            raise TryAgain(f"the database is away: {type(error).__name__}") from None
        except CANNOT_OPEN as sealed:
            raise TryAgain(f"a sealed value does not open: {sealed}") from None
        except Exception:
            log.exception("command %s failed", request_id)
            unforeseen = Problem("internal", "Ask for the round before sending anything again.")
            answer = _refused(unforeseen, request_id, parked_because=f"internal: see the log at {request_id}")
        metrics.COMMANDS.labels("parked" if answer.parked_because else answer.type).inc()
        return answer

    async def _obey(self, command: Command, request_id: str) -> Reply:
        """Raises Problem, _Unusable."""
        kind, body = _read(command)
        claims = session_claims(_token(body), self._services, live=kind.is_bet, address=None)
        async with self._admission.command(claims.operator_id, bet=kind.is_bet):
            return await kind.call(body, Caller(claims, self._services, request_id))


def _token(body: Any) -> str:
    token: SecretStr = body.session_token
    return token.get_secret_value()


def _read(command: Command) -> tuple[_Kind, Any]:
    """The kind and the checked body of a command. Raises _Unusable."""
    kind = KINDS.get(command.routing_key)
    if kind is None:
        raise _Unusable(Problem("not-found", f"The routing keys are {', '.join(KINDS)}."))
    if len(command.body) > COMMAND_LIMIT_BYTES:
        raise _Unusable(Problem("too-large", f"A body has at most {COMMAND_LIMIT_BYTES} bytes."))
    # Nothing said counts as JSON: many clients say nothing.
    if not strict_json.is_json(command.content_type or JSON_TYPE) or not is_plain(command.content_encoding):
        raise _Unusable(Problem("unsupported-media-type", "Send plain JSON as application/json."))
    try:
        return kind, kind.model.model_validate(strict_json.loads(command.body), from_attributes=True)
    except json.JSONDecodeError as broken:
        errors: list[Any] = [{"type": "json_invalid", "loc": (), "msg": "", "ctx": {"error": broken.msg}}]
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_input=False)
    raise _Unusable(problems.invalid(errors))


def _answered(reply: Reply, request_id: str) -> Answer:
    return _answer("round", JSON_TYPE, reply.status, request_id, reply.headers, reply.body)


def _refused(problem: Problem, request_id: str, parked_because: str | None = None) -> Answer:
    metrics.of_problem(problem.code, "queue").inc()
    status, headers, body = problems.document(problem, request_id)
    return _answer("problem", problems.CONTENT_TYPE, status, request_id, headers, body, parked_because)


def _answer(
    type_: str,
    content_type: str,
    status: int,
    request_id: str,
    headers: dict[str, str],
    body: dict[str, Any],
    parked_because: str | None = None,
) -> Answer:
    return Answer(
        type=type_,
        content_type=content_type,
        headers={STATUS_HEADER: status, REQUEST_ID_HEADER: request_id, **headers},
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
        parked_because=parked_because,
    )
