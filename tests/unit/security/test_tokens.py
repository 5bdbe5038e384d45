import base64
import dataclasses
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from contracts.sessions import SessionClaims
from security.keyring import Keyring
from security.tokens import (
    AUDIENCE,
    CLOCK_SKEW_S,
    ISSUER,
    TokenExpired,
    TokenInvalid,
    TokenIssuer,
    TokenVerifier,
)

KEYRING = Keyring.generate()
NOW = 1_800_000_000
CLAIMS = SessionClaims(
    session_id="s-1",
    operator_id="acme",
    player_id="p-1",
    player_key=7,
    account_id=8,
    game_id="dice",
    currency="EUR",
    mode="real",
    expires_at=NOW + 60,
)
PAYLOAD: dict[str, Any] = {
    "iss": ISSUER, "aud": AUDIENCE, "sid": "s-1", "op": "acme", "sub": "p-1", "pk": 7, "acc": 8,
    "game": "dice", "cur": "EUR", "mode": "real", "exp": NOW + 60,
}  # fmt: skip


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def verifier(clock: Clock | None = None, **options: int) -> TokenVerifier:
    return TokenVerifier(KEYRING, clock or Clock(), **options)


def issuer(keyring: Keyring = KEYRING) -> TokenIssuer:
    """At NOW, as the verifier: the tests say the same on any day."""
    return TokenIssuer(keyring, Clock())


def signed(payload: dict[str, Any], headers: dict[str, Any] | None = None) -> str:
    """A token with a genuine signature and any content."""
    return jwt.encode(
        payload,
        KEYRING.tokens.signing_key(),
        algorithm="EdDSA",
        headers={"kid": KEYRING.tokens.active} if headers is None else headers,
    )


def handmade(header: dict[str, Any], payload: dict[str, Any], sign: Any = lambda _: b"") -> str:
    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = part(json.dumps(header).encode()) + b"." + part(json.dumps(payload).encode())
    return (head + b"." + part(sign(head))).decode()


def test_gives_back_the_claims_it_was_issued_with() -> None:
    token = issuer().issue(CLAIMS)
    assert verifier().verify(token) == CLAIMS
    assert len(token) < 600


ids = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789_-", min_size=1, max_size=64)


@given(st.builds(
    SessionClaims, session_id=ids, operator_id=ids, player_id=ids, game_id=ids, currency=ids, mode=ids,
    player_key=st.integers(0, 2**63 - 1), account_id=st.integers(0, 2**63 - 1),
    expires_at=st.integers(NOW + 1, NOW + 10**9), jurisdiction=st.none() | ids,
))  # fmt: skip
def test_carries_any_claims(claims: SessionClaims) -> None:
    assert verifier().verify(issuer().issue(claims)) == claims


def test_a_token_from_before_jurisdictions_names_none() -> None:
    token = issuer().issue(CLAIMS)
    assert "jur" not in jwt.decode(token, options={"verify_signature": False})
    assert verifier().verify(token).jurisdiction is None


def test_checks_the_expiry_on_every_call_and_still_tells_the_claims() -> None:
    clock = Clock()
    tokens = verifier(clock)
    token = issuer().issue(CLAIMS)
    assert tokens.verify(token) == CLAIMS
    clock.now = NOW + 59.9
    assert tokens.verify(token) == CLAIMS
    clock.now = NOW + 60
    for _ in range(2):
        with pytest.raises(TokenExpired) as caught:
            tokens.verify(token)
        assert caught.value.claims == CLAIMS


def test_a_token_that_was_never_seen_in_time_still_tells_its_claims() -> None:
    with pytest.raises(TokenExpired) as caught:
        verifier(Clock(NOW + 3600)).verify(issuer().issue(CLAIMS))
    assert caught.value.claims == CLAIMS


def test_a_token_says_when_it_was_issued_and_serves_where_the_clock_is_behind() -> None:
    token = TokenIssuer(KEYRING, Clock(NOW + CLOCK_SKEW_S)).issue(CLAIMS)
    assert jwt.decode(token, options={"verify_signature": False})["iat"] == NOW + CLOCK_SKEW_S
    assert verifier(Clock(NOW)).verify(token) == CLAIMS
    with pytest.raises(TokenInvalid):
        verifier(Clock(NOW - 1)).verify(token)


def test_a_token_that_begins_later_serves_once_it_has_begun() -> None:
    clock = Clock()
    tokens = verifier(clock)
    token = signed({**PAYLOAD, "nbf": NOW + CLOCK_SKEW_S + 20})
    with pytest.raises(TokenInvalid):
        tokens.verify(token)
    clock.now = NOW + 20
    assert tokens.verify(token) == CLAIMS


def test_a_token_of_before_they_said_when_they_were_issued_still_serves() -> None:
    assert "iat" not in PAYLOAD
    assert verifier().verify(signed(PAYLOAD)) == CLAIMS


def test_no_clock_that_is_ahead_lets_a_token_outlive_its_end() -> None:
    token = TokenIssuer(KEYRING, Clock()).issue(CLAIMS)
    with pytest.raises(TokenExpired):
        verifier(Clock(CLAIMS.expires_at)).verify(token)


def test_an_older_key_still_counts_after_rotation() -> None:
    token = issuer().issue(CLAIMS)
    rotated = KEYRING.with_new_key("tokens")
    assert TokenVerifier(rotated, Clock()).verify(token) == CLAIMS
    with pytest.raises(TokenInvalid):
        verifier().verify(issuer(rotated).issue(CLAIMS))


def hmac_with(key: bytes) -> Any:
    return lambda head: hmac.new(key, head, hashlib.sha256).digest()


def forged_tokens() -> dict[str, str]:
    kid = KEYRING.tokens.active
    public = KEYRING.tokens.public_keys()[kid]
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    stranger = Keyring.generate()
    same_id = dataclasses.replace(stranger.tokens, active=kid, keys={kid: stranger.tokens.active_key})
    good = signed(PAYLOAD)
    forged = {
        "empty": "",
        "words": "not a token",
        "dots": "..",
        "many dots": "." * 2_000,
        "not ASCII": "é" * 100,
        "too long": good + "A" * 2_048,
        "none": handmade({"alg": "none", "kid": kid}, PAYLOAD),
        "None": handmade({"alg": "None", "typ": "JWT", "kid": kid}, PAYLOAD),
        "HS256 with the raw public key": handmade({"alg": "HS256", "kid": kid}, PAYLOAD, hmac_with(raw)),
        "HS256 with the PEM public key": handmade({"alg": "HS256", "kid": kid}, PAYLOAD, hmac_with(pem)),
        "no alg": handmade({"kid": kid}, PAYLOAD, KEYRING.tokens.signing_key().sign),
        "a list as alg": handmade({"alg": ["EdDSA"], "kid": kid}, PAYLOAD, KEYRING.tokens.signing_key().sign),
        "no kid": signed(PAYLOAD, headers={}),
        "a foreign kid": issuer(stranger).issue(CLAIMS),
        "our kid, a foreign key": issuer(dataclasses.replace(stranger, tokens=same_id)).issue(CLAIMS),
        "a number as kid": handmade({"alg": "EdDSA", "kid": 7}, PAYLOAD, KEYRING.tokens.signing_key().sign),
        "a list as kid": handmade({"alg": "EdDSA", "kid": [kid]}, PAYLOAD, KEYRING.tokens.signing_key().sign),
        "an event key": jwt.encode(PAYLOAD, KEYRING.events.signing_key(), "EdDSA", {"kid": kid}),
        "no signature": good.rsplit(".", 1)[0] + ".",
        "two parts": good.rsplit(".", 1)[0],
        "wrong audience": signed({**PAYLOAD, "aud": "croupier:operator"}),
        "no audience but another": signed({**PAYLOAD, "aud": ["croupier:operator", "elsewhere"]}),
        "HS512 with the raw public key": handmade({"alg": "HS512", "kid": kid}, PAYLOAD, hmac_with(raw)),
        "HS256 with the public key, signed by EdDSA": handmade(
            {"alg": "HS256", "kid": kid}, PAYLOAD, KEYRING.tokens.signing_key().sign
        ),
        "ES256": handmade({"alg": "ES256", "kid": kid}, PAYLOAD, KEYRING.tokens.signing_key().sign),
        "a key of its own": signed(PAYLOAD, headers={"kid": "mine", "jwk": {"kty": "OKP"}, "jku": "https://x"}),
        "issued in the future": signed({**PAYLOAD, "iat": NOW + CLOCK_SKEW_S + 1}),
        "not yet valid": signed({**PAYLOAD, "nbf": NOW + CLOCK_SKEW_S + 1}),
        "a number as jurisdiction": signed({**PAYLOAD, "jur": 7}),
        "issued before time began": signed({**PAYLOAD, "iat": -1}),
        "a text as issue": signed({**PAYLOAD, "iat": str(NOW)}),
        "true as a beginning": signed({**PAYLOAD, "nbf": True}),
        "a float as issue": signed({**PAYLOAD, "iat": NOW - 0.5}),
        "wrong issuer": signed({**PAYLOAD, "iss": "elsewhere"}),
        "a text as expiry": signed({**PAYLOAD, "exp": str(NOW + 60)}),
        "a float as expiry": signed({**PAYLOAD, "exp": NOW + 60.5}),
        "true as a player's key": signed({**PAYLOAD, "pk": True}),
        "a number as operator": signed({**PAYLOAD, "op": 7}),
        "null as game": signed({**PAYLOAD, "game": None}),
        "a list as payload": handmade(
            {"alg": "EdDSA", "kid": kid}, [PAYLOAD], KEYRING.tokens.signing_key().sign  # type: ignore[arg-type]
        ),
        "a critical header": signed(PAYLOAD, headers={"kid": kid, "crit": ["new"], "new": 1}),
        "a deep header": base64.urlsafe_b64encode(b"[" * 900).decode().rstrip("=") + ".e30.e30",
    }  # fmt: skip
    for name in PAYLOAD:
        forged[f"no {name}"] = signed({key: value for key, value in PAYLOAD.items() if key != name})
    return forged


FORGED = forged_tokens()


@pytest.mark.parametrize("case", FORGED)
def test_refuses(case: str) -> None:
    with pytest.raises(TokenInvalid) as caught:
        verifier().verify(FORGED[case])
    assert caught.value.__cause__ is None
    assert "acme" not in str(caught.value)


@given(position=st.integers(min_value=0), replacement=st.sampled_from("ABCxyz019_-."))
def test_refuses_any_changed_character(position: int, replacement: str) -> None:
    token = issuer().issue(CLAIMS)
    at = position % len(token)
    changed = token[:at] + replacement + token[at + 1 :]
    if changed == token or _same_signature(changed, token):
        return
    with pytest.raises(TokenInvalid):
        verifier().verify(changed)


def _same_signature(changed: str, token: str) -> bool:
    """The last character of base64 has bits that say nothing."""
    (said, _, signature), (issued, _, own) = changed.rpartition("."), token.rpartition(".")
    return said == issued and _decoded(signature) == _decoded(own)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if "." not in text else b""


@given(st.text(max_size=300))
def test_refuses_any_text(text: str) -> None:
    with pytest.raises(TokenInvalid):
        verifier().verify(text)


def test_remembers_a_bounded_number_of_tokens_and_no_refused_one() -> None:
    tokens = verifier(cache_limit=3)
    issue = issuer().issue
    issued = [issue(dataclasses.replace(CLAIMS, player_key=n)) for n in range(10)]
    for n, token in enumerate(issued):
        assert tokens.verify(token).player_key == n
    for forged in FORGED.values():
        with pytest.raises(TokenInvalid):
            tokens.verify(forged)
    assert len(tokens._cache) == 3
    assert tokens.verify(issued[0]).player_key == 0


def test_refuses_to_issue_what_it_would_not_read() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        issuer().issue(dataclasses.replace(CLAIMS, session_id="s" * 2_000))


def test_junk_costs_well_under_a_millisecond() -> None:
    """Of processor time, so that a busy machine counts for nothing."""
    tokens = verifier()
    forged = [token for token in FORGED.values() for _ in range(3)]
    slowest_seconds = 0.0
    for token in forged:
        best_seconds = min(_refusal_seconds(tokens, token) for _ in range(5))
        slowest_seconds = max(slowest_seconds, best_seconds)
    assert slowest_seconds < 0.001


def _refusal_seconds(tokens: TokenVerifier, token: str) -> float:
    began = time.thread_time()
    with pytest.raises(TokenInvalid):
        tokens.verify(token)
    return time.thread_time() - began
