"""The description at /asyncapi.json: what goes over sockets, the broker and webhooks, as AsyncAPI 3.

Made of the models that read and write the messages, so there is nothing to keep in step by hand.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.gateway.schemas import ProblemOut
from api.result.schemas import RoundOut
from api.transports.queue.messages import ActOnRound, SubmitRound
from api.transports.websocket import messages as socket_messages
from events.catalogue import CONTENT_TYPE, DATA_SCHEMA, EVENT_TYPES, INCIDENT_OPENED
from events.commands import ACT_ON_ROUND, COMMANDS_EXCHANGE, STATUS_HEADER, SUBMIT_ROUND
from events.publisher import KEY_ID_HEADER, SIGNATURE_HEADER
from events.topology import EVENTS_EXCHANGE

VERSION: Final = "3.0.0"
SOCKET: Final = "/v1/game/ws"
_JSON: Final = "application/json"
_TEXT: Final = {"type": "string"}
_MODELS: Final = (
    *socket_messages.FROM_CLIENT,
    *socket_messages.ANSWERS,
    *socket_messages.PUSHES,
    SubmitRound,
    ActOnRound,
    RoundOut,
    ProblemOut,
)

router = APIRouter()


@router.get("/asyncapi.json", include_in_schema=False)
async def asyncapi() -> JSONResponse:
    """What the API says where it speaks first."""
    return JSONResponse(document())


@cache
def document() -> dict[str, Any]:
    """The whole description. It is shared: not to be changed."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Croupier",
            "version": "1",
            "description": "Rounds over sockets and the broker, and what happened, as events. Amounts are "
            "integers in minor units. The folders docs/game and docs/platform say more.",
        },
        "defaultContentType": _JSON,
        "servers": _servers(),
        "channels": {
            "gameSocket": _socket_channel(),
            "rounds": _commands_channel(SUBMIT_ROUND, SubmitRound),
            "actions": _commands_channel(ACT_ON_ROUND, ActOnRound),
            "commandAnswers": _answers_channel(),
            "events": _events_channel(),
            "webhook": _webhook_channel(),
        },
        "operations": _operations(),
        "components": {
            "schemas": _schemas(),
            "messages": _messages(),
            "securitySchemes": {
                "broker": {"type": "userPassword", "description": "A user of the broker."},
            },
        },
    }


def _servers() -> dict[str, Any]:
    host = {"host": {"default": "127.0.0.1:8080", "description": "Where the ingress listens."}}
    broker = {"broker": {"default": "127.0.0.1:5672", "description": "Where RabbitMQ listens."}}
    return {
        "ingress": {"host": "{host}", "protocol": "wss", "variables": host},
        "broker": {
            "host": "{broker}",
            "protocol": "amqp",
            "protocolVersion": "0.9.1",
            "variables": broker,
            "security": [_ref("securitySchemes", "broker")],
        },
    }


def _socket_channel() -> dict[str, Any]:
    messages = (*socket_messages.FROM_CLIENT, *socket_messages.ANSWERS, *socket_messages.PUSHES)
    return {
        "address": SOCKET,
        "title": "Game socket",
        "description": "One JSON object in each text frame. The client says `hello` first; every answer "
        "carries the `id` of its request, and what has no `id` the server tells by itself.",
        "servers": [{"$ref": "#/servers/ingress"}],
        "messages": _of_channel(model.__name__ for model in messages),
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _commands_channel(routing_key: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "address": routing_key,
        "title": model.__name__,
        "description": "Persistent messages of game servers: each does what the same call over HTTP does.",
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": _of_channel([model.__name__]),
        "bindings": _amqp(COMMANDS_EXCHANGE),
    }


def _answers_channel() -> dict[str, Any]:
    return {
        "address": None,
        "title": "Answers to commands",
        "description": "The queue that a command names as its `reply_to`.",
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": _of_channel(["CommandRound", "CommandProblem"]),
    }


def _events_channel() -> dict[str, Any]:
    return {
        "address": "{operator}.{game}.{type}",
        "title": "Events",
        "description": "CloudEvents 1.0, each signed, at least once; `message_id` is the event's id. The "
        "type has two words.",
        "servers": [{"$ref": "#/servers/broker"}],
        "parameters": {
            "operator": {"description": "The operator's id."},
            "game": {"description": "The game's id, or `-` where an event belongs to no game."},
            "type": {"description": "The event's type.", "enum": sorted(EVENT_TYPES)},
        },
        "messages": _of_channel(_event_name(type_) for type_ in sorted(EVENT_TYPES)),
        "bindings": _amqp(EVENTS_EXCHANGE),
    }


def _webhook_channel() -> dict[str, Any]:
    types = sorted(EVENT_TYPES - {INCIDENT_OPENED})
    return {
        "address": None,
        "title": "Webhook",
        "description": "The address that an operator names: each event is posted to it, with a Standard "
        "Webhooks signature, until it is taken.",
        "messages": _of_channel(_event_name(type_) for type_ in types),
    }


def _amqp(exchange: str) -> dict[str, Any]:
    return {
        "amqp": {
            "is": "routingKey",
            "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False},
            "bindingVersion": "0.3.0",
        }
    }


def _operations() -> dict[str, Any]:
    """From our side: `receive` is what clients send."""
    asked = [model.__name__ for model in socket_messages.FROM_CLIENT]
    answers = [model.__name__ for model in socket_messages.ANSWERS]
    pushes = [model.__name__ for model in socket_messages.PUSHES]
    events = [_event_name(type_) for type_ in sorted(EVENT_TYPES)]
    hooked = [_event_name(type_) for type_ in sorted(EVENT_TYPES - {INCIDENT_OPENED})]
    reply = {
        "address": {"location": "$message.header#/reply_to", "description": "With the same correlation_id."},
        "channel": {"$ref": "#/channels/commandAnswers"},
        "messages": _within("commandAnswers", ["CommandRound", "CommandProblem"]),
    }
    submit = _operation("receive", "rounds", [SubmitRound.__name__], "Plays a round.")
    act = _operation("receive", "actions", [ActOnRound.__name__], "Decides in a round that waits for it.")
    socket = _operation("receive", "gameSocket", asked, "Asks for something; the answer has the same `id`.")
    socket["reply"] = {
        "channel": {"$ref": "#/channels/gameSocket"},
        "messages": _within("gameSocket", answers),
    }
    return {
        "ask": socket,
        "push": _operation("send", "gameSocket", pushes, "Tells what the client did not ask for."),
        "submitRound": submit | {"reply": reply},
        "actOnRound": act | {"reply": reply},
        "publishEvent": _operation("send", "events", events, "Tells what happened."),
        "callWebhook": _operation("send", "webhook", hooked, "Tells what happened, over HTTP.")
        | {"bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}}},
    }


def _operation(action: str, channel: str, messages: Iterable[str], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": _within(channel, messages),
    }


def _messages() -> dict[str, Any]:
    socket = (*socket_messages.FROM_CLIENT, *socket_messages.ANSWERS, *socket_messages.PUSHES)
    return {
        **{model.__name__: _message(model.__name__, model) for model in (*socket, SubmitRound, ActOnRound)},
        "CommandRound": _message("CommandRound", RoundOut) | {"headers": _answer_headers()},
        "CommandProblem": _message("CommandProblem", ProblemOut)
        | {"headers": _answer_headers(), "contentType": "application/problem+json"},
        **{_event_name(type_): _event_message(type_) for type_ in sorted(EVENT_TYPES)},
    }


def _message(name: str, model: type[BaseModel]) -> dict[str, Any]:
    summary = (model.__doc__ or name).strip().split("\n\n")[0]
    payload = _ref("schemas", _SCHEMA_NAMES[model])
    return {"name": name, "title": name, "summary": summary, "contentType": _JSON, "payload": payload}


def _answer_headers() -> dict[str, Any]:
    return {
        "type": "object",
        "required": [STATUS_HEADER, "X-Request-Id"],
        "properties": {
            STATUS_HEADER: {"type": "integer", "description": "what REST would have answered with"},
            "Idempotent-Replayed": {"const": "true"},
            "X-Request-Id": _TEXT,
        },
    }


def _event_message(type_: str) -> dict[str, Any]:
    return {
        "name": type_,
        "title": _event_name(type_),
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {
                SIGNATURE_HEADER: {**_TEXT, "description": "base64 of an Ed25519 signature over the body"},
                KEY_ID_HEADER: {**_TEXT, "description": "which key it was signed with"},
            },
        },
        "payload": _ref("schemas", _event_name(type_)),
    }


def _event_name(type_: str) -> str:
    """`RoundSettledEvent` for `round.settled`."""
    return "".join(word.capitalize() for word in type_.split(".")) + "Event"


def _schemas() -> dict[str, Any]:
    return {**_MODEL_SCHEMAS, **{_event_name(type_): _event_schema(type_) for type_ in sorted(EVENT_TYPES)}}


def _event_schema(type_: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": _TEXT,
        "source": {"type": "string", "format": "uri-reference"},
        "type": {"const": type_},
        "subject": _TEXT,
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": _JSON},
        "operator": _TEXT,
        "data": DATA_SCHEMA[type_],
    }
    if type_ != INCIDENT_OPENED:  # which is no fact about a player, and so has no place among the player's
        properties["sequence"] = {"type": "integer", "minimum": 1}
    return {"type": "object", "required": [*properties], "properties": properties}


def _of_channel(names: Iterable[str]) -> dict[str, Any]:
    return {name: _ref("messages", name) for name in names}


def _within(channel: str, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _model_schemas() -> tuple[dict[type[BaseModel], str], dict[str, Any]]:
    """The name of each model's schema, and all schemas with those that they refer to."""
    references, defined = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    names: dict[type[BaseModel], str] = {
        model: str(references[model, "validation"]["$ref"]).rpartition("/")[2] for model in _MODELS
    }
    return names, defined["$defs"]


_SCHEMA_NAMES, _MODEL_SCHEMAS = _model_schemas()
