"""Signatures in the form of Standard Webhooks: what we sign checks, and nothing else does."""

import base64
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from security.standard_webhooks import (
    SIGNATURES_LIMIT,
    TOLERANCE_S,
    PrivateKey,
    PublicKey,
    SharedSecret,
    WebhookRefused,
    signed_headers,
    verify,
)

SECRET = SharedSecret(b"0123456789abcdef01234567")
OTHER = SharedSecret(b"another-secret-of-24-byt")
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PRIVATE, PUBLIC = PrivateKey(ED25519), PublicKey(ED25519.public_key())
NOW_S = 1_700_000_000
BODY = b'{"amount":100}'


def now() -> float:
    return NOW_S


def signed(*keys: SharedSecret | PrivateKey, body: bytes = BODY) -> dict[str, str]:
    return signed_headers(keys or (SECRET,), message_id="m1", timestamp=NOW_S, body=body)


def check(
    headers: Mapping[str, str], body: bytes = BODY, *checks: SharedSecret | PublicKey, at_s: int = NOW_S
) -> str:
    return verify(checks or (SECRET,), headers, body, now=lambda: at_s)


def test_the_vector_of_the_standards_own_libraries() -> None:
    secret = SharedSecret.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(
        [secret],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(body=st.binary(max_size=200), key=st.sampled_from([(SECRET, SECRET), (PRIVATE, PUBLIC)]))
def test_what_is_signed_checks(body: bytes, key: tuple[SharedSecret, SharedSecret]) -> None:
    assert check(signed(key[0], body=body), body, key[1]) == "m1"


@pytest.mark.parametrize(("signer", "checker"), [(SECRET, SECRET), (PRIVATE, PUBLIC)])
def test_each_tampered_byte_fails(
    signer: SharedSecret | PrivateKey, checker: SharedSecret | PublicKey
) -> None:
    headers = signed(signer)
    for index in range(len(BODY)):
        tampered = bytearray(BODY)
        tampered[index] ^= 1
        with pytest.raises(WebhookRefused):
            check(headers, bytes(tampered), checker)
    for name, value in (("webhook-id", "m2"), ("webhook-timestamp", str(NOW_S + 1))):
        with pytest.raises(WebhookRefused):
            check({**headers, name: value}, BODY, checker)


def test_the_secret_of_another_does_not_check() -> None:
    with pytest.raises(WebhookRefused):
        check(signed(OTHER))


def test_one_version_does_not_check_the_other() -> None:
    for signer, checker in ((SECRET, PUBLIC), (PRIVATE, SECRET)):
        headers = signed(signer)
        with pytest.raises(WebhookRefused):
            check(headers, BODY, checker)
        relabelled = headers["webhook-signature"].replace(f"{signer.version},", f"{checker.version},")
        with pytest.raises(WebhookRefused):
            check({**headers, "webhook-signature": relabelled}, BODY, checker)


def test_while_a_key_is_rotated_one_of_several_is_enough() -> None:
    assert check(signed(OTHER, SECRET)) == "m1"
    assert check(signed(SECRET), BODY, OTHER, SECRET) == "m1"
    assert check(signed(SECRET, PRIVATE), BODY, PUBLIC) == "m1"


@pytest.mark.parametrize("away_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_a_time_that_is_near_enough(away_s: int) -> None:
    assert check(signed(), at_s=NOW_S + away_s) == "m1"


@pytest.mark.parametrize("away_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1, 10**9])
def test_a_time_that_is_too_far_away(away_s: int) -> None:
    with pytest.raises(WebhookRefused, match="too far"):
        check(signed(), at_s=NOW_S + away_s)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": ""},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "1.7e9"},
        {"webhook-timestamp": "\u0661\u0667"},
        {"webhook-timestamp": "1" * 5000},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,not base64"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-signature": "v1,\u00e9"},
    ],
)
def test_headers_that_prove_nothing(changed: dict[str, str]) -> None:
    with pytest.raises(WebhookRefused):
        check({**signed(), **changed}, BODY, SECRET, PUBLIC)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(WebhookRefused):
        check(headers)


def test_no_more_signatures_are_tried_than_the_limit() -> None:
    right = signed()["webhook-signature"]
    wrong = " ".join(["v1,AAAA"] * SIGNATURES_LIMIT)
    with pytest.raises(WebhookRefused):
        check({**signed(), "webhook-signature": f"{wrong} {right}"})


def test_keys_are_written_with_a_prefix_or_without() -> None:
    text = base64.b64encode(SECRET.secret).decode()
    assert SharedSecret.parse(text) == SharedSecret.parse(f"whsec_{text}") == SECRET
    public = base64.b64encode(ED25519.public_key().public_bytes_raw()).decode()
    for written in (public, f"whpk_{public}"):
        assert check(signed(PRIVATE), BODY, PublicKey.parse(written)) == "m1"


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_####", "whsec_" + base64.b64encode(b"x" * 65).decode()]
)
def test_what_is_no_secret_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"webhook secret|base64") as refused:
        SharedSecret.parse(text)
    assert "c2hvcnQ" not in str(refused.value)


@pytest.mark.parametrize("key", [SECRET, PRIVATE, PUBLIC])
def test_no_key_shows_itself(key: object) -> None:
    assert "0123456789abcdef" not in repr(key)
    assert repr(key).startswith("<security.standard_webhooks.")
