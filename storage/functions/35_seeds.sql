-- rotate_seed_v1: one transaction that gives a session its next seed pair and lets the one before be revealed.
--
-- The interleavings that must not hurt:
-- * A bet is reserved at the same moment. Both wait for the player's row. If the bet is first, the rotation finds
--   its round open and is refused; if the rotation is first, the bet finds the session at its new seed. Either way
--   no round draws from a seed that somebody may know, and the trigger below refuses whatever tries it.
-- * Two rotations at once. The second one finds what the first has made: it is the same request again and answers
--   the same reveal, or another one and rotates the new seed in its turn. A seed has one successor, by a unique key.
-- * The answer is lost and the request comes again. The seed to reveal may be named by its commitment, and a
--   request that names the seed revealed last, with the client seed it was given then, answers that reveal once
--   more, whatever was played since. A request that names none is taken for a repeat as long as the new seed is
--   unused and has the client seed that is asked for: so it never reveals the new seed by mistake.

CREATE FUNCTION refuse_change_of_revealed_seed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'seed % is revealed: nothing is drawn from it any more', OLD.id
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER revealed_is_final BEFORE UPDATE ON seeds
    FOR EACH ROW WHEN (OLD.revealed_at IS NOT NULL)
    EXECUTE FUNCTION refuse_change_of_revealed_seed();

-- `verdict` is `rotated`; `replayed`; `round-open` with that round; `reused`: the seed that is named was revealed
-- with another client seed; or `unknown`: it is neither the session's current seed nor the one revealed last.
-- `revealed` is null unless it was rotated or replayed. No row when the operator's player has no such session.
CREATE FUNCTION rotate_seed_v1(
    p_operator_id text, p_player_key bigint, p_session_id text, p_client_seed text, p_expected_hash text,
    p_next_id text, p_next_sealed text, p_next_hash text
) RETURNS TABLE (verdict text, open_round text, revealed seeds, following seeds) LANGUAGE plpgsql AS $$
DECLARE
    v_session sessions;
    v_current seeds;
    v_previous seeds;
    v_open_round text;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key AND operator_id = p_operator_id FOR NO KEY UPDATE;
    SELECT * INTO v_session FROM sessions
    WHERE id = p_session_id AND operator_id = p_operator_id AND player_key = p_player_key;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO STRICT v_current FROM seeds WHERE id = v_session.seed_id;
    SELECT * INTO v_previous FROM seeds WHERE id = v_current.previous_id;

    IF p_expected_hash IS NULL AND v_previous.id IS NOT NULL
       AND v_current.next_nonce = 0 AND v_current.client_seed = p_client_seed
       OR p_expected_hash = v_previous.server_seed_hash AND v_current.client_seed = p_client_seed THEN
        RETURN QUERY SELECT 'replayed'::text, NULL::text, v_previous, v_current;
        RETURN;
    END IF;
    IF p_expected_hash <> v_current.server_seed_hash THEN
        RETURN QUERY SELECT
            CASE WHEN p_expected_hash = v_previous.server_seed_hash THEN 'reused' ELSE 'unknown' END,
            NULL::text, NULL::seeds, v_current;
        RETURN;
    END IF;

    SELECT w.round_id INTO v_open_round FROM rounds_in_the_way(p_player_key, v_session.game_id, NULL) w LIMIT 1;
    IF v_open_round IS NOT NULL THEN
        RETURN QUERY SELECT 'round-open'::text, v_open_round, NULL::seeds, v_current;
        RETURN;
    END IF;

    UPDATE seeds SET revealed_at = clock_timestamp() WHERE id = v_current.id RETURNING * INTO STRICT v_previous;
    INSERT INTO seeds (id, player_key, sealed_server_seed, server_seed_hash, client_seed, previous_id)
    VALUES (p_next_id, p_player_key, p_next_sealed, p_next_hash, p_client_seed, v_previous.id)
    RETURNING * INTO STRICT v_current;
    UPDATE sessions SET seed_id = p_next_id WHERE id = p_session_id;
    RETURN QUERY SELECT 'rotated'::text, NULL::text, v_previous, v_current;
END $$;
