"""WebSocket frames under uvicorn, for peers that may mean harm: nothing of what they send is logged, and what
they do not read is bounded."""

import asyncio
import logging
import socket
import time
from asyncio.transports import BaseTransport
from typing import Any, Final

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame

from api.gateway.connections import end_of_answers

# The kernel would keep megabytes for a peer that does not read, and of one that sends without a pause.
BUFFER_BYTES: Final = 64 * 1024
# A larger message ends its socket.
FRAME_LIMIT_BYTES: Final = 64 * 1024
# Bytes are taken apart in pieces, for six of them are a frame. A peer whose piece took long, being full of
# pings or empty fragments, rests for so many times as long: no socket has more than 1/20 of the process.
PIECE_BYTES: Final = 2048
LONG_S: Final = 0.001
REST: Final = 19
# How long a peer may take to read what is left when its socket ends.
FAREWELL_S: Final = 2.0

# The libraries' own loggers would write the query string of each handshake, and at `debug` every frame with
# the token in it.
_quiet = logging.getLogger("croupier.frames")
_quiet.setLevel(logging.WARNING)


class SocketProtocol(WebSocketsSansIOProtocol):
    """The application finds `cut` in the scope's state: it ends the connection at once, with no farewell that
    a peer would have to read first."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = self.conn.logger = _quiet
        self.conn.debug = False
        self._end: asyncio.TimerHandle | None = None
        self._unread = b""
        self._rest: asyncio.Handle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "cut": self._cut}
        connection = transport.get_extra_info("socket")
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            connection.setsockopt(socket.SOL_SOCKET, buffer, BUFFER_BYTES)

    def _cut(self) -> None:
        if not self.disconnected:  # or else the farewell has its time, which ends the connection too
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unread = b""
        for timer in (self._end, self._rest):
            if timer is not None:
                timer.cancel()

    def _end_in_time(self) -> None:
        """A transport that is closing waits until its peer has read everything, without an end of its own."""
        if self.transport.is_closing() and self._end is None:
            self._end = self.loop.call_later(FAREWELL_S, self.transport.abort)

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._end_in_time()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._end_in_time()

    def shutdown(self) -> None:
        if not self.transport.is_closing():  # uvicorn would say farewell once more, which is an error
            super().shutdown()
        self._end_in_time()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.close" and self.close_timer is not None:
            # uvicorn's own would only close, once more without an end.
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
        self._end_in_time()

    def data_received(self, data: bytes) -> None:
        if self.disconnected:
            return
        if not self.handshake_initiated:
            super().data_received(data)
            return
        self._unread = self._unread + data if self._unread else data
        if self._rest is None and not self.read_paused:
            self._take_apart()
        elif not self.transport.is_closing():
            self.transport.pause_reading()

    def _take_apart(self) -> None:
        """Reads the next piece, unless the application has a message that it has not taken yet."""
        self._rest = None
        if self.disconnected or self.read_paused:
            return
        piece, self._unread = self._unread[:PIECE_BYTES], self._unread[PIECE_BYTES:]
        since = time.thread_time()  # of the processor: a busy machine is not the peer's doing
        super().data_received(piece)
        took_s = time.thread_time() - since
        if took_s > LONG_S or self._unread:
            self._go_on_after(took_s * REST if took_s > LONG_S else 0)
        elif not self.read_paused and self.writable.is_set() and not self.transport.is_closing():
            self.transport.resume_reading()

    def _go_on_after(self, pause_s: float) -> None:
        if not self.disconnected and not self.transport.is_closing():
            self.transport.pause_reading()
            if self._rest is None:
                self._rest = self.loop.call_later(pause_s, self._take_apart)

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        if self._unread and not self.read_paused:
            # It has just resumed reading. What is here already comes first, or it would grow without end.
            self._go_on_after(0)
        return message

    def handle_ping(self) -> None:
        if not self.disconnected:
            super().handle_ping()

    def handle_parser_exception(self) -> None:
        """As uvicorn's own, which closes at once: a peer in the middle of sending would not see the code."""
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self.disconnected = True
        self.close_timer = self.loop.call_later(FAREWELL_S, self.transport.abort)
        end_of_answers(self.transport)
        self.read_paused = False
        self.transport.resume_reading()

    def pause_writing(self) -> None:
        """Pings are answered without asking whether the answers are read: so no more of them are read."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused and not self._unread:
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """A dead peer's last messages would be kept for as long as the kernel tries to send them. A peer that
        is read slowly is not dead: its answer may stand behind what was not read yet."""
        if self._unread or self.read_paused:
            self.pong_timer = None
            self.schedule_ping()
            return
        super().keepalive_timeout()
        self.transport.abort()
