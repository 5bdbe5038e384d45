"""What a round with one troubled step should look like: which steps run, what they change, how it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.failures import RESOLVE_FAILED
from contracts.rounds import RoundClosed, RoundState
from tests.workflow.faults import PATIENT, SHORT, Breaks, Refuses
from tests.workflow.stage import REQUEST_ID, Stage

SETTLED: Final = RoundClosed(state=RoundState.SETTLED, request_id=REQUEST_ID)
VOID: Final = RoundClosed(state=RoundState.VOID, failure_code=RESOLVE_FAILED, request_id=REQUEST_ID)

STEPS: Final = ("reserve", "resolve", "settle", "release", "emit")
ONE_GO: Final = ("reserve", "resolve", "settle", "emit")
STEP_BY_STEP: Final = ("patient reserve", "patient resolve", "patient settle", "patient emit")
# When the one go had settled the round, reserve answers that it is closed, and only its event is left.
FOUND_CLOSED: Final = ("patient reserve", "patient emit")


@dataclass(frozen=True, kw_only=True)
class Journey:
    """The way of a round to its end when nothing but one step may be in trouble."""

    attempts: tuple[str, ...]
    effects: tuple[str, ...] = ("reserve", "settle", "emit")
    closed: RoundClosed = SETTLED

    def troubled(self, step: str, times: int) -> list[str]:
        """The attempts when the activity `step` has to be tried `times` times more."""
        before = self.attempts[: self.attempts.index(f"patient {step}")]
        return [*before, *[f"patient {step}"] * (times + 1), *self.after(step)]

    def after(self, step: str) -> tuple[str, ...]:
        return self.attempts[self.attempts.index(f"patient {step}") + 1 :]


PAID: Final = Journey(attempts=ONE_GO)


def one_go_failing_at(step: str, *, late: bool) -> Journey:
    """The one go ends at `step`, whether it had taken effect or not (`late`)."""
    settled = step == "emit" or (step == "settle" and late)
    return Journey(attempts=(*_one_go_up_to(step), *(FOUND_CLOSED if settled else STEP_BY_STEP)))


def one_go_breaking_at(step: str, *, late: bool) -> Journey:
    """As when it fails there, but that an emit which breaks lets the one go end well: only it is repeated."""
    if step == "emit":
        return Journey(attempts=(*ONE_GO, "patient emit"))
    return one_go_failing_at(step, late=late)


def step_by_step_through(step: str, stage: Stage) -> Journey:
    """The plainest round that takes `step` as an activity of its own: its one go breaks at once; and to take
    release, a game must refuse to compute."""
    stage.set(Breaks(step="reserve", way=SHORT))
    if step != "release":
        return Journey(attempts=("reserve", *STEP_BY_STEP))
    stage.set(Refuses(step="resolve", way=PATIENT))
    return Journey(
        attempts=("reserve", "patient reserve", "patient resolve", "patient release", "patient emit"),
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


def _one_go_up_to(step: str) -> tuple[str, ...]:
    return ONE_GO[: ONE_GO.index(step) + 1]
