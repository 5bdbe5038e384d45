"""an audit log of every act, and names of API keys

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.online import create_index_beside_writers

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # First: what comes before them would be committed with them, and made again where this is interrupted.
    create_index_beside_writers(
        "interventions_by_kind", "interventions", ["operator_id", "action", "created_at", "id"], unique=False
    )
    create_index_beside_writers(
        "interventions_by_actor",
        "interventions",
        ["operator_id", "actor", "action", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("operator_id", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("length(actor) BETWEEN 1 AND 100", name="audit_has_actor"),
        sa.CheckConstraint("length(reason) BETWEEN 1 AND 300", name="audit_reason"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "audit_log_by_kind", "audit_log", ["operator_id", "kind", "created_at", "id"], unique=False
    )
    op.create_index(
        "audit_log_by_actor", "audit_log", ["operator_id", "actor", "kind", "created_at", "id"], unique=False
    )
    op.add_column("api_keys", sa.Column("name", sa.String(), nullable=True))
