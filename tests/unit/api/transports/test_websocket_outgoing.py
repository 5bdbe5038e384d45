"""What waits for a peer is bounded: who asks waits, and who does not keep up with pushes is cut."""

import asyncio
import json
from typing import Any

import pytest

from api.transports.websocket import outgoing
from api.transports.websocket.outgoing import WAITING_LIMIT, Outgoing
from tests.support.conditions import HANG_S


class Peer:
    """Takes messages while it `reads`."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reading = asyncio.Event()
        self.got: list[Any] = []
        self.cut = 0
        if reads:
            self.reading.set()

    async def send(self, event: Any) -> None:
        await self.reading.wait()
        self.got.append(json.loads(event["text"]))

    def on_cut(self) -> None:
        self.cut += 1


async def test_messages_are_sent_in_their_order() -> None:
    peer = Peer()
    out = Outgoing(peer.send, peer.on_cut)
    running = asyncio.create_task(out.run())
    await out.put({"n": 1})
    out.push({"n": 2})
    await out.all_sent()
    running.cancel()
    assert (peer.got, peer.cut) == ([{"n": 1}, {"n": 2}], 0)


async def test_answers_wait_for_a_peer_that_is_slow_and_pushes_cut_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "SEND_LIMIT_S", HANG_S)
    peer = Peer(reads=False)
    out = Outgoing(peer.send, peer.on_cut)
    running = asyncio.create_task(out.run())
    for number in range(WAITING_LIMIT):
        await out.put({"n": number})
    await asyncio.sleep(0)  # one is being sent, so there is room for one more
    out.push({"n": WAITING_LIMIT})
    waiting = asyncio.create_task(out.put({"n": "one more"}))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert peer.cut == 0
    out.push({"n": "too much"})
    assert peer.cut == 1
    await asyncio.wait_for(waiting, HANG_S)  # nobody waits for a peer that is gone
    await out.put({"n": "later"})
    running.cancel()


async def test_a_message_that_is_not_taken_in_time_cuts_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "SEND_LIMIT_S", 0.05)
    peer = Peer(reads=False)
    out = Outgoing(peer.send, peer.on_cut)
    await out.put({"n": 1})
    await asyncio.wait_for(out.run(), HANG_S)
    assert peer.cut == 1
