"""Rules and dashboards: what they read is measured, and what they name is there."""

import json
from typing import Any, Final

import yaml

from compose import deploy_files, watched
from compose.dashboards import DASHBOARDS, expressions
from compose.programs import PROGRAMS
from runtime import sdk_metrics
from runtime.settings import PROJECT_ROOT
from tests.support.measured import MEASURED

COMPOSE: Final = PROJECT_ROOT / "compose"


class TestPrometheusAndGrafana:
    groups: Final[dict[str, list[dict[str, Any]]]] = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["groups"][0]["rules"]
        for path in watched.RULES
    }
    rules: Final = [rule for rules in groups.values() for rule in rules]
    prometheus: Final[dict[str, Any]] = yaml.safe_load(
        (COMPOSE / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    )

    def test_every_file_of_rules_is_loaded(self) -> None:
        """`watched` reads all of them, line by line."""
        assert self.prometheus["rule_files"] == [path.name for path in watched.RULES]
        others = {path.name for path in (COMPOSE / "prometheus").glob("*.yml")} - {"prometheus.yml"}
        assert others == {path.name for path in watched.RULES}
        assert list(watched.rules()) == [rule["expr"] for rule in self.rules]

    def test_what_to_watch_has_a_row_for_each_alert_and_no_other(self) -> None:
        page = (PROJECT_ROOT / "docs/sre/watch.md").read_text(encoding="utf-8").replace("\\|", "|")
        rows = [line for line in page.splitlines() if line.startswith("| **")]
        expected = [
            f"| **[{rule['alert']}]({rule['annotations']['runbook_url'].removeprefix('docs/sre/')})**,"
            f" {rule['labels']['severity']} | `{rule['expr']}`"
            + (f" for {rule['for']} | " if "for" in rule else " | ")
            for rule in self.rules
        ]
        assert [begin for begin in expected if not any(row.startswith(begin) for row in rows)] == []
        assert len(rows) == len(expected)

    def test_metrics_that_are_shown_or_watched_are_measured(self) -> None:
        ours = {name for name in watched.everything() if name.startswith("croupier_")}
        assert len(ours) > 50
        assert {watched.family(name) for name in ours} - MEASURED == set()

    def test_every_metric_of_ours_is_shown_or_watched(self) -> None:
        """A figure that nobody looks at costs each scrape."""
        used = {watched.family(name) for name in watched.everything()}
        assert MEASURED - used == set()

    def test_of_the_sdk_exactly_what_is_used_is_on_our_pages(self) -> None:
        used = {watched.family(name) for name in watched.everything() if name.startswith("temporal_")}
        assert used == sdk_metrics.FAMILIES

    def test_of_the_services_what_is_used_is_kept(self) -> None:
        jobs = {job["job_name"]: job for job in self.prometheus["scrape_configs"]}
        assert jobs.keys() == {program.name for program in PROGRAMS} | {
            job for job, *_ in deploy_files.SERVICES
        }
        kept = {
            name
            for job, *_ in deploy_files.SERVICES
            for rule in jobs[job]["metric_relabel_configs"]
            for name in rule["regex"].split("|")
        }
        elsewhere = ("croupier_", "temporal_", "process_", "up")
        assert kept == {name for name in watched.everything() if not name.startswith(elsewhere)}

    def test_a_dashboard_is_found_by_grafana_and_its_panels_do_not_overlap(self) -> None:
        for board in DASHBOARDS:
            document = json.loads((COMPOSE / "grafana/dashboards" / f"{board.uid}.json").read_text("utf-8"))
            places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in document["panels"]]
            assert len(set(places)) == len(places) == len(board.panels)
            assert {target["expr"] for panel in document["panels"] for target in panel["targets"]} == set(
                expressions(board)
            )
        on_disk = {path.stem for path in (COMPOSE / "grafana" / "dashboards").glob("*.json")}
        assert on_disk == {board.uid for board in DASHBOARDS}
