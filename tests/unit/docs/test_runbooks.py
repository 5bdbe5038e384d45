"""Each alert has its page, and each page its alert: meaning, check, act, drill."""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from compose import watched
from runtime.settings import PROJECT_ROOT

PAGES: Final = sorted((PROJECT_ROOT / "docs/sre/runbooks").glob("*.md"))
REFERENCE: Final = sorted((PROJECT_ROOT / "docs/reference").glob("metrics*.md"))
METRICS: Final = "".join(page.read_text("utf-8") for page in REFERENCE)
SECTIONS: Final = ["Check", "Act", "Drill"]
# A page is read at night.
WORDS_LIMIT: Final = 250


def rules() -> dict[str, tuple[str, str]]:
    """Name and expression of each alert, by the path of its page."""
    groups = [group for path in watched.RULES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    return {
        rule["annotations"]["runbook_url"]: (rule["alert"], rule["expr"])
        for group in groups
        for rule in group["rules"]
    }


RULES: Final = rules()


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    assert [str(page.relative_to(PROJECT_ROOT)) for page in PAGES] == sorted(RULES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
class TestEveryRunbook:
    def test_says_what_it_means_and_then_what_to_check_what_to_do_and_how_to_try_it(self, page: Path) -> None:
        text = page.read_text("utf-8")
        alert, _ = RULES[str(page.relative_to(PROJECT_ROOT))]
        title, meaning = text.split("\n\n", 2)[:2]
        assert title == f"# {alert}"
        assert meaning[0].isupper()
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
        assert len(text.split()) < WORDS_LIMIT

    def test_names_the_metrics_of_its_alert_and_only_those_that_there_are(self, page: Path) -> None:
        text = page.read_text("utf-8")
        _, expression = RULES[str(page.relative_to(PROJECT_ROOT))]
        read = {watched.family(series) for series in watched.names([expression])}
        assert {name for name in read if name not in text} == set()
        unquoted = re.sub(r'"[^"]*"', "", text)
        named = {watched.family(name) for name in re.findall(r"\bcroupier_[a-z_]+\b", unquoted)}
        assert {name for name in named if f"`{name}" not in METRICS} == set()
