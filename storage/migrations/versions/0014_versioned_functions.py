"""a bet as one type, and functions that are named by their version

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BET_V1 = """
    CREATE TYPE bet_v1 AS (
        operator_id text, player_key bigint, round_id text, player_id text, account_id bigint,
        session_id text, game_id text, game_version text, currency text, stake bigint, mode text,
        choice jsonb, request_id text)
"""
# From before their names had versions. storage/functions/ makes their successors.
UNVERSIONED = (
    *("reserve_round", "open_round", "take_action", "settle_round", "release_round", "intervene_round"),
    *("begin_wallet_bet", "accept_wallet_bet", "decline_wallet_bet", "store_declined_wallet_bet"),
    *("record_wallet_result", "begin_wallet_release", "record_wallet_attempt", "set_operator_wallet"),
    *("deposit", "withdraw", "give_play_money"),
    *("open_session", "prolong_session", "end_session", "rotate_seed", "record_game_events"),
    *("add_api_key", "rotate_api_key", "revoke_api_key"),
    *("note_incident", "resolve_incident", "mark_incidents_published", "move_reconciliation_mark"),
)


def upgrade() -> None:
    op.execute(BET_V1)
    for name in UNVERSIONED:
        op.execute(f"DROP FUNCTION IF EXISTS {name}")
