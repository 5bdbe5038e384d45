"""events: an operator's by their place in the outbox, and what game clients tell of themselves

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_index("outbox_of_operator", "outbox", ["operator_id", sa.text("(- id)")], unique=False)
    op.create_table(
        "game_events",
        sa.Column("player_key", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["player_key"], ["players.id"]),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"]),
        sa.PrimaryKeyConstraint("player_key", "event_id"),
    )
    op.create_index("game_events_of_session", "game_events", ["session_id", "created_at"], unique=False)
