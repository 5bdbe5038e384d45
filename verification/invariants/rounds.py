"""What holds of each round: one end, one settlement, and everything that its state asks for."""

from typing import Final

from verification.invariants.invariant import Invariant

ONE_TERMINAL: Final = Invariant(
    code="I3",
    name="one-terminal",
    title="a settled round moved its stake and its win once; any other round moved nothing",
    broken="""
        WITH moved AS (
            SELECT t.player_key, t.reference,
                   count(*) FILTER (WHERE t.kind = 'stake') AS stakes,
                   count(*) FILTER (WHERE t.kind = 'win') AS wins,
                   sum(t.amount) FILTER (WHERE t.kind = 'stake' AND credited.kind IN ('house', 'play')) AS
                   stake, sum(t.amount) FILTER (WHERE t.kind = 'win' AND debited.kind IN ('house', 'play')) AS
                   win, min(CASE t.kind WHEN 'stake' THEN t.debit_account ELSE t.credit_account END) AS
                   lowest, max(CASE t.kind WHEN 'stake' THEN t.debit_account ELSE t.credit_account END) AS
                   highest, min(t.currency) AS currency
            FROM transfers t
            LEFT JOIN accounts credited ON credited.id = t.credit_account
            LEFT JOIN accounts debited ON debited.id = t.debit_account
            WHERE t.kind IN ('stake', 'win')
            GROUP BY t.player_key, t.reference
        )
        SELECT format('round %s of player %s', coalesce(r.round_id, m.reference),
                      coalesce(r.player_key, m.player_key)) AS subject,
               format('%s, stake %s, win %s; moved %s stakes of %s and %s wins of %s',
                      coalesce(r.state, 'no round'), r.stake + r.extra, r.win, coalesce(m.stakes, 0),
                      coalesce(m.stake, 0), coalesce(m.wins, 0), coalesce(m.win, 0)) AS detail
        FROM rounds r FULL JOIN moved m ON m.player_key = r.player_key AND m.reference = r.round_id
        WHERE CASE
            WHEN r.state = 'settled' THEN
                (m.stakes, m.stake, m.lowest, m.highest, m.currency)
                    IS DISTINCT FROM (1::bigint, (r.stake + r.extra)::numeric, r.account_id, r.account_id,
                                      r.currency)
                OR m.wins <> CASE WHEN r.win > 0 THEN 1 ELSE 0 END
                OR coalesce(m.win, 0) <> r.win
            ELSE m.reference IS NOT NULL
        END
    """,
)
WALLETS_ARE_SQUARE: Final = Invariant(
    code="I3",
    name="wallets-are-square",
    title="what an operator's wallet paid in for a round, the round's end gave back: the win, or the stakes",
    broken="""
        WITH moved AS (
            SELECT t.player_key, t.reference,
                   sum(t.amount) FILTER (WHERE t.kind = 'collected' AND debited.kind = 'wallet') AS collected,
                   sum(t.amount) FILTER (WHERE t.kind = 'paid' AND credited.kind = 'wallet') AS paid,
                   sum(t.amount) FILTER (WHERE t.kind = 'returned' AND credited.kind = 'wallet') AS returned,
                   min(own.account) AS lowest, max(own.account) AS highest
            FROM transfers t
            LEFT JOIN accounts credited ON credited.id = t.credit_account
            LEFT JOIN accounts debited ON debited.id = t.debit_account
            CROSS JOIN LATERAL (SELECT CASE t.kind WHEN 'collected' THEN t.credit_account
                                                   ELSE t.debit_account END AS account) own
            WHERE t.kind IN ('collected', 'paid', 'returned')
            GROUP BY t.player_key, t.reference
        ), asked AS (
            SELECT b.*, r.id, r.state, r.account_id, r.stake AS staked, r.extra, r.win, r.seed_id
            FROM wallet_bets b
            LEFT JOIN rounds r ON r.player_key = b.player_key AND r.round_id = b.round_id
        )
        SELECT format('round %s of player %s', coalesce(a.round_id, m.reference),
                      coalesce(a.player_key, m.player_key)) AS subject,
               format('%s, stake %s, win %s; collected %s, paid %s, returned %s',
                      coalesce(a.state, 'no round'), a.stake, a.win, coalesce(m.collected, 0),
                      coalesce(m.paid, 0), coalesce(m.returned, 0)) AS detail
        FROM asked a FULL JOIN moved m ON m.player_key = a.player_key AND m.reference = a.round_id
        WHERE a.round_id IS NULL
           OR a.staked <> a.stake
           OR m.lowest <> a.account_id OR m.highest <> a.account_id
           OR (coalesce(m.collected, 0), coalesce(m.paid, 0), coalesce(m.returned, 0)) IS DISTINCT FROM (
                -- Without a seed nothing was drawn, but for a round that was played back after a restore.
                CASE WHEN a.seed_id IS NULL AND a.state IS DISTINCT FROM 'settled' THEN 0
                     ELSE a.stake + a.extra END,
                CASE WHEN a.state = 'settled' THEN a.win ELSE 0 END,
                CASE WHEN a.state = 'void' AND a.seed_id IS NOT NULL THEN a.stake + a.extra ELSE 0 END)
    """,
)
WALLET_BETS_ARE_RESOLVED: Final = Invariant(
    code="I3",
    name="wallet-bets-are-resolved",
    title="a bet at an operator's wallet is resolved exactly when its round has ended",
    broken="""
        SELECT format('round %s of player %s', b.round_id, b.player_key) AS subject,
               format('%s, %s', CASE WHEN b.resolved_at IS NULL THEN 'open' ELSE 'resolved' END,
                      coalesce(r.state, 'no round')) AS detail
        FROM wallet_bets b
        LEFT JOIN rounds r ON r.player_key = b.player_key AND r.round_id = b.round_id
        WHERE (b.resolved_at IS NOT NULL) <> coalesce(r.state IN ('settled', 'declined', 'void'), false)
           OR (b.releasing AND r.state = 'declined')
           -- Only a person releases a round whose result is on record, or the wallet that refused its win.
           OR (b.releasing AND r.state IN ('settling', 'settled')
               AND b.release_code IS DISTINCT FROM 'rolled-back'
               AND b.release_code IS DISTINCT FROM 'round-lost' AND NOT EXISTS (
                SELECT 1 FROM interventions i
                WHERE i.player_key = b.player_key AND i.round_id = b.round_id AND i.verdict = 'accepted'
                  AND i.action IN ('void', 'refunded-outside')))
    """,
)
WALLET_ACTIONS_AGREE: Final = Invariant(
    code="I3",
    name="wallet-actions-agree",
    title="what an action cost at an operator's wallet was taken exactly when the action is on record",
    broken="""
        SELECT format('action %s of round %s of player %s', b.action_id, b.round_id, b.player_key) AS subject,
               format('%s, bet of %s; on record with %s, collected %s', coalesce(b.outcome, 'open'), b.amount,
                      coalesce(a.debit::text, 'nothing'), coalesce(t.amount, 0)) AS detail
        FROM wallet_action_bets b
        LEFT JOIN rounds r ON r.player_key = b.player_key AND r.round_id = b.round_id
        LEFT JOIN round_actions a
            ON a.player_key = b.player_key AND a.round_id = b.round_id AND a.action_id = b.action_id
        LEFT JOIN transfers t ON t.player_key = b.player_key AND t.reference = b.round_id
            AND t.kind = 'collected' AND t.step = a.ordinal
        WHERE NOT coalesce(CASE
            WHEN b.outcome IS NULL THEN a.ordinal IS NULL AND r.state = 'awaiting_choice'
            WHEN b.outcome = 'taken' THEN (a.debit, t.amount) = (b.amount, b.amount) AND NOT b.releasing
            ELSE a.ordinal IS NULL AND b.refusal IS NOT NULL AND b.releasing = (b.outcome = 'rolled-back')
                OR (b.outcome, b.refusal, r.state) = ('rolled-back', 'round-closed', 'void')
        END, false)
        UNION ALL
        SELECT format('action %s of round %s of player %s', a.action_id, a.round_id, a.player_key),
               format('cost %s, and the wallet was never asked', a.debit)
        FROM round_actions a
        JOIN wallet_bets w ON w.player_key = a.player_key AND w.round_id = a.round_id
        LEFT JOIN wallet_action_bets b
            ON b.player_key = a.player_key AND b.round_id = a.round_id AND b.action_id = a.action_id
        WHERE a.debit > 0 AND b.action_id IS NULL
    """,
)
ROUNDS_ARE_COMPLETE: Final = Invariant(
    code="I3",
    name="rounds-are-complete",
    title="each round has what its state asks for, and nothing else",
    # A round of demo money has neither number nor event.
    # A round at an operator's wallet has a result before it is settled, and keeps its outcome if the wallet
    # had rolled its bet back all the same, or a person voided it. So does a round that waited for its player:
    # what was shown stays on record. A balance that the wallet did not say, nobody knows. Bets that
    # were declined before their events were recorded have none.
    broken="""
        SELECT format('round %s of player %s', r.round_id, r.player_key) AS subject,
               'state ' || state AS detail
        FROM rounds r
        LEFT JOIN wallet_bets b ON b.player_key = r.player_key AND b.round_id = r.round_id
        LEFT JOIN operator_wallets w ON w.operator_id = r.operator_id
        WHERE NOT coalesce(CASE state
            WHEN 'settled' THEN outcome IS NOT NULL AND (r.balance IS NOT NULL OR b.round_id IS NOT NULL)
                AND (sequence IS NULL) = r.demo AND (event_id IS NULL) = r.demo
                AND closed_at IS NOT NULL AND failure_code IS NULL
                AND (seed_id IS NOT NULL AND nonce IS NOT NULL
                     OR outcome ? 'played_back' AND b.release_code = 'round-lost')
            WHEN 'void' THEN (outcome IS NULL OR seed_id IS NOT NULL)
                AND win = 0 AND (r.balance IS NOT NULL OR b.round_id IS NOT NULL)
                AND (sequence IS NULL) = r.demo AND (event_id IS NULL) = r.demo
                AND closed_at IS NOT NULL AND failure_code IS NOT NULL
            WHEN 'declined' THEN outcome IS NULL AND win = 0
                AND (r.balance IS NOT NULL OR b.round_id IS NOT NULL OR w.operator_id IS NOT NULL)
                AND (sequence IS NULL) = (event_id IS NULL) AND closed_at IS NOT NULL
                AND failure_code IS NOT NULL AND seed_id IS NULL
            WHEN 'settling' THEN outcome IS NOT NULL AND b.round_id IS NOT NULL
                AND sequence IS NULL AND event_id IS NULL AND closed_at IS NULL AND seed_id IS NOT NULL
            WHEN 'awaiting_choice' THEN outcome IS NOT NULL AND offer IS NOT NULL AND win = 0
                AND sequence IS NULL AND event_id IS NULL AND closed_at IS NULL AND seed_id IS NOT NULL
            ELSE state = 'pending' AND (outcome IS NULL) = (actions = 0) AND win = 0
                AND sequence IS NULL AND event_id IS NULL AND closed_at IS NULL AND seed_id IS NOT NULL
        END, false)
           OR (state <> 'awaiting_choice' AND (offer IS NOT NULL OR decide_by IS NOT NULL))
    """,
)
ACTIONS_ARE_COUNTED: Final = Invariant(
    code="I3",
    name="actions-are-counted",
    title="each round has the actions that it counts, and staked besides its stake what they cost",
    broken="""
        WITH taken AS (
            SELECT player_key, round_id, count(*) AS actions, max(ordinal) AS last, sum(debit) AS debit
            FROM round_actions GROUP BY player_key, round_id
        )
        SELECT format('round %s of player %s', coalesce(r.round_id, t.round_id),
                      coalesce(r.player_key, t.player_key)) AS subject,
               format('counts %s actions that cost %s; has %s that cost %s', r.actions, r.extra,
                      coalesce(t.actions, 0), coalesce(t.debit, 0)) AS detail
        FROM (SELECT * FROM rounds WHERE actions > 0 OR extra > 0) r
        FULL JOIN taken t ON t.player_key = r.player_key AND t.round_id = r.round_id
        WHERE (r.actions, r.actions, r.extra) IS DISTINCT FROM (t.actions, t.last, t.debit)
    """,
)
