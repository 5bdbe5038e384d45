"""brands: a label of an operator's that sessions, rounds and keys carry

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("api_keys", "sessions", "rounds"):
        op.add_column(table, sa.Column("brand", sa.String(), nullable=True))
