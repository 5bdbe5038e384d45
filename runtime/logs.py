"""Logs on standard error: text for people, one JSON object a line for machines.

In JSON every line is one object, whoever writes it: the SDK's core, a warning of Python, an error that nobody
caught. Each line has the id of the request that it is about, where there is one (contracts/requests.py).
"""

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal

from contracts.requests import CURRENT

Form = Literal["text", "json"]

SDK_CORE: Final = "temporalio.core"
# The end of a request's id that is traced: its trace, and the span that it began with.
TRACED: Final = re.compile(r"(?:.*\.)?([0-9a-f]{32})([0-9a-f]{16})", re.ASCII)

_log = logging.getLogger("croupier")
_configured = False


class TextFormatter(logging.Formatter):
    """One line for people; an exception's traceback follows it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        text = super().formatMessage(record)
        request_id = CURRENT.get()
        return text if request_id is None or request_id in text else f"{text} (request {request_id})"


class JsonFormatter(logging.Formatter):
    """One object a line. Exceptions are named, with their text; tracebacks stay in one field."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if (request_id := CURRENT.get()) is not None:
            entry["request_id"] = request_id
            if traced := TRACED.fullmatch(request_id):
                entry["trace_id"] = traced[1]
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _message(record: logging.LogRecord) -> str:
    """A line whose values do not fit its words is no reason to lose it, or to print a traceback instead."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - the values may raise anything
        return str(record.msg)


def configure(*, level: str, form: Form) -> None:
    """Call once, from main."""
    global _configured
    _configured = True
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Libraries that write a line for every request or frame would cost more than the rounds themselves.
    for noisy in ("uvicorn.access", "httpx", "urllib3", "aio_pika", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It logs each refused connection as an error, and a returned message with its whole body; the
    # publisher and the consumer say what matters of both.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    # It logs each try to reach a database that is away, with its traceback; who asked says so once.
    logging.getLogger("asyncpg.pool").setLevel(logging.CRITICAL)
    # A step's failed attempt stands in the round's history, with its cause; an outage would fill the log
    # with the same traceback for every round.
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
    _take_what_python_prints()


def of_the_sdk() -> logging.Logger | None:
    """Where the core of Temporal's SDK writes to; None where it writes to standard error by itself, as in a
    command that talks to a person: at the end of Python, its thread would ask for the interpreter in vain."""
    return logging.getLogger(SDK_CORE) if _configured else None


def _take_what_python_prints() -> None:
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("stopped by an error", exc_info=(kind, error, trace))


def _uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread else "a thread"
    error = failed.exc_value or failed.exc_type()
    _log.error("%s ended by an error", name, exc_info=(failed.exc_type, error, failed.exc_traceback))


def _unraisable(failed: "sys.UnraisableHookArgs") -> None:
    error = failed.exc_value or failed.exc_type()
    what = failed.err_msg or "an error that nobody could catch"
    _log.error("%s", what, exc_info=(failed.exc_type, error, failed.exc_traceback))
