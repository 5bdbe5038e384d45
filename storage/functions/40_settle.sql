-- settle: one transaction that fixes the outcome, moves stake and win, takes the player's next sequence
-- and records the event. The first terminal wins: a round that is closed already is answered as it stands.
-- event_data is null then, for it is not known here whether that event is out.
CREATE FUNCTION settle_round(
    p_player_key bigint, p_round_id text, p_outcome jsonb, p_win bigint
) RETURNS TABLE (closed round_view, event_data text) LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    v_event_data text;
    v_house bigint;
    v_available bigint;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT * INTO r FROM rounds WHERE player_key = p_player_key AND round_id = p_round_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no round % of player % to settle', p_round_id, p_player_key
            USING ERRCODE = 'no_data_found';
    END IF;

    IF r.state NOT IN ('settled', 'declined', 'void') THEN
        SELECT id INTO STRICT v_house FROM accounts
        WHERE operator_id = r.operator_id AND kind = 'house' AND currency = r.currency AND player_key IS NULL;
        UPDATE accounts SET held = held - r.stake, balance = balance - r.stake + p_win
        WHERE id = r.account_id RETURNING balance - held INTO STRICT v_available;

        PERFORM post_transfer(p_player_key, 'stake', p_round_id, r.account_id, v_house, r.stake, r.currency,
                              v_available - p_win);
        IF p_win > 0 THEN
            PERFORM post_transfer(p_player_key, 'win', p_round_id, v_house, r.account_id, p_win, r.currency,
                                  v_available);
        END IF;

        UPDATE players SET sequence = sequence + 1 WHERE id = p_player_key RETURNING sequence INTO r.sequence;
        UPDATE rounds SET state = 'settled', outcome = p_outcome, win = p_win, balance = v_available,
            sequence = r.sequence, event_id = gen_random_uuid(), closed_at = clock_timestamp()
        WHERE id = r.id RETURNING * INTO r;
        v_event_data := record_event(r);
    END IF;
    RETURN QUERY SELECT v, v_event_data FROM round_view v WHERE v.id = r.id;
END $$;
