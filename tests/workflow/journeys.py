"""What a round with one troubled step should look like: which steps run, what they change, how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from contracts.failures import RESOLVE_FAILED
from contracts.rounds import RoundClosed, RoundState
from tests.workflow.faults import Refuses
from tests.workflow.stage import REQUEST_ID, Stage

SETTLED: Final = RoundClosed(state=RoundState.SETTLED, request_id=REQUEST_ID)
VOID: Final = RoundClosed(state=RoundState.VOID, failure_code=RESOLVE_FAILED, request_id=REQUEST_ID)

STEPS: Final = ("reserve", "resolve", "settle", "release", "emit")

# How often a step is tried the short way. For emit once: a broker that is away stays away for a while.
QUICK_ATTEMPTS: Final = {"reserve": 2, "resolve": 2, "settle": 2, "release": 2, "emit": 1}


@dataclass(frozen=True, kw_only=True)
class Journey:
    """The way of a round to its end when nothing but `step` may be in trouble."""

    attempts: tuple[str, ...]
    effects: tuple[str, ...]
    closed: RoundClosed

    def troubled(self, step: str, instead: list[str]) -> list[str]:
        """The attempts, with `instead` in the place of the one attempt of `step`."""
        at = self.attempts.index(step)
        return [*self.attempts[:at], *instead, *self.attempts[at + 1 :]]

    def after(self, step: str) -> tuple[str, ...]:
        return self.attempts[self.attempts.index(step) + 1 :]


PAID: Final = Journey(
    attempts=("reserve", "resolve", "settle", "emit"),
    effects=("reserve", "settle", "emit"),
    closed=SETTLED,
)
GIVEN_BACK: Final = Journey(
    attempts=("reserve", "resolve", "release", "emit"),
    effects=("reserve", "release", "emit"),
    closed=VOID,
)


def journey_through(step: str, stage: Stage) -> Journey:
    """The plainest round that takes `step`: to take release, a game must refuse to compute."""
    if step != "release":
        return PAID
    stage.set(Refuses(step="resolve", times=None))
    return GIVEN_BACK


async def for_each_step(play: Callable[[str], Awaitable[None]]) -> None:
    """Five rounds at once, each with another step in trouble: for tests that mostly wait."""

    async def named(step: str) -> None:
        try:
            await play(step)
        except BaseException as error:
            error.add_note(f"the step was {step}")
            raise

    async with asyncio.TaskGroup() as group:
        for step in STEPS:
            group.create_task(named(step))
