"""The Operator API over HTTP: an operator's API keys, for its administrator."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse

from api.gateway.authentication import Admin, Deps
from api.gateway.problems import Problem, problems
from api.gateway.schemas import PROBLEM_RESPONSES, moment
from api.gateway.strict_json import StrictRoute
from api.operator.schemas import ApiKeyIssued, ApiKeyPage, NewApiKey, RotateApiKey, api_key_body
from api.operator.service import TooManyKeys
from api.services import Services
from contracts.audit import By
from contracts.views import IssuedApiKey

router = APIRouter(
    prefix="/v1/operator/keys",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
    tags=["Operator API"],
)

KeyId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]


@router.get("", response_model=ApiKeyPage)
async def keys(operator: Admin, services: Deps) -> JSONResponse:
    """The operator's keys without their secrets: those that open something first, then newest first."""
    found = await services.operator_keys.listed(operator.operator_id)
    return JSONResponse({"items": [api_key_body(record) for record in found]})


@router.post(
    "", status_code=201, response_model=ApiKeyIssued, responses=problems("limit-exceeded", "not-found")
)
async def add_key(body: NewApiKey, operator: Admin, services: Deps) -> JSONResponse:
    """Makes a key and shows it, this once. Asked again it makes another one: a key whose answer was lost is
    in the list, and can be revoked."""
    return await issued(services, operator.operator_id, body, by=By(operator.actor))


@router.post(
    "/{key_id}/rotate", status_code=201, response_model=ApiKeyIssued, responses=problems("not-found")
)
async def rotate_key(key_id: KeyId, body: RotateApiKey, operator: Admin, services: Deps) -> JSONResponse:
    """Makes a key of the same scope and shows it, this once; the old one ends after `overlap_s`, or when it
    would have ended anyway. Asked again, it makes another one, and the old one lives no longer."""
    rotated = await services.operator_keys.rotate(
        operator_id=operator.operator_id,
        key_id=key_id,
        overlap_s=body.overlap_s,
        by=By(operator.actor),
    )
    if rotated is None:
        raise Problem("not-found", "There is no such key, or it opens nothing any more.")
    return _shown(rotated)


@router.delete("/{key_id}", status_code=204, responses=problems("not-found"))
async def revoke_key(key_id: KeyId, operator: Admin, services: Deps) -> Response:
    """Ends a key for good, be it the one that asks: everywhere within 10 seconds."""
    if not await services.operator_keys.revoke(
        operator_id=operator.operator_id, key_id=key_id, by=By(operator.actor)
    ):
        raise Problem("not-found", "There is no such key.")
    return Response(status_code=204)


async def issued(services: Services, operator_id: str, body: NewApiKey, *, by: By) -> JSONResponse:
    """A new key of the operator, as its administrator or the platform asks for it. Raises Problem."""
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        raise Problem("invalid", "expires_at: is in the past")
    try:
        key = await services.operator_keys.issue(
            operator_id=operator_id,
            scope=body.scope,
            by=by,
            expires_at=body.expires_at,
            brand=body.brand,
            name=body.name,
        )
    except TooManyKeys:
        raise Problem(
            "limit-exceeded", "The operator has as many keys as it may: revoke one first."
        ) from None
    if key is None:
        raise Problem("not-found", "There is no such operator.")
    return _shown(key)


def _shown(key: IssuedApiKey) -> JSONResponse:
    body = {
        "key_id": key.key_id,
        "key": key.text,
        "scope": key.scope,
        "brand": key.brand,
        "expires_at": moment(key.expires_at),
        "replaces": key.replaces,
        "replaced_until": moment(key.replaced_until),
    }
    return JSONResponse(body, 201, headers={"Cache-Control": "no-store"})
