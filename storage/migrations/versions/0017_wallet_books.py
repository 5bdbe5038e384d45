"""what reconciliation of operators' wallets looks up: rounds that were decided outside

Revision ID: 0017
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "interventions_decided_outside",
        "interventions",
        ["operator_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("verdict = 'accepted' AND action IN ('paid-outside', 'refunded-outside')"),
    )
