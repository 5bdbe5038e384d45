"""The catalogue of events: envelopes, their data, and what a consumer refuses."""

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue import (
    DATA_SCHEMA,
    EVENT_TYPES,
    ROUND_DATA_SCHEMA,
    ROUND_SETTLED,
    ROUND_VOID,
    EventInvalid,
    Money,
    RoundEvent,
    envelope,
    routing_key,
)
from tests.unit.events.recorded import SETTLED_DATA, VOID_DATA, recorded


def test_the_envelope_is_a_cloud_event() -> None:
    body = json.loads(envelope(recorded()))
    data = body.pop("data")
    assert data == SETTLED_DATA
    assert body == {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/operators/acme",
        "type": "round.settled",
        "subject": "r-1",
        "time": "2026-11-22T16:00:00Z",
        "datacontenttype": "application/json",
        "operator": "acme",
        "sequence": 7,
    }


def test_the_same_event_gives_the_same_bytes_however_its_data_was_printed() -> None:
    shuffled = dict(reversed(SETTLED_DATA.items()))
    bodies = {
        envelope(recorded()),
        envelope(recorded(data=shuffled)),
        envelope(replace(recorded(), data=json.dumps(shuffled, indent=3))),
    }
    assert len(bodies) == 1


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
)
def test_the_envelope_carries_any_data(data: dict[str, Any]) -> None:
    body = envelope(recorded("game.event", data))
    assert json.loads(body)["data"] == data
    assert envelope(recorded("game.event", data)) == body


@pytest.mark.parametrize("data", ["", "{", "[]", "7", '{"a": NaN}', '{"a": -Infinity}', "[" * 100_000])
def test_data_that_is_no_object_is_refused(data: str) -> None:
    with pytest.raises(EventInvalid) as caught:
        envelope(replace(recorded(), data=data))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("type_", sorted(EVENT_TYPES))
def test_the_routing_key_is_operator_game_type(type_: str) -> None:
    assert routing_key(recorded(type_)) == f"acme.dice.{type_}"


def test_the_routing_key_of_an_event_without_a_game_keeps_its_words() -> None:
    assert routing_key(recorded("wallet.deposited", game_id="")) == "acme.-.wallet.deposited"


@pytest.mark.parametrize(
    "fields",
    [
        {"operator_id": "ac.me"},
        {"operator_id": ""},
        {"operator_id": "*"},
        {"operator_id": "acme\n"},
        {"game_id": "di.ce"},
        {"game_id": "#"},
        {"game_id": "x" * 65},
        {"type_": "round.invented"},
        {"type_": ""},
    ],
)
def test_a_routing_key_that_bindings_would_miss_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(EventInvalid):
        routing_key(recorded(**fields))


def test_a_settled_round_reads_back() -> None:
    event = RoundEvent.parse(envelope(recorded()))
    assert event == RoundEvent(
        event_id="e-1",
        type=ROUND_SETTLED,
        operator_id="acme",
        sequence=7,
        occurred_at="2026-11-22T16:00:00Z",
        player_id="p-1",
        session_id="s-1",
        round_id="r-1",
        game_id="dice",
        game_version="1.0.0",
        mode="base",
        stake=Money(100, "EUR"),
        win=Money(250, "EUR"),
        balance=Money(1_150, "EUR"),
        closed_at="2026-11-22T16:00:00.123456Z",
        failure_code=None,
    )


def test_a_void_round_reads_back_with_its_reason() -> None:
    event = RoundEvent.parse(envelope(recorded(ROUND_VOID)))
    assert (event.type, event.failure_code, event.win.amount) == (ROUND_VOID, "resolve-failed", 0)
    assert event.closed_at == "2026-11-22T16:00:00Z"


def test_what_a_later_release_adds_is_ignored() -> None:
    data = {**SETTLED_DATA, "jackpot": {"amount": 1}, "stake": {**SETTLED_DATA["stake"], "tax": 0}}
    body = json.loads(envelope(recorded(data=data)))
    assert RoundEvent.parse(json.dumps({**body, "traceparent": "00"}).encode()) == RoundEvent.parse(
        envelope(recorded())
    )


@pytest.mark.parametrize("type_", [ROUND_SETTLED, ROUND_VOID])
def test_everything_that_the_schema_requires_is_required(type_: str) -> None:
    complete = {ROUND_SETTLED: SETTLED_DATA, ROUND_VOID: VOID_DATA}[type_]
    schema = ROUND_DATA_SCHEMA[type_]
    assert set(schema["required"]) == set(schema["properties"]) - {"brand", "request_id"} == set(complete)
    for name in schema["required"]:
        without = {key: value for key, value in complete.items() if key != name}
        with pytest.raises(EventInvalid, match=name):
            RoundEvent.parse(envelope(recorded(type_, without)))
        if schema["properties"][name]["type"] == "object":
            for inner in schema["properties"][name]["required"]:
                broken = {**complete, name: {k: v for k, v in complete[name].items() if k != inner}}
                with pytest.raises(EventInvalid, match=f"{name}.{inner}"):
                    RoundEvent.parse(envelope(recorded(type_, broken)))


@pytest.mark.parametrize("amount", [1.0, 1.5, "1", True, None, -1, [], {}])
@pytest.mark.parametrize("name", ["stake", "win", "balance"])
def test_an_amount_that_is_no_whole_number_is_refused(name: str, amount: object) -> None:
    data = {**SETTLED_DATA, name: {"amount": amount, "currency": "EUR"}}
    with pytest.raises(EventInvalid, match=f"{name}.amount"):
        RoundEvent.parse(envelope(recorded(data=data)))


def test_two_currencies_in_one_round_are_refused() -> None:
    with pytest.raises(EventInvalid, match="one currency"):
        RoundEvent.parse(envelope(recorded(data={**SETTLED_DATA, "win": {"amount": 1, "currency": "SEK"}})))


def test_a_void_round_with_a_win_is_refused() -> None:
    with pytest.raises(EventInvalid, match="has a win"):
        RoundEvent.parse(
            envelope(recorded(ROUND_VOID, {**VOID_DATA, "win": {"amount": 1, "currency": "EUR"}}))
        )


@pytest.mark.parametrize(
    "change", [{"specversion": "0.3"}, {"type": "round.opened"}, {"sequence": "7"}, {"id": ""}, {"data": []}]
)
def test_a_wrong_envelope_is_refused(change: dict[str, Any]) -> None:
    body = {**json.loads(envelope(recorded())), **change}
    with pytest.raises(EventInvalid):
        RoundEvent.parse(json.dumps(body).encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_the_one_error(body: bytes) -> None:
    with pytest.raises(EventInvalid):
        RoundEvent.parse(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(name=st.sampled_from(sorted(SETTLED_DATA)), value=json_values)
def test_any_value_in_any_place_is_read_or_refused_with_the_one_error(name: str, value: Any) -> None:
    try:
        event = RoundEvent.parse(envelope(recorded(data={**SETTLED_DATA, name: value})))
    except EventInvalid:
        return
    assert isinstance(event.stake.amount, int)


def test_every_type_has_a_schema_of_its_data() -> None:
    assert set(DATA_SCHEMA) == EVENT_TYPES
    for schema in DATA_SCHEMA.values():
        jsonschema_rs.validator_for(schema)
