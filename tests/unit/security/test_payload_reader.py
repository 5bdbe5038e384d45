"""What Temporal's tools send is opened payload by payload, and a reason stands where one does not open."""

import base64
import json
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload

from security.keyring import Keyring, KeyringInvalid, section_json, section_of
from security.payload_reader import PayloadReader, PayloadsMalformed
from security.payload_seal import PayloadSealer
from security.seeds import SeedVault, new_server_seed

KEYRING = Keyring.generate()
OTHER = Keyring.generate()
READER = PayloadReader(KEYRING.payload)


def plain(value: object, encoding: bytes = b"json/plain") -> Payload:
    return Payload(metadata={"encoding": encoding}, data=json.dumps(value).encode())


def sealed(value: object, keyring: Keyring = KEYRING) -> Payload:
    return PayloadSealer(keyring.payload).seal(plain(value))


def body_of(*payloads: Payload) -> bytes:
    """As the web interface writes them."""
    return json.dumps(
        {
            "payloads": [
                {
                    "metadata": {
                        name: base64.b64encode(value).decode() for name, value in found.metadata.items()
                    },
                    "data": base64.b64encode(found.data).decode(),
                }
                for found in payloads
            ]
        }
    ).encode()


def values_of(text: str) -> list[Any]:
    """The data of each payload, which must say that it is JSON."""
    found = json.loads(text).get("payloads", [])
    assert {base64.b64decode(payload["metadata"]["encoding"]) for payload in found} <= {b"json/plain"}
    return [json.loads(base64.b64decode(payload["data"])) for payload in found]


def test_payloads_come_back_open_and_in_order() -> None:
    values = [{"stake": number} for number in range(20)]
    decoded = READER.decode(body_of(*map(sealed, values)))
    assert values_of(decoded.text) == values
    assert decoded.outcomes == {"opened": 20}


def test_what_was_not_sealed_comes_back_as_it_came() -> None:
    mixed = [plain("a marker of Temporal's own"), sealed("ours"), plain(None, b"json/protobuf")]
    decoded = READER.decode(body_of(*mixed))
    found = json.loads(decoded.text)["payloads"]
    assert [base64.b64decode(payload["data"]) for payload in found] == [
        b'"a marker of Temporal\'s own"',
        b'"ours"',
        b"null",
    ]
    assert decoded.outcomes == {"plain": 2, "opened": 1}


def test_a_payload_of_another_installation_is_a_reason_and_the_others_are_opened() -> None:
    decoded = READER.decode(body_of(sealed("before"), sealed("theirs", OTHER), sealed("after")))
    before, reason, after = values_of(decoded.text)
    assert (before, after) == ("before", "after")
    assert f"has no payload key {OTHER.payload.active!r}" in reason["unreadable"]
    assert decoded.outcomes == {"opened": 2, "unreadable": 1}


def test_another_key_under_our_id_and_a_changed_byte_are_reasons() -> None:
    forged = sealed("theirs", OTHER)
    forged.metadata["encryption-key-id"] = KEYRING.payload.active.encode()
    changed = sealed("ours")
    changed.data = changed.data[:-1] + bytes([changed.data[-1] ^ 1])
    for payload in (forged, changed):
        (reason,) = values_of(READER.decode(body_of(payload)).text)
        assert reason["unreadable"].startswith("it was changed, or sealed with another key of the id")


@pytest.mark.parametrize("encoding", [b"binary/zlib", b"", b"json/encrypted", b"\xff\xfe" * 200])
def test_an_unknown_encoding_is_a_reason(encoding: bytes) -> None:
    (reason,) = values_of(READER.decode(body_of(Payload(metadata={"encoding": encoding}, data=b"x"))).text)
    assert "its encoding" in reason["unreadable"]
    assert len(reason["unreadable"]) < 300


def test_a_payload_without_metadata_is_a_reason() -> None:
    (reason,) = values_of(READER.decode(b'{"payloads": [{"data": "eA=="}]}').text)
    assert "its encoding ''" in reason["unreadable"]


def test_what_it_seals_programs_open() -> None:
    encoded = READER.encode(body_of(plain({"stake": 7}), plain(None)))
    assert encoded.outcomes == {"sealed": 2}
    assert b"stake" not in base64.b64decode(json.loads(encoded.text)["payloads"][0]["data"])
    assert values_of(READER.decode(encoded.text.encode()).text) == [{"stake": 7}, None]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b"7",
        b'{"payloads": 7}',
        b'{"payloads": [7]}',
        b'{"payloads": [{"data": "not base64!"}]}',
        b'{"payloads": [{"metadata": {"encoding": 7}}]}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"payloads": [' * 100_000,
    ],
)
def test_anything_but_payloads_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadsMalformed):
        READER.decode(body)


def test_what_a_newer_tool_adds_is_left_out() -> None:
    text = body_of(sealed(1)).decode().replace('"data":', '"externalReference": {"a": 1}, "data":')
    assert values_of(READER.decode(text.encode()).text) == [1]


def test_a_seed_inside_stays_sealed() -> None:
    seed = new_server_seed()
    text = SeedVault(KEYRING).seal("seed-1", seed)
    (value,) = values_of(READER.decode(body_of(sealed({"sealed_server_seed": text}))).text)
    assert value == {"sealed_server_seed": text}
    # The text itself is no payload that could be opened: it belongs to another key, and to its seed.
    raw = base64.urlsafe_b64decode(text.split(".")[2] + "==")
    asked = Payload(
        metadata={"encoding": b"binary/encrypted", "encryption-key-id": text.split(".")[1].encode()}, data=raw
    )
    (reason,) = values_of(READER.decode(body_of(asked)).text)
    assert "has no payload key" in reason["unreadable"]


def test_one_section_is_read_of_a_whole_keyring_and_of_one_that_has_it_alone() -> None:
    assert section_of(KEYRING.to_json(), "payload") == KEYRING.payload
    alone = section_json(KEYRING.payload)
    assert section_of(alone, "payload") == KEYRING.payload
    assert KEYRING.seeds.active not in alone
    with pytest.raises(KeyringInvalid, match="has no section seeds"):
        section_of(alone, "seeds")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"payload": {}}', '{"payload": {"active": "a"}}'])
def test_a_section_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(KeyringInvalid):
        section_of(text, "payload")
