"""The embedded Temporal's visibility store, without the indexes that no list here reads.

Temporal's schema for SQLite has an index for each column that somebody may filter by, and the start and the
end of every workflow write to all of them: that was 30% of Temporal's processor time for a round, and most of
the disk that it took. Lists that filter by another column read their namespace's rows instead.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

# What we filter by (contracts/search.py, runtime/round_workflows.py), the web interface, and Schedules.
KEPT: Final = frozenset(
    {
        *("default_idx", "by_workflow_id", "by_workflow_type", "by_status"),
        *("by_temporal_namespace_division", "by_temporal_scheduled_by_id"),
        *(f"by_keyword_{number:02}" for number in range(1, 11)),  # a namespace has ours at some of them
    }
)
INDEXES: Final = """
    SELECT name FROM sqlite_master
    WHERE type = 'index' AND tbl_name = 'executions_visibility' AND sql IS NOT NULL
"""
# The server may be writing meanwhile.
PATIENCE_S: Final = 30.0


def trim(database: Path) -> None:
    """Drops what is not KEPT from Temporal's file. Its server may run. Raises sqlite3.Error."""
    with closing(sqlite3.connect(database, timeout=PATIENCE_S, isolation_level=None)) as connection:
        spare = {name for (name,) in connection.execute(INDEXES)} - KEPT
        if not spare:
            return
        connection.execute("BEGIN IMMEDIATE")
        for name in sorted(spare):
            connection.execute(f'DROP INDEX IF EXISTS "{name}"')
        connection.execute("COMMIT")
