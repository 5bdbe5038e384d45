"""Search attributes of a round's start, encoded at a tenth of what the SDK takes, and read by no workflow.

For each start the SDK encodes each attribute anew, character by character, with its type; the worker then
reads each twice, as a value and as a typed one. A server takes a value without its type, which it knows.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.client import Interceptor, OutboundInterceptor
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

if TYPE_CHECKING:
    from temporalio.worker import Worker


class Keywords(TypedSearchAttributes):
    """Attributes of the type Keyword, by their names. A client without the interceptor below sends them too,
    as the SDK does."""

    def __init__(self, values: Mapping[str, str]) -> None:
        object.__setattr__(self, "values", values)

    values: Mapping[str, str]

    @property
    def search_attributes(self) -> Sequence[SearchAttributePair[Any]]:
        return [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), value)
            for name, value in self.values.items()
        ]

    def __len__(self) -> int:
        # The client asks whether there are any, before anything else.
        return len(self.values)

    def encode_into(self, attributes: SearchAttributes) -> None:
        for name, value in self.values.items():
            attributes.indexed_fields[name].CopyFrom(_payload(value))


class EncodesKeywords(Interceptor):
    """Has the client's starts encode Keywords so. It must be the last of a client's interceptors, next to the
    SDK's own request."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        # The SDK has no other place between a start's options and its request.
        sdks: Any = next
        populate = sdks._populate_start_workflow_execution_request

        async def populated(request: Any, start: Any) -> None:
            keywords = start.search_attributes
            if not isinstance(keywords, Keywords):
                await populate(request, start)
                return
            start.search_attributes = None
            await populate(request, start)
            keywords.encode_into(request.search_attributes)

        sdks._populate_start_workflow_execution_request = populated
        return next


@functools.lru_cache(maxsize=4096)
def _payload(value: str) -> Payload:
    """Of operators, games, bands there are few; of players the last ones stay."""
    return Payload(metadata={"encoding": b"json/plain"}, data=msgspec.json.encode(value))


def unread(worker: Worker) -> Worker:
    """The same worker, whose workflows begin without their search attributes: none of ours asks for them, and
    to read them takes 2% of the program's processor time for a round."""
    # The SDK has no other place between Temporal's task and the workflow that it begins.
    sdks: Any = worker._workflow_worker
    create = sdks._create_workflow_instance

    def created(activation: Any, begins: Any) -> Any:
        begins.search_attributes.Clear()
        return create(activation, begins)

    sdks._create_workflow_instance = created
    return worker
