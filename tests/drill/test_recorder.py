"""What is recorded reaches promtool as it was: an alert fires on it when it should, and a wrong word about it
fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.drill import alerts
from tests.drill.alerts import Alert
from tests.drill.recorder import Recorder, Target

Page = Callable[[int], str | None]
BROKER: Final = 'croupier_broker_connected{connection="publisher"}'
LABELS: Final = {"job": "relay", "connection": "publisher"}


def rule(name: str) -> Alert:
    return alerts.alerts()[name]


async def recorded(ticks: int, page: Page) -> Recorder:
    """A recorder of one target after so many scrapes, at 100 s by its clock."""
    recorder = Recorder([Target("relay", "http://127.0.0.1:9/metrics")], alerts.every_series())
    recorder._began_at = 100.0
    tick = 0

    def answer(_: httpx.Request) -> httpx.Response:
        text = page(tick)
        return httpx.Response(503) if text is None else httpx.Response(200, text=text)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        for tick in range(ticks):
            await recorder._scrape(http, tick)
    return recorder


def said(recorder: Recorder, folder: Path, program: Path, *cases: Any) -> None:
    alerts.assert_said(cases, recorder, folder, program)


async def test_an_alert_fires_once_its_time_has_passed_and_not_before(
    rule_checker: Path, tmp_path: Path
) -> None:
    recorder = await recorded(12, lambda tick: f"{BROKER} {int(not 4 <= tick < 8)}\n")
    away = rule("BrokerAway")
    cases = [
        (away, alerts.before(away, LABELS, 3)),
        (away, alerts.during(away, LABELS, 7)),
        (away, alerts.afterwards(away, LABELS, 11)),
    ]
    said(recorder, tmp_path, rule_checker, *cases)
    not_yet = (away, alerts.before(away, LABELS, 7))
    said(recorder, tmp_path, rule_checker, not_yet)
    of_another = {**LABELS, "connection": "pushes"}
    for wrong in (alerts.during(away, LABELS, 3), alerts.during(away, of_another, 7)):
        with pytest.raises(AssertionError, match="BrokerAway"):
            said(recorder, tmp_path, rule_checker, (away, wrong))


async def test_what_a_target_had_is_gone_with_it(rule_checker: Path, tmp_path: Path) -> None:
    last = "croupier_reconciliation_last_run_timestamp_seconds"
    recorder = await recorded(8, lambda tick: f"{last} 101\n" if tick < 4 else None)
    none = rule("NoReconciliation")
    said(recorder, tmp_path, rule_checker, (none, alerts.before(none, {}, 3)))
    said(recorder, tmp_path, rule_checker, (none, alerts.during(none, {}, 7)))
    down = rule("TargetDown")
    said(recorder, tmp_path, rule_checker, (down, alerts.during(down, {"job": "relay"}, 7)))


async def test_a_moment_counts_from_the_beginning(rule_checker: Path, tmp_path: Path) -> None:
    """promtool's clock begins at 0: a run that ended at the beginning is no run of fifty years ago."""
    last = "croupier_reconciliation_last_run_timestamp_seconds"
    recorder = await recorded(4, lambda tick: f"{last} 101\n")
    none = rule("NoReconciliation")
    said(recorder, tmp_path, rule_checker, (none, alerts.before(none, {}, 3)))
    assert recorder.at(3, last, max, {"job": "relay"}) == 1


async def test_a_counter_that_rose_is_quiet_when_its_window_has_passed(
    rule_checker: Path, tmp_path: Path
) -> None:
    recorder = await recorded(
        8, lambda tick: f'croupier_unavailable_total{{cause="ledger"}} {int(tick > 3)}\n'
    )
    away = rule("LedgerAway")
    said(recorder, tmp_path, rule_checker, (away, alerts.before(away, {}, 3)))
    said(recorder, tmp_path, rule_checker, (away, alerts.during(away, {}, 5)))
    said(recorder, tmp_path, rule_checker, (away, alerts.afterwards(away, {}, 7)))


async def test_a_tick_without_a_scrape_is_no_end() -> None:
    recorder = await recorded(2, lambda tick: f"{BROKER} 1\n")
    async with httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, text=f"{BROKER} 0\n"))
    ) as http:
        await recorder._scrape(http, 4)
    (series,) = recorder.recorded({"croupier_broker_connected"}, until=4, held_s=3)
    assert series["values"] == "1 1 _ _ 0 0+0x3"
