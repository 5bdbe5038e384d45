"""A line on which somebody alters what passes."""

import asyncio
from typing import Self

import httpx

CHUNK_BYTES = 65_536


class TamperedLine:
    """Forwards to `url`, and replaces `honest` by `altered`, of the same length, in what goes there.
    `altered_bodies` counts how often there was something to replace."""

    def __init__(self, url: str, honest: bytes, altered: bytes) -> None:
        assert len(honest) == len(altered), "a body of another length would be noticed by its length"
        self._target = httpx.URL(url)
        self._honest, self._altered = honest, altered
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self.altered_bodies = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.host, self._target.port)
        for pump in (self._pump(reader, far_writer, alter=True), self._pump(far_reader, writer, alter=False)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, alter: bool) -> None:
        try:
            while data := await source.read(CHUNK_BYTES):
                if alter and self._honest in data:
                    data = data.replace(self._honest, self._altered)
                    self.altered_bodies += 1
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # one end has gone: so does the other
        finally:
            sink.transport.abort()
