"""The reference says what the code says, and nothing of the code is left out."""

import re
import runpy
from pathlib import Path
from typing import Any, Final

import pytest

from api.gateway.problems import PROBLEMS
from contracts import failures
from runtime.settings import Settings

ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = ROOT / "docs" / "reference"
MADE: Final[dict[str, Any]] = runpy.run_path(str(FOLDER / "make_reference.py"))
PAGES: Final[dict[str, str]] = MADE["pages"]()
METRICS: Final = "".join(text for page, text in PAGES.items() if page.startswith("metrics"))
TOLD_TO_RUN_IT: Final = "run docs/reference/make_reference.py"
PROGRAMS: Final = ("activities", "api", "cli", "events", "outbound", "runtime", "wallet", "workers")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_what_the_code_makes(page: str) -> None:
    assert (FOLDER / page).read_text(encoding="utf-8") == PAGES[page], TOLD_TO_RUN_IT


def test_every_page_of_the_folder_is_made() -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == set(PAGES)


def test_every_metric_of_the_programs_is_listed() -> None:
    named = {
        name
        for folder in PROGRAMS
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r'^\s*"(croupier_\w+)",?', path.read_text(encoding="utf-8"), re.MULTILINE)
        + re.findall(r'(?:Counter|Gauge|Histogram)\(\s*"(croupier_\w+)"', path.read_text(encoding="utf-8"))
    }
    assert len(named) > 30
    assert {name for name in named if f"`{name}" not in METRICS} == set()


def test_what_is_added_by_hand_is_about_what_there_is() -> None:
    assert set(MADE["ADVICE"]) == set(PROBLEMS)
    assert set(MADE["MORE_ON_SETTINGS"]) <= set(Settings.model_fields)
    assert [name for name in MADE["MORE_ON_METRICS"] if f"`{name}" not in METRICS] == []


def test_every_setting_is_in_the_example_file_with_its_default() -> None:
    example = (ROOT / "croupier.example.toml").read_text(encoding="utf-8")
    assert [name for name in Settings.model_fields if f"\n# {name} = " not in example] == []


def test_every_reason_of_a_void_round_is_listed() -> None:
    """Those that contracts/failures.py has beside the reasons to decline a bet."""
    void = {failures.RESERVE_UNCERTAIN, failures.RESOLVE_FAILED, failures.ROUND_CANCELLED}
    void |= {failures.ROLLED_BACK, failures.ABANDONED, failures.VOIDED_BY_OPERATOR, failures.ROUND_LOST}
    assert set(MADE["VOID"]) == void


def test_every_code_with_which_a_socket_is_closed_is_listed() -> None:
    messages = MADE["socket_messages"]
    codes = {value for value in vars(messages).values() if type(value) is int and 1000 <= value < 5000}
    assert codes <= set(MADE["CLOSED"])
