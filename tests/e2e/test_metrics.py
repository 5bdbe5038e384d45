"""What dashboards and alert rules read is there on the pages of a stack on which rounds were played, and some
refused."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.app import described
from api.pages.files import ASSETS, PAGES
from compose import watched
from compose.dashboards import DASHBOARDS, expressions
from tests.e2e.parties import Gateway, Player
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client

OURS: Final = ("croupier_", "temporal_", "process_")
# Only while there is what they are about: a transaction that does not end, and a wallet with statements.
AT_TIMES: Final = frozenset({"croupier_transaction_age_seconds", "croupier_wallet_clock_difference_seconds"})
OF_AUDITS: Final = frozenset({"croupier_audit_broken", "croupier_audit_last_run_timestamp_seconds"})
# tests/integration/test_codec_server.py reads its page.
OF_THE_CODEC: Final = frozenset({"croupier_codec_payloads_total", "croupier_codec_requests_refused_total"})
_SELECTOR: Final = re.compile(r"\b([a-z_][a-z0-9_]*)\{([^}]*)\}")
_LABEL: Final = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
# Prometheus adds these to what it reads.
OF_TARGETS: Final = frozenset({"job", "instance"})

Pages = dict[str, str]
Labels = dict[str, set[str]]


ENDS: Final = "croupier_rounds_closed_total"
ANSWERS: Final = "croupier_http_requests_total"
FINDINGS: Final = "croupier_reconciliation_findings_total"
OTHERS: Final = {"operator": "other"}
BUILD: Final = re.compile(r'^croupier_build_info\{commit="[0-9a-f]*",version="\d[^"]*"\} 1', re.MULTILINE)
POOL: Final = "croupier_database_pool_connections"
WAIT_FOR_A_WORKER: Final = "temporal_activity_schedule_to_start_latency_seconds"
DELIVERY_FAILED: Final = re.compile(r'deliveries_total\{[^}]*outcome="failed"\} [1-9]')
CONNECTED: Final = "croupier_broker_connected"


async def read(platform: dict[str, Any]) -> Pages:
    async with http_client(timeout=HANG_S) as http:
        return {name: (await http.get(url)).text for name, url in platform["metrics_urls"].items()}


def labels_of(pages: Pages) -> Labels:
    """The names of labels of every family, and of every series, on all pages."""
    found: Labels = defaultdict(set)
    for page in pages.values():
        for line in page.splitlines():
            if line.startswith("# TYPE "):
                found[line.split()[2]] |= set()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found[sample.name] |= sample.labels.keys()
    return found


def has_series(pages: Mapping[Any, str], name: str) -> bool:
    return any(re.search(rf"^{name}[{{ ]", page, re.MULTILINE) for page in pages.values())


def _routes(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, methods in document["paths"].items():
        for method in methods:
            yield method, path


def value(pages: Pages, program: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(pages[program]):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise AssertionError(f"{program} has no {name}{labels}")


@pytest.fixture(scope="module")
async def seat(gateway: Gateway) -> AsyncIterator[Player]:
    operator = await gateway.new_operator()
    yield await operator.open_session("a-player-of-the-metrics", balance=10_000)
    await operator.forget_webhooks()


@pytest.fixture(scope="module")
async def pages(gateway: Gateway, seat: Player, platform: dict[str, Any]) -> Pages:
    """After rounds, refusals, a webhook whose endpoint is not there, and a workflow that no worker takes."""
    await seat.operator.call("POST", "/webhooks", json={"url": "http://127.0.0.1:9/never-there"})
    for _ in range(3):
        await seat.played()
    await seat.bet(stake=50_000)
    await seat.call("GET", "/rounds/none-of-this-id")
    await gateway.http.get("/nowhere/at-all")
    await gateway.http.request("PROPFIND", "/healthz")

    waiting = await gateway.temporal.start_workflow("Nobody", id=uuid4().hex, task_queue="of-nobody")

    async def shown() -> bool:
        now = await read(platform)
        return (
            f"{WAIT_FOR_A_WORKER}_bucket" in now["webhooks"]
            and DELIVERY_FAILED.search(now["webhooks"]) is not None
            and "approximate_backlog_age_seconds{" in now["temporal"]
        )

    await until(shown)
    await waiting.terminate()
    return await read(platform)


@pytest.fixture(scope="module")
def labels(pages: Pages) -> Labels:
    return labels_of(pages)


async def test_every_metric_of_a_rule_or_a_panel_is_on_a_page(labels: Labels) -> None:
    there = {watched.family(name) for name in labels} | labels.keys()
    wanted = {name for name in watched.everything() if name.startswith(OURS)}
    assert len(wanted) > 60
    assert {name for name in wanted if watched.family(name) not in there} == OF_AUDITS | OF_THE_CODEC


async def test_every_one_that_is_always_there_has_its_series(pages: Pages, labels: Labels) -> None:
    """A panel of a metric without a series is empty, and no alert on it can fire."""
    wanted = {name for name in watched.everything() if name.startswith(OURS)}
    without = {name for name in wanted if name not in labels or not has_series(pages, name)}
    assert without <= AT_TIMES | OF_AUDITS | OF_THE_CODEC


async def test_rules_and_panels_ask_for_labels_that_there_are(labels: Labels) -> None:
    asked = [
        (metric, label)
        for text in (*watched.rules(), *(text for board in DASHBOARDS for text in expressions(board)))
        for metric, matchers in _SELECTOR.findall(text)
        for label in _LABEL.findall(matchers)
    ]
    assert ("croupier_unavailable_total", "cause") in asked
    ours = [(metric, label) for metric, label in asked if metric.startswith(OURS) and metric not in AT_TIMES]
    wrong = {(metric, label) for metric, label in ours if label not in labels.get(metric, set()) | OF_TARGETS}
    assert wrong == set()


async def test_temporal_shows_what_is_asked_of_it(pages: Pages) -> None:
    assert _missing("approximate_", "service_", "persistence_", of=[pages["temporal"]]) == set()


async def test_the_broker_shows_what_is_asked_of_it(pages: Pages) -> None:
    of_queues = pages["rabbitmq-queues"]
    assert _missing("rabbitmq_", of=[pages["rabbitmq"], of_queues]) == set()
    for queue in ("croupier.statistics", "croupier.statistics.dead", "croupier.commands"):
        assert f'queue="{queue}"' in of_queues


def _missing(*prefixes: str, of: list[str]) -> set[str]:
    wanted = {name for name in watched.everything() if name.startswith(prefixes)}
    assert wanted
    return {name for name in wanted if not has_series(dict(enumerate(of)), name)}


async def test_rounds_are_counted_by_operator_game_and_state(pages: Pages, seat: Player) -> None:
    operator = seat.operator.operator_id
    for state, rounds in (("settled", 3), ("declined", 1), ("void", 0)):
        closed = value(pages, "ingress", ENDS, operator=operator, game="dice", state=state)
        assert closed == rounds, state
    assert value(pages, "ingress", ENDS, operator=operator, game="lucky-fruits", state="settled") == 0


async def test_answers_are_counted_by_the_template_of_their_route(pages: Pages, seat: Player) -> None:
    page = pages["ingress"]
    assert value(pages, "ingress", ANSWERS, method="POST", route="/v1/game/rounds", code="2xx") >= 3
    assert value(pages, "ingress", ANSWERS, method="GET", route="/v1/game/rounds/{round_id}", code="4xx") >= 1
    assert value(pages, "ingress", ANSWERS, method="GET", route="unmatched", code="4xx") >= 1
    assert value(pages, "ingress", ANSWERS, method="other", route="/healthz", code="4xx") >= 1
    for word in ("none-of-this-id", "nowhere", "PROPFIND", "a-player-of-the-metrics", seat.session_id):
        assert word not in page
    routes = {route for method, route in _routes(described())}
    shown = set(re.findall(r'croupier_http_requests_total\{.*?route="([^"]*)"', page))
    assert routes <= shown
    pages_of_people = {*PAGES, f"{ASSETS}/{{path:path}}", "/lobby", "/lobby/sessions"}
    assert shown - routes <= {"unmatched", "/openapi.json", "/asyncapi.json", "/v1/game/ws", *pages_of_people}


async def test_refusals_are_counted_by_their_code(pages: Pages) -> None:
    for code in ("insufficient-funds", "not-found", "method-not-allowed"):
        assert value(pages, "ingress", "croupier_problems_total", code=code, transport="http") >= 1, code
    assert value(pages, "ingress", "croupier_bets_refused_total", code="insufficient-funds") >= 1


async def test_every_counter_begins_at_0(pages: Pages) -> None:
    """What never happened is there with 0, or its first time would be no increase."""
    for program, name, labels in (
        ("ingress", "croupier_unavailable_total", {"cause": "key"}),
        ("ingress", "croupier_requests_limited_total", {"limit": "session"}),
        ("ingress", "croupier_dead_letters_total", {"queue": "croupier.commands"}),
        (
            "ingress",
            "croupier_wallet_calls_total",
            {"operator": "other", "call": "win", "outcome": "unknown"},
        ),
        ("relay", "croupier_events_unwanted_total", {"type": "round.settled"}),
        ("reconciler", "croupier_incidents_opened_total", {"kind": "stuck"}),
        (
            "reconciler",
            "croupier_reconciliation_findings_total",
            {"check": "statements", "result": "problem"},
        ),
        ("webhooks", "croupier_webhook_deliveries_total", {"operator": "other", "outcome": "dead"}),
    ):
        assert value(pages, program, name, **labels) >= 0, name


async def test_every_program_says_what_it_is_and_what_it_is_connected_to(pages: Pages) -> None:
    for program in ("ingress", "relay", "statistics", "reconciler", "webhooks"):
        page = pages[program]
        assert re.search(
            r'^croupier_build_info\{commit="[0-9a-f]*",version="\d[^"]*"\} 1', page, re.MULTILINE
        )
        assert len(re.findall(r"^croupier_key_created_timestamp_seconds\{", page, re.MULTILINE)) == 4
        limit = value(pages, program, "croupier_database_pool_limit")
        used = [value(pages, program, POOL, state=state) for state in ("idle", "used")]
        assert 1 <= sum(used) <= limit
    assert value(pages, "statistics", CONNECTED, connection="consumer of croupier.statistics") == 1
    for connection in ("publisher", "commands", "answers", "answers in doubt"):
        assert value(pages, "ingress", CONNECTED, connection=connection) == 1, connection
