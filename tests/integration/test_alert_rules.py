"""The alert rules are sound, and each fires when it should and not otherwise: promtool says so."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from compose.watched import RULES
from runtime.settings import PROJECT_ROOT
from tests.support import promtool

FOLDER: Final = RULES[0].parent
NAMES: Final = tuple(path.stem for path in RULES)


@pytest.fixture(scope="module")
def program() -> Path:
    return promtool.find()


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / "tests" / f"{name}.yml").read_text("utf-8"))[
        "tests"
    ]
    return found


def alerts(name: str) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / f"{name}.yml").read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_the_rules_and_their_scraping_are_sound(program: Path) -> None:
    said = promtool.run(program, "check", "config", "prometheus.yml", folder=FOLDER)
    for name in NAMES:
        assert re.search(rf"Checking {name}\.yml\n.*SUCCESS: {len(alerts(name))} rules found", said), said


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_fires_when_it_should(program: Path, name: str) -> None:
    promtool.run(program, "test", "rules", f"tests/{name}.yml", folder=FOLDER)


def test_a_rule_that_says_something_else_fails_its_test(program: Path, tmp_path: Path) -> None:
    """That the tests above can fail."""
    (tmp_path / "tests").mkdir()
    text = (FOLDER / "database.yml").read_text("utf-8").replace("croupier_feed_lag_seconds) > 30", "x) > 30")
    (tmp_path / "database.yml").write_text(text, "utf-8")
    (tmp_path / "tests" / "database.yml").write_bytes((FOLDER / "tests" / "database.yml").read_bytes())
    with pytest.raises(AssertionError, match="FeedHeld"):
        promtool.run(program, "test", "rules", "tests/database.yml", folder=tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_a_case_that_fires_and_one_that_does_not(name: str) -> None:
    tested = [
        (one["alertname"], bool(one["exp_alerts"])) for case in cases(name) for one in case["alert_rule_test"]
    ]
    expected = [(alert["alert"], fires) for alert in alerts(name) for fires in (True, False)]
    assert sorted(tested) == sorted(expected)


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_says_how_urgent_it_is_and_where_to_read_on(name: str) -> None:
    for alert in alerts(name):
        assert alert["labels"] in ({"severity": "page"}, {"severity": "ticket"}), alert
        page = re.sub(r"(?<!^)(?=[A-Z])", "-", alert["alert"]).lower()
        assert alert["annotations"]["runbook_url"] == f"docs/sre/runbooks/{page}.md"
        assert alert["annotations"]["summary"]


def test_each_runbook_that_there_is_has_its_alert() -> None:
    runbooks = {str(path.relative_to(PROJECT_ROOT)) for path in PROJECT_ROOT.glob("docs/sre/runbooks/*-*.md")}
    linked = {alert["annotations"]["runbook_url"] for name in NAMES for alert in alerts(name)}
    assert runbooks <= linked
