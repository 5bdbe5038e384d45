"""What Temporal keeps sealed: payloads and failures, opened or said to be unreadable."""

from collections.abc import Iterable
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, FailureError, TimeoutError

from contracts.failures import error_line, one_line


class Unreadable(str):
    """Why a payload's value is not there."""

    __slots__ = ()


async def open_payloads(converter: DataConverter, payloads: Iterable[Payload], type_: type | None) -> Any:
    """The first value, as `type_` where one is given; Unreadable when it does not open or is not there."""
    hints = None if type_ is None else [type_]
    try:
        values = await converter.decode(list(payloads), hints)
    except Exception as error:  # noqa: BLE001 - an unknown key, a changed byte, a type that has changed
        return Unreadable(one_line(f"cannot be read ({error_line(error)})"))
    return values[0] if values else Unreadable("nothing")


async def failure_text(converter: DataConverter, failure: Failure) -> str:
    """The innermost cause in one bounded line."""
    try:
        error: BaseException = await converter.decode_failure(failure)
    except Exception as problem:  # noqa: BLE001 - an unknown key or a changed byte
        return one_line(f"cannot be read ({error_line(problem)})")
    while isinstance(error, FailureError) and error.cause is not None:
        error = error.cause
    if isinstance(error, TimeoutError):
        return f"timed out ({error.type.name.replace('_', ' ').lower()})" if error.type else "timed out"
    name = error.type if isinstance(error, ApplicationError) and error.type else type(error).__name__
    message = error.message if isinstance(error, FailureError) else str(error)
    return one_line(f"{name}: {message}").rstrip(": ")
