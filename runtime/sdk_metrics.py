"""The Temporal SDK's own metrics, on one page with ours: only the families that a rule or a dashboard uses.

The SDK's core counts in Rust and serves its figures on a port that it opens itself. Here that is a free one
of the loopback, which our own page reads when it is asked for, so a program has one address to scrape. (Its
buffer of updates would do without a port, and cost a Python object for each of a round's many updates.)
"""

import logging
import socket
import urllib.request
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from temporalio.runtime import PrometheusConfig

# compose/watched.py finds what rules and dashboards name; a test compares.
FAMILIES: Final = frozenset(
    {
        "temporal_activity_schedule_to_start_latency_seconds",
        "temporal_long_request_failure_total",
        "temporal_num_pollers",
        "temporal_request_failure_total",
        "temporal_sticky_cache_size",
        "temporal_worker_task_slots_available",
        "temporal_worker_task_slots_used",
        "temporal_workflow_task_execution_failed_total",
        "temporal_workflow_task_schedule_to_start_latency_seconds",
    }
)
BUCKETS_S: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
READ_LIMIT_S: Final = 2.0

log = logging.getLogger(__name__)


class SdkMetrics:
    """Of one process. Nothing is open before `config` is given to the SDK's runtime."""

    def __init__(self) -> None:
        self._address: str | None = None

    def config(self) -> "PrometheusConfig | None":
        """By Prometheus' conventions: seconds, and names with their units and `_total`. For the process's
        first runtime; None for any other, whose figures nobody asks for."""
        from temporalio.runtime import PrometheusConfig  # programs without Temporal load none of its SDK

        if self._address is not None:
            return None
        self._address = f"127.0.0.1:{_free_port()}"
        return PrometheusConfig(
            bind_address=self._address,
            counters_total_suffix=True,
            unit_suffix=True,
            durations_as_seconds=True,
            histogram_bucket_overrides=dict.fromkeys(_LATENCIES, BUCKETS_S),
        )

    def page(self) -> bytes:
        """The families that are used, in Prometheus' text form; empty when the SDK does not answer."""
        if self._address is None:
            return b""
        try:
            with _OPENER.open(f"http://{self._address}/metrics", timeout=READ_LIMIT_S) as answer:
                return used(answer.read())
        except OSError as error:
            log.warning("the SDK's metrics cannot be read: %s", type(error).__name__)
            return b""


OF_THIS_PROCESS: Final = SdkMetrics()

# No proxy leads to the loopback.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LATENCIES: Final = tuple(
    family.removesuffix("_seconds") for family in FAMILIES if family.endswith("_latency_seconds")
)
_USED: Final = {
    f"{family}{suffix}".encode() for family in FAMILIES for suffix in ("", "_bucket", "_sum", "_count")
}


def used(page: bytes) -> bytes:
    """What an exposition says of FAMILIES. The SDK shows a counter from its first count on; here it is at 0
    before."""
    lines = [line for line in page.splitlines(keepends=True) if _name(line) in _USED]
    shown = {_name(line) for line in lines}
    counters = sorted(family for family in FAMILIES if family.endswith("_total"))
    return b"".join(lines) + b"".join(
        b"# TYPE %b counter\n%b 0\n" % (name, name)
        for name in (counter.encode() for counter in counters)
        if name not in shown
    )


def _name(line: bytes) -> bytes:
    """The metric of a sample or of a comment about it."""
    if line.startswith(b"# "):
        return line.split(maxsplit=3)[2]
    return line.partition(b"{")[0].partition(b" ")[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
