"""Labels are known before anything is counted, and bounded."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import Counter, generate_latest

from api.gateway.problems import PROBLEMS
from runtime import build, metrics, sdk_metrics
from runtime.metrics import OTHER, KnownLabels, at_zero
from runtime.program_metrics import made, show_keys
from runtime.settings import PROJECT_ROOT
from security.keyring import SECTIONS, Keyring

SDK_PAGE: Final = b"""\
# HELP temporal_num_pollers Current number of active pollers
# TYPE temporal_num_pollers gauge
temporal_num_pollers{namespace="croupier",poller_type="activity_task",task_queue="croupier-rounds"} 5
# TYPE temporal_request_total counter
temporal_request_total{namespace="croupier",operation="StartWorkflowExecution"} 812
# TYPE temporal_request_failure_total counter
temporal_request_failure_total{operation="StartWorkflowExecution",status_code="UNAVAILABLE"} 3
# TYPE temporal_activity_schedule_to_start_latency_seconds histogram
temporal_activity_schedule_to_start_latency_seconds_bucket{le="0.01"} 4
temporal_activity_schedule_to_start_latency_seconds_bucket{le="+Inf"} 4
temporal_activity_schedule_to_start_latency_seconds_sum 0.02
temporal_activity_schedule_to_start_latency_seconds_count 4
"""


@pytest.fixture
def operators(monkeypatch: pytest.MonkeyPatch) -> KnownLabels:
    own = KnownLabels(2)
    monkeypatch.setattr(metrics, "OPERATORS", own)
    return own


@pytest.fixture
def closed() -> Iterator[None]:
    metrics.ROUNDS_CLOSED.clear()
    yield
    metrics.ROUNDS_CLOSED.clear()


def series(metric: Counter) -> dict[tuple[str, ...], float]:
    (family,) = metric.collect()
    return {
        tuple(sample.labels.values()): sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


class TestKnownLabels:
    def test_are_the_first_ones_and_all_later_ones_share_one(self) -> None:
        known = KnownLabels(2)
        assert [known.of(one) for one in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]
        assert known.labels() == (OTHER, "a", "b")

    def test_have_their_series_before_anything_is_counted(self) -> None:
        known = KnownLabels(2)
        followed: list[str] = []
        known.of("a")
        known.follow(followed.append)
        assert followed == [OTHER, "a"]
        for one in ("b", "b", "c"):
            known.of(one)
        assert followed == [OTHER, "a", "b"]

    def test_of_nobody_is_others(self) -> None:
        """A key of the platform has no operator."""
        known = KnownLabels(2)
        assert known.of("") == OTHER
        assert known.labels() == (OTHER,)

    def test_may_be_more_or_fewer(self) -> None:
        known = KnownLabels(0)
        assert known.of("a") == OTHER
        known.allow(1)
        assert (known.of("a"), known.of("b")) == ("a", OTHER)


class TestEndsOfRounds:
    def test_are_at_0_for_every_known_operator_and_game(self, operators: KnownLabels, closed: None) -> None:
        operators.of("one")
        metrics.RoundsClosed(["dice", "slot"])
        operators.of("two")
        expected = {
            (operator, game, state)
            for operator in (OTHER, "one", "two")
            for game in ("dice", "slot")
            for state in ("settled", "void", "declined")
        }
        assert series(metrics.ROUNDS_CLOSED) == dict.fromkeys(expected, 0)

    def test_are_counted_for_others_beyond_the_limit_and_for_games_that_are_gone(
        self, operators: KnownLabels, closed: None
    ) -> None:
        ends = metrics.RoundsClosed(["dice"])
        for operator in ("one", "two", "three", "four"):
            ends.count(operator, "dice", "settled")
        ends.count("one", "gone", "void")
        counted = {labels: value for labels, value in series(metrics.ROUNDS_CLOSED).items() if value}
        assert counted == {
            ("one", "dice", "settled"): 1,
            ("two", "dice", "settled"): 1,
            (OTHER, "dice", "settled"): 2,
            ("one", OTHER, "void"): 1,
        }


def test_an_ingress_shows_every_problem_over_every_transport_from_its_start(operators: KnownLabels) -> None:
    metrics.of_an_ingress(PROBLEMS)
    labels = series(metrics.PROBLEMS)
    assert {code for code, _ in labels} == set(PROBLEMS)
    assert {transport for _, transport in labels} == {"http", "socket", "queue"}


def test_a_counter_is_at_0_for_every_combination() -> None:
    counter = Counter("croupier_test_combinations_total", "Of a test.", ["a", "b"], registry=None)
    at_zero(counter, "xy", ("1", "2"))
    assert series(counter) == dict.fromkeys([("x", "1"), ("x", "2"), ("y", "1"), ("y", "2")], 0)


def test_bets_are_refused_with_problems_that_there_are() -> None:
    assert set(metrics.BET_CODES) <= set(PROBLEMS)


class TestTheSdksPage:
    def test_has_only_what_is_used_and_counters_from_0_on(self) -> None:
        page = sdk_metrics.used(SDK_PAGE).decode()
        assert "temporal_request_total" not in page
        assert 'temporal_request_failure_total{operation="StartWorkflowExecution"' in page
        assert page.count("temporal_num_pollers{") == 1
        assert "temporal_activity_schedule_to_start_latency_seconds_sum 0.02" in page
        assert re.search(r"^temporal_workflow_task_execution_failed_total 0$", page, re.MULTILINE)
        assert not re.search(r"^temporal_request_failure_total 0$", page, re.MULTILINE)

    def test_is_empty_where_the_sdk_has_no_runtime_or_does_not_answer(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        own = sdk_metrics.SdkMetrics()
        assert own.page() == b""
        assert caplog.messages == []
        assert own.config() is not None  # and nothing listens there
        assert own.page() == b""
        assert "the SDK's metrics cannot be read" in caplog.text

    def test_is_of_one_runtime(self) -> None:
        own = sdk_metrics.SdkMetrics()
        first = own.config()
        assert first is not None
        assert first.durations_as_seconds
        assert first.unit_suffix
        assert first.counters_total_suffix
        assert first.bind_address.startswith("127.0.0.1:")
        assert own.config() is None


class TestKeys:
    def test_are_as_old_as_their_ids_say(self) -> None:
        assert made("seeds-20260131-0a1b2c3d") == datetime(2026, 1, 31, tzinfo=UTC)
        assert made("seeds-0a1b2c3d") is None
        assert made("seeds-20261331-0a1b2c3d") is None

    def test_that_are_made_now_are_of_today(self) -> None:
        before = datetime.now(UTC)
        show_keys(Keyring.generate())
        page = generate_latest().decode()
        shown = dict(re.findall(r'croupier_key_created_timestamp_seconds\{section="(\w+)"\} (\S+)', page))
        assert shown.keys() == set(SECTIONS)
        for value in shown.values():
            assert (
                before.date() <= datetime.fromtimestamp(float(value), UTC).date() <= datetime.now(UTC).date()
            )


class TestTheBuild:
    def test_has_the_version_of_the_project(self) -> None:
        assert re.fullmatch(r"\d+\.\d+\.\d+", build.version())

    def test_is_unknown_where_nothing_says_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CROUPIER_COMMIT", raising=False)
        assert (build.version(tmp_path), build.commit(tmp_path)) == ("", "")

    def test_has_the_commit_of_an_image(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CROUPIER_COMMIT", "0123456789abcdef")
        assert build.commit(tmp_path) == "0123456789ab"

    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("worktree", [False, True])
    def test_has_the_commit_of_a_checkout(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, worktree: bool
    ) -> None:
        monkeypatch.delenv("CROUPIER_COMMIT", raising=False)
        shared = tmp_path / ("main" if worktree else "") / ".git"
        (shared / "refs" / "heads").mkdir(parents=True)
        own = shared
        if worktree:
            own = shared / "worktrees" / "w"
            own.mkdir(parents=True)
            (own / "commondir").write_text("../..\n")
            (tmp_path / ".git").write_text(f"gitdir: {own}\n")
        (own / "HEAD").write_text("ref: refs/heads/topic\n")
        if packed:
            (shared / "packed-refs").write_text(
                "# pack-refs with: peeled\nfedcba9876543210 refs/heads/topic\n"
            )
        else:
            (shared / "refs" / "heads" / "topic").write_text("fedcba9876543210\n")
        assert build.commit(tmp_path) == "fedcba987654"

    def test_of_this_checkout_is_found_or_unknown(self) -> None:
        assert re.fullmatch(r"[0-9a-f]{12}|", build.commit(PROJECT_ROOT))
