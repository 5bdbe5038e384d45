"""The textbook saga's activities: the four steps and their compensation."""

from dataclasses import dataclass

from temporalio import activity
from temporalio.exceptions import ApplicationError

from bench.peers.steps import Closed, Held, Steps
from contracts.rounds import Bet, DrawReference, Resolution


@dataclass(frozen=True)
class Resolve:
    bet: Bet
    draw: DrawReference


@dataclass(frozen=True)
class Settle:
    bet: Bet
    resolution: Resolution


@dataclass(frozen=True)
class Release:
    bet: Bet
    reason: str


class SagaActivities:
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    @activity.defn
    async def reserve(self, bet: Bet) -> Held:
        return await self._steps.reserve(bet)

    @activity.defn
    async def resolve(self, request: Resolve) -> Resolution:
        try:
            return await self._steps.resolve(request.bet, request.draw)
        except (ValueError, RuntimeError) as error:
            raise ApplicationError(str(error), non_retryable=True) from None

    @activity.defn
    async def settle(self, request: Settle) -> Closed:
        return await self._steps.settle(request.bet, request.resolution)

    @activity.defn
    async def release(self, request: Release) -> Closed:
        return await self._steps.release(request.bet, request.reason)

    @activity.defn
    async def emit(self, event_id: str) -> bool:
        return await self._steps.emit(event_id)
