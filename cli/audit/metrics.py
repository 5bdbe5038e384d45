"""An audit's result as a file of metrics, for node_exporter's textfile collector: an audit runs as a job, and
has no page of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from verification.audit import AuditReport

REGISTRY: Final = CollectorRegistry()
LAST_RUN: Final = Gauge(
    "croupier_audit_last_run_timestamp_seconds",
    "When the last audit came to its end.",
    registry=REGISTRY,
)
BROKEN: Final = Gauge(
    "croupier_audit_broken",
    "How often the last audit found an invariant broken; 0 where it holds.",
    ["invariant"],
    registry=REGISTRY,
)


def write(found: AuditReport, path: Path) -> None:
    """Replaces the file whole. Raises OSError."""
    LAST_RUN.set_to_current_time()
    BROKEN.clear()
    for finding in found.findings:
        BROKEN.labels(finding.name).set(finding.count)
    write_to_textfile(str(path), REGISTRY)
