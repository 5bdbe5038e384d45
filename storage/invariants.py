"""What must hold in the database at every moment: the invariants of money, each a statement that finds
what breaks it. A database in order gives no row, also while rounds are being played: statements that look
at a delay know `overdue.moment`, and all are meant to be read from one snapshot."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

STATEMENT_TIMEOUT_S: Final = 300.0  # an audit reads everything there is
EXAMPLES: Final = 5
DETAIL_LIMIT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """`code` as the design names it (I1..I9), `title` says what holds, `broken` selects what does not:
    one row of (subject, detail) text for each violation."""

    code: str
    name: str
    title: str
    broken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """How many there are, and the first few as "subject: detail"."""

    count: int
    examples: tuple[str, ...]


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
    """,
)
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
    title="what an operator's wallet paid in for a round, the round's end gave back: the win, or the stake",
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
            SELECT b.*, r.id, r.state, r.account_id, r.stake AS staked, r.win, r.seed_id
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
                CASE WHEN a.seed_id IS NULL THEN 0 ELSE a.stake END,
                CASE WHEN a.state = 'settled' THEN a.win ELSE 0 END,
                CASE WHEN a.state = 'void' AND a.seed_id IS NOT NULL THEN a.stake ELSE 0 END)
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
           -- Only a person releases a round whose result is on record.
           OR (b.releasing AND r.state IN ('settling', 'settled') AND NOT EXISTS (
                SELECT 1 FROM interventions i
                WHERE i.player_key = b.player_key AND i.round_id = b.round_id AND i.verdict = 'accepted'
                  AND i.action IN ('void', 'refunded-outside')))
    """,
)
ROUNDS_ARE_COMPLETE: Final = Invariant(
    code="I3",
    name="rounds-are-complete",
    title="each round has what its state asks for, and nothing else",
    # A round of play money has neither number nor event.
    # A round at an operator's wallet has a result before it is settled, and keeps its outcome if the wallet
    # had rolled its bet back all the same, or a person voided it. So does a round that waited for its player:
    # what was shown stays on record. What the wallet did not tell with a refusal, nobody knows. Bets that
    # were declined before their events were recorded have none.
    broken="""
        SELECT format('round %s of player %s', r.round_id, r.player_key) AS subject,
               'state ' || state AS detail
        FROM rounds r
        LEFT JOIN wallet_bets b ON b.player_key = r.player_key AND b.round_id = r.round_id
        LEFT JOIN operator_wallets w ON w.operator_id = r.operator_id
        WHERE NOT coalesce(CASE state
            WHEN 'settled' THEN outcome IS NOT NULL AND r.balance IS NOT NULL
                AND (sequence IS NULL) = r.demo AND (event_id IS NULL) = r.demo
                AND closed_at IS NOT NULL AND failure_code IS NULL
                AND seed_id IS NOT NULL AND nonce IS NOT NULL
            WHEN 'void' THEN (outcome IS NULL OR (b.round_id IS NOT NULL
                    AND failure_code = 'rolled-back')
                    OR actions > 0 OR failure_code IN ('voided-by-operator', 'abandoned', 'round-cancelled'))
                AND win = 0 AND r.balance IS NOT NULL
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
ONE_EVENT: Final = Invariant(
    code="I4",
    name="one-event",
    title="a round has one closing event exactly when it is closed; each event of a round is of one there is",
    # But for play money, and for bets that were declined before their events were recorded.
    broken="""
        SELECT format('round %s of player %s', coalesce(r.round_id, o.subject),
                      coalesce(r.player_key, o.player_key)) AS subject,
               CASE WHEN o.event_id IS NULL THEN r.state || ' without an event'
                    ELSE format('event %s belongs to no closed round', o.event_id) END AS detail
        FROM (SELECT * FROM rounds
              WHERE (state IN ('settled', 'void') AND NOT demo)
                 OR (state = 'declined' AND event_id IS NOT NULL)) r
        FULL JOIN (SELECT * FROM outbox
                   WHERE type IN ('round.settled', 'round.void', 'round.declined')) o
            ON o.event_id = r.event_id AND o.player_key = r.player_key AND o.subject = r.round_id
        WHERE r.id IS NULL OR o.id IS NULL
        UNION ALL
        SELECT format('round %s of player %s', o.subject, o.player_key),
               format('event %s belongs to no round', o.event_id)
        FROM outbox o LEFT JOIN rounds r ON r.player_key = o.player_key AND r.round_id = o.subject
        WHERE o.type = 'round.opened' AND r.id IS NULL
    """,
)
MOVEMENTS_AGREE: Final = Invariant(
    code="I4",
    name="movements-agree",
    title="each event of a deposit or a withdrawal is of one that was made, once, and says the same",
    # The other way round it does not hold of movements from before their events were recorded.
    broken="""
        SELECT format('event %s of player %s', o.event_id, o.player_key) AS subject,
               format('%s of transaction %s', o.type, o.data ->> 'transaction_id') AS detail
        FROM (SELECT *, count(*) OVER (PARTITION BY player_key, data ->> 'transaction_id') AS told
              FROM outbox WHERE type IN ('wallet.deposited', 'wallet.withdrawn')) o
        LEFT JOIN transfers t ON t.player_key = o.player_key AND t.reference = o.data ->> 'transaction_id'
            AND t.kind = CASE o.type WHEN 'wallet.deposited' THEN 'deposit' ELSE 'withdrawal' END
        WHERE o.told > 1
           OR (o.data -> 'amount', o.data -> 'balance') IS DISTINCT FROM (
               jsonb_build_object('amount', t.amount, 'currency', t.currency),
               jsonb_build_object('amount', t.available_after, 'currency', t.currency))
    """,
)
SESSIONS_AGREE: Final = Invariant(
    code="I4",
    name="sessions-agree",
    title="each event of a session is of one of its player's, recorded once, and an end of one that ended",
    broken="""
        SELECT format('event %s of player %s', o.event_id, o.player_key) AS subject,
               format('%s of session %s', o.type, o.data ->> 'session_id') AS detail
        FROM (SELECT *, count(*) OVER (PARTITION BY type, data ->> 'session_id') AS told
              FROM outbox WHERE type IN ('session.opened', 'session.ended')) o
        LEFT JOIN sessions s ON s.id = o.data ->> 'session_id' AND s.player_key = o.player_key
        WHERE s.id IS NULL OR o.told > 1 OR s.game_id <> o.game_id
           OR (o.type = 'session.ended' AND s.ended_at IS NULL)
    """,
)
EVENTS_PUBLISHED: Final = Invariant(
    code="I4",
    name="events-published",
    title="each recorded event was confirmed by the broker",
    broken="""
        SELECT 'event ' || event_id AS subject, 'recorded at ' || occurred_at AS detail
        FROM outbox, overdue WHERE published_at IS NULL AND occurred_at < overdue.moment
    """,
)
EVENTS_APPLIED: Final = Invariant(
    code="I4",
    name="events-applied",
    title="each published event was applied by the statistics consumer",
    broken="""
        SELECT 'event ' || o.event_id AS subject, 'published at ' || o.published_at AS detail
        FROM overdue, outbox o
        LEFT JOIN inbox i ON i.consumer = 'statistics' AND i.event_id = o.event_id
        WHERE o.type IN ('round.settled', 'round.void') AND o.published_at < overdue.moment
          AND i.event_id IS NULL
    """,
)
NO_INVENTED_EVENT: Final = Invariant(
    code="I4",
    name="no-invented-event",
    title="no consumer applied an event that was never recorded",
    broken="""
        SELECT 'event ' || i.event_id AS subject, 'applied by ' || i.consumer AS detail
        FROM inbox i LEFT JOIN outbox o ON o.event_id = i.event_id WHERE o.event_id IS NULL
    """,
)
# Over the events in the consumer's inbox: inbox and sums change in one transaction, so this is exact while
# events are on their way. That all of them arrive is the business of `events-applied`.
STATISTICS_ARE_ROUNDS: Final = Invariant(
    code="I4",
    name="statistics-are-rounds",
    title="the consumer's statistics are the sums of the rounds whose events it applied",
    broken="""
        WITH summed AS (
            SELECT r.operator_id, r.game_id, r.currency,
                   count(*) FILTER (WHERE r.state = 'settled') AS rounds,
                   count(*) FILTER (WHERE r.state = 'void') AS voids,
                   coalesce(sum(r.stake + r.extra) FILTER (WHERE r.state = 'settled'), 0) AS stake,
                   coalesce(sum(r.win) FILTER (WHERE r.state = 'settled'), 0) AS win
            FROM rounds r JOIN inbox i ON i.consumer = 'statistics' AND i.event_id = r.event_id
            GROUP BY r.operator_id, r.game_id, r.currency
        )
        SELECT concat_ws(' ', operator_id, game_id, currency) AS subject,
               format('statistics %s rounds, %s voids, stake %s, win %s; rounds say %s, %s, %s, %s',
                      coalesce(g.rounds, 0), coalesce(g.voids, 0), coalesce(g.stake, 0), coalesce(g.win, 0),
                      coalesce(s.rounds, 0), coalesce(s.voids, 0), coalesce(s.stake, 0), coalesce(s.win, 0)
               ) AS detail
        FROM game_statistics g FULL JOIN summed s USING (operator_id, game_id, currency)
        WHERE (coalesce(g.rounds, 0), coalesce(g.voids, 0), coalesce(g.stake, 0), coalesce(g.win, 0))
           <> (coalesce(s.rounds, 0), coalesce(s.voids, 0), coalesce(s.stake, 0), coalesce(s.win, 0))
    """,
)
SEQUENCES_GAPLESS: Final = Invariant(
    code="I5",
    name="sequences-gapless",
    title="each player's events are numbered 1, 2, 3, ... in the order they were recorded",
    broken="""
        WITH numbered AS (
            SELECT player_key, sequence, row_number() OVER (PARTITION BY player_key ORDER BY id) AS place
            FROM outbox
        ), counted AS (
            SELECT player_key, count(*) AS events, count(*) FILTER (WHERE sequence <> place) AS misplaced
            FROM numbered GROUP BY player_key
        )
        SELECT 'player ' || p.id AS subject,
               format('sequence %s, %s events, %s out of place', p.sequence, coalesce(c.events, 0),
                      coalesce(c.misplaced, 0)) AS detail
        FROM players p LEFT JOIN counted c ON c.player_key = p.id
        WHERE p.sequence <> coalesce(c.events, 0) OR coalesce(c.misplaced, 0) > 0
    """,
)
NONCES_USED_ONCE: Final = Invariant(
    code="I6",
    name="nonces-used-once",
    title="each seed's nonces were drawn in order, none twice and none skipped",
    broken="""
        SELECT 'seed ' || s.id AS subject,
               format('next %s, %s drawn, highest %s', s.next_nonce, count(r.id), max(r.nonce)) AS detail
        FROM seeds s LEFT JOIN rounds r ON r.seed_id = s.id
        GROUP BY s.id
        HAVING s.next_nonce <> count(r.id) OR coalesce(max(r.nonce), -1) <> s.next_nonce - 1
            OR count(DISTINCT r.nonce) <> count(r.id) OR min(r.nonce) < 0
    """,
)
GUARDS_IN_PLACE: Final = Invariant(
    code="I6",
    name="guards-in-place",
    title="what is written stays written: the append-only triggers are there and enabled",
    broken="""
        SELECT format('trigger %s on %s', g.name, g.relation) AS subject,
               CASE WHEN t.oid IS NULL THEN 'missing' ELSE 'disabled' END AS detail
        FROM (VALUES ('accounts', 'begins_empty'),
                     ('transfers', 'append_only'), ('transfers', 'append_only_truncate'),
                     ('postings', 'append_only'), ('postings', 'append_only_truncate'),
                     ('rounds', 'final_is_final'), ('rounds', 'never_deleted'), ('rounds', 'never_truncated'),
                     ('rounds', 'result_is_final'), ('wallet_bets', 'only_forward'),
                     ('wallet_bets', 'never_deleted'), ('wallet_bets', 'never_truncated'),
                     ('wallet_attempts', 'append_only'), ('wallet_attempts', 'append_only_truncate'),
                     ('interventions', 'append_only'), ('interventions', 'append_only_truncate'),
                     ('round_actions', 'append_only'), ('round_actions', 'append_only_truncate'),
                     ('seeds', 'revealed_is_final'),
                     ('incidents', 'only_forward'), ('incidents', 'never_deleted'),
                     ('incidents', 'never_truncated'),
                     ('outbox', 'recorded_once'), ('outbox', 'never_deleted'),
                     ('outbox', 'never_truncated')) g (relation, name)
        LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass(g.relation) AND t.tgname = g.name
        WHERE t.oid IS NULL OR t.tgenabled NOT IN ('O', 'A')
    """,
)
EVENTS_AGREE: Final = Invariant(
    code="I8",
    name="events-agree",
    title="each event says what its round says",
    broken="""
        SELECT format('round %s of player %s', r.round_id, r.player_key) AS subject,
               'event ' || o.event_id AS detail
        FROM rounds r JOIN outbox o ON o.event_id = r.event_id
        WHERE (o.type, o.operator_id, o.game_id, o.sequence)
                IS DISTINCT FROM ('round.' || r.state, r.operator_id, r.game_id, r.sequence)
           OR (o.data ->> 'round_id', o.data ->> 'player_id', o.data ->> 'session_id', o.data ->> 'mode',
               o.data #>> '{game,id}', o.data #>> '{game,version}', o.data #>> '{failure,code}')
                IS DISTINCT FROM (r.round_id, r.player_id, r.session_id, r.mode, r.game_id, r.game_version,
                                  r.failure_code)
           OR (o.data -> 'stake', o.data -> 'win', o.data -> 'balance') IS DISTINCT FROM (
               jsonb_build_object('amount', r.stake + r.extra, 'currency', r.currency),
               jsonb_build_object('amount', r.win, 'currency', r.currency),
               CASE WHEN r.balance IS NULL THEN 'null'::jsonb
                    ELSE jsonb_build_object('amount', r.balance, 'currency', r.currency) END)
    """,
)
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
    title="play money moves between its players and the account it comes from, and real money nowhere near",
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
        SELECT 'event ' || o.event_id, 'is of play money'
        FROM outbox o JOIN players p ON p.id = o.player_key WHERE p.demo
    """,
)
SECRETS_SEALED: Final = Invariant(
    code="I9",
    name="secrets-sealed",
    title="server seeds and secrets of wallets and webhooks are sealed, API keys are hashed",
    broken="""
        SELECT 'seed ' || id AS subject, 'is not sealed, or its commitment is no SHA-256' AS detail FROM seeds
        WHERE sealed_server_seed !~ '^v1[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]{60,}$'
           OR server_seed_hash !~ '^[0-9a-f]{64}$'
        UNION ALL
        SELECT 'API key ' || id, 'its hash is no SHA-256' FROM api_keys WHERE secret_hash !~ '^[0-9a-f]{64}$'
        UNION ALL
        SELECT 'wallet of ' || operator_id, 'its secrets are not sealed' FROM operator_wallets
        WHERE sealed_secrets !~ '^v1[.][A-Za-z0-9_-]+[.][A-Za-z0-9_=-]{40,}$'
        UNION ALL
        SELECT 'webhook ' || id, 'its secrets are not sealed' FROM webhooks
        WHERE sealed_secrets !~ '^v1[.][A-Za-z0-9_-]+[.][A-Za-z0-9_=-]{40,}$'
    """,
)

INVARIANTS: Final[tuple[Invariant, ...]] = (
    TRANSFERS_BALANCE,
    BALANCES_ARE_POSTINGS,
    NEVER_OVERDRAWN,
    HOLDS_ARE_OPEN_STAKES,
    NO_HOLD_OVERDUE,
    ONE_TERMINAL,
    WALLETS_ARE_SQUARE,
    WALLET_BETS_ARE_RESOLVED,
    ROUNDS_ARE_COMPLETE,
    ACTIONS_ARE_COUNTED,
    ONE_EVENT,
    MOVEMENTS_AGREE,
    SESSIONS_AGREE,
    EVENTS_PUBLISHED,
    EVENTS_APPLIED,
    NO_INVENTED_EVENT,
    STATISTICS_ARE_ROUNDS,
    SEQUENCES_GAPLESS,
    NONCES_USED_ONCE,
    GUARDS_IN_PLACE,
    EVENTS_AGREE,
    ROWS_BELONG_TOGETHER,
    TRANSFERS_STAY_HOME,
    PLAY_MONEY_APART,
    SECRETS_SEALED,
)

# The transfers of every player in the order of their chain, for wallet.chain to verify; a player without
# transfers gives one row of nulls, so that a chain that vanished is noticed too.
CHAINS: Final = """
    SELECT p.id AS player_key, p.chain_length, p.chain_head, t.position, t.kind, t.reference, t.step,
           t.debit_account, t.credit_account, t.amount, t.currency, t.created_at, t.previous_hash, t.hash
    FROM players p LEFT JOIN transfers t ON t.player_key = p.id
    ORDER BY p.id, t.position
"""
LEDGER_SUMS: Final = (
    "SELECT currency, sum(amount)::bigint AS total FROM postings GROUP BY currency ORDER BY currency"
)
OPEN_HOLDS: Final = "SELECT count(*) FROM rounds WHERE state IN ('pending', 'awaiting_choice', 'settling')"
# What is still on its way: of these players everything, of all others what began before the moment.
UNDER_WAY: Final = """
    SELECT
        (SELECT count(*) FROM rounds WHERE state IN ('pending', 'awaiting_choice', 'settling')
            AND (player_key = ANY($1) OR created_at < $2))
        + (SELECT count(*) FROM wallet_bets b WHERE resolved_at IS NULL
            AND (player_key = ANY($1) OR asked_at < $2)
            AND NOT EXISTS (SELECT FROM rounds r
                            WHERE r.player_key = b.player_key AND r.round_id = b.round_id))
        + (SELECT count(*) FROM outbox WHERE published_at IS NULL
            AND (player_key = ANY($1) OR occurred_at < $2))
        + (SELECT count(*) FROM outbox o
           WHERE o.player_key = ANY($1) AND o.type IN ('round.settled', 'round.void') AND NOT EXISTS (
            SELECT FROM inbox i WHERE i.consumer = 'statistics' AND i.event_id = o.event_id))
"""
PLAYER_KEYS: Final = "SELECT id FROM players WHERE operator_id = $1 AND player_id = ANY($2) AND NOT demo"
ROUNDS_OF_PLAYERS: Final = "SELECT * FROM round_view WHERE player_key = ANY($1)"


async def violations(
    connection: asyncpg.Connection, invariant: Invariant, *, overdue_after_s: float
) -> Violations:
    """What breaks `invariant`. Delays of up to `overdue_after_s` seconds before the transaction began are in
    order: in one snapshot its age must not count as delay."""
    statement = f"""
        WITH overdue AS (SELECT now() - make_interval(secs => $1) AS moment)
        SELECT subject, detail, count(*) OVER () AS total FROM ({invariant.broken}) broken
        ORDER BY subject LIMIT {EXAMPLES}
    """  # noqa: S608 - put together from the constants above
    rows = await connection.fetch(statement, overdue_after_s, timeout=STATEMENT_TIMEOUT_S)
    examples = tuple(f"{row['subject']}: {row['detail']}"[:DETAIL_LIMIT] for row in rows)
    return Violations(count=rows[0]["total"] if rows else 0, examples=examples)


async def ledger_sums(connection: asyncpg.Connection) -> dict[str, int]:
    """The sum of all postings of each currency in minor units; 0 in any ledger that is in order."""
    rows = await connection.fetch(LEDGER_SUMS, timeout=STATEMENT_TIMEOUT_S)
    return {row["currency"]: row["total"] for row in rows}


async def open_holds(connection: asyncpg.Connection) -> int:
    """How many rounds hold a stake at this moment."""
    count: int = await connection.fetchval(OPEN_HOLDS, timeout=STATEMENT_TIMEOUT_S)
    return count


def chains(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Record]:
    """The rows of CHAINS one by one; needs a transaction."""
    rows: AsyncIterator[asyncpg.Record] = connection.cursor(CHAINS, prefetch=500, timeout=STATEMENT_TIMEOUT_S)
    return aiter(rows)


def rounds_of(connection: asyncpg.Connection, player_keys: Sequence[int]) -> AsyncIterator[asyncpg.Record]:
    """The players' rounds as rows of the view `round_view`, one by one; needs a transaction."""
    rows: AsyncIterator[asyncpg.Record] = connection.cursor(
        ROUNDS_OF_PLAYERS, player_keys, prefetch=500, timeout=STATEMENT_TIMEOUT_S
    )
    return aiter(rows)


async def player_keys(pool: asyncpg.Pool, *, operator_id: str, player_ids: Sequence[str]) -> list[int]:
    """Our keys of the operator's players, of those that exist."""
    return [row["id"] for row in await pool.fetch(PLAYER_KEYS, operator_id, list(player_ids))]


async def under_way(pool: asyncpg.Pool, *, player_keys: Sequence[int], began_before: datetime) -> int:
    """How many rounds and events of these players, and of all others from before the moment, are not at
    their end yet."""
    count: int = await pool.fetchval(UNDER_WAY, list(player_keys), began_before)
    return count
