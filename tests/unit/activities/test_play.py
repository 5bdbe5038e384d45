"""A round in one go: its answer leaves the process before its event is published."""

import asyncio
from typing import Any

from activities.play import PlayStep
from contracts.events import RecordedEvent
from contracts.rounds import (
    Bet,
    DrawReference,
    Reservation,
    Resolution,
    ResolveRequest,
    RoundKey,
    RoundState,
    SettleRequest,
    Terminal,
)

BET = Bet(
    key=RoundKey(operator_id="operator", player_key=1, round_id="a"),
    player_id="player",
    account_id=1,
    session_id="session",
    game_id="dice",
    game_version="1.0.0",
    currency="EUR",
    stake=100,
    mode="base",
    choice=None,
    request_id="request",
)
DRAW = DrawReference(seed_id="seed", sealed_server_seed="sealed", client_seed="clover", nonce=0)
EVENT = RecordedEvent(
    event_id="event",
    type="round.settled",
    operator_id="operator",
    game_id="dice",
    subject="a",
    sequence=1,
    occurred_at="2026-01-01T00:00:00.000000Z",
    data="{}",
)


class Steps:
    """Wallet, games and events of one round, which note what happens in `order`."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.settled: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def reserve(self, bet: Bet) -> Reservation:
        return Reservation(state=RoundState.PENDING, draw=DRAW, request_id=bet.request_id)

    async def resolve(self, request: ResolveRequest) -> Resolution:
        return Resolution(outcome={}, win=0)

    async def settle_with_event(self, request: SettleRequest) -> tuple[Terminal, RecordedEvent | None]:
        self.settled.set_result(None)
        return Terminal(state=RoundState.SETTLED, event_id=EVENT.event_id), EVENT

    async def emit_now(self, event: RecordedEvent) -> None:
        self.order.append("emitted")


async def test_the_answer_leaves_before_the_event_is_published() -> None:
    steps = Steps()

    async def request() -> None:
        # As the ingress waits: shielded, with a limit, and then some turns of the loop to write the answer.
        await asyncio.wait_for(asyncio.shield(steps.settled), 1)
        for _ in range(5):
            await asyncio.sleep(0)
        steps.order.append("answered")

    waiting = asyncio.create_task(request())
    await asyncio.sleep(0)
    played = await PlayStep(steps, steps, steps, lambda _step, _took_us: None).play(BET)
    await waiting
    assert steps.order == ["answered", "emitted"]
    assert played.unconfirmed_event_id is None
