"""What the first half of a migration may do to tables in use that takes long, without holding anybody up."""

from typing import Any

from alembic import op

from storage.locks import LOCK_TIMEOUT


def create_index_beside_writers(name: str, table: str, columns: list[Any], **options: Any) -> None:
    """Builds an index concurrently: it may wait for older transactions, and nobody waits for it. What an
    interrupted attempt left is removed first. `options` are those of `op.create_index`.

    What the migration did before this is committed, so it has a migration of its own, or comes first."""
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)
        op.create_index(name, table, columns, postgresql_concurrently=True, **options)
        op.execute(LOCK_TIMEOUT)
