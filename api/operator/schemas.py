"""API keys and switches as requests and answers have them."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.gateway.schemas import CallerId, Moment, OneLine, Reason, StrictModel, moment
from contracts.views import ApiKeyRecord
from security.api_keys import KeyScope

KEY_NAME_LIMIT: Final = 60  # characters
KeyName = Annotated[OneLine, StringConstraints(min_length=1, max_length=KEY_NAME_LIMIT)]


class SwitchGame(StrictModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True}]})

    enabled: Annotated[bool, Field(strict=True)]
    reason: Reason | None = None


class SwitchPlayer(StrictModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"blocked": False}]})

    blocked: Annotated[bool, Field(strict=True)]
    reason: Reason | None = None


class GameSwitched(BaseModel):
    game_id: str
    enabled: bool


class PlayerSwitched(BaseModel):
    player_id: str
    blocked: bool


class NewApiKey(StrictModel):
    """`expires_at` is when the key ends by itself; never when it is not given. Each session that the key
    opens is of its `brand`, if it has one. `name` is for people: what the key is for, or whose it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"scope": "game", "expires_at": "2099-01-01T00:00:00Z"}]}
    )

    scope: KeyScope
    # Not strict: JSON has no times, so a text must do.
    expires_at: Annotated[Moment | None, Field(strict=False)] = None
    brand: CallerId | None = None
    name: KeyName | None = None


class RotateApiKey(StrictModel):
    """For how many seconds the old key still opens what it did; 0 ends it at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 3_600}]})

    overlap_s: int = Field(ge=0, le=30 * 86_400)


class ApiKeyIssued(BaseModel):
    """A new key, shown this once. `replaces` is the key that it was rotated from, which ends at
    `replaced_until`."""

    key_id: str
    key: str
    scope: KeyScope
    brand: str | None
    expires_at: datetime | None
    replaces: str | None
    replaced_until: datetime | None


class ApiKeyListed(BaseModel):
    """A key without its secret. `active` is whether it opens anything now."""

    key_id: str
    name: str | None
    scope: KeyScope
    brand: str | None
    active: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class ApiKeyPage(BaseModel):
    items: list[ApiKeyListed]


def api_key_body(record: ApiKeyRecord) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "key_id": record.key_id,
        "name": record.name,
        "scope": record.scope,
        "brand": record.brand,
        "active": record.active,
        "created_at": moment(record.created_at),
        "expires_at": moment(record.expires_at),
        "revoked_at": moment(record.revoked_at),
    }
