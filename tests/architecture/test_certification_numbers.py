"""Each certification case has a test against our own API, under the number and in the words it has in
`./croupier certify`."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from certification.case import Case
from certification.cases.table import CASES

FOLDER = Path(__file__).parents[1] / "e2e" / "certification"
NUMBERS = range(1, 42)
NAME = re.compile(r"test_case_(\d\d)_(\w+)")


@cache
def _tests() -> dict[int, list[str]]:
    """What follows the number in the names of the tests, by number."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in FOLDER.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AsyncFunctionDef) and (match := NAME.fullmatch(node.name)):
                found[int(match[1])].append(match[2])
    return dict(found)


def test_every_certification_case_has_a_test_against_our_own_api() -> None:
    assert set(_tests()) == set(NUMBERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.number))
def test_a_case_has_the_words_that_certify_has_for_it(case: Case) -> None:
    words = re.sub(r"\W+", "_", case.title.lower().replace("'", ""))
    assert [name for name in _tests().get(case.number, []) if not f"{name}_".startswith(f"{words}_")] == []
