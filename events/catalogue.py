"""The events that leave this platform: their types, their envelope, and the data of a round's event."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self

from contracts.events import RecordedEvent

CONTENT_TYPE: Final = "application/cloudevents+json"

ROUND_SETTLED: Final = "round.settled"
ROUND_VOID: Final = "round.void"
ROUND_DECLINED: Final = "round.declined"
ROUND_OPENED: Final = "round.opened"
SESSION_OPENED: Final = "session.opened"
SESSION_ENDED: Final = "session.ended"
WALLET_DEPOSITED: Final = "wallet.deposited"
WALLET_WITHDRAWN: Final = "wallet.withdrawn"
GAME_EVENT: Final = "game.event"
INCIDENT_OPENED: Final = "incident.opened"

# The types that consumers can rely on. Nothing else is published.
EVENT_TYPES: Final = frozenset(
    {
        ROUND_SETTLED,
        ROUND_VOID,
        ROUND_DECLINED,
        ROUND_OPENED,
        SESSION_OPENED,
        SESSION_ENDED,
        WALLET_DEPOSITED,
        WALLET_WITHDRAWN,
        GAME_EVENT,
        INCIDENT_OPENED,
    }
)

# Stands for the game in the routing key of an event that belongs to no game, such as wallet.deposited.
NO_GAME: Final = "-"

# A word of a routing key. A dot inside would shift the words, and bindings would silently miss the event.
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class EventInvalid(Exception):
    """The event does not follow the catalogue; the text says where, and never quotes a value."""


def routing_key(event: RecordedEvent) -> str:
    """`{operator}.{game}.{type}`, for instance `acme.dice.round.settled`. Raises EventInvalid."""
    game_id = event.game_id or NO_GAME
    for name, word in (("operator_id", event.operator_id), ("game_id", game_id)):
        if _WORD.fullmatch(word) is None:
            raise EventInvalid(f"{name} is not one word of a routing key")
    if event.type not in EVENT_TYPES:
        raise EventInvalid("type is not in the catalogue")
    return f"{event.operator_id}.{game_id}.{event.type}"


def push_key(operator_id: str, player_id: str) -> str:
    """The second routing key of an event that a player's own sockets wait for. Three words, so that no
    pattern for the four or more of `routing_key` takes it."""
    return f"player.{operator_id}.{player_id}"


def players_key(event: RecordedEvent) -> str | None:
    """The event's second routing key; None for an event that no socket waits for. Raises EventInvalid."""
    if event.type not in (ROUND_SETTLED, ROUND_VOID):
        return None
    player_id = _load_object(event.data, "data").get("player_id")
    return push_key(event.operator_id, player_id) if isinstance(player_id, str) else None


def request_of(event: RecordedEvent) -> str | None:
    """The id of the request that the event's round was bet with, where the event has it. Raises
    EventInvalid."""
    request_id = _load_object(event.data, "data").get("request_id")
    return request_id if isinstance(request_id, str) else None


def envelope(event: RecordedEvent) -> bytes:
    """The CloudEvents 1.0 JSON body (ASCII). The same event gives the same bytes, whoever sends it.

    `data` is parsed and written again with sorted keys, so the way a database prints JSON does not matter.
    `operator` and `sequence` (where the event has one) are extension attributes. Raises EventInvalid.
    """
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.event_id,
        "source": f"/operators/{event.operator_id}",
        "type": event.type,
        "subject": event.subject,
        "time": event.occurred_at,
        "datacontenttype": "application/json",
        "operator": event.operator_id,
        "data": _load_object(event.data, "data"),
    }
    if event.sequence is not None:
        body["sequence"] = event.sequence
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Money:
    """`amount` in minor units of `currency`."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEvent:
    """A `round.settled` or `round.void` event as a consumer uses it. See ROUND_DATA_SCHEMA for the wire."""

    event_id: str
    type: str
    operator_id: str
    sequence: int  # the player's, without gaps
    occurred_at: str  # RFC 3339, UTC
    player_id: str
    session_id: str
    round_id: str
    game_id: str
    game_version: str
    mode: str  # the game's bet mode
    stake: Money
    win: Money  # 0 when void
    balance: Money  # after the round
    closed_at: str  # RFC 3339, UTC; `settled_at` or `closed_at` on the wire
    failure_code: str | None  # set exactly when the type is round.void

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Reads an envelope. Raises EventInvalid.

        Everything named here must be there with its exact type: an amount that is 1.0, true or "1" is
        refused. What is not named is ignored, so that a later release may add to the event.
        """
        envelope_ = _Fields(_load_object(body, "the body"), "")
        if envelope_.text("specversion") != "1.0":
            raise EventInvalid("specversion is not 1.0")
        type_ = envelope_.text("type")
        if type_ not in (ROUND_SETTLED, ROUND_VOID):
            raise EventInvalid("type is not one of a closed round")
        data = envelope_.fields("data")
        game = data.fields("game")
        void = type_ == ROUND_VOID
        event = cls(
            event_id=envelope_.text("id"),
            type=type_,
            operator_id=envelope_.text("operator"),
            sequence=envelope_.whole("sequence"),
            occurred_at=envelope_.text("time"),
            player_id=data.text("player_id"),
            session_id=data.text("session_id"),
            round_id=data.text("round_id"),
            game_id=game.text("id"),
            game_version=game.text("version"),
            mode=data.text("mode"),
            stake=data.money("stake"),
            win=data.money("win"),
            balance=data.money("balance"),
            closed_at=data.text("closed_at" if void else "settled_at"),
            failure_code=data.fields("failure").text("code") if void else None,
        )
        _check_amounts(event)
        return event


def _check_amounts(event: RoundEvent) -> None:
    if len({event.stake.currency, event.win.currency, event.balance.currency}) != 1:
        raise EventInvalid("stake, win and balance are not in one currency")
    if event.type == ROUND_VOID and event.win.amount != 0:
        raise EventInvalid("a void round has a win")


@dataclass(frozen=True, slots=True)
class _Fields:
    """A JSON object whose members are taken out by name and exact type."""

    members: dict[str, Any]
    path: str

    def text(self, name: str) -> str:
        value = self.members.get(name)
        if type(value) is not str or not value:
            raise EventInvalid(f"{self.path}{name} is not a non-empty string")
        return value

    def whole(self, name: str) -> int:
        value = self.members.get(name)
        if type(value) is not int or value < 0:  # a bool is an int to isinstance, and not to us
            raise EventInvalid(f"{self.path}{name} is not an integer from 0")
        return value

    def fields(self, name: str) -> "_Fields":
        value = self.members.get(name)
        if type(value) is not dict:
            raise EventInvalid(f"{self.path}{name} is not an object")
        return _Fields(value, f"{self.path}{name}.")

    def money(self, name: str) -> Money:
        fields = self.fields(name)
        return Money(fields.whole("amount"), fields.text("currency"))


def _load_object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        # The cause would quote the document, which may hold a player's data.
        raise EventInvalid(f"{what} is not JSON") from None
    if type(value) is not dict:
        raise EventInvalid(f"{what} is not a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are not JSON


_TEXT: Final = {"type": "string", "minLength": 1}
_TIME: Final = {"type": "string", "format": "date-time"}
_MONEY: Final = {
    "type": "object",
    "required": ["amount", "currency"],
    "properties": {"amount": {"type": "integer", "minimum": 0}, "currency": _TEXT},
}
_OBJECT: Final = {"type": "object"}


def _all_of(properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these, and may get more in a later release."""
    return {"type": "object", "required": [*properties], "properties": properties}


def _of_a_brand(data: dict[str, Any]) -> dict[str, Any]:
    """Data that names the brand of its session, where the session has one."""
    return data | {"properties": data["properties"] | {"brand": _TEXT}}


def _of_a_bet(data: dict[str, Any]) -> dict[str, Any]:
    """Data that names the request of the bet too: of events from before there was the field, none does."""
    return _of_a_brand(data | {"properties": data["properties"] | {"request_id": _TEXT}})


_PLAYED: Final[dict[str, Any]] = {
    "player_id": _TEXT,
    "session_id": _TEXT,
    "round_id": _TEXT,
    "game": _all_of({"id": _TEXT, "version": _TEXT}),
    "mode": _TEXT,
    "stake": _MONEY,
}
_ROUND: Final[dict[str, Any]] = {**_PLAYED, "win": _MONEY, "balance": _MONEY}
_FAILED: Final[dict[str, Any]] = {"closed_at": _TIME, "failure": _all_of({"code": _TEXT})}
_SESSION: Final[dict[str, Any]] = {
    "player_id": _TEXT,
    "session_id": _TEXT,
    "game": _all_of({"id": _TEXT}),
    "currency": _TEXT,
}
_MOVEMENT: Final[dict[str, Any]] = {
    "player_id": _TEXT,
    "transaction_id": _TEXT,
    "amount": _MONEY,
    "balance": _MONEY,
}

# What `data` of the event of a settled or void round holds, as JSON Schema; the database writes it.
ROUND_DATA_SCHEMA: Final[dict[str, dict[str, Any]]] = {
    ROUND_SETTLED: _of_a_bet(_all_of({**_ROUND, "settled_at": _TIME})),
    ROUND_VOID: _of_a_bet(_all_of({**_ROUND, **_FAILED})),
}

# The same for each type. `balance` of a declined bet is null where the operator's wallet did not send it.
DATA_SCHEMA: Final[dict[str, dict[str, Any]]] = {
    **ROUND_DATA_SCHEMA,
    ROUND_DECLINED: _of_a_bet(
        _all_of({**_ROUND, **_FAILED, "balance": {"oneOf": [_MONEY, {"type": "null"}]}})
    ),
    ROUND_OPENED: _of_a_bet(
        _all_of(
            {
                **_PLAYED,
                "choices": {"type": "array", "items": _OBJECT},
                "decide_by": {"type": ["string", "null"], "format": "date-time"},
            }
        )
    ),
    SESSION_OPENED: _of_a_brand(_all_of({**_SESSION, "expires_at": _TIME})),
    SESSION_ENDED: _of_a_brand(_all_of(_SESSION)),
    WALLET_DEPOSITED: _all_of(_MOVEMENT),
    WALLET_WITHDRAWN: _all_of(_MOVEMENT),
    GAME_EVENT: _of_a_brand(
        _all_of(
            {
                "player_id": _TEXT,
                "session_id": _TEXT,
                "game": _all_of({"id": _TEXT}),
                "event_id": _TEXT,
                "type": _TEXT,
                "at": _TIME,
                "data": _OBJECT,
            }
        )
    ),
    INCIDENT_OPENED: _all_of({"kind": _TEXT, "round_id": {"type": ["string", "null"]}, "detail": _OBJECT}),
}
