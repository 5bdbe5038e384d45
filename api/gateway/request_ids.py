"""A request's id: begins with what its caller calls it, and ends with a part of our own.

A caller that sends one name twice has still sent two requests, and nobody can take another's id.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from contracts.requests import CURRENT, current, tracing

_NAME: Final = re.compile(r"[A-Za-z0-9._:=-]{1,64}", re.ASCII)
# What a caller sent by mistake, and no log may hold: an API key, a webhook's secret, a token.
_SECRET: Final = re.compile(r"crk_|whsec_|eyJ", re.ASCII)


def new_id(name: object = None) -> str:
    """An id that no other request has. `name` is what its caller calls it, which is shown as it came; what
    cannot be shown counts as not given."""
    traced = tracing()
    own = (traced and traced.own_part()) or uuid4().hex
    if isinstance(name, str) and _NAME.fullmatch(name) and not _SECRET.match(name):
        return f"{name}.{own}"
    return own


def begin(name: object = None) -> str:
    """The id of a request that begins here and has this task for itself."""
    request_id = new_id(name)
    CURRENT.set(request_id)
    return request_id


@contextmanager
def begun(operation: str, name: object = None) -> Iterator[str]:
    """The same for a request that has no more than the block."""
    if (traced := tracing()) is None:
        with current(new_id(name)) as request_id:
            yield request_id
        return
    with traced.operation(operation, None), current(new_id(name)) as request_id:
        yield request_id
