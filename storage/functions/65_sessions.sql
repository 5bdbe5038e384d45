-- open and end of a game session, each with its event; and a later expiry for its tokens.
--
-- The interleavings that must not hurt: a session that is ended twice at once, and an end beside a bet. All of them
-- wait for the player's row, which is locked before the session's, as every operation here has it: so a second
-- end finds the first and records nothing, and a bet comes before the end or is refused. A new session takes the
-- operator's row before the player's, as 67_operators.sql says why: whoever disables the operator has that one first.

-- A new session with its first seed pair, the limits that it keeps, and the brand that its rounds and events carry.
CREATE FUNCTION open_session_v2(
    p_id text, p_operator_id text, p_player_key bigint, p_account_id bigint, p_game_id text, p_currency text,
    p_mode text, p_seed_id text, p_sealed_server_seed text, p_server_seed_hash text, p_client_seed text,
    p_expires_at timestamptz, p_jurisdiction text, p_limits jsonb, p_brand text
) RETURNS sessions LANGUAGE plpgsql AS $$
DECLARE
    v_session sessions;
BEGIN
    PERFORM 1 FROM operators WHERE id = p_operator_id AND disabled_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'operator % is disabled', p_operator_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM 1 FROM players WHERE id = p_player_key AND operator_id = p_operator_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'operator % has no player %', p_operator_id, p_player_key
            USING ERRCODE = 'no_data_found';
    END IF;
    INSERT INTO seeds (id, player_key, sealed_server_seed, server_seed_hash, client_seed)
    VALUES (p_seed_id, p_player_key, p_sealed_server_seed, p_server_seed_hash, p_client_seed);
    INSERT INTO sessions (id, operator_id, player_key, account_id, game_id, currency, mode, seed_id, expires_at,
                          jurisdiction, limits, brand)
    VALUES (p_id, p_operator_id, p_player_key, p_account_id, p_game_id, p_currency, p_mode, p_seed_id,
            p_expires_at, p_jurisdiction, p_limits, p_brand)
    RETURNING * INTO v_session;
    PERFORM record_player_event(
        p_player_key, 'session.opened', p_game_id, NULL,
        jsonb_build_object('session_id', p_id, 'game', jsonb_build_object('id', p_game_id),
                           'currency', p_currency, 'expires_at', event_time(p_expires_at))
        || brand_json(p_brand));
    RETURN v_session;
END $$;

-- As programs without brands call it.
CREATE FUNCTION open_session_v1(
    p_id text, p_operator_id text, p_player_key bigint, p_account_id bigint, p_game_id text, p_currency text,
    p_mode text, p_seed_id text, p_sealed_server_seed text, p_server_seed_hash text, p_client_seed text,
    p_expires_at timestamptz, p_jurisdiction text, p_limits jsonb
) RETURNS sessions LANGUAGE sql AS $$
    SELECT open_session_v2(p_id, p_operator_id, p_player_key, p_account_id, p_game_id, p_currency, p_mode, p_seed_id,
                           p_sealed_server_seed, p_server_seed_hash, p_client_seed, p_expires_at, p_jurisdiction,
                           p_limits, NULL)
$$;

-- When the session's tokens expire from now on: never before they did. Null when it has ended, or was never there.
CREATE FUNCTION prolong_session_v1(p_id text, p_operator_id text, p_until timestamptz) RETURNS timestamptz
LANGUAGE sql AS $$
    UPDATE sessions SET expires_at = greatest(expires_at, p_until)
    WHERE id = p_id AND operator_id = p_operator_id AND ended_at IS NULL
    RETURNING expires_at
$$;

-- Whether the operator has such a session. Ending it twice changes nothing.
CREATE FUNCTION end_session_v1(p_id text, p_operator_id text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_session sessions;
BEGIN
    SELECT * INTO v_session FROM sessions WHERE id = p_id AND operator_id = p_operator_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM players WHERE id = v_session.player_key FOR NO KEY UPDATE;
    UPDATE sessions SET ended_at = clock_timestamp() WHERE id = p_id AND ended_at IS NULL;
    IF FOUND THEN
        PERFORM record_player_event(
            v_session.player_key, 'session.ended', v_session.game_id, NULL,
            jsonb_build_object('session_id', p_id, 'game', jsonb_build_object('id', v_session.game_id),
                               'currency', v_session.currency) || brand_json(v_session.brand));
    END IF;
    RETURN true;
END $$;
