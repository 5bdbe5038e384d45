-- release: one transaction that releases a held stake and closes the round as void, with its event.
--
-- A reserve whose outcome is unknown may still be on its way. So a release that finds no round leaves
-- one that is void already, a tombstone: the late reserve finds it and holds nothing.
--
-- A round whose money an operator's wallet keeps is released the same way, with p_rolled_back, once the wallet has
-- taken back the bet, and those of the round's actions: what was collected returns to the wallet. It is refused unless
-- begin_wallet_release_v1 or a manual intervention came first, or the wallet refused the win of a recorded result
-- because the bet was rolled back there. It is refused, too, while a rollback of a round with actions is not on record:
-- a worker of a release before knows of the first bet alone, and its step waits for one that knows them all. The first
-- decision's reason stands. Without p_rolled_back such a round is refused, for its bet may stand.
CREATE FUNCTION release_round_v1(
    p_bet bet_v1, p_failure_code text, p_failure_detail text,
    p_rolled_back boolean DEFAULT false, p_wallet_balance bigint DEFAULT NULL
) RETURNS SETOF round_view LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    b wallet_bets;
    v_session sessions;
    v_demo boolean;
    v_available bigint;
    v_staked bigint;
BEGIN
    SELECT demo INTO v_demo FROM players
    WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;
    SELECT * INTO r FROM rounds WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    IF FOUND AND NOT is_open(r.state) THEN
        RETURN QUERY SELECT * FROM round_view v WHERE v.id = r.id;
        RETURN;
    END IF;

    SELECT * INTO b FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    IF FOUND <> p_rolled_back
       OR (p_rolled_back AND NOT b.releasing
           AND (r.state, p_failure_code) IS DISTINCT FROM ('settling', 'rolled-back'))
       OR (p_rolled_back AND action_bets_stand(p_bet.player_key, p_bet.round_id)) THEN
        RAISE EXCEPTION 'round % of player % (%) is not released this way',
            p_bet.round_id, p_bet.player_key, r.state USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF p_rolled_back AND b.release_code IS NOT NULL THEN
        p_failure_code := b.release_code;
        p_failure_detail := b.release_detail;
    END IF;

    v_available := release_hold(p_bet, r, p_rolled_back);
    IF p_rolled_back THEN
        UPDATE wallet_bets SET resolved_at = clock_timestamp()
        WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
        UPDATE wallet_action_bets SET outcome = 'rolled-back', refusal = 'round-closed',
            resolved_at = clock_timestamp()
        WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id AND outcome IS NULL;
        v_staked := b.stake + coalesce(r.extra, 0);
        v_available := coalesce(p_wallet_balance, -- null where the wallet said none that a client is shown
            CASE WHEN b.balance <= 9007199254740991 - v_staked THEN b.balance + v_staked END);
    END IF;

    IF r.id IS NULL THEN
        SELECT * INTO v_session FROM sessions WHERE id = p_bet.session_id;
        r := insert_round(p_bet, v_session, v_demo, 'void', NULL, v_available, p_failure_code, p_failure_detail);
    ELSE
        r.sequence := next_sequence(p_bet.player_key);
        UPDATE rounds SET state = 'void', win = 0, offer = NULL, decide_by = NULL, balance = v_available,
            sequence = r.sequence, event_id = CASE WHEN NOT v_demo THEN gen_random_uuid() END,
            failure_code = p_failure_code, failure_detail = p_failure_detail, closed_at = clock_timestamp()
        WHERE id = r.id RETURNING * INTO r;
        PERFORM record_event(r);
    END IF;
    RETURN QUERY SELECT * FROM round_view v WHERE v.id = r.id;
END $$;

-- Whether an action's bet may be at the wallet of a round that is released. Each rollback has one id, so the round's
-- rollbacks that the wallet has taken are counted: one for the bet that it began with, and one for each bet of an
-- action that is under way, taken, or was rolled back before. The operator may have refunded them by other means.
CREATE FUNCTION action_bets_stand(p_player_key bigint, p_round_id text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT count(*) FILTER (WHERE outcome IS NULL OR outcome = 'taken') > 0
        AND 1 + count(*) > (
            SELECT count(DISTINCT t.transaction_id) FROM wallet_attempts t
            WHERE t.player_key = p_player_key AND t.round_id = p_round_id AND t.call = 'rollback'
              AND (t.verdict = 'accepted' OR t.code = 'rolled-back'))
        AND NOT EXISTS (
            SELECT FROM interventions i
            WHERE i.player_key = p_player_key AND i.round_id = p_round_id AND i.action = 'refunded-outside'
              AND i.verdict = 'accepted')
    FROM wallet_action_bets
    WHERE player_key = p_player_key AND round_id = p_round_id AND outcome IS DISTINCT FROM 'declined'
$$;

-- Releases what the round holds: to what is available, or to the operator's wallet that it was collected from.
-- Returns what is available then. Nothing is held while there is no round. A stake is held on the account that it
-- was reserved on, whatever the bet names now.
CREATE FUNCTION release_hold(p_bet bet_v1, r rounds, p_rolled_back boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_held bigint := coalesce(r.stake + r.extra, 0);
    v_returned bigint := CASE WHEN p_rolled_back THEN v_held ELSE 0 END;
    v_available bigint;
BEGIN
    UPDATE accounts SET held = held - v_held, balance = balance - v_returned
    WHERE id = coalesce(r.account_id, p_bet.account_id) AND player_key = p_bet.player_key
    RETURNING balance - held INTO STRICT v_available;
    IF v_returned > 0 THEN
        PERFORM post_transfer(p_bet.player_key, 'returned', p_bet.round_id, r.account_id,
                              wallet_account(r.operator_id, r.currency), v_returned, r.currency, v_available);
    END IF;
    RETURN v_available;
END $$;
