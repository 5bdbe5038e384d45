"""actions that cost something at operators' own wallets, each a bet of its own

Wallets that are set already were set up for one bet a round, and stay so until they are set again.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "operator_wallets",
        sa.Column("several_bets", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_table(
        "wallet_action_bets",
        sa.Column("player_key", sa.BigInteger(), nullable=False),
        sa.Column("round_id", sa.String(), nullable=False),
        sa.Column("action_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("taken_by", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("asks", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("releasing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("refusal", sa.String(), nullable=True),
        sa.Column(
            "asked_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name="action_bet_moves_something"),
        sa.CheckConstraint("outcome IN ('taken', 'declined', 'rolled-back')", name="action_bet_outcome"),
        sa.CheckConstraint("(outcome IS NULL) = (resolved_at IS NULL)", name="action_bet_ends_once"),
        sa.ForeignKeyConstraint(
            ["player_key", "round_id"], ["wallet_bets.player_key", "wallet_bets.round_id"]
        ),
        sa.PrimaryKeyConstraint("player_key", "round_id", "action_id"),
    )
    op.create_index(
        "one_open_action_bet_per_round",
        "wallet_action_bets",
        ["player_key", "round_id"],
        unique=True,
        postgresql_where=sa.text("outcome IS NULL"),
    )
