"""Events as requests and answers have them."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.gateway.schemas import RFC_3339, CallerId, StrictModel


def _utc(text: str) -> str:
    """The moment as events have it. Raises ValueError for one that is in no calendar."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")
    except OverflowError:
        raise ValueError("a time between the years 1 and 9999") from None


def _small(data: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(data, separators=(",", ":"))) > GAME_EVENT_BYTES:
        raise ValueError(f"at most {GAME_EVENT_BYTES} bytes of JSON")
    return data


GAME_EVENT_BYTES: Final = 4_096


class GameEventIn(StrictModel):
    """Something that a game client tells of itself. `event_id` is the player's own, for ever; `at` is RFC
    3339; `data` is at most 4096 bytes of JSON."""

    event_id: CallerId
    type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,64}$")]
    at: Annotated[str, StringConstraints(pattern=RFC_3339), AfterValidator(_utc)]
    data: Annotated[dict[str, Any], AfterValidator(_small)]


class TellEvents(StrictModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "event_id": "e-1001",
                            "type": "tutorial.finished",
                            "at": "2026-11-22T16:56:52Z",
                            "data": {"steps": 4},
                        }
                    ]
                }
            ]
        }
    )

    events: Annotated[list[GameEventIn], Field(min_length=1, max_length=50)]


class EventsAccepted(BaseModel):
    """How many events the call reported, those among them that were known before."""

    accepted: int


class CloudEvent(BaseModel):
    """An event as the broker carries it: CloudEvents 1.0. `data` is as its type's own description says;
    `sequence` is the player's, without gaps."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    operator: str
    sequence: int
    data: dict[str, Any]


class EventPage(BaseModel):
    """`next_cursor` is always there: after the last event it is where the next ones will follow."""

    items: list[CloudEvent]
    next_cursor: str
