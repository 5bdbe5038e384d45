"""rounds with choices: what is offered, what was taken, and what it cost

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("extra", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("rounds", sa.Column("actions", sa.Integer(), server_default="0", nullable=False))
    op.add_column("rounds", sa.Column("offer", postgresql.JSONB(none_as_null=True), nullable=True))
    op.add_column("rounds", sa.Column("decide_by", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint("extra_in_range", "rounds", "extra >= 0 AND (extra = 0 OR actions > 0)")
    op.create_table(
        "round_actions",
        sa.Column("player_key", sa.BigInteger(), nullable=False),
        sa.Column("round_id", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("action_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("taken_by", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column(
            "taken_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("debit >= 0", name="debit_in_range"),
        sa.ForeignKeyConstraint(["player_key"], ["players.id"]),
        sa.PrimaryKeyConstraint("player_key", "round_id", "ordinal"),
        sa.UniqueConstraint("player_key", "round_id", "action_id"),
    )
