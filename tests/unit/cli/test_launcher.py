"""`./croupier`, the shell's part: what it hands over to the command line."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from cli import bootstrap

LAUNCHER: Final = Path(bootstrap.__file__).parent.parent / "croupier"
SAYS_WHAT_IT_GOT: Final = """#!/bin/sh
echo "${PYTHONDONTWRITEBYTECODE-unset} ${PYTHONPYCACHEPREFIX-unset}"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With an environment whose Python says what it got."""
    shutil.copy(LAUNCHER, tmp_path)
    (tmp_path / "requirements.lock").write_text("aio-pika==10.2.1\n")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(SAYS_WHAT_IT_GOT)
    python.chmod(0o755)
    (tmp_path / ".venv" / bootstrap.STAMP).write_text(bootstrap.stamp_of(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({}, "unset unset"),
        ({"PYTHONDONTWRITEBYTECODE": "1"}, "unset {root}/.local/bytecode"),
        ({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/elsewhere"}, "unset /elsewhere"),
        ({"PYTHONPYCACHEPREFIX": "/elsewhere"}, "unset /elsewhere"),
    ],
)
def test_programs_keep_their_bytecode_and_none_beside_the_sources_of_who_wants_none(
    root: Path, given: dict[str, str], got: str
) -> None:
    said = subprocess.run(
        [root / "croupier", "--help"], env={"PATH": os.defpath, **given}, capture_output=True, text=True
    )
    assert said.stdout.strip() == got.format(root=root), said.stderr
