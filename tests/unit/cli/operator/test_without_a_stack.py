"""`croupier operator` with no stack and no database named: one line with the next step, and no traceback."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from security.keyring import Keyring


@pytest.mark.parametrize(
    "arguments",
    [
        ["key", "list", "acme"],
        ["key", "add", "acme", "--scope", "game"],
        ["key", "rotate", "acme", "8f14e45fceea167a"],
        ["key", "revoke", "acme", "8f14e45fceea167a"],
        ["wallet", "set", "acme", "--url", "http://127.0.0.1:1", "--dialect", "rgs_micro", "--local"],
    ],
    ids=" ".join,
)
def test_says_what_is_missing(tmp_path: Path, arguments: list[str]) -> None:
    keyring = tmp_path / "keyring.json"
    Keyring.generate().save(keyring)
    environment = {"CROUPIER_HOME": str(tmp_path), "CROUPIER_KEYRING": str(keyring)}
    result = CliRunner().invoke(app, ["operator", *arguments], env=environment)
    assert result.exit_code == 1, result.output
    assert result.stderr.splitlines() == [
        "croupier: setting database_url (CROUPIER_DATABASE_URL) is missing: ./croupier up sets it"
    ]
