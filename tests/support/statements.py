"""Which statements a program sent to PostgreSQL, from the server's own log of what it executed."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import psutil

from compose.stack import Stack
from storage.database import Database
from tests.support.conditions import until

# The peer's port tells the programs apart: they share one role. Parameters stay out, for what they hold.
LOGGING: Final = {"log_statement": "all", "log_line_prefix": "from %r ", "log_parameter_max_length": "0"}
# One entry each time that a statement is executed; its further lines begin with a tab.
EXECUTED: Final = re.compile(
    r"^from \S+\((?P<port>\d+)\) LOG:  (?:statement|execute [^:]*): (?P<statement>.*(?:\n\t.*)*)",
    re.MULTILINE,
)


class StatementLog:
    """Reads what was executed since it was made, or since the last `forget`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._log = stack.layout.log_of("postgres")
        self.forget()

    def forget(self) -> None:
        self._from = self._log.stat().st_size

    def executed_by(self, program: str) -> Counter[str]:
        """How often each statement was executed for a running program of the stack."""
        connections = psutil.Process(self._stack.pid(program)).net_connections(kind="tcp")
        ports = {connection.laddr.port for connection in connections}
        with self._log.open("rb") as log:
            log.seek(self._from)
            text = log.read().decode()
        found = EXECUTED.finditer(text)
        return Counter(
            entry["statement"].replace("\n\t", "\n") for entry in found if int(entry["port"]) in ports
        )


@asynccontextmanager
async def statements_logged(stack: Stack, database: Database) -> AsyncIterator[StatementLog]:
    """The server logs every statement inside the block."""
    for name, value in LOGGING.items():
        await database.pool.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await _reload(stack, database, "all")
    try:
        yield StatementLog(stack)
    finally:
        for name in LOGGING:
            await database.pool.execute(f"ALTER SYSTEM RESET {name}")
        await _reload(stack, database, "none")


async def _reload(stack: Stack, database: Database, log_statement: str) -> None:
    """When this returns, every session takes up the settings before its next statement."""
    await database.pool.execute("SELECT pg_reload_conf()")

    async def in_force() -> bool:
        return bool(await database.pool.fetchval("SHOW log_statement") == log_statement)

    await until(in_force)
    # The server tells its sessions one after the other, and lets nobody in before it has told the last.
    await (await asyncpg.connect(stack.addresses.database_url)).close()
