"""The description of sockets, queues, events and webhooks: well-formed AsyncAPI 3, and made of the models."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
import jsonschema_rs
import pytest

from api.gateway.asyncapi import document
from api.transports.websocket import messages as socket_messages
from events.catalogue import EVENT_TYPES, envelope
from events.commands import ACT_ON_ROUND, COMMANDS_EXCHANGE, SUBMIT_ROUND
from events.topology import EVENTS_EXCHANGE
from tests.support.routes import validator, without_services
from tests.unit.events.recorded import recorded

# What AsyncAPI 3.0.0 lets its objects hold, and what it asks of them (first).
ROOT: Final = (
    {"asyncapi", "info"},
    {"defaultContentType", "servers", "channels", "operations", "components"},
)
INFO: Final = ({"title", "version"}, {"description"})
SERVER: Final = ({"host", "protocol"}, {"protocolVersion", "variables", "security", "description"})
CHANNEL: Final = (
    {"address", "messages"},
    {"title", "description", "servers", "parameters", "bindings"},
)
OPERATION: Final = ({"action", "channel", "messages"}, {"summary", "reply", "bindings"})
REPLY: Final = ({"channel", "messages"}, {"address"})
MESSAGE: Final = ({"name", "payload"}, {"title", "summary", "contentType", "headers"})


@pytest.fixture(scope="module")
async def described() -> dict[str, Any]:
    transport = httpx.ASGITransport(without_services())
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        response = await client.get("/asyncapi.json")
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    return answer


def test_it_is_served_as_it_is_made(described: dict[str, Any]) -> None:
    assert described == json.loads(json.dumps(document()))
    assert described["asyncapi"] == "3.0.0"


def test_every_object_has_what_asyncapi_asks_for_and_nothing_that_it_does_not_know(
    described: dict[str, Any],
) -> None:
    _assert_members(described, ROOT)
    _assert_members(described["info"], INFO)
    for server in described["servers"].values():
        _assert_members(server, SERVER)
        assert set(re.findall(r"\{(\w+)\}", server["host"])) == set(server["variables"])
    for channel in described["channels"].values():
        _assert_members(channel, CHANNEL)
        in_address = set(re.findall(r"\{(\w+)\}", channel["address"] or ""))
        assert in_address == set(channel.get("parameters", ()))
    for operation in described["operations"].values():
        _assert_members(operation, OPERATION)
        assert operation["action"] in ("send", "receive")
        if "reply" in operation:
            _assert_members(operation["reply"], REPLY)
    for message in described["components"]["messages"].values():
        _assert_members(message, MESSAGE)


def _assert_members(found: dict[str, Any], allowed: tuple[set[str], set[str]]) -> None:
    required, optional = allowed
    assert required <= set(found) <= required | optional


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    references = list(_references(described))
    assert len(references) > 100
    for reference in references:
        found: Any = described
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]


def test_an_operation_uses_only_messages_of_its_own_channel(described: dict[str, Any]) -> None:
    for operation in described["operations"].values():
        for part in [operation, *([operation["reply"]] if "reply" in operation else [])]:
            prefix = f"{part['channel']['$ref']}/messages/"
            assert part["messages"]
            assert all(message["$ref"].startswith(prefix) for message in part["messages"])


def test_every_message_is_used_and_every_schema_is_one(described: dict[str, Any]) -> None:
    used = {name for channel in described["channels"].values() for name in channel["messages"]}
    assert used == set(described["components"]["messages"])
    for schema in described["components"]["schemas"].values():
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_it_names_what_the_programs_declare_and_speak(described: dict[str, Any]) -> None:
    channels = described["channels"]
    assert channels["rounds"]["address"] == SUBMIT_ROUND
    assert channels["actions"]["address"] == ACT_ON_ROUND
    exchanges = {
        name: channel["bindings"]["amqp"]["exchange"]["name"]
        for name, channel in channels.items()
        if "amqp" in channel.get("bindings", {})
    }
    own = {"rounds": COMMANDS_EXCHANGE, "actions": COMMANDS_EXCHANGE}
    assert exchanges == own | {"events": EVENTS_EXCHANGE}
    spoken = {
        model.__name__
        for model in (*socket_messages.FROM_CLIENT, *socket_messages.ANSWERS, *socket_messages.PUSHES)
    }
    assert set(channels["gameSocket"]["messages"]) == spoken
    assert set(channels["events"]["parameters"]["type"]["enum"]) == EVENT_TYPES
    assert len(channels["events"]["messages"]) == len(EVENT_TYPES)


def test_an_event_as_it_is_published_fits_its_message_and_no_other(described: dict[str, Any]) -> None:
    body = json.loads(envelope(recorded()))
    fitting = {
        name
        for name, message in described["components"]["messages"].items()
        if name.endswith("Event") and validator(described, message["payload"]).is_valid(body)
    }
    assert fitting == {"RoundSettledEvent"}
    for name in body:
        without = {key: value for key, value in body.items() if key != name}
        payload = described["components"]["messages"]["RoundSettledEvent"]["payload"]
        assert not validator(described, payload).is_valid(without), name


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref" and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
