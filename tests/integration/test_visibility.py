"""The embedded Temporal keeps the indexes that lists read, and no other."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from compose import visibility
from tests.conftest import Services


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection, connection:
        yield connection


def indexes(database: Path) -> set[str]:
    with opened(database) as connection:
        return {name for (name,) in connection.execute(visibility.INDEXES)}


async def test_a_new_stack_has_those_that_lists_read(services: Services) -> None:
    """All of them: one that Temporal has renamed would be missing."""
    assert indexes(services.stack.layout.data / "temporal" / "temporal.db") == visibility.KEPT


@pytest.mark.parametrize(
    "query",
    [
        'CroupierOperator = "{nobody}"',
        'WorkflowId STARTS_WITH "{nobody}:"',
        'TaskQueue = "{nobody}"',
        "HistoryLength > 1000000",
        'ParentWorkflowId = "{nobody}"',
    ],
)
async def test_every_filter_is_still_answered(temporal: Client, query: str) -> None:
    assert (await temporal.count_workflows(query.format(nobody=uuid4().hex))).count == 0


@pytest.fixture
def of_an_earlier_release(tmp_path: Path) -> Path:
    database = tmp_path / "temporal.db"
    with opened(database) as connection:
        connection.execute("CREATE TABLE executions_visibility (run_id TEXT PRIMARY KEY, status, task_queue)")
        connection.execute("CREATE INDEX by_status ON executions_visibility (status)")
        connection.execute("CREATE INDEX by_task_queue ON executions_visibility (task_queue)")
        connection.execute("CREATE TABLE others (name)")
        connection.execute("CREATE INDEX by_name ON others (name)")
        connection.execute("INSERT INTO executions_visibility VALUES ('a', 'Running', 'rounds')")
    return database


def test_that_of_an_earlier_release_loses_the_others_alone(of_an_earlier_release: Path) -> None:
    for _ in range(2):
        visibility.trim(of_an_earlier_release)
        assert indexes(of_an_earlier_release) == {"by_status"}
    with opened(of_an_earlier_release) as connection:
        found = connection.execute("SELECT status FROM executions_visibility WHERE task_queue = 'rounds'")
        assert found.fetchall() == [("Running",)]
        assert connection.execute("PRAGMA index_list(others)").fetchall()[0][1] == "by_name"


def test_it_waits_for_who_writes(of_an_earlier_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "PATIENCE_S", 0.01)
    with opened(of_an_earlier_release) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            visibility.trim(of_an_earlier_release)
    visibility.trim(of_an_earlier_release)
    assert indexes(of_an_earlier_release) == {"by_status"}
