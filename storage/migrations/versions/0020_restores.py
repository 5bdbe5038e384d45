"""a ledger that was restored: its epochs, and seeds that nothing is drawn from any more

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# A database that was never restored is in its first epoch, on the server and timeline that it is on now.
FIRST_EPOCH = """
    INSERT INTO ledger_epochs (number, system_identifier, timeline, gap, last_event, opened_at)
    SELECT 1, system_identifier,
           ('x' || lpad(left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), 16, '0'))::bit(64)::bigint,
           0, 0, clock_timestamp()
    FROM pg_control_system()
"""


def upgrade() -> None:
    # First: what comes before it would be committed with it, and made again where this is interrupted.
    with op.get_context().autocommit_block():
        op.create_index(
            "lost_rounds",
            "incidents",
            ["subject"],
            unique=False,
            postgresql_where=sa.text("kind = 'lost-round'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
    op.create_table(
        "ledger_epochs",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("system_identifier", sa.BigInteger(), nullable=False),
        sa.Column("timeline", sa.BigInteger(), nullable=False),
        sa.Column("gap", sa.BigInteger(), nullable=False),
        sa.Column("last_event", sa.BigInteger(), nullable=False),
        sa.Column("restored_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "noticed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(gap = 0) = (restored_to IS NULL)", name="first_epoch_follows_none"),
        sa.PrimaryKeyConstraint("number"),
    )
    op.add_column("seeds", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(FIRST_EPOCH)
