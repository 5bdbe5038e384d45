"""One trace from a client's call to the webhook, through every program; and what no trace may hold."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from compose import process
from compose.programs import OwnProgram
from compose.service import wait_until_ready
from compose.stack import Stack
from contracts.steps import PLAY_NAMED
from security.seeds import SeedVault
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator, Player
from tests.e2e.test_secrets import make_noise
from tests.support.collector import Collector, Seen, collecting
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress
from tests.support.operator_wallet import running_wallet
from tests.support.queue_caller import calling
from tests.support.receiver import Receiver, receiving
from tests.support.secrets import every_form
from tests.support.sockets import opened
from tests.support.wallet_settings import program_settings, set_wallet
from workflows.round import RoundWorkflow

OPENING: Final = 50_000
STARTED: Final = f"StartActivity:{PLAY_NAMED.name}"
RAN: Final = f"RunActivity:{PLAY_NAMED.name}"
BY_HTTP: Final = (
    *("POST /v1/game/rounds", "StartWorkflow:Round", "RunWorkflow:Round", STARTED),
    *(RAN, "SELECT", "call a wallet", "publish croupier.events"),
    *("receive croupier.events", "webhook", "call a webhook"),
)
# What a client sends along, which is nobody's business.
STATE: Final = "vendor=a-clients-state"
BAGGAGE: Final = "who=a-clients-baggage"


@dataclass(frozen=True, slots=True)
class Traced:
    """Programs whose traces are on: an ingress, the statistics, and the webhooks."""

    gateway: Gateway
    collector: Collector
    services: Services


@asynccontextmanager
async def instead(stack: Stack, name: str, settings: dict[str, str]) -> AsyncIterator[None]:
    """The program with other settings, for as long as the block runs. What it takes no other may take."""
    program = next(program for program in stack.programs() if program.name == name)
    await stack.stop_one(name)
    try:
        other = dataclasses.replace(program, name=f"traced-{name}", settings={**program.settings, **settings})
        running = await process.start(other.command(), stack.layout)
        try:
            await wait_until_ready(name, other.probe, limit_seconds=OwnProgram.start_seconds)
            yield
        finally:
            await running.stop()
    finally:
        await stack.start(name)


@pytest.fixture(scope="module")
async def traced(gateway: Gateway, services: Services) -> AsyncIterator[Traced]:
    async with AsyncExitStack() as exits:
        collector = await exits.enter_async_context(collecting())
        settings: dict[str, Any] = {"traces_endpoint": collector.url, "traces_sample_ratio": 1.0}
        variables = {f"CROUPIER_{name.upper()}": str(value) for name, value in settings.items()}
        patched = exits.enter_context(pytest.MonkeyPatch.context())
        patched.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # milliseconds, where five seconds are usual
        stack = services.stack
        for name in ("statistics", "webhooks"):
            await exits.enter_async_context(instead(stack, name, variables))
        ingress = await exits.enter_async_context(
            one_more_ingress(stack, "traced-ingress", log_level="debug", **settings)
        )
        http = await exits.enter_async_context(http_client(base_url=ingress.base_url, timeout=HANG_S))
        yield Traced(dataclasses.replace(gateway, http=http), collector, services)


@pytest.fixture(scope="module")
async def operator(traced: Traced) -> AsyncIterator[Operator]:
    """With a wallet of its own."""
    operator = await traced.gateway.new_operator()
    async with running_wallet("--new-players", str(OPENING)) as wallet:
        await set_wallet(
            program_settings(traced.services.stack), operator.operator_id, wallet.url, wallet.secret
        )
        player = await operator.open_session()

        async def known() -> bool:
            return await player.balance() == OPENING

        await until(known)
        yield operator


@pytest.fixture
async def told(operator: Operator) -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        made = await operator.call("POST", "/webhooks", json={"url": receiver.url})
        operator.gateway.secrets.append(made.json()["secret"])
        yield receiver


@dataclass(frozen=True, slots=True)
class Parent:
    """The span under which a client calls."""

    trace_id: str = dataclasses.field(default_factory=lambda: uuid4().hex)
    span_id: str = dataclasses.field(default_factory=lambda: uuid4().hex[:16])

    def headers(self, flags: str = "01") -> dict[str, str]:
        return {
            "traceparent": f"00-{self.trace_id}-{self.span_id}-{flags}",
            "tracestate": STATE,
            "baggage": BAGGAGE,
        }


async def bet(player: Player, parent: Parent, flags: str = "01") -> tuple[str, httpx.Response]:
    wager = player.wager()
    headers = {**parent.headers(flags), "x-request-id": "mine"}
    answer = await player.call("POST", "/rounds", json=wager, headers=headers)
    assert answer.status_code == 201, answer.text
    return wager["round_id"], answer


def ways_up(spans: list[Seen], parent: Parent) -> dict[str, list[str]]:
    """The names from each span up to the client's, by the span's own name."""
    by_id = {seen.span.span_id.hex(): seen for seen in spans}
    found = {}
    for seen in spans:
        way, above = [seen.name], seen.span.parent_span_id.hex()
        while above != parent.span_id:
            way.append(by_id[above].name)
            above = by_id[above].span.parent_span_id.hex()
        found[seen.name] = way
    return found


async def test_one_trace_leads_from_a_clients_call_to_the_webhook(
    traced: Traced, operator: Operator, told: Receiver
) -> None:
    player, parent = await operator.open_session(), Parent()
    round_id, answer = await bet(player, parent)
    spans = await traced.collector.until_seen(parent.trace_id, *BY_HTTP)
    ways = ways_up(spans, parent)
    assert ways["call a wallet"][1:] == [
        *(RAN, STARTED, "StartWorkflow:Round"),
        "POST /v1/game/rounds",
    ]
    assert ways["receive croupier.events"][1] == "publish croupier.events"
    assert ways["call a webhook"][1:] == ["webhook", "POST /v1/game/rounds"]
    assert {seen.program for seen in spans} == {"ingress", "statistics", "webhooks"}

    first = next(seen for seen in spans if seen.name == "POST /v1/game/rounds")
    request_id = answer.headers["x-request-id"]
    assert request_id == f"mine.{parent.trace_id}{first.span.span_id.hex()}"
    assert first.attributes["croupier.request_id"] == request_id
    assert first.attributes["http.response.status_code"] == "201"
    assert next(seen for seen in spans if seen.name == RAN).attributes["temporalWorkflowID"] == (
        player.round_key(round_id).workflow_id
    )
    (got,) = (got for got in told.received if got.event["subject"] == round_id)
    assert got.headers["x-request-id"] == request_id
    assert got.headers["traceparent"].split("-")[1] == parent.trace_id
    assert not {"tracestate", "baggage"} & set(got.headers)


async def test_a_traced_round_costs_six_events_and_two_transitions_and_replays_untraced(
    traced: Traced,
) -> None:
    own = await traced.gateway.new_operator()
    player, parent = await own.open_session(balance=10_000), Parent()
    handle = await until(lambda: _on_the_fast_path(traced, player, parent))
    history = await handle.fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    assert parent.trace_id.encode() in started.header.fields["_tracer-data"].data, "it is traced"
    described = await handle.describe()
    assert described.history_length == 6
    assert described.raw_description.workflow_execution_info.state_transition_count == 2
    replayer = Replayer(
        workflows=[RoundWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=traced.gateway.temporal.data_converter,
    )
    await replayer.replay_workflow(history)


async def _on_the_fast_path(traced: Traced, player: Player, parent: Parent) -> Any:
    """A round that has ended without leaving it, as one may on a busy machine."""
    round_id, _ = await bet(player, parent)
    handle = traced.gateway.temporal.get_workflow_handle(player.round_key(round_id).workflow_id)
    await handle.result()
    history = await handle.fetch_history()
    took_long = {
        f"{what}_event_attributes"
        for what in ("activity_task_scheduled", "workflow_task_timed_out", "workflow_task_failed")
    }
    happened = {event.WhichOneof("attributes") for event in history.events}
    return None if happened & took_long else handle


async def test_sockets_and_the_queue_have_their_traces(traced: Traced, amqp_url: str) -> None:
    """A socket's message begins one of its own; a command's is its sender's, if it has one that can be
    read. The ingress of all tests takes commands too, so that some of these are not traced."""
    own = await traced.gateway.new_operator()
    player = await own.open_session(balance=100_000)
    async with opened(str(traced.gateway.http.base_url), player.token) as socket:
        wager = player.wager()
        assert (await socket.ask("bet", **wager))["type"] == "round"
    stored = "SELECT request_id FROM rounds WHERE round_id = $1"
    request_id = await traced.gateway.database.pool.fetchval(stored, wager["round_id"])
    trace_id = request_id.partition(".")[2][:32]
    await traced.collector.until_seen(trace_id, "websocket BetMessage", RAN, "SELECT")

    async with calling(amqp_url) as caller:

        async def by_queue() -> bool:
            parent = Parent()
            answers = [
                await caller.ask({"session_token": player.token, **player.wager()}, headers=headers)
                for headers in (parent.headers(), {"traceparent": 5}, {"traceparent": [5, "x"]})
            ]
            assert [answer.type for answer in answers] == ["round"] * 3
            of_it = str(answers[0].headers["X-Request-Id"]).partition(".")[2]
            if not of_it.startswith(parent.trace_id):
                return False
            names = ("receive croupier.commands", "command", RAN)
            return bool(await traced.collector.until_seen(parent.trace_id, *names))

        await until(by_queue)


async def test_what_a_client_does_not_want_sampled_is_not(traced: Traced) -> None:
    own = await traced.gateway.new_operator()
    player, unwanted, wanted = await own.open_session(balance=10_000), Parent(), Parent()
    _, answer = await bet(player, unwanted, flags="00")
    assert unwanted.trace_id not in answer.headers["x-request-id"]
    await bet(player, wanted)
    await traced.collector.until_seen(wanted.trace_id, "POST /v1/game/rounds", RAN)
    assert traced.collector.of(unwanted.trace_id) == []


async def test_no_trace_holds_a_secret_or_a_name(traced: Traced) -> None:
    gateway = traced.gateway
    player = await make_noise(gateway)
    parent = Parent()
    await bet(player, parent)
    await traced.collector.until_seen(parent.trace_id, "POST /v1/game/rounds", "publish croupier.events")
    sent = b"".join(traced.collector.bodies)
    row = await gateway.database.pool.fetchrow(
        "SELECT d.id, d.sealed_server_seed FROM seeds d JOIN sessions s ON s.seed_id = d.id WHERE s.id = $1",
        player.session_id,
    )
    seed = SeedVault(gateway.keyring).open(row["id"], row["sealed_server_seed"])
    hidden = [secret.encode() for secret in gateway.secrets] + every_form([seed])
    hidden += [b"a-player-with-a-name", b"a-clients-seed", player.session_id.encode()]
    hidden += [STATE.encode(), BAGGAGE.encode(), b"a-clients-"]
    assert [secret for secret in hidden if secret in sent] == []
    names = {seen.name for seen in traced.collector.spans}
    assert not any("/" in name and "{" not in name and name.count("/") > 3 for name in names), names


async def test_a_collector_that_is_away_costs_no_round_and_no_end(
    services: Services, gateway: Gateway
) -> None:
    away: dict[str, Any] = {"traces_endpoint": "http://127.0.0.1:9/v1/traces", "traces_sample_ratio": 1}
    async with one_more_ingress(services.stack, "traced-in-vain", **away) as ingress:
        async with http_client(base_url=ingress.base_url, timeout=HANG_S) as http:
            own = await dataclasses.replace(gateway, http=http).new_operator()
            player = await own.open_session(balance=10_000)
            for _ in range(3):
                await bet(player, Parent())
        ending = asyncio.create_task(ingress.running.stop())
        assert await asyncio.wait_for(ingress.running.wait(), HANG_S) == "ended with exit code 0"
        await ending
