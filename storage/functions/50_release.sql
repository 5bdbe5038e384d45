-- release: one transaction that gives a held stake back and closes the round as void, with its event.
--
-- The reserve whose outcome nobody knows may still be on its way. So a release that finds no round leaves
-- one that is void already, a tombstone: the late reserve finds it and holds nothing.
--
-- A round whose money an operator's wallet keeps is released the same way, with p_rolled_back, once the wallet
-- has taken the bet back: what was collected returns to the wallet. It is refused unless begin_wallet_release
-- or a person came first, or the wallet refused the win of a recorded result because the bet was rolled back there.
-- Whoever decided first gave the reason. Without p_rolled_back such a round is refused, for its bet may stand.
CREATE FUNCTION release_round(
    p_operator_id text, p_player_key bigint, p_round_id text, p_player_id text, p_account_id bigint,
    p_session_id text, p_game_id text, p_game_version text, p_currency text, p_stake bigint, p_mode text,
    p_choice jsonb, p_request_id text, p_failure_code text, p_failure_detail text,
    p_rolled_back boolean DEFAULT false, p_wallet_balance bigint DEFAULT NULL
) RETURNS SETOF round_view LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    b wallet_bets;
    v_demo boolean;
    v_found boolean;
    v_held bigint := 0;
    v_returned bigint := 0;
    v_sequence bigint;
    v_available bigint;
BEGIN
    SELECT demo INTO v_demo FROM players
    WHERE id = p_player_key AND operator_id = p_operator_id FOR NO KEY UPDATE;
    SELECT * INTO r FROM rounds WHERE player_key = p_player_key AND round_id = p_round_id;
    v_found := FOUND;

    IF v_found AND r.state IN ('settled', 'declined', 'void') THEN
        RETURN QUERY SELECT * FROM round_view v WHERE v.id = r.id;
        RETURN;
    END IF;

    SELECT * INTO b FROM wallet_bets WHERE player_key = p_player_key AND round_id = p_round_id;
    IF FOUND <> p_rolled_back
       OR (p_rolled_back AND NOT b.releasing
           AND (r.state, p_failure_code) IS DISTINCT FROM ('settling', 'rolled-back')) THEN
        RAISE EXCEPTION 'round % of player % (%) is not released this way', p_round_id, p_player_key, r.state
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    IF p_rolled_back AND b.release_code IS NOT NULL THEN
        p_failure_code := b.release_code;
        p_failure_detail := b.release_detail;
    END IF;

    IF v_found THEN
        v_held := r.stake + r.extra;
        v_returned := CASE WHEN p_rolled_back THEN v_held ELSE 0 END;
    END IF;
    -- A round's stake is held on the account that it was reserved on, whatever the bet names now.
    UPDATE accounts SET held = held - v_held, balance = balance - v_returned
    WHERE id = CASE WHEN v_found THEN r.account_id ELSE p_account_id END AND player_key = p_player_key
    RETURNING balance - held INTO STRICT v_available;
    IF v_returned > 0 THEN
        PERFORM post_transfer(p_player_key, 'returned', p_round_id, r.account_id,
                              wallet_account(r.operator_id, r.currency), v_returned, r.currency, v_available);
    END IF;
    IF p_rolled_back THEN
        UPDATE wallet_bets SET resolved_at = clock_timestamp()
        WHERE player_key = p_player_key AND round_id = p_round_id;
        v_available := coalesce(p_wallet_balance, b.balance + b.stake, v_available);
    END IF;
    UPDATE players SET sequence = sequence + 1 WHERE id = p_player_key AND NOT demo
    RETURNING sequence INTO v_sequence;

    IF v_found THEN
        UPDATE rounds SET state = 'void', win = 0, offer = NULL, decide_by = NULL, balance = v_available,
            sequence = v_sequence, event_id = CASE WHEN NOT v_demo THEN gen_random_uuid() END,
            failure_code = p_failure_code, failure_detail = p_failure_detail, closed_at = clock_timestamp()
        WHERE id = r.id RETURNING * INTO r;
    ELSE
        INSERT INTO rounds (
            operator_id, player_key, player_id, account_id, session_id, round_id, game_id, game_version,
            currency, mode, stake, choice, request_id, state, balance, sequence, event_id, failure_code,
            failure_detail, closed_at, demo, jurisdiction)
        VALUES (
            p_operator_id, p_player_key, p_player_id, p_account_id, p_session_id, p_round_id, p_game_id,
            p_game_version, p_currency, p_mode, p_stake, p_choice, p_request_id, 'void', v_available, v_sequence,
            CASE WHEN NOT v_demo THEN gen_random_uuid() END, p_failure_code, p_failure_detail, clock_timestamp(),
            v_demo, (SELECT s.jurisdiction FROM sessions s WHERE s.id = p_session_id))
        RETURNING * INTO r;
    END IF;
    PERFORM record_event(r);
    RETURN QUERY SELECT * FROM round_view v WHERE v.id = r.id;
END $$;
