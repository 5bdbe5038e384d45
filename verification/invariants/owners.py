"""What holds of ownership: rows, money and demo money stay with the player and operator they belong to."""

from typing import Final

from verification.invariants.invariant import Invariant

ROWS_BELONG_TOGETHER: Final = Invariant(
    code="I9",
    name="rows-belong-together",
    title="a round, its player, account, session, seed and event belong to one operator and one player",
    broken="""
        SELECT format('round %s of player %s', r.round_id, r.player_key) AS subject,
               'its rows belong to different owners' AS detail
        FROM rounds r
        LEFT JOIN players p ON p.id = r.player_key
        LEFT JOIN accounts a ON a.id = r.account_id
        LEFT JOIN sessions s ON s.id = r.session_id
        LEFT JOIN seeds d ON d.id = r.seed_id
        LEFT JOIN outbox o ON o.event_id = r.event_id
        WHERE (p.operator_id, p.player_id) IS DISTINCT FROM (r.operator_id, r.player_id)
           OR (a.operator_id, a.player_key, a.currency)
                IS DISTINCT FROM (r.operator_id, r.player_key, r.currency)
           OR (s.operator_id, s.player_key, s.account_id, s.game_id, s.currency)
                IS DISTINCT FROM (r.operator_id, r.player_key, r.account_id, r.game_id, r.currency)
           OR (r.seed_id IS NOT NULL AND d.player_key IS DISTINCT FROM r.player_key)
           OR o.player_key <> r.player_key
    """,
)
TRANSFERS_STAY_HOME: Final = Invariant(
    code="I9",
    name="transfers-stay-home",
    title="money moves only between a player's own account and its operator's, in one currency",
    broken="""
        SELECT 'transfer ' || t.id AS subject,
               format('%s of player %s from account %s to %s', t.kind, t.player_key, t.debit_account,
                      t.credit_account) AS detail
        FROM transfers t
        LEFT JOIN players p ON p.id = t.player_key
        LEFT JOIN accounts d ON d.id = t.debit_account
        LEFT JOIN accounts c ON c.id = t.credit_account
        WHERE (d.operator_id, c.operator_id, d.currency, c.currency, coalesce(d.player_key, c.player_key))
                IS DISTINCT FROM (p.operator_id, p.operator_id, t.currency, t.currency, t.player_key)
           OR (d.player_key IS NULL) = (c.player_key IS NULL)
    """,
)
PLAY_MONEY_APART: Final = Invariant(
    code="I9",
    name="play-money-apart",
    title="demo money moves between its players and the account it comes from, and real money nowhere near",
    broken="""
        SELECT 'transfer ' || t.id AS subject,
               format('%s of player %s, who has %s money, with the %s account', t.kind, t.player_key,
                      CASE WHEN p.demo THEN 'play' ELSE 'real' END, shared.kind) AS detail
        FROM transfers t
        JOIN players p ON p.id = t.player_key
        JOIN accounts shared ON shared.id IN (t.debit_account, t.credit_account) AND shared.player_key IS NULL
        WHERE p.demo <> (shared.kind = 'play')
           OR (p.demo AND t.kind NOT IN ('play', 'stake', 'win')) OR (NOT p.demo AND t.kind = 'play')
        UNION ALL
        SELECT format('round %s of player %s', r.round_id, r.player_key), 'its player has the other money'
        FROM rounds r JOIN players p ON p.id = r.player_key WHERE r.demo <> p.demo
        UNION ALL
        SELECT 'session ' || s.id, 'its player has the other money'
        FROM sessions s JOIN players p ON p.id = s.player_key WHERE (s.mode = 'demo') <> p.demo
        UNION ALL
        SELECT format('wallet bet %s of player %s', b.round_id, b.player_key), 'was asked of a wallet'
        FROM wallet_bets b JOIN players p ON p.id = b.player_key WHERE p.demo
        UNION ALL
        SELECT 'event ' || o.event_id, 'is of demo money'
        FROM outbox o JOIN players p ON p.id = o.player_key WHERE p.demo
    """,
)
