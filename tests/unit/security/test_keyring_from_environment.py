"""The keyring as a secret store hands it over, in a variable instead of a file."""

import base64
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from runtime import settings
from runtime.services import load_keyring
from security.keyring import Keyring, KeyringInvalid


def test_it_wins_over_the_file_and_shows_in_no_printed_form(tmp_path: Path) -> None:
    Keyring.generate().save(tmp_path / "keyring.json")
    keyring = Keyring.generate()
    environment = {"CROUPIER_HOME": str(tmp_path), "CROUPIER_KEYRING_JSON": keyring.to_json()}
    loaded = settings.load(environment)
    assert load_keyring(loaded) == keyring
    key = base64.b64encode(keyring.payload.active_key).decode()
    assert key not in f"{loaded!r} {loaded} {loaded.model_dump()}"
    assert load_keyring(settings.load(settings.to_environment(loaded))) == keyring


def test_without_it_the_file_is_read(tmp_path: Path) -> None:
    keyring = Keyring.generate()
    keyring.save(tmp_path / "keyring.json")
    assert load_keyring(settings.load({"CROUPIER_HOME": str(tmp_path)})) == keyring


def test_what_is_no_keyring_is_refused_unquoted(tmp_path: Path) -> None:
    Keyring.generate().save(tmp_path / "keyring.json")
    loaded = settings.load({"CROUPIER_HOME": str(tmp_path), "CROUPIER_KEYRING_JSON": '{"hunter2"'})
    with pytest.raises(KeyringInvalid) as caught:
        load_keyring(loaded)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("arguments", [["rotate", "events"], ["remove", "events", "OLD", "--yes"]])
def test_the_commands_list_it_and_refuse_to_change_it(tmp_path: Path, arguments: list[str]) -> None:
    file = tmp_path / "keyring.json"
    Keyring.generate().save(file)
    content = file.read_bytes()
    old = Keyring.generate()
    keyring = old.with_new_key("events")
    environment = {"CROUPIER_HOME": str(tmp_path), "CROUPIER_KEYRING_JSON": keyring.to_json()}
    listed = CliRunner().invoke(app, ["keys", "list"], env=environment)
    assert keyring.events.active in listed.output
    command = [old.events.active if word == "OLD" else word for word in arguments]
    result = CliRunner().invoke(app, ["keys", *command], env=environment)
    assert result.exit_code == 1
    assert "comes from CROUPIER_KEYRING_JSON" in result.output
    assert file.read_bytes() == content
