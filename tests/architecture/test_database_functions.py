"""Rules of the folder of database functions: what programs call has a version, and each fits one screen."""

import re
from pathlib import Path
from typing import Final

import pytest

from storage import made_objects

FOLDER: Final = Path(__file__).parents[2] / "storage" / "functions"
SCREEN: Final = 70
FUNCTION: Final = re.compile(r"^CREATE FUNCTION (\w+).*?^(?:END )?\$\$[^\n]*;", re.MULTILINE | re.DOTALL)
VERSIONED: Final = re.compile(r"\w+_v\d+")
TEXTS: Final = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.sql"))}
FUNCTIONS: Final = {found[1]: found[0] for text in TEXTS.values() for found in FUNCTION.finditer(text)}


def test_every_function_is_seen() -> None:
    made = re.findall(r"^CREATE (?:OR REPLACE )?FUNCTION (\w+)", "\n".join(TEXTS.values()), re.MULTILINE)
    assert made == list(FUNCTIONS), "a function is made once, and without OR REPLACE"


def test_every_statement_is_an_object_that_can_be_replaced() -> None:
    """`read` refuses any other."""
    made = made_objects.read(FOLDER)
    assert [each.key for each in made if each.kind == "function"] == [
        f"function {name}" for name in FUNCTIONS
    ]
    assert len({each.key for each in made}) == len(made)
    assert made[-1].key == "rights", "they come last, for they name what was made"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_fits_one_screen(name: str) -> None:
    assert len(FUNCTIONS[name].splitlines()) <= SCREEN


def test_programs_may_call_what_has_a_version_and_nothing_else() -> None:
    granted = re.findall(r"'(\w+)'", TEXTS["90_access.sql"].partition("LOOP")[0])
    assert sorted(granted) == sorted(name for name in FUNCTIONS if VERSIONED.fullmatch(name))


def test_access_is_granted_in_one_file() -> None:
    assert [name for name, text in TEXTS.items() if "GRANT" in text] == ["90_access.sql"]
