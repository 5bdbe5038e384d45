"""What the tests of the keyring share."""

from pathlib import Path

import pytest

from security.keyring import Keyring


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A keyring, saved."""
    path = tmp_path / "keyring.json"
    Keyring.generate().save(path)
    return path
