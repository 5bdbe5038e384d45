-- The pieces of the ledger that its four operations share.

-- One round with what its answer shows of its seed. Available balance, not the ledger's, is what players see. A view
-- that programs read keeps its columns in their order, so a new one comes last.
CREATE VIEW round_view AS
SELECT r.id, r.operator_id, r.player_key, r.player_id, r.account_id, r.session_id, r.round_id, r.game_id,
       r.game_version, r.currency, r.mode, r.stake, r.choice, r.request_id, r.seed_id, r.nonce, r.state, r.outcome,
       r.win, r.balance, r.sequence, r.event_id, r.failure_code, r.failure_detail, r.created_at, r.closed_at,
       r.demo, r.jurisdiction, r.extra, r.actions, r.offer, r.decide_by,
       s.server_seed_hash, s.client_seed, s.sealed_server_seed,
       extract(epoch FROM r.decide_by - clock_timestamp())::float8 AS left_s,
       CASE WHEN r.actions > 0 THEN (
           SELECT jsonb_agg(jsonb_build_object(
               'action_id', a.action_id, 'action', a.action, 'params', a.params, 'debit', a.debit,
               'by', a.taken_by, 'at', to_char(a.taken_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
               ORDER BY a.ordinal)
           FROM round_actions a WHERE a.player_key = r.player_key AND a.round_id = r.round_id) END AS taken,
       CASE WHEN r.state = 'awaiting_choice' THEN (
           SELECT jsonb_build_object(
               'action_id', b.action_id, 'chosen', jsonb_build_object('action', b.action, 'params', b.params),
               'request_id', b.request_id, 'by', b.taken_by)
           FROM wallet_action_bets b
           WHERE b.player_key = r.player_key AND b.round_id = r.round_id AND b.outcome IS NULL) END AS asked,
       r.brand
FROM rounds r LEFT JOIN seeds s ON s.id = r.seed_id;

-- SHA-256 over the previous link and this transfer's fields, so that changing, removing or moving any
-- transfer breaks every later link of its player. verification/chain.py computes the same independently.
CREATE FUNCTION transfer_digest(
    previous bytea, player_key bigint, chain_position bigint, kind text, reference text, step int,
    debit_account bigint, credit_account bigint, amount bigint, currency text, created_at timestamptz
) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(previous || convert_to(concat_ws('|',
        player_key, chain_position, kind, reference, step, debit_account, credit_account, amount, currency,
        to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), 'UTF8'))
$$;

-- Moves an amount between two accounts: the transfer, its two postings, the next link of the chain. p_step tells
-- transfers of one kind and reference apart. The caller holds the player's lock.
CREATE FUNCTION post_transfer(
    p_player_key bigint, p_kind text, p_reference text, p_debit bigint, p_credit bigint,
    p_amount bigint, p_currency text, p_available_after bigint, p_step int DEFAULT 0
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_position bigint;
    v_previous bytea;
    v_hash bytea;
    v_at timestamptz := clock_timestamp();
    v_transfer bigint;
BEGIN
    SELECT chain_length + 1, chain_head INTO STRICT v_position, v_previous
    FROM players WHERE id = p_player_key;
    v_hash := transfer_digest(v_previous, p_player_key, v_position, p_kind, p_reference, p_step,
                              p_debit, p_credit, p_amount, p_currency, v_at);
    INSERT INTO transfers (player_key, position, kind, reference, step, debit_account, credit_account, amount,
                           currency, available_after, previous_hash, hash, created_at)
    VALUES (p_player_key, v_position, p_kind, p_reference, p_step, p_debit, p_credit, p_amount,
            p_currency, p_available_after, v_previous, v_hash, v_at)
    RETURNING id INTO v_transfer;
    INSERT INTO postings (transfer_id, account_id, amount, currency)
    VALUES (v_transfer, p_debit, -p_amount, p_currency), (v_transfer, p_credit, p_amount, p_currency);
    UPDATE players SET chain_length = v_position, chain_head = v_hash WHERE id = p_player_key;
END $$;

CREATE FUNCTION money_json(amount bigint, currency text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('amount', amount, 'currency', currency)
$$;

-- A balance as clients are shown it: at most the largest integer that every JSON client reads exactly. Only wins lift
-- one above that.
CREATE FUNCTION balance_json(balance bigint, currency text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT money_json(least(balance, 9007199254740991), currency)
$$;

-- The brand as the data of an event has it: nothing where there is none.
CREATE FUNCTION brand_json(brand text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN brand IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('brand', brand) END
$$;

-- The data of a round's event, read from the closed round alone.
CREATE FUNCTION round_event_data(r rounds) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'round_id', r.round_id, 'player_id', r.player_id, 'session_id', r.session_id,
        'game', jsonb_build_object('id', r.game_id, 'version', r.game_version), 'mode', r.mode,
        'stake', money_json(r.stake + r.extra, r.currency), 'win', money_json(r.win, r.currency),
        -- What the player could bet: nothing where the operator's wallet says less, or cannot say it. Of a bet that
        -- it declined it is null then.
        'balance', CASE WHEN r.balance IS NOT NULL OR r.state <> 'declined'
            THEN balance_json(greatest(r.balance, 0), r.currency) END,
        CASE r.state WHEN 'settled' THEN 'settled_at' ELSE 'closed_at' END,
        to_char(r.closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        || CASE WHEN r.failure_code IS NULL THEN '{}'::jsonb
                ELSE jsonb_build_object('failure', jsonb_build_object('code', r.failure_code)) END
        || jsonb_build_object('request_id', r.request_id) || brand_json(r.brand)
$$;
