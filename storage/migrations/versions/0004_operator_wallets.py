"""operator wallets: whose players' money an operator's own wallet keeps, and what it was asked

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=NOW, nullable=False)


def upgrade() -> None:
    _allow("accounts", "account_kind", ("player", "house", "cash", "wallet"))
    _allow(
        "transfers",
        "transfer_kind",
        ("stake", "win", "deposit", "withdrawal", "collected", "paid", "returned"),
    )
    op.create_table(
        "operator_wallets",
        sa.Column("operator_id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("dialect", sa.String(), nullable=False),
        sa.Column("sealed_secrets", sa.String(), nullable=False),
        sa.Column("local", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("connect_ms", sa.Integer(), nullable=True),
        sa.Column("read_ms", sa.Integer(), nullable=True),
        sa.Column("total_ms", sa.Integer(), nullable=True),
        sa.Column("calls", sa.Integer(), nullable=True),
        _time("updated_at"),
        sa.ForeignKeyConstraint(["operator_id"], ["operators.id"]),
        sa.PrimaryKeyConstraint("operator_id"),
    )
    op.create_table(
        "wallet_bets",
        sa.Column("player_key", sa.BigInteger(), nullable=False),
        sa.Column("round_id", sa.String(), nullable=False),
        sa.Column("game_id", sa.String(), nullable=False),
        sa.Column("stake", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("asks", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=True),
        sa.Column("releasing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _time("asked_at"),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["player_key"], ["players.id"]),
        sa.PrimaryKeyConstraint("player_key", "round_id"),
    )
    op.create_index(
        "one_wallet_bet_per_player_and_game",
        "wallet_bets",
        ["player_key", "game_id"],
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "wallet_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("player_key", sa.BigInteger(), nullable=False),
        sa.Column("round_id", sa.String(), nullable=False),
        sa.Column("call", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("balance", sa.BigInteger(), nullable=True),
        sa.Column("wallet_transaction_id", sa.String(), nullable=True),
        sa.Column("duplicate", sa.Boolean(), nullable=False),
        sa.Column("sent", sa.Boolean(), nullable=False),
        sa.Column("took_us", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(["player_key"], ["players.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("wallet_attempts_of_round", "wallet_attempts", ["player_key", "round_id"], unique=False)


def _allow(table: str, constraint: str, kinds: tuple[str, ...]) -> None:
    op.drop_constraint(constraint, table, type_="check")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(constraint, table, f"kind IN ({listed})")
