"""Whether an alert fires on series that were recorded: its rule, as Prometheus evaluates it, by promtool."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from compose import watched
from tests.drill.recorder import EVERY_S, UP, Recorder
from tests.support import promtool

RULE_EVERY_S: Final = 5
# Until a rule that may fire has been evaluated twice.
TWICE_S: Final = 2 * RULE_EVERY_S
UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600}
WINDOW: Final = re.compile(r"\[(\d+)([smh])\]")


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of compose/prometheus. `rule` is as its file has it."""

    rule: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.rule["alert"])

    @property
    def runbook(self) -> str:
        """The path of its page, from the root of the repository."""
        return str(self.rule["annotations"]["runbook_url"])

    @property
    def series(self) -> set[str]:
        """The names of those that its expression reads."""
        return watched.names([self.rule["expr"]])

    @property
    def pending_s(self) -> int:
        """How long its expression must hold before it fires."""
        return _seconds(*re.findall(r"(\d+)([smh])", str(self.rule.get("for", "0s")))[0])

    @property
    def looks_back_s(self) -> int:
        """The longest window of its expression."""
        return max((_seconds(*window) for window in WINDOW.findall(self.rule["expr"])), default=0)


def _seconds(number: str, unit: str) -> int:
    return int(number) * UNITS_S[unit]


def alerts() -> dict[str, Alert]:
    """All of them, by name."""
    groups = [group for path in watched.RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"]: Alert(rule) for group in groups for rule in group["rules"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What an alert, of these labels, says `after_s` after a tick up to which the series were recorded and
    from which on the last values are held."""

    what: str
    labels: Mapping[str, str]
    tick: int
    after_s: int
    fires: bool

    def as_test(self, alert: Alert, recorder: Recorder) -> dict[str, Any]:
        labels = {"alertname": alert.name, "alertstate": "firing", **self.labels}
        matchers = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
        firing = [{"labels": f'{{alertname="{alert.name}"}}', "value": 1}] if self.fires else []
        return {
            "name": self.what,
            "interval": f"{EVERY_S:g}s",
            "input_series": recorder.recorded(alert.series, until=self.tick, held_s=self.after_s + TWICE_S),
            "promql_expr_test": [
                {
                    "expr": f"max by (alertname) (ALERTS{{{matchers}}})",
                    "eval_time": f"{self.tick * EVERY_S + self.after_s:g}s",
                    "exp_samples": firing,
                }
            ],
        }


def before(alert: Alert, labels: Mapping[str, str], tick: int) -> Case:
    """It is quiet when the fault begins."""
    return Case(what=f"{alert.name} before", labels=labels, tick=tick, after_s=0, fires=False)


def during(alert: Alert, labels: Mapping[str, str], tick: int) -> Case:
    """It fires once what is so at this tick has lasted as long as its rule asks."""
    after_s = alert.pending_s + TWICE_S
    return Case(what=f"{alert.name} fires", labels=labels, tick=tick, after_s=after_s, fires=True)


def afterwards(alert: Alert, labels: Mapping[str, str], tick: int) -> Case:
    """It is quiet once its windows hold nothing but what is so at this tick."""
    after_s = alert.looks_back_s + TWICE_S
    return Case(what=f"{alert.name} afterwards", labels=labels, tick=tick, after_s=after_s, fires=False)


def assert_said(cases: Iterable[tuple[Alert, Case]], recorder: Recorder, folder: Path, program: Path) -> None:
    """Fails with what promtool says of those that are not so."""
    files = list(_written(list(cases), recorder, folder))
    promtool.run(program, "test", "rules", *files, folder=folder)


def _written(cases: Collection[tuple[Alert, Case]], recorder: Recorder, folder: Path) -> Iterator[str]:
    """A file with the rule of each alert and one with its cases; JSON is YAML too."""
    for number, (alert, case) in enumerate(cases):
        rules, tests = folder / f"{alert.name}.yml", folder / f"{number:02}-{alert.name}-test.yml"
        rules.write_text(json.dumps({"groups": [{"name": "drill", "rules": [dict(alert.rule)]}]}))
        content = {
            "rule_files": [rules.name],
            "evaluation_interval": f"{RULE_EVERY_S}s",
            "tests": [case.as_test(alert, recorder)],
        }
        tests.write_text(json.dumps(content))
        yield tests.name


def every_series() -> set[str]:
    """Those that any alert reads, and the sums of its histograms."""
    read = {name for alert in alerts().values() for name in alert.series}
    return {UP, *read, *(name.removesuffix("_bucket") + "_sum" for name in read if name.endswith("_bucket"))}
