"""sessions with limits, players with play money apart, and the switch for an operator's game

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NEWEST_FIRST = sa.text("(- id)")
ACCOUNTS = ("player", "house", "cash", "wallet", "play")
TRANSFERS = ("stake", "win", "deposit", "withdrawal", "collected", "paid", "returned", "play")


def upgrade() -> None:
    op.add_column("players", sa.Column("demo", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.drop_constraint("players_operator_id_player_id_key", "players", type_="unique")
    op.create_unique_constraint(
        "players_operator_id_player_id_demo_key", "players", ["operator_id", "player_id", "demo"]
    )
    _allow("accounts", "account_kind", ACCOUNTS)
    _allow("transfers", "transfer_kind", TRANSFERS)
    op.add_column("sessions", sa.Column("jurisdiction", sa.String(), nullable=True))
    op.add_column("sessions", sa.Column("limits", JSONB(), nullable=True))
    op.add_column("sessions", sa.Column("lost", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "game_switches",
        sa.Column("operator_id", sa.String(), nullable=False),
        sa.Column("game_id", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["operator_id"], ["operators.id"]),
        sa.PrimaryKeyConstraint("operator_id", "game_id"),
    )
    op.create_table(
        "round_starts",
        sa.Column("player_key", sa.BigInteger(), nullable=False),
        sa.Column("game_id", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["player_key"], ["players.id"]),
        sa.PrimaryKeyConstraint("player_key", "game_id"),
    )
    _index("rounds_of_operator", ["operator_id"], "NOT demo")
    _index(
        "rounds_without_settlement", ["operator_id", "state"], "state IN ('declined', 'void') AND NOT demo"
    )
    _index("demo_rounds_of_operator", ["operator_id"], "demo", new=True)


def _allow(table: str, constraint: str, kinds: tuple[str, ...]) -> None:
    op.drop_constraint(constraint, table, type_="check")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(constraint, table, f"kind IN ({listed})")


def _index(name: str, columns: list[str], where: str, *, new: bool = False) -> None:
    if not new:
        op.drop_index(name, table_name="rounds")
    op.create_index(name, "rounds", [*columns, NEWEST_FIRST], unique=False, postgresql_where=sa.text(where))
