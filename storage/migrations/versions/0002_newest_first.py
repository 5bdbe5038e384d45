"""newest first

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEWEST_FIRST = sa.text("(- id)")


def upgrade() -> None:
    op.drop_index("rounds_of_operator", table_name="rounds")
    op.drop_index("rounds_of_player", table_name="rounds")
    op.create_index("rounds_of_operator", "rounds", ["operator_id", NEWEST_FIRST], unique=False)
    op.create_index("rounds_of_player", "rounds", ["player_key", NEWEST_FIRST], unique=False)
    op.create_index(
        "rounds_without_settlement",
        "rounds",
        ["operator_id", "state", NEWEST_FIRST],
        unique=False,
        postgresql_where=sa.text("state IN ('declined', 'void')"),
    )
