"""The guide for consumers says what the code does, and its example verifies what the publisher signs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from contracts.events import RecordedEvent
from events import topology
from events.catalogue import EVENT_TYPES, ROUND_DATA_SCHEMA, ROUND_SETTLED, RoundEvent, envelope, routing_key
from events.publisher import KEY_ID_HEADER, SIGNATURE_HEADER
from security.keyring import Keyring
from security.signatures import Signer

PAGES = Path(__file__).parents[3] / "docs" / "platform"
GUIDE = "".join((PAGES / name).read_text(encoding="utf-8") for name in ("events.md", "consume-events.md"))


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(block("python"), "docs/platform/consume-events.md", "exec"), names)  # noqa: S102 - our own page
    return names


@pytest.fixture(scope="module")
def printed() -> RecordedEvent:
    shown = json.loads(block("json"))
    return RecordedEvent(
        event_id=shown["id"],
        type=shown["type"],
        operator_id=shown["operator"],
        game_id=shown["data"]["game"]["id"],
        subject=shown["subject"],
        sequence=shown["sequence"],
        occurred_at=shown["time"],
        data=json.dumps(shown["data"]),
    )


class TestGuide:
    def test_prints_an_envelope_as_it_is_published(self, printed: RecordedEvent) -> None:
        assert json.loads(block("json")) == json.loads(envelope(printed))
        assert RoundEvent.parse(envelope(printed)).round_id == "r-docs"
        assert routing_key(printed) == "demo.dice.round.settled"

    def test_prints_every_field_of_a_settled_round(self, printed: RecordedEvent) -> None:
        # The request's id too, which only events from before there was the field may lack.
        fields = {*ROUND_DATA_SCHEMA[ROUND_SETTLED]["required"], "request_id"}
        assert set(json.loads(printed.data)) == fields <= set(ROUND_DATA_SCHEMA[ROUND_SETTLED]["properties"])

    def test_names_every_type_header_exchange_and_argument(self) -> None:
        names = {
            *EVENT_TYPES,
            SIGNATURE_HEADER,
            KEY_ID_HEADER,
            topology.EVENTS_EXCHANGE,
            topology.DEAD_EXCHANGE,
        }
        for name in names:
            assert f"`{name}`" in GUIDE
        for name, value in topology.STATISTICS.arguments.items():
            shown = str(value).replace(topology.STATISTICS.dead_name, "NAME.dead")
            assert f"`{name}: {shown}`" in GUIDE

    def test_has_an_example_that_verifies_what_is_signed_and_nothing_else(
        self, example: dict[str, Any], printed: RecordedEvent
    ) -> None:
        keyring, body = Keyring.generate(), envelope(printed)
        signature = Signer(keyring.events).sign(body)
        headers = {SIGNATURE_HEADER: signature.value, KEY_ID_HEADER: signature.key_id}
        keys = keyring.events.public_keys()
        assert example["verified"](body, headers, keys)["id"] == printed.event_id
        with pytest.raises(InvalidSignature):
            example["verified"](body.replace(b"99800", b"99801"), headers, keys)
        for missing in ({}, {KEY_ID_HEADER: "another", SIGNATURE_HEADER: signature.value}):
            with pytest.raises(KeyError):
                example["verified"](body, missing, keys)
