"""`croupier round show` on the real services: rounds that went well, late, back, and nowhere."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psutil
import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle

from cli.round import show as rounds
from cli.round.lines import lines as lines_of
from cli.round.show import Wanted
from cli.services import CannotShow
from runtime.services import Unreachable
from runtime.settings import Settings
from storage.database import Database
from tests.conftest import Services
from tests.support.clients import Player, frozen, seat_players
from tests.support.commands import run, run_process
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ledger import take_seat, waiting_for_a_lock
from timeline.timeline import Timeline


@pytest.fixture
def outside(services: Services) -> Settings:
    """The services as settings name them, and no stack of one's own."""
    addresses = services.stack.addresses
    return Settings(
        home=services.settings.home / "elsewhere",
        keyring=services.settings.keyring,
        database_url=SecretStr(addresses.database_url),
        temporal_address=addresses.temporal_address,
    )


FORGOTTEN = "no history: Temporal no longer has the workflow"


async def shown(settings: Settings, round_id: str, player_id: str | None = None) -> Timeline:
    return await rounds.read(settings, Wanted(round_id=round_id, operator_id=None, player_id=player_id))


async def shown_with(settings: Settings, round_id: str, what: str, *, within_s: float = HANG_S) -> list[str]:
    """The whole output, once it has `what`: events and statistics arrive after the answer."""

    async def complete() -> list[str]:
        lines = list(lines_of(await shown(settings, round_id)))
        return lines if any(what in line for line in lines) else []

    return await until(complete, within_s=within_s)


async def new_round(platform: dict[str, Any], round_id: str) -> Player:
    (player,) = await seat_players(platform, 1)
    async with http_client(timeout=HANG_S) as client:
        await player.bet(client, round_id)
    return player


async def new_round_of(platform: dict[str, Any], settings: Settings, what: str, way: str) -> str:
    """A round that shows `what` after it went this way: as long as a machine stands still for more than the
    fast path may take, a round goes another."""

    async def played() -> str:
        round_id = uuid4().hex
        await new_round(platform, round_id)
        lines = await shown_with(settings, round_id, what)
        return round_id if any(way in line for line in lines) else ""

    return await until(played)


async def workflow_of(database: Database, temporal: Client, round_id: str) -> WorkflowHandle[Any, Any]:
    row = await until(
        lambda: database.pool.fetchrow("SELECT player_key FROM rounds WHERE round_id = $1", round_id)
    )
    return temporal.get_workflow_handle(f"demo:{row['player_key']}:{round_id}")


@asynccontextmanager
async def locked(database: Database, table: str) -> AsyncIterator[None]:
    """Nobody writes to `table` inside the block."""
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield


def in_order(lines: list[str], *parts: str) -> None:
    """Each of `parts` is in a line of its own, in this order."""
    rest = iter(lines)
    for part in parts:
        assert any(part in line for line in rest), f"{part!r} is missing or too early in:\n" + "\n".join(
            lines
        )


class TestTheCommand:
    async def test_shows_a_settled_round_from_its_start_to_its_last_effect(
        self, platform: dict[str, Any], services: Services, database: Database, outside: Settings
    ) -> None:
        round_id = await new_round_of(
            platform, outside, "completed: settled", "6 events, 2 state transitions"
        )
        await shown_with(outside, round_id, "statistics  applied")
        code, output, errors = await run_process(services, platform, "round", "show", round_id)
        assert (code, errors) == (0, "")
        lines = output.splitlines()
        in_order(lines, f"round {round_id}", platform["temporal_ui"], "started eagerly", "play in")
        in_order(lines, "play in", "reserve in", "resolve in", "settle in", "emit in")
        in_order(lines, "created: stake 100 EUR", "held 100 EUR", "stake: 100 EUR from player account")
        in_order(lines, "settled: win", "recorded: round.settled", "completed: settled")
        assert "6 events, 2 state transitions" in output
        assert await _sealed_seed(database, round_id) not in output

    async def test_gives_the_same_as_json(
        self, platform: dict[str, Any], services: Services, outside: Settings
    ) -> None:
        round_id = uuid4().hex
        await new_round(platform, round_id)
        await shown_with(outside, round_id, "statistics  applied")
        code, output, _ = await run(
            services, platform, "round", "show", round_id, "--json", "--operator", "demo"
        )
        found = json.loads(output)
        assert code == 0
        assert (found["round"]["state"], found["round"]["stake"]) == ("settled", 100)
        assert {row["source"] for row in found["time_line"]} == {
            "round",
            "ledger",
            "workflow",
            "step",
            "event",
            "statistics",
        }

    async def test_asks_whose_round_when_several_players_used_the_id(
        self, platform: dict[str, Any], services: Services, outside: Settings, database: Database
    ) -> None:
        round_id = uuid4().hex
        for _ in range(2):
            await new_round(platform, round_id)
        code, output, errors = await run(services, platform, "round", "show", round_id)
        players = await database.pool.fetch("SELECT player_id FROM rounds WHERE round_id = $1", round_id)
        assert (code, output) == (2, "")
        for row in players:
            assert f"--operator demo --player {row['player_id']}" in errors
            found = await shown(outside, round_id, row["player_id"])
            assert found.record.view.player_id == row["player_id"]

    async def test_says_that_there_is_no_such_round(
        self, platform: dict[str, Any], services: Services
    ) -> None:
        code, output, errors = await run(services, platform, "round", "show", "none", "--player", "nobody")
        assert (code, output, errors) == (2, "", "croupier: there is no round none of player nobody\n")


async def test_without_a_stack_and_without_services_it_says_what_to_do(services: Services) -> None:
    with pytest.raises(CannotShow, match=r"is not up: start it with ./croupier up"):
        await shown(Settings(home=services.settings.home / "nothing-here"), "a-round")


async def test_a_round_whose_broker_is_silent_shows_what_it_waits_for_and_then_how_it_went_on(
    platform: dict[str, Any], services: Services, outside: Settings
) -> None:
    with frozen(services.stack.pid("rabbitmq")):
        round_id = await new_round_of(platform, outside, "now: emit", "not confirmed yet")
        waiting = await shown_with(outside, round_id, "now: emit")
    in_order(
        waiting, "not confirmed yet", "emit goes on as an activity", "now: the event waits for the broker"
    )
    done = await shown_with(outside, round_id, "completed: settled")
    in_order(done, "emit goes on as an activity", "emit, activity attempt", "completed: settled")


async def test_a_round_that_is_cancelled_before_settle_shows_the_hold_given_back(
    platform: dict[str, Any], outside: Settings, database: Database, temporal: Client
) -> None:
    (player,) = await seat_players(platform, 1)
    round_id = uuid4().hex
    async with locked(database, "seeds"):
        betting = asyncio.create_task(player.bet_once(round_id))
        await until(lambda: waiting_for_a_lock(database))
        key = await database.pool.fetchval("SELECT max(id) FROM players")
        handle: WorkflowHandle[Any, Any] = temporal.get_workflow_handle(f"demo:{key}:{round_id}")
        await until(lambda: _under_way(handle, "reserve"))
        await handle.cancel()
    await betting
    lines = await shown_with(outside, round_id, "workflow    cancelled")
    in_order(lines, "failure   round-cancelled", "play failed", "reserve goes on as an activity")
    in_order(lines, "reserve goes on as an activity", "cancel requested by", "workflow    cancelled")
    in_order(lines, "void: round-cancelled", "recorded: round.void")


@pytest.mark.parametrize("way", ["reset", "forgotten, and the bet sent again"])
async def test_a_terminated_round_keeps_its_hold_until_it_is_started_anew_and_then_goes_to_its_end(
    platform: dict[str, Any],
    services: Services,
    outside: Settings,
    database: Database,
    temporal: Client,
    way: str,
) -> None:
    (player,) = await seat_players(platform, 1)
    round_id = uuid4().hex
    async with locked(database, "transfers"):
        betting = asyncio.create_task(player.bet_once(round_id))
        handle = await workflow_of(database, temporal, round_id)
        await until(lambda: _under_way(handle, "settle"))
        # With its process gone, no attempt of settle is left that could still commit.
        ports = _ports_of(services.stack.pid("ingress"))
        await services.stack.kill("ingress")
        try:
            await asyncio.gather(betting, return_exceptions=True)
            await until(lambda: _are_gone(database, ports))
            await handle.terminate(reason="by hand")
        except BaseException:
            await services.stack.start("ingress")  # for the other tests
            raise
    await services.stack.start("ingress")
    stuck = await shown_with(outside, round_id, "terminated by")
    in_order(stuck, "pending", "play failed", "(server seed sealed)", "settle goes on as an activity")
    in_order(stuck, "settle goes on as an activity", "terminated by", "100 EUR are held since")
    assert await _sealed_seed(database, round_id) not in "\n".join(stuck)
    assert stuck[-1] == "now: nothing brings the round to its end: its workflow is terminated"
    if way == "reset":
        await _reset(temporal, handle)
    else:
        await _forget(temporal, handle)
        # Temporal deletes when it finds the time.
        await shown_with(outside, round_id, FORGOTTEN, within_s=150)
        await player.bet_once(round_id)
    lines = await shown_with(outside, round_id, "completed: settled")
    in_order(lines, "created: stake", "reserve", "settle", "settled: win", "completed: settled")


async def _sealed_seed(database: Database, round_id: str) -> str:
    sealed = await database.pool.fetchval(
        "SELECT sealed_server_seed FROM round_view WHERE round_id = $1", round_id
    )
    assert isinstance(sealed, str)
    return sealed


async def _under_way(handle: WorkflowHandle[Any, Any], step: str) -> bool:
    """As an activity of its own, because the round did not come off in one go."""
    pending = (await handle.describe()).raw_description.pending_activities
    return any(activity.activity_type.name == step for activity in pending)


def _ports_of(pid: int) -> list[int]:
    return [each.laddr.port for each in psutil.Process(pid).net_connections("tcp")]


async def _are_gone(database: Database, ports: list[int]) -> bool:
    """Whether PostgreSQL has ended the connections from these ports. Their statements are cancelled: also one
    that is not read yet, and would only then wait for its lock."""
    theirs = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE client_port = ANY($1::int[])"
    return bool(await database.pool.fetchval(theirs, ports) == 0)


async def _reset(temporal: Client, handle: WorkflowHandle[Any, Any]) -> None:
    """To the first workflow task, as the web interface does."""
    history = await handle.fetch_history()
    finished = next(
        e.event_id for e in history.events if e.HasField("workflow_task_completed_event_attributes")
    )
    await temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=temporal.namespace,
            workflow_execution=WorkflowExecution(
                workflow_id=handle.id, run_id=(await handle.describe()).run_id
            ),
            reason="go on",
            request_id=uuid4().hex,
            workflow_task_finish_event_id=finished,
        )
    )


async def _forget(temporal: Client, handle: WorkflowHandle[Any, Any]) -> None:
    await temporal.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=temporal.namespace, workflow_execution=WorkflowExecution(workflow_id=handle.id)
        )
    )


async def test_a_round_that_temporal_has_forgotten_shows_the_rest(
    outside: Settings, database: Database
) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    await seat.settle(bet, win=50)
    lines = await shown_with(outside, bet.key.round_id, FORGOTTEN)
    in_order(lines, "created: stake", "held 100 EUR", "settled: win", "recorded", "no history")


async def test_a_round_is_shown_though_temporal_does_not_answer(
    outside: Settings, database: Database
) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    nowhere = outside.model_copy(update={"temporal_address": "127.0.0.1:1"})
    found = await shown(nowhere, bet.key.round_id, bet.player_id)
    assert found.workflow.missing is not None
    assert found.workflow.missing.startswith("Temporal (CROUPIER_TEMPORAL_ADDRESS) does not answer")
    assert found.now() == [line for line in found.now() if line.startswith("100 EUR are held since")]
    await seat.release(bet)


async def test_a_deposit_with_the_rounds_id_is_no_part_of_the_round(
    outside: Settings, database: Database
) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.deposit(500, bet.key.round_id)
    await seat.reserve(bet)
    await seat.settle(bet, 250)
    found = await shown(outside, bet.key.round_id, bet.player_id)
    assert [transfer.kind for transfer in found.record.transfers] == ["stake", "win"]
    await database.pool.execute(
        "UPDATE outbox SET published_at = clock_timestamp() WHERE player_key = $1 AND published_at IS NULL",
        bet.key.player_key,
    )


async def test_a_database_that_does_not_answer_is_one_line_without_its_password(outside: Settings) -> None:
    gone = outside.model_copy(update={"database_url": SecretStr("postgresql://a:secret@127.0.0.1:1/c")})
    with pytest.raises(Unreachable, match=r"PostgreSQL .* does not answer") as caught:
        await shown(gone, "a-round")
    assert "secret" not in str(caught.value)
