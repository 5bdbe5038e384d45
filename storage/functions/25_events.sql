-- Events: recorded by the transaction that makes them true, each with its player's next sequence, so that a
-- player's events have no gap and never go back. Every event of a player's is recorded by one of the two functions
-- here, under the player's lock. A player without a sequence, which is every player with demo money, has no events.

-- A moment as the data of events has it: RFC 3339, UTC.
CREATE FUNCTION event_time(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- The next number of the player's events, for what is committed with it; null for a player with demo money.
CREATE FUNCTION next_sequence(p_player_key bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_sequence bigint;
BEGIN
    UPDATE players SET sequence = sequence + 1 WHERE id = p_player_key AND NOT demo
    RETURNING sequence INTO v_sequence;
    RETURN v_sequence;
END $$;

-- Puts a closed round's event into the outbox, with the sequence that the round was given as it closed. Returns
-- the event's data, null for a round without a sequence.
CREATE FUNCTION record_event(r rounds) RETURNS text LANGUAGE sql AS $$
    INSERT INTO outbox (event_id, type, operator_id, player_key, game_id, subject, sequence, data, occurred_at)
    SELECT r.event_id, 'round.' || r.state, r.operator_id, r.player_key, r.game_id, r.round_id, r.sequence,
           round_event_data(r), r.closed_at
    WHERE r.sequence IS NOT NULL
    RETURNING data::text
$$;

-- Any other event: takes the player's next sequence. p_game_id is empty for what belongs to no game; p_subject is
-- null for what is about the player. The data always names the player.
CREATE FUNCTION record_player_event(
    p_player_key bigint, p_type text, p_game_id text, p_subject text, p_data jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_sequence bigint := next_sequence(p_player_key);
BEGIN
    INSERT INTO outbox (event_id, type, operator_id, player_key, game_id, subject, sequence, data, occurred_at)
    SELECT gen_random_uuid(), p_type, p.operator_id, p.id, p_game_id, coalesce(p_subject, p.player_id),
           v_sequence, jsonb_build_object('player_id', p.player_id) || p_data, clock_timestamp()
    FROM players p WHERE p.id = p_player_key AND v_sequence IS NOT NULL;
END $$;

-- A round that stays open until its player has chosen: its first offer. The relay publishes it.
CREATE FUNCTION record_round_opened(r rounds, p_choices jsonb, p_decide_by timestamptz) RETURNS void
LANGUAGE sql AS $$
    SELECT record_player_event(
        r.player_key, 'round.opened', r.game_id, r.round_id,
        jsonb_build_object(
            'round_id', r.round_id, 'session_id', r.session_id, 'request_id', r.request_id,
            'game', jsonb_build_object('id', r.game_id, 'version', r.game_version), 'mode', r.mode,
            'stake', money_json(r.stake + r.extra, r.currency), 'choices', p_choices,
            'decide_by', event_time(p_decide_by)) || brand_json(r.brand))
$$;

-- Distinguishes the contents of a game client's event from any other; jsonb prints one value in one way.
CREATE FUNCTION game_event_digest(p_event jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(sha256(convert_to(p_event::text, 'UTF8')), 'hex')
$$;

-- Records the events that a game client reports, all or none: `recorded`; `reused` with the id of an event that was
-- reported before, or in the same call, with other contents; `too-many` when the session would have reported more
-- than p_limit within a minute; `unknown` when the player has no such session. An event that was reported before
-- with the same contents is skipped, and does not count. p_events is an array of {event_id, type, at, data}.
--
-- The interleaving that must not hurt: one event reported twice at once. Both wait for the player's row, and the
-- second finds what the first has left.
CREATE FUNCTION record_game_events_v1(
    p_operator_id text, p_player_key bigint, p_session_id text, p_events jsonb, p_limit int
) RETURNS TABLE (verdict text, event_id text) LANGUAGE plpgsql AS $$
DECLARE
    v_session sessions;
    v_reused text;
    v_recent int;
    v_new jsonb[];
    e jsonb;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key AND operator_id = p_operator_id FOR NO KEY UPDATE;
    SELECT * INTO v_session FROM sessions
    WHERE id = p_session_id AND operator_id = p_operator_id AND player_key = p_player_key;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown'::text, NULL::text;
        RETURN;
    END IF;

    SELECT known.id INTO v_reused FROM (
        SELECT sent ->> 'event_id' AS id, game_event_digest(sent) AS digest
        FROM jsonb_array_elements(p_events) sent
        UNION
        SELECT g.event_id, g.digest FROM game_events g
        WHERE g.player_key = p_player_key
          AND g.event_id IN (SELECT sent ->> 'event_id' FROM jsonb_array_elements(p_events) sent)
    ) known
    GROUP BY known.id HAVING count(*) > 1 LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT 'reused'::text, v_reused;
        RETURN;
    END IF;

    SELECT array_agg(fresh.sent ORDER BY fresh.place) INTO v_new FROM (
        SELECT DISTINCT ON (sent ->> 'event_id') sent, place
        FROM jsonb_array_elements(p_events) WITH ORDINALITY AS listed (sent, place)
        WHERE NOT EXISTS (SELECT FROM game_events g
                          WHERE g.player_key = p_player_key AND g.event_id = sent ->> 'event_id')
        ORDER BY sent ->> 'event_id', place
    ) fresh;
    -- Reads no more than the limit, for no session has more within a minute.
    SELECT count(*) INTO v_recent FROM game_events g
    WHERE g.session_id = p_session_id AND g.created_at > clock_timestamp() - interval '1 minute';
    IF v_recent + cardinality(v_new) > p_limit THEN
        RETURN QUERY SELECT 'too-many'::text, NULL::text;
        RETURN;
    END IF;

    FOREACH e IN ARRAY coalesce(v_new, '{}') LOOP
        INSERT INTO game_events (player_key, event_id, session_id, digest)
        VALUES (p_player_key, e ->> 'event_id', p_session_id, game_event_digest(e));
        PERFORM record_player_event(
            p_player_key, 'game.event', v_session.game_id, NULL,
            jsonb_build_object('session_id', p_session_id, 'game', jsonb_build_object('id', v_session.game_id))
            || brand_json(v_session.brand) || e);
    END LOOP;
    RETURN QUERY SELECT 'recorded'::text, NULL::text;
END $$;
