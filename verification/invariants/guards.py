"""What holds of the guards: nonces are drawn once, what is written stays written, secrets are sealed."""

from typing import Final

from verification.invariants.invariant import Invariant

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
                     ('wallet_action_bets', 'only_forward'), ('wallet_action_bets', 'never_deleted'),
                     ('wallet_action_bets', 'never_truncated'),
                     ('wallet_attempts', 'append_only'), ('wallet_attempts', 'append_only_truncate'),
                     ('interventions', 'append_only'), ('interventions', 'append_only_truncate'),
                     ('audit_log', 'append_only'), ('audit_log', 'append_only_truncate'),
                     ('round_actions', 'append_only'), ('round_actions', 'append_only_truncate'),
                     ('seeds', 'revealed_is_final'), ('seeds', 'retired_is_not_drawn'),
                     ('incidents', 'only_forward'), ('incidents', 'never_deleted'),
                     ('incidents', 'never_truncated'),
                     ('outbox', 'recorded_once'), ('outbox', 'never_deleted'),
                     ('outbox', 'never_truncated')) g (relation, name)
        LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass(g.relation) AND t.tgname = g.name
        WHERE t.oid IS NULL OR t.tgenabled NOT IN ('O', 'A')
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
