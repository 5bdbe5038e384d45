"""rounds: played with play money or real, and by which jurisdiction's rules

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("demo", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("rounds", sa.Column("jurisdiction", sa.String(), nullable=True))
