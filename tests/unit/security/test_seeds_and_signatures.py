import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.api_keys import ApiKeyInvalid, new_api_key, parse_api_key
from security.keyring import Keyring, UnknownKey
from security.sealing import SealBroken
from security.seeds import SeedVault, commitment, new_server_seed
from security.signatures import SignatureInvalid, SignatureVerifier, Signer

KEYRING = Keyring.generate()


def test_a_commitment_can_be_checked_with_any_tool() -> None:
    assert commitment(bytes(32)) == "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
    seed = new_server_seed()
    assert commitment(seed) == hashlib.sha256(seed).hexdigest()
    assert seed != new_server_seed()


@given(seed_id=st.text(max_size=40), seed=st.binary(min_size=32, max_size=32))
def test_a_seed_opens_under_its_own_id_only(seed_id: str, seed: bytes) -> None:
    vault = SeedVault(KEYRING)
    sealed = vault.seal(seed_id, seed)
    assert vault.open(seed_id, sealed) == seed
    assert seed.hex() not in sealed
    with pytest.raises(SealBroken):
        vault.open(seed_id + "x", sealed)


def test_a_sealed_seed_is_compact_and_outlives_rotation() -> None:
    sealed = SeedVault(KEYRING).seal("seed-1", bytes(32))
    assert sealed.startswith(f"v1.{KEYRING.seeds.active}.")
    assert len(sealed) <= 110
    rotated = KEYRING.with_new_key("seeds")
    assert SeedVault(rotated).open("seed-1", sealed) == bytes(32)
    with pytest.raises(UnknownKey):
        SeedVault(KEYRING).open("seed-1", SeedVault(rotated).seal("seed-1", bytes(32)))


@given(st.text(max_size=120))
def test_a_seed_refuses_junk(text: str) -> None:
    with pytest.raises((SealBroken, UnknownKey)):
        SeedVault(KEYRING).open("seed-1", text)


@given(position=st.integers(min_value=0), replacement=st.sampled_from("ABCxyz019_-.="))
def test_a_seed_refuses_any_change(position: int, replacement: str) -> None:
    vault = SeedVault(KEYRING)
    sealed = vault.seal("seed-1", bytes(32))
    at = position % len(sealed)
    changed = sealed[:at] + replacement + sealed[at + 1 :]
    if changed == sealed:
        return
    with pytest.raises((SealBroken, UnknownKey)):
        vault.open("seed-1", changed)


def test_only_whole_seeds_are_sealed() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SeedVault(KEYRING).seal("seed-1", b"short")


@given(st.binary(max_size=2_000))
def test_a_signature_fits_exactly_its_bytes_and_its_key(body: bytes) -> None:
    signer = Signer(KEYRING.events)
    check = SignatureVerifier(KEYRING.events.public_keys())
    signature = signer.sign(body)
    assert signature == signer.sign(body)
    check.verify(body, key_id=signature.key_id, value=signature.value)
    with pytest.raises(SignatureInvalid):
        check.verify(body + b" ", key_id=signature.key_id, value=signature.value)
    with pytest.raises(UnknownKey):
        check.verify(body, key_id=KEYRING.tokens.active, value=signature.value)


@pytest.mark.parametrize("value", ["", "!!", "AAAA", "é", "A" * 10_000])
def test_a_broken_signature_is_refused(value: str) -> None:
    check = SignatureVerifier(KEYRING.events.public_keys())
    with pytest.raises(SignatureInvalid):
        check.verify(b"body", key_id=KEYRING.events.active, value=value)


def test_old_signatures_hold_after_rotation() -> None:
    signature = Signer(KEYRING.events).sign(b"body")
    rotated = KEYRING.with_new_key("events")
    check = SignatureVerifier(rotated.events.public_keys())
    check.verify(b"body", key_id=signature.key_id, value=signature.value)
    assert Signer(rotated.events).sign(b"body").key_id != signature.key_id


def test_an_api_key_matches_what_was_stored_for_it() -> None:
    for _ in range(200):  # many, because some secrets contain the separator
        key = new_api_key()
        presented = parse_api_key(key.text)
        assert presented.key_id == key.key_id
        assert presented.matches(key.secret_hash)
        assert not presented.matches(new_api_key().secret_hash)
        assert not presented.matches("")
        assert not presented.matches("é")


def test_an_api_key_with_anothers_id_does_not_match() -> None:
    mine, theirs = new_api_key(), new_api_key()
    swapped = parse_api_key(f"crk_{theirs.key_id}_{mine.text.split('_', 2)[2]}")
    assert not swapped.matches(mine.secret_hash)
    assert not swapped.matches(theirs.secret_hash)


def test_an_api_key_never_shows_its_secret() -> None:
    key = new_api_key()
    shown = f"{key!r} {parse_api_key(key.text)!r}"
    assert key.key_id in shown
    assert key.text.split("_", 2)[2] not in shown
    assert key.secret_hash not in shown


@given(st.one_of(st.text(max_size=80), st.just("crk_"), st.just(new_api_key().text + "\n")))
def test_junk_is_no_api_key(text: str) -> None:
    with pytest.raises(ApiKeyInvalid) as caught:
        parse_api_key(text)
    assert not text.strip() or text not in str(caught.value) or text in "not an API key"
