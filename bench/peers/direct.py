"""No orchestrator: the same two transactions and one confirmed publish, in the request.

What durability costs is measured against this. If the process dies after reserve, the round is never
finished; if it dies after settle, only the sweeper still publishes.
"""

import asyncio

from bench.peers.front import Bets, Front, serve
from bench.peers.steps import Closed, Steps
from contracts.rounds import Bet
from games.registry import Registry
from runtime.resources import open_resources
from runtime.settings import Settings
from workers.lifecycle import run


class DirectRounds:
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def play(self, bet: Bet) -> Closed:
        held = await self._steps.reserve(bet)
        if held.draw is None:
            assert held.closed is not None
            return held.closed
        try:
            resolution = await self._steps.resolve(bet, held.draw)
        except Exception as error:  # noqa: BLE001 - whatever it is, the stake goes back
            closed = await self._steps.release(bet, str(error))
        else:
            closed = await self._steps.settle(bet, resolution)
        if closed.event_id is not None:
            await self._steps.emit(closed.event_id)
        return closed


async def main(settings: Settings, stop: asyncio.Event) -> None:
    registry = Registry.load(settings.games)
    async with open_resources(settings) as resources:
        rounds = DirectRounds(Steps.over(resources, registry))
        await serve(Front(Bets.of(resources, registry), rounds.play), settings, stop)


if __name__ == "__main__":
    run(main)
