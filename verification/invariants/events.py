"""What holds of events: each is recorded once, says what happened, is published and applied."""

from typing import Final

from verification.invariants.invariant import Invariant

ONE_EVENT: Final = Invariant(
    code="I4",
    name="one-event",
    title="a round has one closing event exactly when it is closed; each event of a round is of one there is",
    # Except for demo money, and for bets that were declined before their events were recorded.
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
        FROM (SELECT *, count(*) OVER (PARTITION BY player_key, data ->> 'transaction_id') AS reported
              FROM outbox WHERE type IN ('wallet.deposited', 'wallet.withdrawn')) o
        LEFT JOIN transfers t ON t.player_key = o.player_key AND t.reference = o.data ->> 'transaction_id'
            AND t.kind = CASE o.type WHEN 'wallet.deposited' THEN 'deposit' ELSE 'withdrawal' END
        WHERE o.reported > 1
           OR (o.data -> 'amount', o.data -> 'balance') IS DISTINCT FROM (
               jsonb_build_object('amount', t.amount, 'currency', t.currency),
               jsonb_build_object('amount', least(t.available_after, 9007199254740991),
                                  'currency', t.currency))
    """,
)
SESSIONS_AGREE: Final = Invariant(
    code="I4",
    name="sessions-agree",
    title="each event of a session is of one of its player's, recorded once, and an end of one that ended",
    broken="""
        SELECT format('event %s of player %s', o.event_id, o.player_key) AS subject,
               format('%s of session %s', o.type, o.data ->> 'session_id') AS detail
        FROM (SELECT *, count(*) OVER (PARTITION BY type, data ->> 'session_id') AS reported
              FROM outbox WHERE type IN ('session.opened', 'session.ended')) o
        LEFT JOIN sessions s ON s.id = o.data ->> 'session_id' AND s.player_key = o.player_key
        WHERE s.id IS NULL OR o.reported > 1 OR s.game_id <> o.game_id
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
    # After a restore all numbers skip ahead, as its epoch says.
    broken="""
        WITH skipped AS (
            SELECT last_event,
                   coalesce(lead(last_event) OVER (ORDER BY number), 9223372036854775807) AS until,
                   sum(gap) OVER (ORDER BY number) AS numbers
            FROM ledger_epochs
        ), numbered AS (
            SELECT o.player_key, o.sequence,
                   row_number() OVER (PARTITION BY o.player_key ORDER BY o.id) + s.numbers AS place
            FROM outbox o JOIN skipped s ON o.id > s.last_event AND o.id <= s.until
        ), counted AS (
            SELECT player_key, count(*) AS events, count(*) FILTER (WHERE sequence <> place) AS misplaced
            FROM numbered GROUP BY player_key
        )
        SELECT 'player ' || p.id AS subject,
               format('sequence %s, %s events, %s out of place', p.sequence, coalesce(c.events, 0),
                      coalesce(c.misplaced, 0)) AS detail
        FROM players p LEFT JOIN counted c ON c.player_key = p.id
        WHERE p.sequence <> coalesce(c.events, 0) + (SELECT sum(gap) FROM ledger_epochs)
           OR coalesce(c.misplaced, 0) > 0
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
               CASE WHEN r.balance IS NULL AND r.state = 'declined' THEN 'null'::jsonb
                    ELSE jsonb_build_object('amount', least(greatest(r.balance, 0), 9007199254740991),
                                             'currency', r.currency) END)
    """,
)
