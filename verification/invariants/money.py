"""What holds of the money itself: transfers, balances and holds."""

from typing import Final

from verification.invariants.invariant import Invariant

TRANSFERS_BALANCE: Final = Invariant(
    code="I1",
    name="transfers-balance",
    title="each transfer has two postings, equal and opposite, in one currency",
    broken="""
        SELECT 'transfer ' || coalesce(t.id, p.transfer_id)::text AS subject,
               format('%s, postings %s', coalesce(t.amount || ' ' || t.currency, 'missing'),
                      coalesce(string_agg(p.amount || ' ' || p.currency, ' and '), 'missing')) AS detail
        FROM transfers t FULL JOIN postings p ON p.transfer_id = t.id
        GROUP BY t.id, p.transfer_id
        HAVING t.id IS NULL OR count(p.transfer_id) <> 2 OR sum(p.amount) <> 0
            OR NOT bool_and(p.currency = t.currency AND CASE p.account_id
                WHEN t.debit_account THEN p.amount = -t.amount
                WHEN t.credit_account THEN p.amount = t.amount ELSE false END)
    """,
)
BALANCES_ARE_POSTINGS: Final = Invariant(
    code="I1",
    name="balances-are-postings",
    title="each player's balance is the sum of its postings",
    broken="""
        SELECT 'account ' || a.id AS subject,
               format('balance %s, postings %s %s', a.balance, coalesce(p.total, 0), a.currency) AS detail
        FROM accounts a
        LEFT JOIN (SELECT account_id, sum(amount) AS total FROM postings GROUP BY account_id) p
            ON p.account_id = a.id
        WHERE a.kind = 'player' AND a.balance <> coalesce(p.total, 0)
    """,
)
NEVER_OVERDRAWN: Final = Invariant(
    code="I1",
    name="never-overdrawn",
    title="no balance is below 0 or below what it holds",
    broken="""
        SELECT 'account ' || id AS subject,
               format('balance %s, held %s %s', balance, held, currency) AS detail
        FROM accounts WHERE balance < 0 OR held < 0 OR balance < held OR (balance IS NULL AND held <> 0)
    """,
)
HOLDS_ARE_OPEN_STAKES: Final = Invariant(
    code="I1",
    name="holds-are-open-stakes",
    title="what an account holds is the stakes of its open rounds",
    broken="""
        SELECT 'account ' || a.id AS subject,
               format('held %s, open stakes %s %s', a.held, coalesce(r.total, 0), a.currency) AS detail
        FROM accounts a
        LEFT JOIN (
            SELECT account_id, sum(stake + extra) AS total FROM rounds
            WHERE state IN ('pending', 'awaiting_choice', 'settling') GROUP BY account_id
        ) r ON r.account_id = a.id
        WHERE a.held <> coalesce(r.total, 0)
    """,
)
NO_HOLD_OVERDUE: Final = Invariant(
    code="I2",
    name="no-hold-overdue",
    title="no stake is held, or asked of an operator's wallet, for longer than a round may take",
    broken="""
        SELECT format('round %s of player %s', round_id, player_key) AS subject,
               format('%s since %s', state, coalesce(decide_by, acted.at, created_at)) AS detail
        FROM overdue, rounds r
        LEFT JOIN LATERAL (
            SELECT max(a.taken_at) AS at FROM round_actions a
            WHERE a.player_key = r.player_key AND a.round_id = r.round_id
        ) acted ON r.actions > 0
        WHERE CASE state WHEN 'awaiting_choice' THEN decide_by
                         WHEN 'pending' THEN coalesce(acted.at, created_at)
                         WHEN 'settling' THEN coalesce(acted.at, created_at) END < overdue.moment
        UNION ALL
        SELECT format('round %s of player %s', b.round_id, b.player_key),
               format('asked of the wallet since %s, %s', b.asked_at,
                      CASE WHEN b.releasing THEN 'being released' ELSE 'no answer' END)
        FROM overdue, wallet_bets b
        LEFT JOIN rounds r ON r.player_key = b.player_key AND r.round_id = b.round_id
        WHERE b.resolved_at IS NULL AND r.id IS NULL AND b.asked_at < overdue.moment
        UNION ALL
        SELECT format('action %s of round %s of player %s', b.action_id, b.round_id, b.player_key),
               format('asked of the wallet since %s, %s', b.asked_at,
                      CASE WHEN b.releasing THEN 'being rolled back' ELSE 'no answer' END)
        FROM overdue, wallet_action_bets b
        WHERE b.outcome IS NULL AND b.asked_at < overdue.moment
    """,
)
