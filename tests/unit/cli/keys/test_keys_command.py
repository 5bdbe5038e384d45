"""`croupier keys`: what it changes, what it refuses, and that it never shows a key."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from security.keyring import SECTIONS, Keyring, SectionName

Command = Callable[..., Result]


@pytest.fixture
def keys(file: Path) -> Command:
    """Runs `croupier keys` with these arguments. Whatever it prints has no secret key in any form."""

    def run(*arguments: str) -> Result:
        secrets = _secrets(Keyring.load(file))
        environment = {"CROUPIER_HOME": str(file.parent), "CROUPIER_KEYRING": str(file)}
        result = CliRunner().invoke(app, ["keys", *arguments], env=environment)
        secrets |= _secrets(Keyring.load(file))
        assert not [secret for secret in secrets if secret in result.output]
        return result

    return run


def _secrets(keyring: Keyring) -> set[str]:
    all_keys = [key for name in SECTIONS for key in getattr(keyring, name).keys.values()]
    return {
        form
        for key in all_keys
        for form in (base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode(), key.hex())
    }


def test_list_shows_ids_the_active_ones_and_public_halves(keys: Command, file: Path) -> None:
    keys("rotate", "events")
    keyring, listed = Keyring.load(file), json.loads(keys("list", "--json").output)
    for name in SECTIONS:
        section = getattr(keyring, name)
        assert [key["key_id"] for key in listed[name]] == list(section.keys)
        assert [key["key_id"] for key in listed[name] if key["active"]] == [section.active]
    public = {key["key_id"]: key["public"] for key in listed["events"]}
    for key_id, half in keyring.events.public_keys().items():
        assert base64.b64decode(public[key_id]) == half.public_bytes_raw()
    assert all("public" not in key for name in ("payload", "seeds") for key in listed[name])
    text = keys("list").output
    assert f"  {keyring.events.active}  active  public {public[keyring.events.active]}\n" in text


@pytest.mark.parametrize("section", SECTIONS)
def test_rotate_adds_a_key_and_activates_it(keys: Command, file: Path, section: SectionName) -> None:
    old = getattr(Keyring.load(file), section)
    result = keys("rotate", section)
    new = getattr(Keyring.load(file), section)
    assert result.exit_code == 0
    assert set(new.keys) == {old.active, new.active}
    assert new.active != old.active
    assert f"{section}: {new.active} is active; {old.active} stays" in result.output
    assert "restart" in result.output


def test_rotate_in_two_steps(keys: Command, file: Path) -> None:
    old = Keyring.load(file).seeds
    assert keys("rotate", "seeds", "--stage").exit_code == 0
    staged = Keyring.load(file).seeds
    (key_id,) = staged.keys.keys() - old.keys.keys()
    assert staged.active == old.active
    assert keys("rotate", "seeds", "--activate", key_id).exit_code == 0
    assert Keyring.load(file).seeds.active == key_id
    assert "active already" in keys("rotate", "seeds", "--activate", key_id).output
    assert Keyring.load(file).seeds.keys.keys() == staged.keys.keys()


def test_remove_says_what_it_costs_and_needs_yes(keys: Command, file: Path) -> None:
    old_id = Keyring.load(file).payload.active
    keys("rotate", "payload")
    refused = keys("remove", "payload", old_id)
    assert refused.exit_code == 1
    assert "a round under way stops where it is" in refused.output
    assert "nothing was removed" in refused.output
    assert old_id in Keyring.load(file).payload.keys
    assert keys("remove", "payload", old_id, "--yes").exit_code == 0
    assert old_id not in Keyring.load(file).payload.keys


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("rotate", "payloads"), 2, "the sections are"),
        (("rotate", "payload", "--stage", "--activate", "x"), 2, "--stage adds a key"),
        (("rotate", "payload", "--activate", "x"), 1, "has no key 'x'"),
        (("remove", "payload", "x", "--yes"), 1, "has no key 'x'"),
        (("remove", "payload", "ACTIVE", "--yes"), 1, "is the active key of the payload section"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    keys: Command, file: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    content, active = file.read_bytes(), Keyring.load(file).payload.active
    result = keys(*(active if argument == "ACTIVE" else argument for argument in arguments))
    assert result.exit_code == code
    assert why in " ".join(result.output.split())
    assert file.read_bytes() == content


def test_without_a_usable_keyring_it_says_so_and_quotes_nothing(tmp_path: Path) -> None:
    environment = {"CROUPIER_HOME": str(tmp_path), "CROUPIER_KEYRING": "keyring.json"}
    for arguments in (["list"], ["rotate", "events"], ["remove", "events", "x", "--yes"]):
        result = CliRunner().invoke(app, ["keys", *arguments], env=environment)
        assert result.exit_code == 1
        assert "CROUPIER_KEYRING says where this installation's is" in " ".join(result.output.split())
    (tmp_path / "keyring.json").write_text('{"hunter2"')
    (tmp_path / "keyring.json").chmod(0o600)
    result = CliRunner().invoke(app, ["keys", "rotate", "events"], env=environment)
    assert result.exit_code == 1
    assert "is not JSON" in result.output
    assert "hunter2" not in result.output


def test_merge_adds_the_keys_of_before_a_rotation_and_keeps_the_active_ones(
    keys: Command, file: Path, tmp_path: Path
) -> None:
    before = tmp_path / "before.json"
    Keyring.load(file).save(before)
    keys("rotate", "seeds")
    present = Keyring.load(file)
    keys("remove", "seeds", Keyring.load(before).seeds.active, "--yes")
    result = keys("merge", str(before))
    assert result.exit_code == 0, result.output
    assert f"seeds: added {Keyring.load(before).seeds.active}" in result.output
    assert {name: dict(getattr(Keyring.load(file), name).keys) for name in SECTIONS} == {
        name: dict(getattr(present, name).keys) for name in SECTIONS
    }
    assert Keyring.load(file).seeds.active == present.seeds.active
    assert "already" in keys("merge", str(before)).output


def test_merge_refuses_a_keyring_of_another_installation(keys: Command, file: Path, tmp_path: Path) -> None:
    """Two keyrings never have one key id by chance: then one of them was made by hand."""
    other, own = tmp_path / "other.json", Keyring.load(file)
    document = json.loads(Keyring.generate().to_json())
    (key,) = document["seeds"]["keys"].values()
    document["seeds"] = {"active": own.seeds.active, "keys": {own.seeds.active: key}}
    Keyring.from_json(json.dumps(document)).save(other)
    result = keys("merge", str(other))
    assert (result.exit_code, "of two installations" in result.output) == (1, True)
    assert Keyring.load(file) == own
    assert keys("merge", str(tmp_path / "missing.json")).exit_code == 1
