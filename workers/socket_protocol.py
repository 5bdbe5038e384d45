"""WebSocket frames under uvicorn, for peers that may mean harm: nothing of what they send is logged, and what
they do not read is bounded."""

import asyncio
import logging
import socket
from asyncio.transports import BaseTransport
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

# The kernel would keep megabytes for a peer that does not read, and of one that sends without a pause.
BUFFER_BYTES: Final = 64 * 1024

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

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "cut": self.transport.abort}
        connection = transport.get_extra_info("socket")
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            connection.setsockopt(socket.SOL_SOCKET, buffer, BUFFER_BYTES)

    def pause_writing(self) -> None:
        """Pings are answered without asking whether the answers are read: so no more of them are read."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """A dead peer's last messages would be kept for as long as the kernel tries to send them."""
        super().keepalive_timeout()
        self.transport.abort()
