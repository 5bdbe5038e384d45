"""movements: one meaning for each transaction id, and an index for statements

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "one_movement_per_transaction_id",
        "transfers",
        ["player_key", "reference"],
        unique=True,
        postgresql_where=sa.text("kind IN ('deposit', 'withdrawal')"),
    )
    op.create_index(
        "transfers_of_wallet", "transfers", ["player_key", "currency", "created_at", "position"], unique=False
    )
