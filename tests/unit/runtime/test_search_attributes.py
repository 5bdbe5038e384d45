"""Attributes that are encoded once reach Temporal as the SDK's own would, but for their types."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.api.workflowservice.v1 import (
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.converter import decode_search_attributes, decode_typed_search_attributes
from temporalio.service import ServiceClient

from runtime.search_attributes import EncodesKeywords, Keywords

VALUES = {"CroupierOperator": 'a "name" of é', "CroupierGame": "dice"}


class Service:
    """Takes a start as it is sent."""

    config = SimpleNamespace(identity="1@host", lazy=False)

    def __init__(self) -> None:
        self.workflow_service = self
        self.requests: list[StartWorkflowExecutionRequest] = []

    async def start_workflow_execution(
        self, request: StartWorkflowExecutionRequest, **_: Any
    ) -> StartWorkflowExecutionResponse:
        self.requests.append(request)
        return StartWorkflowExecutionResponse(run_id="a-run")


async def sent(attributes: TypedSearchAttributes, *, quickly: bool) -> StartWorkflowExecutionRequest:
    service = Service()
    interceptors = [EncodesKeywords()] if quickly else []
    client = Client(cast(ServiceClient, service), interceptors=interceptors)
    await client.start_workflow("Round", id="an-id", task_queue="rounds", search_attributes=attributes)
    return service.requests[0]


@pytest.mark.parametrize("quickly", [True, False])
async def test_a_client_sends_the_same_values_with_and_without_it(quickly: bool) -> None:
    request = await sent(Keywords(VALUES), quickly=quickly)
    assert decode_search_attributes(request.search_attributes) == {
        name: [value] for name, value in VALUES.items()
    }
    assert request.workflow_id == "an-id"


async def test_the_types_are_left_to_the_server() -> None:
    request = await sent(Keywords(VALUES), quickly=True)
    assert list(decode_typed_search_attributes(request.search_attributes)) == []
    request = await sent(Keywords(VALUES), quickly=False)
    assert len(decode_typed_search_attributes(request.search_attributes)) == len(VALUES)


async def test_other_attributes_are_sent_as_before() -> None:
    pair = SearchAttributePair(SearchAttributeKey.for_int("Other"), 7)
    request = await sent(TypedSearchAttributes([pair]), quickly=True)
    assert list(decode_typed_search_attributes(request.search_attributes)) == [pair]
