"""One round by stage: where the time of a round of a single player goes, from the ingress' own clocks.

All figures are means, because means add up and percentiles do not. They are differences of two readings of
`/metrics`, around a closed loop in which nothing else happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx
from hdrh.histogram import HdrHistogram
from prometheus_client.parser import text_string_to_metric_families

from bench.latency import US_PER_MS

FAMILY: Final = "croupier_step_duration_seconds"
FAST: Final = "fast"  # the path, of which alone a lone player's rounds are
PLACE: Final = "place"  # from the bet's start to its answer, inside the ingress
START: Final = "start"  # the call that starts the workflow
STEPS: Final = ("reserve", "resolve", "settle")  # what the answer waits for
EMIT: Final = "emit"  # after the answer
STAGES: Final = (START, *STEPS, EMIT, PLACE)
MS_PER_S: Final = 1_000
READ_LIMIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Total:
    """What a histogram holds of one stage: the sum of its times in seconds, and how many there were."""

    seconds: float = 0.0
    count: float = 0.0


Totals = Mapping[str, Total]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a round, in ms a round. None when the ingress does not say."""

    name: str
    mean_ms: float | None
    before_answer: bool = True


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A round of one player as its client sees it, and the shares, which add up to the client's mean.
    `absent` are the stages that the ingress does not export.
    """

    rounds: int
    client_p50_ms: float
    client_mean_ms: float
    shares: tuple[Share, ...]
    absent: tuple[str, ...]


async def read(metrics_url: str) -> dict[str, Total]:
    """The stages' totals by now. Raises httpx.HTTPError."""
    async with httpx.AsyncClient(timeout=READ_LIMIT_S, trust_env=False) as http:
        answer = await http.get(metrics_url)
    answer.raise_for_status()
    return totals(answer.text)


def totals(exposition: str) -> dict[str, Total]:
    """The totals of every stage in a Prometheus exposition; empty when it has no such histogram."""
    seconds, counts = {}, {}
    for family in text_string_to_metric_families(exposition):
        if family.name != FAMILY:
            continue
        for sample in family.samples:
            if sample.labels.get("path") != FAST:
                continue
            stage = sample.labels.get("step", "")
            if sample.name == f"{FAMILY}_sum":
                seconds[stage] = sample.value
            elif sample.name == f"{FAMILY}_count":
                counts[stage] = sample.value
    return {stage: Total(seconds[stage], counts.get(stage, 0.0)) for stage in seconds}


def means_ms(before: Totals, after: Totals) -> dict[str, float]:
    """The mean of each stage between two readings, of those that happened between them."""
    found = {}
    for stage, total in after.items():
        earlier = before.get(stage, Total())
        count = total.count - earlier.count
        if count > 0:
            found[stage] = (total.seconds - earlier.seconds) / count * MS_PER_S
    return found


def breakdown(before: Totals, after: Totals, histogram: str) -> Breakdown:
    """What the two readings say together with the client's own latencies, as `Latencies.text` gives them."""
    means, client = means_ms(before, after), HdrHistogram.decode(histogram)
    client_mean_ms = client.get_mean_value() / US_PER_MS
    return Breakdown(
        rounds=int(client.get_total_count()),
        client_p50_ms=client.get_value_at_percentile(50) / US_PER_MS,
        client_mean_ms=client_mean_ms,
        shares=tuple(_shares(means, client_mean_ms)),
        absent=tuple(stage for stage in STAGES if stage not in means),
    )


def _shares(means: Mapping[str, float], client_mean_ms: float) -> Iterable[Share]:
    inside = means.get(PLACE)
    yield Share("HTTP and the client's socket", None if inside is None else client_mean_ms - inside)
    yield Share("start: the call to Temporal", means.get(START))
    for step in STEPS:
        yield Share(step, means.get(step))
    waited_for = [means[stage] for stage in (START, *STEPS) if stage in means]
    whole = inside is not None and len(waited_for) == len((START, *STEPS))
    between = inside - sum(waited_for) if inside is not None and whole else None
    yield Share("between the steps: Temporal and SDK", between)
    yield Share("after the answer: emit", means.get(EMIT), before_answer=False)
