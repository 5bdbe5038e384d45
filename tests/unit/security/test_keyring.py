import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.keyring import SECTIONS, Keyring, KeyringInvalid, KeySection, SectionName, UnknownKey


@pytest.fixture
def keyring() -> Keyring:
    return Keyring.generate()


def test_generates_a_different_key_for_every_section(keyring: Keyring) -> None:
    keys = {getattr(keyring, name).active_key for name in SECTIONS}
    assert len(keys) == len(SECTIONS)
    assert {len(key) for key in keys} == {32}


def test_reads_back_what_it_saved(keyring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keyring.json"
    keyring.save(path)
    assert Keyring.load(path) == keyring
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keyring.json"]


def test_never_replaces_a_keyring_unasked(keyring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    keyring.save(path)
    with pytest.raises(FileExistsError):
        Keyring.generate().save(path)
    assert Keyring.load(path) == keyring
    rotated = keyring.with_new_key("payload")
    rotated.save(path, overwrite=True)
    assert Keyring.load(path) == rotated
    assert [entry.name for entry in tmp_path.iterdir()] == ["keyring.json"]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602])
def test_refuses_a_file_that_others_can_read_or_change(keyring: Keyring, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keyring.json"
    keyring.save(path)
    path.chmod(mode)
    with pytest.raises(KeyringInvalid, match="open to others"):
        Keyring.load(path)


def test_accepts_a_file_that_its_group_may_read(keyring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    keyring.save(path)
    path.chmod(0o440)
    assert Keyring.load(path) == keyring


def test_says_when_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyringInvalid, match=r"there is no keyring .*none\.json \(CROUPIER_KEYRING says"):
        Keyring.load(tmp_path / "none.json")


def broken_documents(keyring: Keyring) -> dict[str, str]:
    """A valid keyring, spoiled in one place each."""
    good = json.loads(keyring.to_json())
    payload = good["payload"]
    return {
        "not JSON": "{" + keyring.to_json(),
        "a list": "[]",
        "a section missing": json.dumps({name: good[name] for name in SECTIONS[1:]}),
        "a section too many": json.dumps({**good, "extra": payload}),
        "a section of another shape": json.dumps({**good, "payload": "AAAA"}),
        "a field too many": json.dumps({**good, "payload": {**payload, "x": 1}}),
        "an active key that is not there": json.dumps({**good, "payload": {**payload, "active": "gone"}}),
        "no keys": json.dumps({**good, "payload": {**payload, "keys": {}}}),
        "a short key": json.dumps({**good, "payload": {"active": "a", "keys": {"a": "QUJDREVGR0g="}}}),
        "not base64": json.dumps({**good, "payload": {"active": "a", "keys": {"a": "!!"}}}),
        "a key that is a number": json.dumps({**good, "payload": {"active": "a", "keys": {"a": 7}}}),
        "an id with a dot": json.dumps(
            {**good, "payload": {"active": "a.b", "keys": {"a.b": payload["keys"][payload["active"]]}}}
        ),
    }


@pytest.mark.parametrize("case", broken_documents(Keyring.generate()))
def test_refuses_a_broken_document_without_quoting_it(keyring: Keyring, case: str) -> None:
    text = broken_documents(keyring)[case]
    with pytest.raises(KeyringInvalid) as caught:
        Keyring.from_json(text)
    secrets = [secret for name in SECTIONS for secret in json.loads(keyring.to_json())[name]["keys"].values()]
    assert caught.value.__cause__ is None
    assert not [secret for secret in secrets if secret in str(caught.value)]


@pytest.mark.parametrize("section", SECTIONS)
def test_rotation_keeps_every_older_key(keyring: Keyring, section: SectionName) -> None:
    rotated = keyring.with_new_key(section)
    old: KeySection = getattr(keyring, section)
    new: KeySection = getattr(rotated, section)
    assert new.active != old.active
    assert new.key(old.active) == old.active_key
    assert len(new.keys) == 2
    others = [name for name in SECTIONS if name != section]
    assert all(getattr(rotated, name) == getattr(keyring, name) for name in others)


def test_rotation_in_two_steps_makes_a_key_known_before_it_is_used(keyring: Keyring) -> None:
    prepared = keyring.with_new_key("payload", activate=False)
    assert prepared.payload.active == keyring.payload.active
    (new_id,) = set(prepared.payload.keys) - set(keyring.payload.keys)
    assert prepared.with_active("payload", new_id).payload.active == new_id
    with pytest.raises(UnknownKey):
        keyring.with_active("payload", new_id)


@given(st.text(max_size=200))
def test_an_unknown_key_fails_closed(key_id: str) -> None:
    with pytest.raises(UnknownKey) as caught:
        Keyring.generate().tokens.key(key_id)
    assert len(str(caught.value)) < 700


def test_keys_cannot_be_changed_in_place(keyring: Keyring) -> None:
    with pytest.raises(TypeError):
        keyring.payload.keys["another"] = b""  # type: ignore[index]
