"""Names of metrics are found in PromQL, and nothing else is taken for one."""

import pytest

from compose.dashboards import DASHBOARDS, Panel, quantile, rate
from compose.watched import family, kept, names


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up == 0", {"up"}),
        ('sum by (le, job) (rate(a_bucket{x="b_c", y!="d"}[5m])) > 0.5', {"a_bucket"}),
        ("time() - max(a_seconds) > 600 or absent(a_seconds)", {"a_seconds"}),
        ("a_free / on (instance) group_left (x) a_size < 0.1", {"a_free", "a_size"}),
        ("changes(a_epoch[1h]) > 0 unless b", {"a_epoch", "b"}),
        ("histogram_quantile(0.99, sum without (job) (rate(a_bucket[1m] offset 5m)))", {"a_bucket"}),
        ("a > bool 1 and ignoring (x) b", {"a", "b"}),
        ("time() - a > 400 * 86400", {"a"}),
    ],
)
def test_the_metrics_of_an_expression_are_found(expression: str, expected: set[str]) -> None:
    assert names([expression]) == expected


def test_a_histogram_is_one_family() -> None:
    assert {family(f"a_seconds{suffix}") for suffix in ("", "_bucket", "_sum", "_count")} == {"a_seconds"}
    assert family("a_total") == "a_total"


def test_what_is_kept_is_what_is_used() -> None:
    assert kept("rabbitmq_alarms_") == (
        "rabbitmq_alarms_free_disk_space_watermark|rabbitmq_alarms_memory_used_watermark"
    )


def test_expressions_are_written_once() -> None:
    assert rate("a_total", "x") == "sum by (x) (rate(a_total[1m]))"
    assert rate("a_total", "x", 'y="1"') == 'sum by (x) (rate(a_total{y="1"}[1m]))'
    assert quantile(0.5, "a", "x") == "histogram_quantile(0.5, sum by (le, x) (rate(a_bucket[1m])))"


def test_a_panel_has_lines_that_differ() -> None:
    panels: list[Panel] = [panel for board in DASHBOARDS for panel in board.panels]
    for board in DASHBOARDS:
        titles = [panel.title for panel in board.panels]
        assert len(set(titles)) == len(titles)
    assert all(1 <= len(panel.lines) <= 6 for panel in panels)
