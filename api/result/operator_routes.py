"""The Result API over HTTP: an operator's rounds, with everything that is on record of them."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from api.gateway.authentication import Deps, GameServer
from api.gateway.paging import cursor, position
from api.gateway.problems import Problem, problems, unavailable
from api.gateway.schemas import ID_PATTERN, PROBLEM_RESPONSES, CallerId, Moment, money
from api.gateway.strict_json import StrictRoute
from api.result.schemas import (
    OperatorRoundPage,
    OperatorRoundRecord,
    RoundReplay,
    operator_record_body,
    operator_round_body,
)
from api.services import Services
from api.session.schemas import SessionMode
from contracts.rounds import RoundState
from contracts.sessions import DEMO
from contracts.views import OperatorCaller, RoundFilter, RoundView
from hosting.lane import GameBusy, GameOutOfOrder
from runtime.round_workflows import TemporalAway
from runtime.unavailable import Cause

router = APIRouter(
    prefix="/v1/operator",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


WhichMoney = Annotated[SessionMode, Query(description="`demo`: those of demo money, which are apart")]


@router.get("/rounds", tags=["Result API"], response_model=OperatorRoundPage)
async def rounds(
    operator: GameServer,
    services: Deps,
    player_id: Annotated[CallerId | None, Query()] = None,
    game_id: Annotated[CallerId | None, Query()] = None,
    state: Annotated[RoundState | None, Query()] = None,
    mode: WhichMoney = "real",
    since: Annotated[Moment | None, Query(alias="from", description="started at or after")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="started before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=64)] = None,
) -> JSONResponse:
    """The operator's rounds, newest first; those of demo money with `mode=demo`."""
    player_key = await _player_key(operator, player_id, mode, services)
    wanted = RoundFilter(
        operator_id=operator.operator_id,
        player_key=player_key,
        game_id=game_id,
        state=state,
        since=since,
        until=until,
        demo=mode == DEMO,
    )
    items, following = await services.results.page(wanted, before=position(cursor_), limit=limit)
    return JSONResponse(
        {"items": [operator_round_body(view) for view in items], "next_cursor": cursor(following)}
    )


@router.get(
    "/rounds/{round_id}",
    tags=["Result API"],
    response_model=OperatorRoundRecord,
    responses=problems("not-found"),
)
async def round_(
    round_id: Annotated[str, Path(pattern=ID_PATTERN)],
    operator: GameServer,
    services: Deps,
    player_id: Annotated[CallerId | None, Query()] = None,
    mode: WhichMoney = "real",
) -> JSONResponse:
    """One round with every call of the operator's wallet, every decision of a person, and its event. A round
    id is its player's own: where two players used the same one, say whose."""
    found = await _only(round_id, player_id, mode, operator, services)
    return JSONResponse(operator_record_body(await services.results.record(found.key, found)))


@router.get(
    "/rounds/{round_id}/replay",
    tags=["Result API"],
    response_model=RoundReplay,
    responses=problems("not-found"),
)
async def replay_round(
    round_id: Annotated[str, Path(pattern=ID_PATTERN)],
    operator: GameServer,
    services: Deps,
    player_id: Annotated[CallerId | None, Query()] = None,
    mode: WhichMoney = "real",
) -> JSONResponse:
    """Computes a settled round once more, from its seed and by its version of the game, and compares. The
    seed itself is not shown: it is revealed to the player when it is rotated."""
    found = await _only(round_id, player_id, mode, operator, services)
    stored = await services.results.find(found.key)
    try:
        replayed = await services.replays.replay(stored or found)
    except (GameBusy, GameOutOfOrder):
        raise unavailable(Cause.GAME) from None
    return JSONResponse(
        {
            "round_id": found.key.round_id,
            "reproduced": replayed.why is None,
            "why": replayed.why,
            "outcome": replayed.outcome,
            "win": None if replayed.win is None else money(replayed.win, found.currency),
        }
    )


async def _only(
    round_id: str, player_id: str | None, mode: SessionMode, operator: OperatorCaller, services: Services
) -> RoundView:
    """Raises Problem where there is none, or more than one."""
    found = await rounds_of_id(round_id, player_id, mode, operator, services)
    if not found:
        raise Problem("not-found", "There is no such round.")
    if len(found) > 1:
        raise Problem("invalid", "player_id: several players have a round of this id; say whose")
    return found[0]


async def rounds_of_id(
    round_id: str, player_id: str | None, mode: SessionMode, operator: OperatorCaller, services: Services
) -> Sequence[RoundView]:
    """The operator's rounds of this id, also those that have no row yet; more than one where several players
    used it. Raises Problem."""
    wanted = RoundFilter(
        operator_id=operator.operator_id,
        player_key=await _player_key(operator, player_id, mode, services),
        round_id=round_id,
        demo=mode == DEMO,
    )
    try:
        return await services.results.of_id(wanted)
    except TemporalAway as away:
        raise unavailable(away.cause, "Nobody knows whether there is such a round: ask again.") from None


async def _player_key(
    operator: OperatorCaller, player_id: str | None, mode: SessionMode, services: Services
) -> int | None:
    """The key to filter by, None for any player. A player whom the operator does not have has no rounds,
    and no key is that player's: 0."""
    if player_id is None:
        return None
    key = await services.wallet.find(operator_id=operator.operator_id, player_id=player_id, demo=mode == DEMO)
    return key or 0
