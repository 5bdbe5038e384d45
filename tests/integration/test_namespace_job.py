"""The job of compose.yaml that makes the namespace, and what rounds are found by in it: run twice on a real
server, it makes one and keeps it."""

import asyncio
from pathlib import Path
from uuid import uuid4

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from compose.stack import Stack
from compose.temporal import program
from contracts import search
from runtime.settings import PROJECT_ROOT

SCRIPT = PROJECT_ROOT / "compose" / "services" / "temporal" / "namespace.sh"
WEEK_S = 7 * 24 * 3600


async def test_it_makes_the_namespace_once_with_a_week_of_retention(
    temporal: Client, stack: Stack, tmp_path: Path
) -> None:
    name = f"made-{uuid4().hex}"
    environment = {
        "PATH": f"{program().parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TEMPORAL_ADDRESS": stack.addresses.temporal_address,
        "CROUPIER_TEMPORAL_NAMESPACE": name,
    }
    for _ in range(2):
        job = await asyncio.create_subprocess_exec("/bin/sh", str(SCRIPT), env=environment)
        assert await job.wait() == 0
    asked = DescribeNamespaceRequest(namespace=name)
    found = await temporal.workflow_service.describe_namespace(asked)
    listed = await temporal.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=name)
    )
    assert {name: listed.custom_attributes[name] for name in search.ATTRIBUTES} == dict.fromkeys(
        search.ATTRIBUTES, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    )
    assert found.config.workflow_execution_retention_ttl.seconds == WEEK_S
