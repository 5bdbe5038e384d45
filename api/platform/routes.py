"""The Platform API over HTTP: operators, for whoever runs the casino, by keys of a scope of its own."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from api.gateway.authentication import Deps, Platform
from api.gateway.caller import REPLAYED
from api.gateway.problems import Problem, problems
from api.gateway.schemas import ID_PATTERN, PROBLEM_RESPONSES, CallerId, repeat
from api.gateway.strict_json import StrictRoute
from api.operator.key_routes import issued
from api.operator.schemas import ApiKeyIssued, NewApiKey
from api.platform.schemas import NewOperator, OperatorOut, OperatorPage, SwitchOperator, operator_body
from api.platform.service import PAGE_LIMIT
from contracts import failures
from contracts.audit import By

router = APIRouter(
    prefix="/v1/platform/operators",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
    tags=["Platform API"],
)

OperatorId = Annotated[str, Path(pattern=ID_PATTERN)]


@router.get("", response_model=OperatorPage)
async def operators(
    platform: Platform,
    services: Deps,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT,
    cursor: Annotated[CallerId | None, Query()] = None,
) -> JSONResponse:
    """All operators by their ids, page after page."""
    found = await services.operators.listed(after=cursor or "", limit=limit + 1)
    following = found[limit - 1].operator_id if len(found) > limit else None
    return JSONResponse({"items": [operator_body(one) for one in found[:limit]], "next_cursor": following})


@router.post(
    "",
    status_code=201,
    response_model=OperatorOut,
    responses={**repeat(OperatorOut), **problems("id-reused")},
)
async def add_operator(body: NewOperator, platform: Platform, services: Deps) -> JSONResponse:
    """Adds an operator, which has no key yet: make its first one with the scope `admin`, and it makes the
    others itself."""
    verdict, found = await services.operators.add(
        operator_id=body.operator_id, name=body.name or body.operator_id
    )
    if verdict == "reused":
        raise Problem(failures.ID_REUSED, "This id is that of an operator with another name.")
    if verdict == "replayed":
        return JSONResponse(operator_body(found), headers=REPLAYED)
    return JSONResponse(operator_body(found), 201)


@router.get("/{operator_id}", response_model=OperatorOut, responses=problems("not-found"))
async def operator_(operator_id: OperatorId, platform: Platform, services: Deps) -> JSONResponse:
    """One operator."""
    found = await services.operators.find(operator_id)
    if found is None:
        raise Problem("not-found", "There is no such operator.")
    return JSONResponse(operator_body(found))


@router.put("/{operator_id}", response_model=OperatorOut, responses=problems("not-found"))
async def switch_operator(
    operator_id: OperatorId, body: SwitchOperator, platform: Platform, services: Deps
) -> JSONResponse:
    """Disables an operator, or enables it again. While it is disabled, its keys only read, it opens no
    session, and its sessions have ended; rounds under way finish. The ledger knows at once, each ingress
    within 10 seconds."""
    if body.enabled:
        await services.operators.enable(operator_id)
    else:
        await services.operators.disable(operator_id, ended=services.pushes.session_ended)
    return await operator_(operator_id, platform, services)


@router.post(
    "/{operator_id}/keys",
    status_code=201,
    response_model=ApiKeyIssued,
    responses=problems("limit-exceeded", "not-found"),
)
async def add_operator_key(
    operator_id: OperatorId, body: NewApiKey, platform: Platform, services: Deps
) -> JSONResponse:
    """Makes a key of the operator and shows it, this once. Asked again it makes another one."""
    return await issued(services, operator_id, body, by=By(platform.actor))
