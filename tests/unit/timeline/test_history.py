"""A round's history: what each event says, decrypted and bounded, and what cannot be read."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload, Payloads, SearchAttributes
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import Input, Outcome, Request
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from contracts import search, steps
from contracts.actions import ActionVerdict, ActResult, PlayerAction
from contracts.choices import Chosen
from contracts.interventions import Action, Intervention, InterventionResult, InterventionVerdict
from contracts.rounds import (
    Bet,
    DrawReference,
    PlayResult,
    Reservation,
    Resolution,
    RoundClosed,
    RoundKey,
    RoundState,
    StepTaken,
    Terminal,
)
from security.keyring import Keyring
from security.payload_codec import data_converter
from timeline.history import HistoryReader
from timeline.model import Entry
from timeline.wording import moment

START = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
KEY = RoundKey(operator_id="acme", player_key=7, round_id="r-1")
EVENT_ID = "df135084-baab-4f25-9d9d-7cb3a4169e07"
SEALED = "v1.seeds-1.c2VhbGVk"


def after(milliseconds: int) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


@pytest.fixture(scope="module")
def converter() -> DataConverter:
    return data_converter(Keyring.generate())


BET = Bet(
    key=KEY,
    player_id="alice",
    account_id=12,
    session_id="a-session",
    game_id="dice",
    game_version="1.0.0",
    currency="EUR",
    stake=100,
    mode="base",
    choice=None,
    request_id="a-request",
)
DRAW = DrawReference(seed_id="a-seed", sealed_server_seed=SEALED, client_seed="c", nonce=4)


@dataclasses.dataclass
class Recorder:
    """Writes a history as Temporal stores it: sealed, with the events' times one millisecond apart."""

    converter: DataConverter
    events: list[HistoryEvent] = dataclasses.field(default_factory=list)

    def add(self, kind: str, **attributes: Any) -> int:
        number = len(self.events) + 1
        event = HistoryEvent(
            event_id=number,
            event_type=EventType.Value(f"EVENT_TYPE_{kind.upper()}"),
            event_time=stamp(after(number)),
        )
        part = getattr(event, f"{kind}_event_attributes")
        part.SetInParent()
        part.MergeFrom(type(part)(**attributes))
        self.events.append(event)
        return number

    async def sealed(self, value: object) -> Payloads:
        return Payloads(payloads=await self.converter.encode([value]))

    async def failure(self, error: BaseException) -> Failure:
        failure = Failure()
        await self.converter.encode_failure(error, failure)
        return failure

    async def marker(self, step: str, result: object, *, ran_ms: tuple[int, int], attempt: int = 1) -> None:
        """`ran_ms` is the worker's clock at the step's begin, and the workflow's time at its end."""
        began, complete = (stamp(after(ms)) for ms in ran_ms)
        facts = {
            "activity_type": step,
            "attempt": attempt,
            "original_schedule_time": {"seconds": began.seconds, "nanos": began.nanos},
            "complete_time": {"seconds": complete.seconds, "nanos": complete.nanos},
        }
        details = {"data": Payloads(payloads=DataConverter.default.payload_converter.to_payloads([facts]))}
        if isinstance(result, BaseException):
            failure = await self.failure(result)
            self.add("marker_recorded", marker_name="core_local_activity", details=details, failure=failure)
        else:
            details["result"] = await self.sealed(result)
            self.add("marker_recorded", marker_name="core_local_activity", details=details)

    async def says(self, summary: str) -> None:
        """The last event is of something that the workflow gave a summary."""
        (sealed,) = (await self.sealed(summary)).payloads
        self.events[-1].user_metadata.summary.CopyFrom(sealed)

    async def update(self, name: str, asked: object, answered: object) -> None:
        request = Request(input=Input(name=name, args=await self.sealed(asked)))
        number = self.add("workflow_execution_update_accepted", accepted_request=request)
        if isinstance(answered, BaseException):
            outcome = Outcome(failure=await self.failure(answered))
        else:
            outcome = Outcome(success=await self.sealed(answered))
        self.add("workflow_execution_update_completed", accepted_event_id=number, outcome=outcome)

    async def read(self, converter: DataConverter | None = None) -> list[Entry]:
        reader = HistoryReader(converter or self.converter)
        return [entry async for entry in reader.entries(self.events)]


def stamp(at: datetime) -> Timestamp:
    stamped = Timestamp()
    stamped.FromDatetime(at)
    return stamped


@pytest.fixture
def recorder(converter: DataConverter) -> Recorder:
    return Recorder(converter)


class TestAHistory:
    async def test_of_the_fast_path_is_told_step_by_step(self, recorder: Recorder) -> None:
        recorder.add(
            "workflow_execution_started", input=await recorder.sealed(BET), eager_execution_accepted=True
        )
        recorder.add("workflow_task_scheduled")
        recorder.add("workflow_task_started", identity="1@host")
        recorder.add("workflow_task_completed")
        held = Reservation(state=RoundState.PENDING, draw=DRAW)
        settled = Terminal(state=RoundState.SETTLED, event_id=EVENT_ID)
        await recorder.marker("reserve", held, ran_ms=(5, 6))
        await recorder.marker("resolve", Resolution(outcome={"roll": 1}, win=0), ran_ms=(9, 8))
        await recorder.marker("settle", settled, ran_ms=(11, 13), attempt=2)
        await recorder.marker("emit", True, ran_ms=(17, 14))
        closed = await recorder.sealed(RoundClosed(state=RoundState.SETTLED))
        recorder.add("workflow_execution_completed", result=closed)
        entries = await recorder.read()
        assert [entry.what for entry in entries] == [
            "started eagerly: 100 EUR at dice 1.0.0",
            "taken by worker 1@host",
            "reserve in 3.0 ms: stake held, nonce 4 of seed a-seed (server seed sealed)",
            "resolve in 2.0 ms: win 0, outcome roll 1",
            f"settle, attempt 2: settled, event {EVENT_ID}",
            "emit in 1.0 ms: the broker has confirmed the event",
            "completed: settled",
        ]
        assert [entry.at for entry in entries][2:6] == [after(5), after(9), after(11), after(17)]

    async def test_of_the_fast_path_tells_when_each_step_was_taken_how_long_it_took_and_what_it_did(
        self, recorder: Recorder
    ) -> None:
        taken = [
            StepTaken(step="reserve", at=moment(after(5)), took_us=5_100, what="held 100 EUR"),
            StepTaken(step="emit", at=moment(after(17)), took_us=900, what=f"event {EVENT_ID} confirmed"),
        ]
        played = PlayResult(state=RoundState.SETTLED, steps=taken)
        await recorder.marker(steps.PLAY_NAMED.name, played, ran_ms=(4, 20))
        entries = await recorder.read()
        assert [(entry.at, entry.what) for entry in entries] == [
            (after(4), "play: settled"),
            (after(5), "reserve in 5.1 ms: held 100 EUR"),
            (after(17), f"emit in 0.9 ms: event {EVENT_ID} confirmed"),
        ]

    async def test_of_an_earlier_release_is_told_as_far_as_it_goes(self, recorder: Recorder) -> None:
        played = PlayResult(state=RoundState.SETTLED, took_us={"reserve": 5_100, "resolve": 900})
        await recorder.marker(steps.PLAY.name, played, ran_ms=(4, 20))
        assert [(entry.at, entry.what) for entry in await recorder.read()] == [
            (after(4), "play: settled"),
            (after(4), "reserve in 5.1 ms"),
            (after(4) + timedelta(microseconds=5_100), "resolve in 0.9 ms"),
        ]

    async def test_names_what_the_round_is_found_by(self, recorder: Recorder) -> None:
        fields = {
            search.KIND: Payload(metadata={"encoding": b"json/plain"}, data=b'"real"'),
            search.GAME: Payload(metadata={"encoding": b"json/plain"}, data=b'"dice"'),
            "SomebodyElses": Payload(metadata={"encoding": b"json/plain"}, data=b'"x"'),
        }
        recorder.add(
            "workflow_execution_started",
            input=await recorder.sealed(BET),
            search_attributes=SearchAttributes(indexed_fields=fields),
        )
        assert [entry.what for entry in await recorder.read()] == [
            "started: 100 EUR at dice 1.0.0",
            "found by CroupierGame dice, CroupierKind real",
        ]

    async def test_says_what_an_activity_and_a_timer_are_for(self, recorder: Recorder) -> None:
        recorder.add("activity_task_scheduled")
        recorder.events[-1].activity_task_scheduled_event_attributes.activity_type.name = "settle"
        await recorder.says("pay a win of 250 EUR")
        recorder.add("timer_started", timer_id="1")
        await recorder.says("collect, for the player stays away")
        assert [entry.what for entry in await recorder.read()] == [
            "settle goes on as an activity (pay a win of 250 EUR): 0 s for an attempt",
            "timer 1 of 0 s started: collect, for the player stays away",
        ]

    async def test_tells_what_a_player_and_a_person_asked_and_what_came_of_it(
        self, recorder: Recorder
    ) -> None:
        chosen = Chosen(action="gamble", params={"color": "red"})
        action = PlayerAction(action_id="a1", chosen=chosen, request_id="a-request")
        acted = ActResult(verdict=ActionVerdict.TAKEN, state=RoundState.SETTLED)
        await recorder.update("act", action, acted)
        intervention = Intervention(intervention_id="i", action=Action.VOID, reason="no", actor="cli:bob")
        accepted = InterventionResult(
            verdict=InterventionVerdict.ACCEPTED, state=RoundState.SETTLING, releasing=True
        )
        await recorder.update("intervene", intervention, accepted)
        await recorder.update("act", action, ApplicationError("round-closed", type="ActionRefused"))
        assert [entry.what for entry in await recorder.read()] == [
            "act is asked: gamble color red, by the player, action a1",
            "act is answered: taken, settled",
            "intervene is asked: void by cli:bob: no",
            "intervene is answered: accepted, the round is settling, and the round is being released",
            "act is asked: gamble color red, by the player, action a1",
            "act failed: ActionRefused: round-closed",
        ]

    async def test_of_an_action_tells_its_steps(self, recorder: Recorder) -> None:
        step = StepTaken(step="act", at=moment(after(5)), took_us=1_000, what="collect by the player: taken")
        acted = ActResult(verdict=ActionVerdict.TAKEN, state=RoundState.SETTLED, steps=[step])
        await recorder.marker("act", acted, ran_ms=(5, 9))
        assert [entry.what for entry in await recorder.read()] == [
            "act: taken, settled",
            "act in 1.0 ms: collect by the player: taken",
        ]

    async def test_of_a_patient_step_tells_its_attempts_and_why_they_failed(self, recorder: Recorder) -> None:
        lost = ApplicationError("not confirmed", type="PublishUncertain")
        recorder.add("workflow_task_started", identity="1@host")
        await recorder.marker("emit", lost, ran_ms=(2, 700))
        number = recorder.add("activity_task_scheduled")
        recorder.events[-1].activity_task_scheduled_event_attributes.activity_type.name = "emit"
        recorder.events[-1].activity_task_scheduled_event_attributes.start_to_close_timeout.seconds = 5
        recorder.add(
            "activity_task_started",
            scheduled_event_id=number,
            attempt=5,
            identity="2@host",
            last_failure=await recorder.failure(lost),
        )
        result = await recorder.sealed(False)
        recorder.add("activity_task_completed", scheduled_event_id=number, result=result)
        assert [entry.what for entry in await recorder.read()][1:] == [
            "emit failed in 699.0 ms: PublishUncertain: not confirmed",
            "emit goes on as an activity: 5 s for an attempt",
            "emit, activity attempt 5 started on 2@host; the attempt before failed:"
            " PublishUncertain: not confirmed",
            "emit, activity attempt 5: the event was out already",
        ]

    async def test_of_a_step_given_up_tells_the_last_failure(self, recorder: Recorder) -> None:
        number = recorder.add("activity_task_scheduled")
        recorder.events[-1].activity_task_scheduled_event_attributes.activity_type.name = "resolve"
        failure = await recorder.failure(ApplicationError("x" * 1000, type="GameError"))
        recorder.add("activity_task_failed", scheduled_event_id=number, failure=failure, retry_state=2)
        last = (await recorder.read())[-1].what
        assert last.startswith("resolve failed for good (non retryable failure): GameError: xxx")
        assert len(last) < 400

    async def test_of_a_lost_worker_tells_who_took_over(self, recorder: Recorder) -> None:
        recorder.add("workflow_task_started", identity="1@host")
        recorder.add("workflow_task_timed_out", timeout_type=1)
        recorder.add("workflow_task_started", identity="2@host")
        recorder.add("workflow_task_failed", cause=2)
        recorder.add("workflow_execution_cancel_requested", identity="someone@host")
        recorder.add("workflow_execution_terminated", identity="someone@host", reason="by hand")
        assert [entry.what for entry in await recorder.read()] == [
            "taken by worker 1@host",
            "task timed out (start to close): its worker was lost or too slow; any worker takes it again",
            "taken over by worker 2@host",
            "task failed (bad schedule activity attributes), and is run again",
            "cancel requested by someone@host",
            "terminated by someone@host: by hand",
        ]

    async def test_names_what_it_does_not_know(self, recorder: Recorder) -> None:
        recorder.add("workflow_execution_paused")
        assert [entry.what for entry in await recorder.read()] == ["workflow execution paused"]

    async def test_of_other_keys_is_told_without_its_payloads(self, recorder: Recorder) -> None:
        recorder.add("workflow_execution_started", input=await recorder.sealed(BET))
        await recorder.marker("settle", ApplicationError("secret"), ran_ms=(2, 3))
        started, failed = await recorder.read(data_converter(Keyring.generate()))
        assert started.what.startswith("started: cannot be read (UnknownKey: ")
        assert failed.what.startswith("settle failed: cannot be read (UnknownKey: ")
