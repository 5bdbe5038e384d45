"""A made-up next release: this tree's migrations and database functions, and what a test adds to them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from storage.release import Release
from storage.schema import FUNCTIONS, VERSIONS, newest

# Above all that will be. Its name sorts after every other.
NEXT: Final = "9001"
MIGRATION: Final = '''"""{title}

Revision ID: {revision}
Revises: {before}
"""

from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in {expand!r}:
        op.execute(statement)
'''
CONTRACT: Final = """

def contract() -> None:
    for statement in {contract!r}:
        op.execute(statement)
"""


def next_release(
    folder: Path,
    *,
    expand: tuple[str, ...] | None = None,
    contract: tuple[str, ...] = (),
    edits: Mapping[str, tuple[str, str]] | None = None,
) -> Release:
    """In `folder`. With `expand` it has a migration of these statements, with `contract` a second half of it.
    `edits` are texts in the files of functions, by the file's name, with what comes in their place. A file
    that is not there is made."""
    release = Release(folder / "versions", folder / "functions")
    for of, to in ((VERSIONS, release.versions), (FUNCTIONS, release.functions)):
        shutil.copytree(of, to, ignore=shutil.ignore_patterns("__pycache__"))
    if expand is not None:
        text = MIGRATION.format(title="made up", revision=NEXT, before=newest(), expand=expand)
        text += CONTRACT.format(contract=contract) if contract else ""
        (release.versions / f"{NEXT}_made_up.py").write_text(text)
    for name, (old, new) in (edits or {}).items():
        path = release.functions / name
        before = path.read_text() if path.exists() else ""
        assert old in before, f"{name} has no {old!r} any more: change what this test replaces"
        path.write_text(before.replace(old, new, 1) if old else before + new)
    return release
