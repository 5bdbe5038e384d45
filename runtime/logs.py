"""Logs on standard error: text for people, one JSON object a line for machines."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal


class JsonFormatter(logging.Formatter):
    """One object a line. Exceptions are named, with their text; tracebacks stay in one field."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(*, level: str, form: Literal["text", "json"]) -> None:
    """Call once, from main."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if form == "json"
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Libraries that write a line for every request or frame would cost more than the rounds themselves.
    for noisy in ("uvicorn.access", "httpx", "aio_pika", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It logs each refused connection as an error, and a returned message with its whole body; the
    # publisher and the consumer say what matters of both.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    # It logs each try to reach a database that is away, with its traceback; who asked says so once.
    logging.getLogger("asyncpg.pool").setLevel(logging.CRITICAL)
    # A step's failed attempt stands in the round's history, with its cause; an outage would fill the log
    # with the same traceback for every round.
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
