"""seed rotation: which seed a session's seed came after

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("seeds", sa.Column("previous_id", sa.String(), nullable=True))
    op.create_foreign_key("seeds_previous_id_fkey", "seeds", "seeds", ["previous_id"], ["id"])
    op.create_unique_constraint("seeds_previous_id_key", "seeds", ["previous_id"])
