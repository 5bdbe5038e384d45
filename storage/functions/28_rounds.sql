-- The parts that the operations on rounds share: the refusal of a bet, and the making of a round's row. The caller
-- of each holds the player's lock.

-- The player's open rounds that are in a bet's way: those of its game, and one of its own id that the operator's
-- wallet was asked for. It is inlined where it is called.
CREATE FUNCTION rounds_in_the_way(p_player_key bigint, p_game_id text, p_round_id text)
RETURNS TABLE (round_id text) LANGUAGE sql STABLE AS $$
    SELECT r.round_id::text FROM rounds r
    WHERE r.player_key = p_player_key AND r.game_id = p_game_id AND is_open(r.state)
    UNION ALL
    SELECT b.round_id::text FROM wallet_bets b
    WHERE b.player_key = p_player_key AND b.resolved_at IS NULL
      AND (b.game_id = p_game_id OR b.round_id = p_round_id)
$$;

-- Why a bet is not taken: `code` is null when it may be; `detail` says more, where there is more to say. p_available
-- is null where the operator's own wallet says whether there is enough.
CREATE FUNCTION refuse_bet(
    p_bet bet_v1, s sessions, p_blocked boolean, p_available bigint, OUT code text, OUT detail text
) LANGUAGE plpgsql AS $$
DECLARE
    v_switched_off boolean;
    v_open_round text;
BEGIN
    SELECT EXISTS (SELECT FROM game_switches g
                   WHERE g.operator_id = p_bet.operator_id AND g.game_id = p_bet.game_id AND NOT g.enabled),
           (SELECT w.round_id
            FROM rounds_in_the_way(p_bet.player_key, p_bet.game_id, p_bet.round_id) w LIMIT 1)
    INTO v_switched_off, v_open_round;
    IF v_open_round = p_bet.round_id THEN
        -- A worker that does not know yet that the operator has a wallet must not answer for it.
        RAISE EXCEPTION 'round % of player % is asked of the operator''s wallet', p_bet.round_id, p_bet.player_key
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    code := CASE
        WHEN p_blocked THEN 'player-blocked'
        WHEN s.ended_at IS NOT NULL THEN 'session-expired'
        WHEN v_switched_off THEN 'game-disabled'
        WHEN v_open_round IS NOT NULL THEN 'round-open'
    END;
    detail := CASE WHEN code = 'round-open' THEN v_open_round END;
    IF code IS NULL AND s.limits IS NOT NULL THEN
        SELECT l.code, l.detail INTO code, detail FROM limit_refusal(s, p_bet.stake) l;
    END IF;
    IF code IS NULL AND p_available < p_bet.stake THEN
        code := 'insufficient-funds';
    END IF;
END $$;

-- A round's row: the only place that makes one. A round that is closed from its first moment, since its bet was
-- refused or its release came first, takes the player's next sequence and records its event. With demo money there
-- is no sequence, and so no event.
CREATE FUNCTION insert_round(
    p_bet bet_v1, s sessions, p_demo boolean, p_state text, p_nonce bigint DEFAULT NULL,
    p_balance bigint DEFAULT NULL, p_failure_code text DEFAULT NULL, p_failure_detail text DEFAULT NULL
) RETURNS rounds LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    v_closed boolean := NOT is_open(p_state);
    v_sequence bigint;
BEGIN
    IF v_closed THEN
        v_sequence := next_sequence(p_bet.player_key);
    END IF;
    INSERT INTO rounds (
        operator_id, player_key, round_id, player_id, account_id, session_id, game_id, game_version, currency,
        stake, mode, choice, request_id,
        demo, jurisdiction, brand, seed_id, nonce,
        state, balance, failure_code, failure_detail, closed_at, sequence, event_id)
    VALUES (
        p_bet.operator_id, p_bet.player_key, p_bet.round_id, p_bet.player_id, p_bet.account_id, p_bet.session_id,
        p_bet.game_id, p_bet.game_version, p_bet.currency, p_bet.stake, p_bet.mode, p_bet.choice,
        p_bet.request_id,
        p_demo, s.jurisdiction, s.brand, CASE WHEN p_nonce IS NOT NULL THEN s.seed_id END, p_nonce,
        p_state, p_balance, p_failure_code, p_failure_detail, CASE WHEN v_closed THEN clock_timestamp() END,
        v_sequence, CASE WHEN v_sequence IS NOT NULL THEN gen_random_uuid() END)
    RETURNING * INTO r;
    IF v_closed THEN
        PERFORM record_event(r);
    END IF;
    RETURN r;
END $$;

-- A stake is taken: its round waits for its outcome, which is drawn with the next nonce of the session's seed.
CREATE FUNCTION begin_round(p_bet bet_v1, s sessions, p_demo boolean) RETURNS rounds LANGUAGE plpgsql AS $$
DECLARE
    v_nonce bigint;
BEGIN
    IF s.limits ? 'min_cycle_ms' THEN
        PERFORM mark_round_start(s);
    END IF;
    UPDATE seeds SET next_nonce = next_nonce + 1 WHERE id = s.seed_id
    RETURNING next_nonce - 1 INTO STRICT v_nonce;
    RETURN insert_round(p_bet, s, p_demo, 'pending', v_nonce);
END $$;
