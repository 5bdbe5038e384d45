"""event feed: an operator's events by their place in the outbox

Revision ID: 0010
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("outbox_of_operator", "outbox", ["operator_id", sa.text("(- id)")], unique=False)
