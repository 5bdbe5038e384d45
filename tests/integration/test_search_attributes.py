"""What rounds are found by, on a real Temporal: made by the job, missing without harm, found by a query."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio import workflow
from temporalio.api.operatorservice.v1 import RemoveSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from compose import search_attributes
from compose import temporal as embedded
from compose.problems import NotReady
from compose.stack import Stack
from contracts import search
from contracts.rounds import Bet, RoundKey
from contracts.steps import NAMED_STEPS
from runtime import round_start
from runtime.round_start import RoundStart
from runtime.round_workflows import RoundWorkflows
from runtime.search_attributes import Keywords, unread
from runtime.settings import PROJECT_ROOT
from runtime.temporal import connect
from security.keyring import Keyring
from security.player_ids import PlayerIds
from storage.database import Database
from tests.support.conditions import until

PLAYER: Final = "canary-player-4711"
GAME: Final = SearchAttributeKey.for_keyword(search.GAME)


def new_bet(operator_id: str) -> Bet:
    return Bet(
        key=RoundKey(operator_id=operator_id, player_key=7, round_id=uuid4().hex),
        player_id=PLAYER,
        account_id=12,
        session_id="a-session",
        game_id="dice",
        game_version="1.0.0",
        currency="EUR",
        stake=123,
        mode="base",
        choice=None,
        request_id="a-request",
    )


@workflow.defn
class Counts:
    @workflow.run
    async def run(self) -> int:
        return len(workflow.info().typed_search_attributes)


@pytest.mark.parametrize(("reads", "count"), [(lambda worker: worker, 1), (unread, 0)])
async def test_a_workflow_begins_without_them_and_they_are_there_all_the_same(
    temporal: Client, reads: Callable[[Worker], Worker], count: int
) -> None:
    """Once as the SDK has it, and once as rounds begin."""
    queue = uuid4().hex
    given = Keywords({search.GAME: "dice"})
    worker = Worker(
        temporal, task_queue=queue, workflows=[Counts], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with reads(worker):
        handle = await temporal.start_workflow(
            Counts.run, id=queue, task_queue=queue, search_attributes=given
        )
        assert await handle.result() == count
    assert (await handle.describe()).typed_search_attributes[GAME] == "dice"


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace of its own. Nobody runs its rounds: what they started with is what is looked at."""

    stack: Stack
    client: Client
    keyring: Keyring
    begins: RoundStart
    workflows: RoundWorkflows

    async def started(self) -> tuple[Bet, dict[str, object], str | None]:
        """A round's bet, and what it started with: its attributes and its summary."""
        bet = new_bet(f"operator-{uuid4().hex[:8]}")
        await self.workflows.start(bet)
        handle: Any = self.client.get_workflow_handle(bet.key.workflow_id)
        described = await handle.describe()
        found = {pair.key.name: pair.value for pair in described.typed_search_attributes}
        return bet, found, await described.static_summary()

    async def make(self) -> str:
        """By the job of the deploy files."""
        job = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "compose.search_attributes"),
            env={
                "CROUPIER_TEMPORAL_ADDRESS": self.stack.addresses.temporal_address,
                "CROUPIER_TEMPORAL_NAMESPACE": self.client.namespace,
                "PYTHONPATH": str(PROJECT_ROOT),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await job.communicate()
        assert job.returncode == 0
        return output.decode()

    async def known(self) -> None:
        """Until the frontend has heard of them, which takes it a moment."""

        async def accepted() -> bool:
            try:
                await self.client.count_workflows(search.KNOWN)
            except RPCError:
                return False
            return True

        await until(accepted)

    async def remove(self) -> None:
        request = RemoveSearchAttributesRequest(
            namespace=self.client.namespace, search_attributes=search.ATTRIBUTES
        )
        await self.client.operator_service.remove_search_attributes(request)

        async def gone() -> bool:
            try:
                await self.client.count_workflows(search.KNOWN)
            except RPCError:
                return True
            return False

        await until(gone)


@pytest.fixture
async def place(stack: Stack, temporal: Client, database: Database, monkeypatch: pytest.MonkeyPatch) -> Place:
    """As Temporal is before a release that knows of attributes; it looks for them as often as it is told."""
    monkeypatch.setattr(round_start, "LOOK_EVERY_S", 0.0)
    namespace = f"found-{uuid4().hex[:8]}"
    await temporal.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=namespace, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    keyring = Keyring.load(stack.settings.keyring)
    client = await connect(stack.addresses.temporal_address, namespace=namespace, keyring=keyring)

    async def known() -> bool:
        try:
            await client.count_workflows()
            await client.get_workflow_handle("nothing").describe()
        except RPCError as error:
            return "workflow" in str(error).lower()
        return True

    await until(known)
    begins = RoundStart(client, keyring, database.pool)
    return Place(stack, client, keyring, begins, RoundWorkflows(client, task_queue="nobodys", begins=begins))


async def test_a_round_starts_without_until_they_are_made_and_with_them_from_then_on(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    await place.begins.look()
    _, found, summary = await place.started()
    assert (found, summary) == ({}, "123 EUR at dice 1.0.0, base")
    assert [message for message in caplog.messages if "compose.search_attributes" in message] != []

    assert await place.make() == f"made: {', '.join(search.ATTRIBUTES)}\n"
    assert await place.make() == "nothing to do: all are known\n"
    await place.known()
    await place.begins.look()
    bet, found, _ = await place.started()
    player = PlayerIds(place.keyring).id_of(bet.key.operator_id, PLAYER)
    assert found == {
        search.OPERATOR: bet.key.operator_id,
        search.GAME: "dice",
        search.PLAYER: player,
        search.MODE: "base",
        search.STAKE: "EUR 100-199",
        search.KIND: "real",
    }

    async def found_by(query: str) -> list[str]:
        return [execution.id async for execution in place.client.list_workflows(query)]

    query = f'{search.OPERATOR} = "{bet.key.operator_id}" AND {search.PLAYER} IN ("{player}", "another")'
    assert await until(lambda: found_by(query)) == [bet.key.workflow_id]

    await place.remove()
    _, found, _ = await place.started()
    assert found == {}, "one that has gone fails no bet"


async def test_what_a_round_starts_with_tells_nothing_in_the_clear_that_is_not_to_be_searched_by(
    place: Place,
) -> None:
    await place.make()
    await place.known()
    await place.begins.look()
    bet, found, _ = await place.started()
    assert found != {}
    history = await place.client.get_workflow_handle(bet.key.workflow_id).fetch_history()
    started = history.events[0].SerializeToString()
    for secret in (PLAYER, "123 EUR", "a-session", "a-request"):
        assert secret.encode() not in started
    assert place.begins.bet(bet).version == NAMED_STEPS, "the tests' database serves no earlier program"


async def test_the_embedded_temporal_makes_them_in_the_namespace_of_earlier_data(place: Place) -> None:
    """Until then it is not ready, and the ingress has not started."""
    address, namespace = place.stack.addresses.temporal_address, place.client.namespace

    async def ready() -> bool:
        try:
            await embedded.searchable(address, namespace)
        except NotReady:
            return False
        return True

    await until(ready)
    assert await search_attributes.make(place.client) == []
    await place.begins.look()
    _, found, _ = await place.started()
    assert found.keys() == set(search.ATTRIBUTES)


async def test_the_embedded_temporal_has_them_from_its_first_start(temporal: Client) -> None:
    assert await search_attributes.make(temporal) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "croupier: setting temporal_address (CROUPIER_TEMPORAL_ADDRESS) is missing"),
        ("127.0.0.1:1", "croupier: Temporal (CROUPIER_TEMPORAL_ADDRESS): "),
    ],
    ids=["no address", "nobody there"],
)
async def test_the_job_says_in_one_line_why_it_made_nothing(address: str | None, said: str) -> None:
    given = {"CROUPIER_TEMPORAL_ADDRESS": address} if address else {}
    job = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "compose.search_attributes"),
        env={**given, "PYTHONPATH": str(PROJECT_ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await job.communicate()
    assert job.returncode == 1
    (line,) = errors.decode().splitlines()
    assert line.startswith(said)
