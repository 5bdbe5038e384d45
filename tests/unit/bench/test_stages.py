"""The breakdown of a round: read from a Prometheus exposition, in means that add up."""

import pytest

from bench.latency import Latencies
from bench.stages import Total, breakdown, means_ms, totals

EXPOSITION = """\
# HELP croupier_bet_duration_seconds From a bet's arrival to its answer, by the answer's status.
# TYPE croupier_bet_duration_seconds histogram
croupier_bet_duration_seconds_bucket{status="201",le="+Inf"} 7.0
croupier_bet_duration_seconds_count{status="201"} 7.0
croupier_bet_duration_seconds_sum{status="201"} 0.9
# HELP croupier_step_duration_seconds How long each stage of a round took.
# TYPE croupier_step_duration_seconds histogram
croupier_step_duration_seconds_bucket{le="0.005",path="fast",step="start"} 2.0
croupier_step_duration_seconds_bucket{le="+Inf",path="fast",step="start"} 4.0
croupier_step_duration_seconds_count{path="fast",step="start"} 4.0
croupier_step_duration_seconds_sum{path="fast",step="start"} 0.02
croupier_step_duration_seconds_bucket{le="+Inf",path="fast",step="place"} 4.0
croupier_step_duration_seconds_count{path="fast",step="place"} 4.0
croupier_step_duration_seconds_sum{path="fast",step="place"} 0.08
croupier_step_duration_seconds_bucket{le="+Inf",path="durable",step="start"} 9.0
croupier_step_duration_seconds_count{path="durable",step="start"} 9.0
croupier_step_duration_seconds_sum{path="durable",step="start"} 900.0
"""

BEFORE = {"start": Total(1.0, 10), "reserve": Total(0.5, 10), "place": Total(4.0, 10)}
AFTER = {
    "start": Total(1.1, 20),
    "reserve": Total(0.52, 20),
    "resolve": Total(0.001, 10),
    "settle": Total(0.03, 10),
    "emit": Total(0.05, 10),
    "place": Total(4.2, 20),
}


def client(*latencies_ms: float) -> str:
    latencies = Latencies()
    for each in latencies_ms:
        latencies.record(each / 1_000)
    return latencies.text()


def test_totals_are_those_of_the_stages_alone() -> None:
    assert totals(EXPOSITION) == {"start": Total(0.02, 4), "place": Total(0.08, 4)}


def test_an_ingress_without_the_histogram_has_no_totals() -> None:
    assert totals("# TYPE croupier_feed_lag_seconds gauge\ncroupier_feed_lag_seconds 0.0\n") == {}


def test_means_are_of_what_happened_between_the_readings() -> None:
    found = means_ms(BEFORE, AFTER)
    assert found["start"] == pytest.approx(10.0)
    assert found["settle"] == pytest.approx(3.0)


def test_a_stage_that_did_not_happen_has_no_mean() -> None:
    assert means_ms(BEFORE, BEFORE) == {}


def test_the_shares_before_the_answer_add_up_to_the_mean_of_the_client() -> None:
    found = breakdown(BEFORE, AFTER, client(20.0, 24.0))
    shares = {share.name: share.mean_ms for share in found.shares}
    before = [share.mean_ms for share in found.shares if share.before_answer]

    assert found.absent == ()
    assert found.rounds == 2
    assert found.client_mean_ms == pytest.approx(22.0, rel=0.01)
    assert sum(each for each in before if each is not None) == pytest.approx(found.client_mean_ms)
    assert shares["between the steps: Temporal and SDK"] == pytest.approx(20.0 - 10.0 - 2.0 - 0.1 - 3.0)
    assert shares["after the answer: emit"] == pytest.approx(5.0)


def test_what_is_not_exported_is_named_and_nothing_is_made_up() -> None:
    nothing = breakdown({}, {}, client(20.0))
    assert nothing.absent == ("start", "reserve", "resolve", "settle", "emit", "place")
    assert {share.mean_ms for share in nothing.shares} == {None}

    partly = breakdown({}, {"start": Total(0.01, 1), "place": Total(0.02, 1)}, client(21.0))
    shares = {share.name: share.mean_ms for share in partly.shares}
    assert partly.absent == ("reserve", "resolve", "settle", "emit")
    assert shares["between the steps: Temporal and SDK"] is None
