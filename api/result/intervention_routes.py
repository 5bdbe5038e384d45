"""The Result API over HTTP: manual interventions in a round that does not come to its end."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from api.gateway.authentication import Deps, Operator
from api.gateway.problems import Problem, problems, unavailable
from api.gateway.schemas import ID_PATTERN, PROBLEM_RESPONSES, CallerId
from api.gateway.strict_json import StrictRoute
from api.result.operator_routes import rounds_of_id
from api.result.schemas import (
    OperatorRound,
    OperatorRoundRecord,
    ResolveRound,
    VoidRound,
    operator_record_body,
    operator_round_body,
    pending_body,
)
from api.services import Services
from api.session.schemas import SessionMode
from contracts.interventions import Action, InterventionResult, InterventionVerdict, Subject
from contracts.sessions import DEMO
from contracts.views import OperatorCaller
from runtime.round_workflows import OutcomeUncertain

router = APIRouter(
    prefix="/v1/operator",
    route_class=StrictRoute,
    responses={
        **PROBLEM_RESPONSES,
        **problems("not-found", "wrong-state"),
        202: {"model": OperatorRound, "description": "Decided; the wallet has yet to answer for the stake"},
    },
)

RoundId = Annotated[str, Path(pattern=ID_PATTERN)]
WhosePlayer = Annotated[CallerId | None, Query(description="where two players used the same round id")]


WhichMoney = Annotated[SessionMode, Query(description="`demo`: a round of demo money")]
# One more of the other money for each that could be meant.
FOUND_LIMIT = 4


@router.post("/rounds/{round_id}/void", tags=["Result API"], response_model=OperatorRoundRecord)
async def void(
    round_id: RoundId,
    body: VoidRound,
    operator: Operator,
    services: Deps,
    player_id: WhosePlayer = None,
    mode: WhichMoney = "real",
) -> JSONResponse:
    """Gives the stake of an open round back. At an operator's own wallet the round is void once the wallet
    has taken the rollback; one that has taken the win says so, and then the round is settled."""
    subject = await _subject(round_id, player_id, mode, operator, services)
    return await _decided(subject, Action.VOID, body.reason, operator, services)


@router.post("/rounds/{round_id}/resolve", tags=["Result API"], response_model=OperatorRoundRecord)
async def resolve(
    round_id: RoundId,
    body: ResolveRound,
    operator: Operator,
    services: Deps,
    player_id: WhosePlayer = None,
    mode: WhichMoney = "real",
) -> JSONResponse:
    """Decides about an open round; docs/platform/settlement.md says when which action is right."""
    subject = await _subject(round_id, player_id, mode, operator, services)
    return await _decided(subject, Action(body.action), body.reason, operator, services)


async def _subject(
    round_id: str, player_id: str | None, mode: SessionMode, operator: OperatorCaller, services: Services
) -> Subject:
    of_either = await services.interventions.find(
        round_id, operator_id=operator.operator_id, player_id=player_id, limit=FOUND_LIMIT
    )
    found = [subject for subject in of_either if subject.bet.demo == (mode == DEMO)]
    if not found:
        if await rounds_of_id(round_id, player_id, mode, operator, services):
            raise Problem("wrong-state", "Nothing is held for the round yet: there is nothing to decide.")
        raise Problem("not-found", "There is no such round.")
    if len(found) > 1:
        raise Problem("invalid", "player_id: several players have a round of this id; say whose")
    return found[0]


async def _decided(
    subject: Subject, action: Action, reason: str, operator: OperatorCaller, services: Services
) -> JSONResponse:
    try:
        intervened = await services.interventions.decide(
            subject, action=action, reason=reason, actor=operator.actor
        )
    except OutcomeUncertain as uncertain:
        raise unavailable(uncertain.cause, "Ask for the round before you send it again.") from None
    if intervened.verdict is InterventionVerdict.REFUSED:
        raise Problem("wrong-state", _why(intervened), state=intervened.state and intervened.state.value)
    if await services.results.find(subject.bet.key) is None:
        return JSONResponse(pending_body(subject.bet, operator_round_body), 202)
    return JSONResponse(operator_record_body(await services.results.record(subject.bet.key)))


def _why(intervened: InterventionResult) -> str:
    state = "not answered for by the wallet yet" if intervened.state is None else intervened.state.value
    if intervened.state is not None and intervened.state.final:
        return f"The round is {state}, and that is final."
    if intervened.releasing:
        return f"The round is {state}, and on its way to void."
    return f"The round is {state}; this is not possible then."
