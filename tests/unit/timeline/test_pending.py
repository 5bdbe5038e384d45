"""What an open workflow waits for, with its attempts: the one thing that only Temporal knows."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError

from contracts.failures import WALLET_PENDING
from security.keyring import Keyring
from security.payload_codec import data_converter
from timeline.pending import pending

CONVERTER = data_converter(Keyring.generate())
ASKED = datetime(2026, 11, 27, 12, 3, 7, tzinfo=UTC)
NEXT = datetime(2026, 11, 27, 12, 10, tzinfo=UTC)


async def waiting(error_type: str | None = None, **changes: Any) -> PendingActivityInfo:
    activity = PendingActivityInfo(activity_id="5", attempt=7)
    activity.activity_type.name = "settle"
    activity.state = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    activity.next_attempt_schedule_time.FromDatetime(NEXT)
    if error_type is not None:
        failure = Failure()
        await CONVERTER.encode_failure(ApplicationError("the win: http-503", type=error_type), failure)
        activity.last_failure.CopyFrom(failure)
    for name, value in changes.items():
        setattr(activity, name, value)
    return activity


async def lines(*activities: PendingActivityInfo) -> list[str]:
    description = SimpleNamespace(
        id="demo:7:r-1",
        status=WorkflowExecutionStatus.RUNNING,
        raw_description=DescribeWorkflowExecutionResponse(pending_activities=activities),
    )
    found = pending(cast(WorkflowExecutionDescription, description), CONVERTER, {"5": ASKED})
    return [line async for line in found]


async def test_a_step_at_a_wallet_names_the_wallet_since_when_and_how_often_it_was_asked() -> None:
    assert await lines(await waiting(WALLET_PENDING)) == [
        "settle waits for the wallet of demo since 2026-11-27T12:03:07.000000Z,"
        " attempt 7 at 2026-11-27T12:10:00.000000Z;"
        " the last one failed: WalletPending: the win: http-503"
    ]


@pytest.mark.parametrize("error_type", [None, "LedgerConflict"])
async def test_a_step_that_waits_for_something_else_blames_no_wallet(error_type: str | None) -> None:
    (line,) = await lines(await waiting(error_type))
    assert line.startswith(
        "settle waits for attempt 7 at 2026-11-27T12:10:00.000000Z, since 2026-11-27T12:03:07.000000Z"
    )


async def test_what_was_asked_for_at_a_time_that_is_not_known_is_told_without() -> None:
    (line,) = await lines(await waiting(activity_id="6"))
    assert line == "settle waits for attempt 7 at 2026-11-27T12:10:00.000000Z"
