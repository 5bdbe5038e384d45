"""A backup knows its keyring without having it."""

import json
from dataclasses import replace

import pytest

from security.canaries import canaries, missing, open_passwords, seal_passwords
from security.keyring import SECTIONS, Keyring, UnknownKey


def test_a_keyring_and_its_later_ones_are_recognised_and_others_are_not() -> None:
    keyring = Keyring.generate()
    known = json.loads(json.dumps(canaries(keyring)))
    later = keyring.with_new_key("seeds").with_new_key("events")
    assert missing(keyring, known) == missing(later, known) == []
    assert {one.split()[0] for one in missing(Keyring.generate(), known)} == set(SECTIONS)


def test_a_keyring_of_before_a_rotation_lacks_the_new_key() -> None:
    before = Keyring.generate()
    after = before.with_new_key("payload")
    assert missing(before, canaries(after)) == [f"payload {after.payload.active}"]
    assert missing(before.merged(after), canaries(after)) == []


def test_another_key_of_the_same_id_is_not_taken_for_it() -> None:
    keyring, other = Keyring.generate(), Keyring.generate()
    for name in ("seeds", "tokens"):
        own = getattr(keyring, name)
        swapped = replace(own, keys={own.active: getattr(other, name).active_key})
        assert missing(replace(keyring, **{name: swapped}), canaries(keyring)) == [f"{name} {own.active}"]


def test_passwords_open_with_their_keyring_alone() -> None:
    keyring, known = Keyring.generate(), {"postgres_password": "hunter2"}
    sealed = seal_passwords(keyring, known)
    assert "hunter2" not in sealed
    assert open_passwords(keyring.with_new_key("payload"), sealed) == known
    with pytest.raises(UnknownKey):
        open_passwords(Keyring.generate(), sealed)


def test_no_key_is_in_a_canary() -> None:
    keyring = Keyring.generate()
    text = json.dumps(canaries(keyring))
    secrets = [key.hex() for name in SECTIONS for key in getattr(keyring, name).keys.values()]
    document = json.loads(keyring.to_json())
    secrets += [key for name in SECTIONS for key in document[name]["keys"].values()]
    assert not [secret for secret in secrets if secret in text]
