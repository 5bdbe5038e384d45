-- reserve: one transaction that makes the round, holds its stake and takes the next nonce; or records why not.
--
-- Every operation of the ledger first locks the player's row, then touches that player's account, then
-- the seed: one order, so no two can wait for each other, and one player's operations happen one by one.
-- A round that exists already is answered as it stands, whatever state it is in: that makes a repeat
-- harmless, and it is how a stake whose release came first is refused (the release left a tombstone).
CREATE FUNCTION reserve_round(
    p_operator_id text, p_player_key bigint, p_round_id text, p_player_id text, p_account_id bigint,
    p_session_id text, p_game_id text, p_game_version text, p_currency text, p_stake bigint, p_mode text,
    p_choice jsonb, p_request_id text
) RETURNS SETOF round_view LANGUAGE plpgsql AS $$
DECLARE
    v_blocked boolean;
    v_demo boolean;
    v_available bigint;
    v_asked record; -- the session, and whether its operator has switched the game off
    v_session sessions;
    v_open_round text;
    v_refusal text;
    v_detail text;
    v_nonce bigint;
    v_sequence bigint;
BEGIN
    SELECT blocked, demo INTO STRICT v_blocked, v_demo FROM players
    WHERE id = p_player_key AND operator_id = p_operator_id FOR NO KEY UPDATE;

    RETURN QUERY SELECT * FROM round_view v WHERE v.player_key = p_player_key AND v.round_id = p_round_id;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT balance - held INTO STRICT v_available FROM accounts
    WHERE id = p_account_id AND player_key = p_player_key AND currency = p_currency;
    SELECT s AS session, EXISTS (
        SELECT FROM game_switches g
        WHERE g.operator_id = p_operator_id AND g.game_id = p_game_id AND NOT g.enabled
    ) AS switched_off INTO STRICT v_asked FROM sessions s
    WHERE s.id = p_session_id AND s.player_key = p_player_key AND s.account_id = p_account_id;
    v_session := v_asked.session;
    SELECT round_id INTO v_open_round FROM rounds
    WHERE player_key = p_player_key AND game_id = p_game_id
      AND state IN ('pending', 'awaiting_choice', 'settling')
    UNION ALL
    SELECT round_id FROM wallet_bets
    WHERE player_key = p_player_key AND resolved_at IS NULL
      AND (game_id = p_game_id OR round_id = p_round_id)
    LIMIT 1;
    IF v_open_round = p_round_id THEN
        -- A worker that has not heard yet that the operator has a wallet must not answer for it.
        RAISE EXCEPTION 'round % of player % is asked of the operator''s wallet', p_round_id, p_player_key
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    v_refusal := CASE
        WHEN v_blocked THEN 'player-blocked'
        WHEN v_session.ended_at IS NOT NULL THEN 'session-expired'
        WHEN v_asked.switched_off THEN 'game-disabled'
        WHEN v_open_round IS NOT NULL THEN 'round-open'
    END;
    v_detail := CASE WHEN v_refusal = 'round-open' THEN v_open_round END;
    IF v_refusal IS NULL AND v_session.limits IS NOT NULL THEN
        SELECT code, detail INTO v_refusal, v_detail FROM limit_refusal(v_session, p_stake);
    END IF;
    IF v_refusal IS NULL AND v_available < p_stake THEN
        v_refusal := 'insufficient-funds';
    END IF;

    IF v_refusal IS NULL AND v_session.limits ? 'min_cycle_ms' THEN
        PERFORM mark_round_start(v_session);
    END IF;
    IF v_refusal IS NULL THEN
        UPDATE accounts SET held = held + p_stake WHERE id = p_account_id;
        UPDATE seeds SET next_nonce = next_nonce + 1 WHERE id = v_session.seed_id
        RETURNING next_nonce - 1 INTO STRICT v_nonce;
    ELSE
        -- With play money there is no number, and so no event.
        UPDATE players SET sequence = sequence + 1 WHERE id = p_player_key AND NOT demo
        RETURNING sequence INTO v_sequence;
    END IF;

    INSERT INTO rounds (
        operator_id, player_key, player_id, account_id, session_id, round_id, game_id, game_version, currency,
        mode, stake, choice, request_id, seed_id, nonce, state, balance, failure_code, failure_detail, closed_at,
        sequence, event_id, demo, jurisdiction)
    VALUES (
        p_operator_id, p_player_key, p_player_id, p_account_id, p_session_id, p_round_id, p_game_id,
        p_game_version, p_currency, p_mode, p_stake, p_choice, p_request_id,
        CASE WHEN v_refusal IS NULL THEN v_session.seed_id END, v_nonce,
        CASE WHEN v_refusal IS NULL THEN 'pending' ELSE 'declined' END,
        CASE WHEN v_refusal IS NOT NULL THEN v_available END, v_refusal,
        v_detail,
        CASE WHEN v_refusal IS NOT NULL THEN clock_timestamp() END,
        v_sequence, CASE WHEN v_sequence IS NOT NULL THEN gen_random_uuid() END, v_demo, v_session.jurisdiction);
    IF v_refusal IS NOT NULL THEN
        PERFORM record_event(r) FROM rounds r WHERE r.player_key = p_player_key AND r.round_id = p_round_id;
    END IF;
    RETURN QUERY SELECT * FROM round_view v WHERE v.player_key = p_player_key AND v.round_id = p_round_id;
END $$;
