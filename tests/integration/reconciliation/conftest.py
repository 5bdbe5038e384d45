"""What the tests of reconciliation share: a casino on a database and in a Temporal namespace of its own, for
reconciliation looks at everything there is."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from runtime.settings import Settings
from runtime.temporal import connect_temporal
from security.keyring import Keyring
from storage.database import open_database
from tests.conftest import Services
from tests.integration.reconciliation.floor import Floor
from tests.integration.wallet.casino import Player, casino_settings, new_operator, open_casino
from tests.support.conditions import until
from tests.support.databases import migrated_database
from tests.support.operator_wallet import RunningWallet, running_wallet


@pytest.fixture(scope="package")
async def wallet() -> AsyncIterator[RunningWallet]:
    async with running_wallet() as running:
        yield running


@pytest.fixture(scope="package")
async def own_url(services: Services) -> AsyncIterator[str]:
    """A database where reconciliation finds the rounds of these tests alone."""
    async with migrated_database(services) as url:
        yield url


@pytest.fixture(scope="package")
async def floor(services: Services, own_url: str, wallet: RunningWallet) -> AsyncIterator[Floor]:
    settings = casino_settings(services, own_url, await _new_namespace(services))
    own = await open_database(own_url, connections=10)
    async with open_casino(settings, own, wallet, _connected) as casino:
        yield Floor(casino, await new_operator(own))
    await own.close()


async def _new_namespace(services: Services) -> str:
    namespace = f"reconciliation-{uuid4().hex[:8]}"
    shared = await Client.connect(services.stack.addresses.temporal_address)
    await shared.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=namespace, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    return namespace


async def _connected(settings: Settings, keyring: Keyring) -> Client:
    """Once the new namespace is known to all of Temporal."""

    async def known() -> Client | None:
        client = await connect_temporal(settings, keyring)
        try:
            await client.count_workflows()
            await client.get_workflow_handle("nothing").describe()
        except RPCError as error:
            return client if "workflow" in str(error).lower() else None
        return client

    found = await until(known)
    assert found is not None
    return found


@pytest.fixture
async def player(floor: Floor) -> AsyncIterator[Player]:
    await floor.casino.wallet.set_faults()
    yield await floor.casino.seat()
    await floor.casino.wallet.clear_faults()
