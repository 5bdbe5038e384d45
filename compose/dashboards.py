"""Grafana's dashboards: what each panel shows, and the JSON that is made of it.

`python -m compose.deploy_files` writes them to `compose/grafana/dashboards/`. A panel has a title, a unit of
Grafana's, and by legend the expressions of its lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 12  # of the grid's 24 columns
HEIGHT: Final = 8
SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
OF_ALL: Final = 'operator=~"$operator"'
OF_A_WORKER: Final = "by (job, worker_type)"


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    lines: dict[str, str]
    unit: str = "short"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`choice` is a label by which its reader chooses what is shown, and a metric that has its values."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    choice: tuple[str, str] | None = None


def rate(metric: str, by: str, where: str = "") -> str:
    return (
        f"sum by ({by}) (rate({metric}{{{where}}}[1m]))" if where else f"sum by ({by}) (rate({metric}[1m]))"
    )


def quantile(share: float, histogram: str, *by: str, where: str = "") -> str:
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', labels, where)})"


SERVICE: Final = Dashboard(
    "croupier",
    "Croupier: service",
    (
        Panel(
            "Rounds a second, by state", {"{{state}}": rate("croupier_rounds_closed_total", "state")}, "ops"
        ),
        Panel(
            "Bets: from arrival to answer",
            {
                "p50": quantile(0.5, "croupier_bet_duration_seconds"),
                "p99": quantile(0.99, "croupier_bet_duration_seconds"),
            },
            "s",
        ),
        Panel(
            "Answers over HTTP, by class", {"{{code}}": rate("croupier_http_requests_total", "code")}, "ops"
        ),
        Panel(
            "5xx, by route",
            {"{{method}} {{route}}": rate("croupier_http_requests_total", "method, route", 'code="5xx"')},
            "ops",
        ),
        Panel(
            "p99, by route",
            {
                "{{method}} {{route}}": quantile(
                    0.99, "croupier_http_request_duration_seconds", "method", "route"
                )
            },
            "s",
        ),
        Panel(
            "Problems, by code and transport",
            {"{{code}} {{transport}}": rate("croupier_problems_total", "code, transport")},
            "ops",
        ),
        Panel("Bets refused, by code", {"{{code}}": rate("croupier_bets_refused_total", "code")}, "ops"),
        Panel("Not answered, by cause", {"{{cause}}": rate("croupier_unavailable_total", "cause")}, "ops"),
        Panel(
            "Admission: the share in use",
            {
                "{{instance}} {{resource}}": "max by (instance, resource)"
                " (croupier_admission_in_use / croupier_admission_limit)"
            },
            "percentunit",
        ),
        Panel(
            "Refused before they cost anything",
            {
                "limit {{limit}}": rate("croupier_requests_limited_total", "limit"),
                "connections {{reason}}": rate("croupier_connections_ended_total", "reason"),
            },
            "ops",
        ),
        Panel("Commands of the queue", {"{{outcome}}": rate("croupier_commands_total", "outcome")}, "ops"),
        Panel(
            "Games: failures",
            {
                "{{game}}": rate("croupier_game_failures_total", "game"),
                "{{game}} {{version}} healthy": "min by (game, version) (croupier_game_healthy)",
            },
        ),
        Panel(
            "Programs that answer, by version",
            {
                "{{job}}": "sum by (job) (up)",
                "{{version}} {{commit}}": "count by (version, commit) (croupier_build_info)",
            },
        ),
        Panel(
            "Processors and memory",
            {
                "{{job}} processors": "sum by (job) (rate(process_cpu_seconds_total[1m]))",
                "{{job}} GB": "sum by (job) (process_resident_memory_bytes) / 1e9",
            },
        ),
        Panel(
            "Disk of data and logs, free",
            {"{{of}}": "croupier_home_disk_free_bytes / croupier_home_disk_size_bytes"},
            "percentunit",
        ),
        Panel(
            "Age of the active keys",
            {"{{section}}": "time() - min by (section) (croupier_key_created_timestamp_seconds)"},
            "s",
        ),
        Panel(
            "Codec server",
            {
                "{{call}} {{outcome}}": rate("croupier_codec_payloads_total", "call, outcome"),
                "refused {{reason}}": rate("croupier_codec_requests_refused_total", "reason"),
            },
            "ops",
        ),
    ),
)

MONEY: Final = Dashboard(
    "croupier-money",
    "Croupier: money",
    (
        Panel(
            "Rounds that end without a win or a loss",
            {"{{game}} {{state}}": rate("croupier_rounds_closed_total", "game, state", 'state!="settled"')},
            "ops",
        ),
        Panel("Rounds that hold their stake", {"{{state}}": "sum by (state) (croupier_rounds_open)"}),
        Panel(
            "The oldest of them",
            {"{{state}}": "max by (state) (croupier_rounds_open_oldest_age_seconds)"},
            "s",
        ),
        Panel(
            "Rounds that wait for their wallet",
            {
                "{{operator}} {{call}}": "croupier_rounds_settling > 0",
                "oldest {{operator}} {{call}}": "croupier_rounds_settling_oldest_age_seconds > 0",
            },
        ),
        Panel(
            "Calls of wallets, by outcome",
            {"{{call}} {{outcome}}": rate("croupier_wallet_calls_total", "call, outcome")},
            "ops",
        ),
        Panel(
            "Wallets: p99",
            {"{{operator}}": quantile(0.99, "croupier_wallet_call_duration_seconds", "operator")},
            "s",
        ),
        Panel(
            "Wallets that are left alone, or full",
            {
                "{{operator}} breaker": "max by (operator) (croupier_wallet_breaker_open)",
                "{{operator}} waiting": "sum by (operator) (croupier_wallet_calls_waiting)",
            },
        ),
        Panel("Wallets: clocks", {"{{operator}}": "croupier_wallet_clock_difference_seconds"}, "s"),
        Panel(
            "Incidents",
            {
                "{{kind}} open": "max by (kind) (croupier_incidents_open)",
                "{{kind}} opened": "sum by (kind) (increase(croupier_incidents_opened_total[5m]))",
            },
        ),
        Panel(
            "Reconciliation: seconds since its last run",
            {"since": "time() - max(croupier_reconciliation_last_run_timestamp_seconds)"},
            "s",
        ),
        Panel(
            "Reconciliation: what it found",
            {
                "{{check}} {{result}}": rate(
                    "croupier_reconciliation_findings_total", "check, result", 'result!="looked_at"'
                ),
                "rounds restarted": "sum(rate(croupier_rounds_restarted_total[1m]))",
            },
            "ops",
        ),
        Panel(
            "Audit: what is broken, and how old it is",
            {
                "{{invariant}}": "max by (invariant) (croupier_audit_broken)",
                "days old": "(time() - max(croupier_audit_last_run_timestamp_seconds)) / 86400",
            },
        ),
        Panel("The ledger's epoch", {"epoch": "max(croupier_ledger_epoch)"}),
        Panel("Seeds that did not open", {"seeds": "sum(rate(croupier_seeds_unopened_total[1m]))"}, "ops"),
    ),
)

OPERATOR: Final = Dashboard(
    "croupier-operator",
    "Croupier: one operator",
    (
        Panel(
            "Rounds a second, by game and state",
            {"{{game}} {{state}}": rate("croupier_rounds_closed_total", "game, state", OF_ALL)},
            "ops",
        ),
        Panel(
            "Rounds that hold their stake",
            {"{{state}}": f"sum by (state) (croupier_rounds_open{{{OF_ALL}}})"},
        ),
        Panel(
            "The oldest of them",
            {"{{state}}": f"max by (state) (croupier_rounds_open_oldest_age_seconds{{{OF_ALL}}})"},
            "s",
        ),
        Panel(
            "Its wallet: calls, by outcome",
            {"{{call}} {{outcome}}": rate("croupier_wallet_calls_total", "call, outcome", OF_ALL)},
            "ops",
        ),
        Panel(
            "Its wallet: how long a call takes",
            {
                "p50": quantile(0.5, "croupier_wallet_call_duration_seconds", where=OF_ALL),
                "p99": quantile(0.99, "croupier_wallet_call_duration_seconds", where=OF_ALL),
            },
            "s",
        ),
        Panel(
            "Its wallet: breaker, and calls that wait",
            {
                "breaker": f"max(croupier_wallet_breaker_open{{{OF_ALL}}})",
                "waiting": f"sum(croupier_wallet_calls_waiting{{{OF_ALL}}})",
            },
        ),
        Panel(
            "Rounds that wait for its wallet",
            {"{{call}}": f"sum by (call) (croupier_rounds_settling{{{OF_ALL}}})"},
        ),
        Panel(
            "Admission: overdue, and refused for its share",
            {
                "overdue": f"sum(croupier_operator_calls_overdue{{{OF_ALL}}})",
                "refused {{resource}}": rate("croupier_operator_calls_refused_total", "resource", OF_ALL),
            },
        ),
        Panel(
            "Its webhooks",
            {"{{outcome}}": rate("croupier_webhook_deliveries_total", "outcome", OF_ALL)},
            "ops",
        ),
        Panel("Its webhooks: how far behind", {"lag": f"max(croupier_webhook_lag_seconds{{{OF_ALL}}})"}, "s"),
    ),
    choice=("operator", "croupier_rounds_closed_total"),
)

WORKERS: Final = Dashboard(
    "croupier-workers",
    "Croupier: workers and Temporal",
    (
        Panel(
            "Steps of a round, p99",
            {"{{path}} {{step}}": quantile(0.99, "croupier_step_duration_seconds", "path", "step")},
            "s",
        ),
        Panel(
            "Steps a second on the durable path",
            {"{{step}}": rate("croupier_step_duration_seconds_count", "step", 'path="durable"')},
            "ops",
        ),
        Panel(
            "Wait for a worker, p99",
            {
                "{{task_queue}} workflow tasks": quantile(
                    0.99, "temporal_workflow_task_schedule_to_start_latency_seconds", "task_queue"
                ),
                "{{task_queue}} activities": quantile(
                    0.99, "temporal_activity_schedule_to_start_latency_seconds", "task_queue"
                ),
            },
            "s",
        ),
        Panel(
            "Slots of workers",
            {
                "{{job}} {{worker_type}} free": f"min {OF_A_WORKER} (temporal_worker_task_slots_available)",
                "{{job}} {{worker_type}} used": f"sum {OF_A_WORKER} (temporal_worker_task_slots_used)",
            },
        ),
        Panel("Pollers", {"{{job}} {{poller_type}}": "sum by (job, poller_type) (temporal_num_pollers)"}),
        Panel("Workflows in memory", {"{{instance}}": "temporal_sticky_cache_size"}),
        Panel(
            "Calls of Temporal that fail",
            {
                "{{job}} {{operation}}": rate("temporal_request_failure_total", "job, operation"),
                "{{job}} {{operation}} (long)": rate("temporal_long_request_failure_total", "job, operation"),
            },
            "ops",
        ),
        Panel(
            "Workflow tasks that fail",
            {"{{workflow_type}}": rate("temporal_workflow_task_execution_failed_total", "workflow_type")},
            "ops",
        ),
        Panel(
            "Temporal's backlog",
            {"{{taskqueue}}": "max by (taskqueue) (approximate_backlog_age_seconds)"},
            "s",
        ),
        Panel("Temporal's requests", {"{{operation}}": rate("service_requests", "operation")}, "ops"),
        Panel("Temporal's errors", {"{{error_type}}": rate("service_error_with_type", "error_type")}, "ops"),
        Panel(
            "Temporal's store: p99",
            {"{{operation}}": quantile(0.99, "persistence_latency", "operation")},
            "s",
        ),
    ),
)

BROKER: Final = Dashboard(
    "croupier-broker",
    "Croupier: broker and database",
    (
        Panel(
            "Connections to the broker",
            {
                "{{job}} {{connection}}": "min by (job, connection) (croupier_broker_connected)",
                "{{job}} {{connection}} blocked": "max by (job, connection) (croupier_broker_blocked) > 0",
            },
        ),
        Panel(
            "The broker's alarms",
            {
                "memory": "max(rabbitmq_alarms_memory_used_watermark)",
                "disk": "max(rabbitmq_alarms_free_disk_space_watermark)",
            },
        ),
        Panel("Queues", {"{{queue}}": "max by (queue) (rabbitmq_detailed_queue_messages)"}),
        Panel("Dead letters", {"{{queue}}": rate("croupier_dead_letters_total", "queue")}, "ops"),
        Panel("Outbox: events that wait for the broker", {"waiting": "max(croupier_outbox_events_waiting)"}),
        Panel(
            "Lags",
            {
                "outbox": "max(croupier_outbox_oldest_event_age_seconds)",
                "feed": "max(croupier_feed_lag_seconds)",
                "{{queue}}": "max by (queue) (croupier_consumer_lag_seconds)",
                "webhooks": "max(croupier_webhook_lag_seconds)",
            },
            "s",
        ),
        Panel(
            "Events that the relay published",
            {
                "relayed": "sum(rate(croupier_events_relayed_total[1m]))",
                "swept": "sum(rate(croupier_events_swept_total[1m]))",
                "unwanted {{type}}": rate("croupier_events_unwanted_total", "type"),
            },
            "ops",
        ),
        Panel(
            "Events that the statistics applied",
            {"{{outcome}}": rate("croupier_statistics_events_total", "outcome")},
            "ops",
        ),
        Panel(
            "Webhooks",
            {
                "{{outcome}}": rate("croupier_webhook_deliveries_total", "outcome"),
                "being retried": "max(croupier_webhook_events_pending)",
                "given up": "max(croupier_webhook_events_dead)",
            },
        ),
        Panel(
            "Connections to PostgreSQL",
            {
                "{{job}} {{state}}": "sum by (job, state) (croupier_database_pool_connections)",
                "{{job}} limit": "sum by (job) (croupier_database_pool_limit)",
                "{{job}} waiting": "sum by (job) (croupier_database_pool_waiting)",
            },
        ),
        Panel(
            "Transactions that do not end",
            {"{{holds}}: {{database}} {{pid}} {{application}}": "croupier_transaction_age_seconds"},
            "s",
        ),
        Panel(
            "The relay's last sweep",
            {"seconds ago": "time() - max(croupier_relay_last_sweep_timestamp_seconds)"},
            "s",
        ),
    ),
)

DASHBOARDS: Final = (SERVICE, MONEY, OPERATOR, WORKERS, BROKER)


def expressions(dashboard: Dashboard) -> Iterator[str]:
    for panel in dashboard.panels:
        yield from panel.lines.values()


def as_json(dashboard: Dashboard) -> str:
    """The file that Grafana reads."""
    document = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["croupier"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {"list": [] if dashboard.choice is None else [_choice(*dashboard.choice)]},
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }
    return json.dumps(document, indent=2) + "\n"


def _choice(label: str, metric: str) -> dict[str, Any]:
    query = f"label_values({metric}, {label})"
    return {
        "name": label,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "sort": 1,
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, 2)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": row * HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend}
            for place, (legend, expression) in enumerate(panel.lines.items())
        ],
    }
