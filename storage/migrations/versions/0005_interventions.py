"""interventions: what a person decided about a round, and what it takes to drive a lost one on

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.add_column("wallet_bets", sa.Column("bet", postgresql.JSONB(), nullable=True))
    op.add_column("wallet_bets", sa.Column("release_code", sa.String(), nullable=True))
    op.add_column("wallet_bets", sa.Column("release_detail", sa.String(), nullable=True))
    op.create_table(
        "interventions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operator_id", sa.String(), nullable=False),
        sa.Column("player_key", sa.BigInteger(), nullable=False),
        sa.Column("round_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("state_before", sa.String(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "action IN ('retry-now', 'paid-outside', 'refunded-outside', 'void')", name="intervention_action"
        ),
        sa.CheckConstraint("verdict IN ('accepted', 'refused')", name="intervention_verdict"),
        sa.CheckConstraint("length(reason) BETWEEN 1 AND 300", name="intervention_has_reason"),
        sa.ForeignKeyConstraint(["player_key"], ["players.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("interventions_of_round", "interventions", ["player_key", "round_id"], unique=False)
