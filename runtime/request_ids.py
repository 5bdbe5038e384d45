"""Activities write the id of their round's request into each line of the log."""

from typing import Any

from temporalio import client
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from contracts.requests import CURRENT


class RequestIds(client.Interceptor, Interceptor):
    """Of a client: its workers run their activities with it."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        # Each activity is a task of its own.
        CURRENT.set(_request_of(input.args[0]) if input.args else None)
        return await self.next.execute_activity(input)


def _request_of(asked: object) -> str | None:
    """The request of a step's input: its action's, else its bet's, else its own."""
    for of in (getattr(asked, "action", None), getattr(asked, "bet", None), asked):
        found = getattr(of, "request_id", None)
        if isinstance(found, str):
            return found
    return None
