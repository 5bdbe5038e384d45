"""reconciliation of operators' wallets: rounds decided outside, rounds by their bets, a mark for each wallet

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


# A wallet that was never compared begins where its first comparison would have begun.
MARKS = """
    INSERT INTO reconciliation_marks (name, mark)
    SELECT 'statement:' || w.operator_id,
           to_char(w.since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00|"')
           || coalesce((SELECT max(a.id) FROM wallet_attempts a WHERE a.created_at < w.since), 0)
    FROM (SELECT operator_id, greatest(updated_at, clock_timestamp() - interval '1 day') AS since
          FROM operator_wallets) w
    ON CONFLICT (name) DO NOTHING
"""


def upgrade() -> None:
    op.execute(MARKS)
    op.create_index(
        "interventions_decided_outside",
        "interventions",
        ["operator_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("verdict = 'accepted' AND action IN ('paid-outside', 'refunded-outside')"),
    )
    op.create_index(
        "wallet_bets_of_long_rounds",
        "wallet_bets",
        ["player_key", "transaction_id"],
        unique=False,
        postgresql_where=sa.text("length(round_id) > 32"),
    )
    op.create_index(
        "wallet_action_bets_of_long_rounds",
        "wallet_action_bets",
        ["player_key", "transaction_id"],
        unique=False,
        postgresql_where=sa.text("length(round_id) > 32"),
    )
