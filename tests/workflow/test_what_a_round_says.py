"""What a round's workflow says of itself to people: summaries of activities and timers, and what it waits
for."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from contracts.choices import Abandonment
from contracts.failures import WALLET_PENDING
from contracts.interventions import Action
from contracts.search import SUMMARY_BYTES
from security.keyring import Keyring
from security.payload_codec import data_converter
from tests.support.conditions import until
from tests.support.temporal import IDENTITY, PLAIN
from tests.workflow.choices import COLLECT, act, action, offer, waits
from tests.workflow.faults import DURABLE, FAST, Breaks, Hangs, Refuses
from tests.workflow.stage import PATIENCE_S, Ended, Handle, Stage, intervene, within
from tests.workflow.world import WIN

MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


async def details(handle: Handle) -> list[str]:
    """The workflow's current details, as web interface and command line ask for them."""
    metadata: WorkflowMetadata = await handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata.current_details.splitlines()


def summaries(ended: Ended) -> list[tuple[str, str]]:
    return [found for event in ended.history.events for found in _summary(event)]


def _summary(event: HistoryEvent) -> Iterator[tuple[str, str]]:
    if event.user_metadata.HasField("summary"):
        (text,) = PLAIN.payload_converter.from_payloads([event.user_metadata.summary], [str])
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
        step = event.activity_task_scheduled_event_attributes.activity_type.name
        yield step or kind, text


async def test_each_activity_of_the_durable_path_says_what_it_is_to_do(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", way=FAST))
    ended = await stage.play()
    event_id = stage.world.rounds[stage.bet.key].event_id
    assert summaries(ended) == [
        ("reserve", "hold 100 EUR"),
        ("resolve", "play reels 1.0.0"),
        ("settle", f"pay a win of {WIN} EUR"),
        ("emit", f"publish event {event_id}"),
    ]
    assert all(len(text) <= SUMMARY_BYTES for _, text in summaries(ended))


async def test_what_it_says_is_sealed_like_all_else(temporal_environment: WorkflowEnvironment) -> None:
    converter = data_converter(Keyring.generate())
    client = await temporal_environment.connect_client(identity=IDENTITY, data_converter=converter)
    stage = Stage(client, "sealed-words")
    stage.set(Breaks(step="reserve", way=FAST))
    async with stage.worker():
        handle = await stage.start()
        await handle.result()
        history = await handle.fetch_history()
    recorded = b"".join(event.SerializeToString() for event in history.events)
    assert b"reserve" in recorded, "names are not sealed"
    assert not [word for word in (b"hold 100", b"pay a win", b"publish event") if word in recorded]
    sealed = [e.user_metadata.summary for e in history.events if e.user_metadata.HasField("summary")]
    assert (await converter.decode(sealed, [str] * len(sealed)))[0] == "hold 100 EUR"


async def test_a_release_says_why(stage: Stage) -> None:
    stage.set(Refuses(step="resolve", times=2))
    assert ("release", "release the stake: resolve-failed") in summaries(await stage.play())


async def test_the_fast_path_says_nothing_before_it_is_left(stage: Stage) -> None:
    """Nor does it cost anything: its marker's type names the steps, and its result tells them."""
    assert summaries(await stage.play()) == []


async def test_a_round_that_waits_for_a_wallet_says_so_and_since_when(stage: Stage) -> None:
    """How often it was asked stands with the pending activity: the workflow does not hear of attempts."""
    pending = Refuses(step="settle", way=FAST, type=WALLET_PENDING, message="the win: http-503")
    stage.set(pending)
    hangs = stage.set(Hangs(step="settle", way=DURABLE))
    async with stage.playing() as handle:
        await within(hangs.reached)
        left, attempted = await details(handle)
        hangs.go.set()
        await stage.end(handle)
        assert await details(handle) == []
    assert re.fullmatch(
        rf"waits for the wallet of operator-1 since {MOMENT} \(WalletPending: the win: http-503\)", left
    )
    assert re.fullmatch(
        rf"settle \(pay a win of {WIN} EUR\) is attempted since {MOMENT}:"
        " the pending activities say how often",
        attempted,
    )


async def test_a_round_on_the_durable_path_for_another_reason_blames_no_wallet(stage: Stage) -> None:
    stage.set(Breaks(step="settle", way=FAST))
    hangs = stage.set(Hangs(step="settle", way=DURABLE))
    async with stage.playing() as handle:
        await within(hangs.reached)
        left, _ = await details(handle)
        hangs.go.set()
        await stage.end(handle)
    assert left.startswith("is on the durable path since ")
    assert left.endswith(" (ConnectionError: the connection was lost)")


async def test_what_is_asked_meanwhile_comes_and_goes(stage: Stage) -> None:
    """The intervention ends the wait for settle, and settle is attempted again."""
    stage.set(Breaks(step="settle", way=FAST))
    hangs = stage.set(Hangs(step="settle", way=DURABLE))
    asked = stage.set(Hangs(step="intervene", way=DURABLE))
    async with stage.playing() as handle:
        await within(hangs.reached)
        intervening = until_asked(handle, stage)
        await within(asked.reached)
        steps = [line.partition(" ")[0] for line in await details(handle)]
        asked.go.set()
        await intervening
        hangs.go.set()
        await stage.end(handle)
        assert await details(handle) == []
    assert steps == ["is", "settle", "intervene"]


def until_asked(handle: Handle, stage: Stage) -> "asyncio.Task[object]":
    return asyncio.create_task(intervene(handle, stage.decision(Action.RETRY_NOW)))


async def test_a_round_that_waits_for_its_player_says_what_it_offers(waiting_stage: Stage) -> None:
    stage = waiting_stage
    stage.world.offers = [offer(Abandonment.HOLD)]
    async with stage.playing() as handle:
        await waits(stage, handle)

        async def offered() -> str | None:
            said = await details(handle)
            return said[0] if said else None

        said = await until(offered, within_s=PATIENCE_S)
        assert said is not None
        await act(handle, action(COLLECT))
        ended = await stage.end(handle)
    choices = ", ".join(choice.action for choice in offer(Abandonment.HOLD).choices)
    assert re.fullmatch(rf"waits for the player since {MOMENT}: {choices}", said)
    assert summaries(ended) == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Abandonment.COLLECT, "collect, for the player stays away"),
        (Abandonment.REFUND, "refund, for the player stays away"),
    ],
)
async def test_the_timer_of_a_player_who_stays_away_says_what_it_will_do(
    skipping: Client, rule: Abandonment, said: str
) -> None:
    stage = Stage(skipping, f"says-{rule}")
    stage.world.offers = [offer(rule, within_s=1)]
    ended = await stage.play()
    assert ("timer_started", said) in summaries(ended)
