"""Restate: a service with four `ctx.run` steps, called through the server's own HTTP ingress.

As its documentation recommends:
- A plain service, because the ledger already keeps a player's rounds apart; a repeat is distinguished from a
  new round by the Idempotency-Key header.
- The Python service is served by Hypercorn over HTTP/2 in clear, so that one round is one bidirectional
  stream and its steps do not each need a request; with the limits on streams and on reuse lifted as the guide
  for production has it, on uvloop. One process, as every other variant has.
- The server has its defaults: its durability, its partitions, its memory. It starts empty with each run.
- Results of steps are JSON by Pydantic: the SDK's own way with dataclasses walks them in Python.
- A step that may be repeated is retried by the server's own policy; only a game's own fault is terminal.
"""

import asyncio
from typing import Any, Final, TypeVar

import hypercorn
import hypercorn.asyncio
import restate
from hypercorn.typing import ASGIFramework
from pydantic import TypeAdapter
from restate.exceptions import TerminalError
from restate.serde import Serde
from restate.server import install_shutdown_hook

from bench.peers.front import Bets, Refused, answer, http_port
from bench.peers.restate_server import free_port, running
from bench.peers.steps import Closed, Held, Steps
from contracts.rounds import Bet, Resolution
from games.registry import Registry
from runtime.resources import open_resources
from runtime.settings import Settings
from security.tokens import TokenExpired
from workers.lifecycle import run

# What the production guide of the Python SDK writes for "without limit".
UNLIMITED: Final = 2_147_483_647


T = TypeVar("T")


class JsonOf(Serde[T]):
    """One type as JSON."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter = TypeAdapter(kind)

    def serialize(self, obj: T | None) -> bytes:
        return b"" if obj is None else self._adapter.dump_json(obj)

    def deserialize(self, buf: bytes) -> T | None:
        return self._adapter.validate_json(buf) if buf else None


HELD: Final = restate.RunOptions(serde=JsonOf(Held))
RESOLUTION: Final = restate.RunOptions(serde=JsonOf(Resolution))
CLOSED: Final = restate.RunOptions(serde=JsonOf(Closed))
EMITTED: Final = restate.RunOptions(serde=JsonOf(bool))


class RoundService:
    def __init__(self, bets: Bets, steps: Steps) -> None:
        self._bets = bets
        self._steps = steps

    async def play(self, ctx: restate.Context, body: dict[str, Any]) -> dict[str, Any]:
        try:
            bet, expired = self._read(ctx, body)
            return answer(await self._round(ctx, bet, expired))
        except Refused as refused:
            raise TerminalError(refused.code, status_code=refused.status) from None

    def _read(self, ctx: restate.Context, body: dict[str, Any]) -> tuple[Bet, bool]:
        """The same on every replay, though the token expire between two: only reserve refuses for that."""
        request = ctx.request()
        try:
            claims, expired = self._bets.claims(request.headers.get("authorization", "")), False
        except TokenExpired as late:
            claims, expired = late.claims, True
        return self._bets.bet(claims, body, request.id), expired

    async def _round(self, ctx: restate.Context, bet: Bet, expired: bool) -> Closed:
        held = await ctx.run_typed("reserve", self._reserve, HELD, bet, expired)
        if held.draw is None:
            assert held.closed is not None
            return held.closed
        try:
            resolution = await ctx.run_typed("resolve", self._resolve, RESOLUTION, bet, held)
        except TerminalError as fault:
            closed = await ctx.run_typed("release", self._steps.release, CLOSED, bet, fault.message)
        else:
            closed = await ctx.run_typed("settle", self._steps.settle, CLOSED, bet, resolution)
        if closed.event_id is not None:
            await ctx.run_typed("emit", self._steps.emit, EMITTED, closed.event_id)
        return closed

    async def _reserve(self, bet: Bet, expired: bool) -> Held:
        if expired:
            raise TerminalError("session-expired", status_code=401)
        return await self._steps.reserve(bet)

    async def _resolve(self, bet: Bet, held: Held) -> Resolution:
        assert held.draw is not None
        try:
            return await self._steps.resolve(bet, held.draw)
        except (ValueError, RuntimeError) as error:
            raise TerminalError(str(error)) from None


def application(bets: Bets, steps: Steps) -> Any:
    rounds = restate.Service("Rounds")
    service = RoundService(bets, steps)

    @rounds.handler()
    async def play(ctx: restate.Context, body: dict[str, Any]) -> dict[str, Any]:
        return await service.play(ctx, body)

    @rounds.handler()
    async def ready(_: restate.Context) -> bool:
        return True

    return restate.app(services=[rounds], protocol="bidi")


async def main(settings: Settings, stop: asyncio.Event) -> None:
    registry = Registry.load(settings.games)
    # The SDK takes SIGTERM for itself at the first request; asked first, it informs us as well.
    install_shutdown_hook(asyncio.get_running_loop(), stop.set)
    async with open_resources(settings) as resources:
        app = application(Bets.of(resources, registry), Steps.over(resources, registry))
        port = free_port()
        async with running(settings, http_port(settings)) as server:
            serving = asyncio.create_task(_serve(app, port, stop))
            try:
                await server.register(f"http://127.0.0.1:{port}")
                await serving
            finally:
                serving.cancel()


async def _serve(app: ASGIFramework, port: int, stop: asyncio.Event) -> None:
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.h2_max_concurrent_streams = UNLIMITED
    config.keep_alive_max_requests = UNLIMITED
    config.keep_alive_timeout = UNLIMITED
    config.accesslog = None
    config.loglevel = "ERROR"  # it warns that the SDK has no lifespan
    await hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait)


if __name__ == "__main__":
    run(main)
