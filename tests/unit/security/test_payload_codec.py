import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ActivityError, ApplicationError, RetryState

from security.keyring import Keyring, KeyringInvalid, UnknownKey
from security.payload_codec import EncryptionCodec, PayloadRefused, data_converter
from security.sealing import SealBroken

KEYRING = Keyring.generate()


@dataclass(frozen=True)
class Secretive:
    word: str
    number: int


async def seal(codec: EncryptionCodec, payload: Payload) -> Payload:
    (sealed,) = await codec.encode([payload])
    return sealed


@given(data=st.binary(max_size=2_000), encoding=st.binary(max_size=40))
async def test_opens_what_it_sealed(data: bytes, encoding: bytes) -> None:
    payload = Payload(metadata={"encoding": encoding}, data=data)
    codec = EncryptionCodec(KEYRING)
    sealed = await codec.encode([payload, payload])
    assert sealed[0].data != sealed[1].data  # a fresh nonce each time
    assert await codec.decode(sealed) == [payload, payload]


async def test_hides_data_and_metadata_and_names_its_key() -> None:
    payload = Payload(metadata={"encoding": b"json/plain", "who": b"player-7"}, data=b'"the-secret"')
    sealed = await seal(EncryptionCodec(KEYRING), payload)
    assert sealed.metadata["encryption-key-id"].decode() == KEYRING.payload.active
    wire = sealed.SerializeToString()
    assert b"the-secret" not in wire
    assert b"player-7" not in wire


async def test_opens_with_an_older_key_after_rotation() -> None:
    payload = Payload(data=b"old")
    old = await seal(EncryptionCodec(KEYRING), payload)
    rotated = EncryptionCodec(KEYRING.with_new_key("payload"))
    assert await rotated.decode([old]) == [payload]
    new = await seal(rotated, payload)
    assert new.metadata["encryption-key-id"] != old.metadata["encryption-key-id"]
    with pytest.raises(UnknownKey):
        await EncryptionCodec(KEYRING).decode([new])


async def test_refuses_a_key_of_another_installation_under_the_same_id() -> None:
    other = dataclasses.replace(
        KEYRING.payload, keys={KEYRING.payload.active: Keyring.generate().payload.active_key}
    )
    sealed = await seal(EncryptionCodec(KEYRING), Payload(data=b"x"))
    with pytest.raises(SealBroken):
        await EncryptionCodec(dataclasses.replace(KEYRING, payload=other)).decode([sealed])


@given(position=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
async def test_refuses_any_changed_byte(position: int, flip: int) -> None:
    codec = EncryptionCodec(KEYRING)
    sealed = await seal(codec, Payload(data=b"0123456789"))
    data = bytearray(sealed.data)
    data[position % len(data)] ^= flip
    with pytest.raises(SealBroken):
        await codec.decode([Payload(metadata=sealed.metadata, data=bytes(data))])


@given(length=st.integers(min_value=0, max_value=30))
async def test_refuses_a_cut_payload(length: int) -> None:
    codec = EncryptionCodec(KEYRING)
    sealed = await seal(codec, Payload(data=b"0123456789"))
    with pytest.raises(SealBroken):
        await codec.decode([Payload(metadata=sealed.metadata, data=sealed.data[:length])])


@pytest.mark.parametrize("encoding", [None, b"json/plain", b"binary/null", b"json/protobuf"])
async def test_refuses_a_payload_in_the_clear(encoding: bytes | None) -> None:
    payload = Payload(metadata={} if encoding is None else {"encoding": encoding}, data=b"{}")
    with pytest.raises(PayloadRefused):
        await EncryptionCodec(KEYRING).decode([payload])


async def test_refuses_a_sealed_payload_without_a_key_id() -> None:
    sealed = await seal(EncryptionCodec(KEYRING), Payload(data=b"x"))
    with pytest.raises(UnknownKey):
        await EncryptionCodec(KEYRING).decode(
            [Payload(metadata={"encoding": b"binary/encrypted"}, data=sealed.data)]
        )


async def test_the_converter_carries_values_sealed() -> None:
    converter = data_converter(KEYRING)
    payloads = await converter.encode([Secretive("croupier", 7), None])
    assert all(payload.metadata["encoding"] == b"binary/encrypted" for payload in payloads)
    assert await converter.decode(payloads, [Secretive, type(None)]) == [Secretive("croupier", 7), None]


async def failure_round_trip(error: BaseException) -> tuple[Failure, BaseException]:
    converter = data_converter(KEYRING)
    failure = Failure()
    await converter.encode_failure(error, failure)
    stored = Failure.FromString(failure.SerializeToString())
    return stored, await converter.decode_failure(Failure.FromString(stored.SerializeToString()))


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error as it looks after it was raised in code with a name that a stack trace would show."""
    try:
        raise error from cause
    except type(error) as caught:
        return caught


async def test_a_failure_keeps_its_type_and_hides_its_text() -> None:
    original = raised(
        ApplicationError("player-7 hid it", {"seed": "s3cret"}, type="GameError", non_retryable=True),
        raised(ValueError("cause with s3cret")),
    )
    stored, decoded = await failure_round_trip(original)
    # Temporal itself must read these two to apply the retry policy.
    assert stored.application_failure_info.type == "GameError"
    assert stored.application_failure_info.non_retryable
    wire = stored.SerializeToString()
    for leak in (b"player-7", b"s3cret", b"raised", b"test_payload_codec"):
        assert leak not in wire
    assert isinstance(decoded, ApplicationError)
    assert (decoded.message, decoded.type, decoded.non_retryable) == ("player-7 hid it", "GameError", True)
    assert list(decoded.details) == [{"seed": "s3cret"}]
    assert isinstance(decoded.__cause__, ApplicationError)
    assert (decoded.__cause__.message, decoded.__cause__.type) == ("cause with s3cret", "ValueError")


@pytest.mark.parametrize("non_retryable", [True, False])
async def test_a_failure_keeps_whether_it_may_be_retried(non_retryable: bool) -> None:
    _, decoded = await failure_round_trip(raised(ApplicationError("x", non_retryable=non_retryable)))
    assert isinstance(decoded, ApplicationError)
    assert decoded.non_retryable is non_retryable


async def test_a_nested_failure_survives_twice() -> None:
    """As a workflow passes an activity's failure on: decoded, and encoded again."""
    activity = ActivityError(
        "step failed",
        scheduled_event_id=5,
        started_event_id=6,
        identity="worker",
        activity_type="settle",
        activity_id="1",
        retry_state=RetryState.NON_RETRYABLE_FAILURE,
    )
    inner = raised(ApplicationError("inner s3cret", type="LedgerConflict", non_retryable=True))
    _, once = await failure_round_trip(raised(activity, inner))
    stored, twice = await failure_round_trip(once)
    assert b"s3cret" not in stored.SerializeToString()
    assert isinstance(twice, ActivityError)
    assert isinstance(twice.__cause__, ApplicationError)
    assert (twice.__cause__.message, twice.__cause__.type) == ("inner s3cret", "LedgerConflict")


def everything_about(keyring: Keyring) -> list[str]:
    """Every secret of a keyring in the forms in which it could turn up in a text."""
    document: dict[str, Any] = json.loads(keyring.to_json())
    texts = [secret for section in document.values() for secret in section["keys"].values()]
    keys = [getattr(keyring, name).active_key for name in document]
    return texts + [key.hex() for key in keys] + [repr(key)[2:-1] for key in keys]


def test_no_secret_shows_in_a_repr() -> None:
    from security.seeds import SeedVault
    from security.signatures import Signer
    from security.tokens import TokenIssuer, TokenVerifier

    holders: list[object] = [
        KEYRING,
        KEYRING.payload,
        EncryptionCodec(KEYRING),
        data_converter(KEYRING),
        SeedVault(KEYRING),
        Signer(KEYRING.events),
        TokenIssuer(KEYRING),
        TokenVerifier(KEYRING, lambda: 0.0),
    ]
    shown = "".join(f"{holder!r}{holder!s}" for holder in holders)
    assert KEYRING.payload.active in shown
    assert not [secret for secret in everything_about(KEYRING) if secret in shown]


def test_no_secret_shows_in_an_error() -> None:
    short = {"a": b"nineteen bytes long"}
    with pytest.raises(KeyringInvalid) as caught:
        dataclasses.replace(KEYRING.seeds, active="a", keys=short)
    assert "nineteen" not in str(caught.value)
