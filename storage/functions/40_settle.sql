-- settle: one transaction that fixes the outcome, moves stake and win, takes the player's next sequence
-- and records the event. The first terminal wins: a round that is closed already is answered as it stands.
-- event_data is null then, for it is not known here whether that event is out. p_actions says how many actions
-- the outcome was computed from: the round must have as many.
--
-- A round whose money an operator's wallet keeps is settled the same way, with p_wallet_paid, once its result is
-- recorded and the wallet has taken the win: outcome and win are those on record, the win leaves the mirror for
-- the wallet, and the balance is the wallet's. Without p_wallet_paid such a round is refused, and with it any
-- other: a worker that knows the operator's wallet and one that does not could otherwise both close it.
--
-- A round of demo money is settled the same way against the account that demo money comes from, and it takes no
-- sequence and has no event: no consumer of events counts it.
CREATE FUNCTION settle_round_v1(
    p_player_key bigint, p_round_id text, p_outcome jsonb, p_win bigint,
    p_wallet_paid boolean DEFAULT false, p_wallet_balance bigint DEFAULT NULL, p_actions int DEFAULT NULL
) RETURNS TABLE (closed round_view, event_data text) LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    b wallet_bets;
    v_event_data text;
    v_house bigint;
    v_win bigint := p_win;
    v_paid bigint := 0;
    v_available bigint;
    v_staked bigint;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT * INTO r FROM rounds WHERE player_key = p_player_key AND round_id = p_round_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no round % of player % to settle', p_round_id, p_player_key
            USING ERRCODE = 'no_data_found';
    END IF;

    IF is_open(r.state) THEN
        SELECT * INTO b FROM wallet_bets WHERE player_key = p_player_key AND round_id = p_round_id;
        IF FOUND <> p_wallet_paid OR (p_wallet_paid AND r.state <> 'settling')
           OR (NOT p_wallet_paid AND (r.state <> 'pending' OR r.actions <> p_actions)) THEN
            RAISE EXCEPTION 'round % of player % (%) is not settled this way', p_round_id, p_player_key, r.state
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        IF p_wallet_paid THEN
            v_win := r.win;
            v_paid := r.win;
            p_outcome := r.outcome;
        END IF;

        SELECT id INTO STRICT v_house FROM accounts
        WHERE operator_id = r.operator_id AND kind = CASE WHEN r.demo THEN 'play' ELSE 'house' END
          AND currency = r.currency AND player_key IS NULL;
        v_staked := r.stake + r.extra;
        UPDATE accounts SET held = held - v_staked, balance = balance - v_staked + v_win - v_paid
        WHERE id = r.account_id RETURNING balance - held INTO STRICT v_available;

        PERFORM post_transfer(p_player_key, 'stake', p_round_id, r.account_id, v_house, v_staked, r.currency,
                              v_available + v_paid - v_win);
        IF v_win > 0 THEN
            PERFORM post_transfer(p_player_key, 'win', p_round_id, v_house, r.account_id, v_win, r.currency,
                                  v_available + v_paid);
        END IF;
        IF v_paid > 0 THEN
            PERFORM post_transfer(p_player_key, 'paid', p_round_id, r.account_id,
                                  wallet_account(r.operator_id, r.currency), v_paid, r.currency, v_available);
        END IF;
        IF p_wallet_paid THEN
            UPDATE wallet_bets SET resolved_at = clock_timestamp()
            WHERE player_key = p_player_key AND round_id = p_round_id;
            v_available := coalesce(p_wallet_balance, -- null where the wallet said none that a client is shown
                CASE WHEN b.balance <= 9007199254740991 - v_win THEN b.balance + v_win END);
        END IF;

        PERFORM count_loss(r.session_id, v_staked, v_win);
        r.sequence := next_sequence(p_player_key);
        UPDATE rounds SET state = 'settled', outcome = p_outcome, win = v_win, balance = v_available,
            sequence = r.sequence, event_id = CASE WHEN NOT demo THEN gen_random_uuid() END,
            closed_at = clock_timestamp()
        WHERE id = r.id RETURNING * INTO r;
        v_event_data := record_event(r);
    END IF;
    RETURN QUERY SELECT v, v_event_data FROM round_view v WHERE v.id = r.id;
END $$;
