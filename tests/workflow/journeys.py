"""What a round with one troubled step should look like: which steps run, what they change, how it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.failures import RESOLVE_FAILED
from contracts.rounds import RoundClosed, RoundState
from tests.workflow.faults import DURABLE, FAST, Breaks, Refuses
from tests.workflow.stage import REQUEST_ID, Stage

SETTLED: Final = RoundClosed(state=RoundState.SETTLED, request_id=REQUEST_ID)
VOID: Final = RoundClosed(state=RoundState.VOID, failure_code=RESOLVE_FAILED, request_id=REQUEST_ID)

STEPS: Final = ("reserve", "resolve", "settle", "release", "emit")
FAST_PATH: Final = ("reserve", "resolve", "settle", "emit")
DURABLE_PATH: Final = ("durable reserve", "durable resolve", "durable settle", "durable emit")
# When the fast path had settled the round, reserve answers that it is closed, and only its event is left.
FOUND_CLOSED: Final = ("durable reserve", "durable emit")


@dataclass(frozen=True, kw_only=True)
class Journey:
    """The way of a round to its end when nothing but one step may be in trouble."""

    attempts: tuple[str, ...]
    effects: tuple[str, ...] = ("reserve", "settle", "emit")
    closed: RoundClosed = SETTLED

    def troubled(self, step: str, times: int) -> list[str]:
        """The attempts when the activity `step` has to be tried `times` times more."""
        before = self.attempts[: self.attempts.index(f"durable {step}")]
        return [*before, *[f"durable {step}"] * (times + 1), *self.after(step)]

    def after(self, step: str) -> tuple[str, ...]:
        return self.attempts[self.attempts.index(f"durable {step}") + 1 :]


PAID: Final = Journey(attempts=FAST_PATH)


def fast_path_failing_at(step: str, *, late: bool) -> Journey:
    """The fast path ends at `step`, whether it had taken effect or not (`late`)."""
    settled = step == "emit" or (step == "settle" and late)
    return Journey(attempts=(*_fast_path_up_to(step), *(FOUND_CLOSED if settled else DURABLE_PATH)))


def fast_path_breaking_at(step: str, *, late: bool) -> Journey:
    """As when it fails there, but an emit that breaks lets the fast path end well: only it is repeated."""
    if step == "emit":
        return Journey(attempts=(*FAST_PATH, "durable emit"))
    return fast_path_failing_at(step, late=late)


def durable_path_through(step: str, stage: Stage) -> Journey:
    """The plainest round that takes `step` as an activity of its own: its fast path breaks at once; and to
    take release, a game must refuse to compute."""
    stage.set(Breaks(step="reserve", way=FAST))
    if step != "release":
        return Journey(attempts=("reserve", *DURABLE_PATH))
    stage.set(Refuses(step="resolve", way=DURABLE))
    return Journey(
        attempts=("reserve", "durable reserve", "durable resolve", "durable release", "durable emit"),
        effects=("reserve", "release", "emit"),
        closed=VOID,
    )


async def for_each_step(play: Callable[[str], Awaitable[None]], steps: Sequence[str] = STEPS) -> None:
    """A round for each of `steps` at once, with that step in trouble: for tests that mostly wait."""

    async def named(step: str) -> None:
        try:
            await play(step)
        except BaseException as error:
            error.add_note(f"the step was {step}")
            raise

    async with asyncio.TaskGroup() as group:
        for step in steps:
            group.create_task(named(step))


def _fast_path_up_to(step: str) -> tuple[str, ...]:
    return FAST_PATH[: FAST_PATH.index(step) + 1]
