"""The codec server that `up` starts beside the embedded Temporal."""

from contextlib import AbstractAsyncContextManager

from compose.stack import Stack
from tests.support.started import started


def codec_server(stack: Stack) -> AbstractAsyncContextManager[str]:
    """Its endpoint."""
    return started(stack, "codec", stack.start_codec, "temporal_codec")
