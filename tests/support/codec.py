"""The codec server that `up` starts beside the embedded Temporal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from compose import probes
from compose.programs import OwnProgram
from compose.service import wait_until_ready
from compose.stack import Stack


@asynccontextmanager
async def codec_server(stack: Stack) -> AsyncIterator[str]:
    """Its endpoint: it answers until the block ends."""
    await stack.start_codec()
    try:
        about = stack.info()
        probe = partial(probes.http, about["metrics_urls"]["codec"])
        await wait_until_ready("codec", probe, limit_seconds=OwnProgram.start_seconds)
        yield str(about["temporal_codec"])
    finally:
        await stack.stop_one("codec")
