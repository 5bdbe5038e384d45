-- limits: a session's limits, checked under the player's lock before a stake is taken.
--
-- The token is not trusted for any of it: the limits stand with the session, and a session without any costs no
-- more than the check of a null. The interleavings that must not hurt:
-- * A round of the session settles while the next bet is on its way. Both wait for the player's row, and the bet
--   reads the session after it: so it finds the loss that was just counted. A player has one open round of a
--   game, and a session is of one game, so nothing else of it is staked meanwhile.
-- * The session's time ends while a round is open. Only new stakes are asked about: the round settles.
-- * A player opens another session of the game in order to bet sooner. The time of the last start is the player's
--   at the game, not the session's.
-- * An action of an open round costs something more. It is asked about like a stake, with all that the round has
--   staked so far; what the round staked before is counted when it settles.

-- `code` is null when the stake is within the limits; else the failure code, and `detail` says which limit and,
-- after a space, in how many milliseconds the same stake would be taken, where that is known.
CREATE FUNCTION limit_refusal(s sessions, p_stake bigint, OUT code text, OUT detail text) LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_started timestamptz;
    v_wait_ms numeric;
BEGIN
    IF v_now >= s.created_at + make_interval(secs => (s.limits ->> 'max_session_s')::float8) THEN
        code := 'session-expired';
        detail := 'max_session_s';
    ELSIF NOT s.limits -> 'stakes' @> to_jsonb(p_stake) THEN
        code := 'stake-not-allowed';
        detail := 'stakes';
    ELSIF p_stake > (s.limits ->> 'max_stake')::bigint THEN
        code := 'limit-exceeded';
        detail := 'max_stake';
    ELSIF s.lost + p_stake > (s.limits ->> 'loss_limit')::bigint THEN
        code := 'limit-exceeded';
        detail := 'loss_limit';
    ELSIF s.limits ? 'min_cycle_ms' THEN
        SELECT started_at INTO v_started FROM round_starts
        WHERE player_key = s.player_key AND game_id = s.game_id;
        v_wait_ms := (s.limits ->> 'min_cycle_ms')::bigint - extract(epoch FROM v_now - v_started) * 1000;
        IF v_wait_ms > 0 THEN
            code := 'limit-exceeded';
            detail := 'min_cycle_ms ' || ceil(v_wait_ms);
        END IF;
    END IF;
END $$;

-- Why a round may not have staked this much altogether, once an action has added to its stake; null when it may.
CREATE FUNCTION more_refusal(s sessions, p_staked bigint) RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN clock_timestamp() >= s.created_at + make_interval(secs => (s.limits ->> 'max_session_s')::float8)
            THEN 'session-expired'
        WHEN p_staked > (s.limits ->> 'max_stake')::bigint THEN 'limit-exceeded'
        WHEN s.lost + p_staked > (s.limits ->> 'loss_limit')::bigint THEN 'limit-exceeded'
    END
$$;

-- A stake is taken: the next one's time counts from here.
CREATE FUNCTION mark_round_start(s sessions) RETURNS void LANGUAGE sql AS $$
    INSERT INTO round_starts (player_key, game_id, started_at)
    VALUES (s.player_key, s.game_id, clock_timestamp())
    ON CONFLICT (player_key, game_id) DO UPDATE SET started_at = EXCLUDED.started_at
$$;

-- What a round cost its player counts against its session's loss limit, if it has one.
CREATE FUNCTION count_loss(p_session_id text, p_stake bigint, p_win bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE sessions SET lost = lost + p_stake - p_win WHERE id = p_session_id AND limits ? 'loss_limit'
$$;

-- Fills the account of a player with demo money up to an available balance of p_amount; nothing when it has as much.
-- Once per p_reference, and never for a player of real money.
CREATE FUNCTION give_play_money_v1(
    p_operator_id text, p_player_key bigint, p_account_id bigint, p_reference text, p_amount bigint,
    p_currency text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_available bigint;
    v_play bigint;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key AND operator_id = p_operator_id AND demo FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'player % of operator % does not play with demo money', p_player_key, p_operator_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT balance - held INTO STRICT v_available FROM accounts
    WHERE id = p_account_id AND player_key = p_player_key AND currency = p_currency;
    IF v_available >= p_amount THEN
        RETURN;
    END IF;
    SELECT id INTO STRICT v_play FROM accounts
    WHERE operator_id = p_operator_id AND kind = 'play' AND currency = p_currency AND player_key IS NULL;
    UPDATE accounts SET balance = balance + p_amount - v_available WHERE id = p_account_id;
    PERFORM post_transfer(p_player_key, 'play', p_reference, v_play, p_account_id, p_amount - v_available,
                          p_currency, p_amount);
END $$;
