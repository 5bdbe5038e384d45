-- reserve: one transaction that makes the round, holds its stake and takes the next nonce; or records the refusal.
--
-- Every operation of the ledger first locks the player's row, then touches that player's account, then
-- the seed: one order, so no two can wait for each other, and one player's operations happen one by one.
-- A round that exists already is answered as it stands, whatever state it is in: that makes a repeat
-- harmless, and it is how a stake whose release came first is refused (the release left a tombstone).
CREATE FUNCTION reserve_round_v1(p_bet bet_v1) RETURNS SETOF round_view LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    v_blocked boolean;
    v_demo boolean;
    v_available bigint;
    v_session sessions;
    v_refused record; -- refuse_bet's code and detail
BEGIN
    SELECT blocked, demo INTO STRICT v_blocked, v_demo FROM players
    WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;

    RETURN QUERY SELECT * FROM round_view v
    WHERE v.player_key = p_bet.player_key AND v.round_id = p_bet.round_id;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT balance - held INTO STRICT v_available FROM accounts
    WHERE id = p_bet.account_id AND player_key = p_bet.player_key AND currency = p_bet.currency;
    SELECT * INTO STRICT v_session FROM sessions
    WHERE id = p_bet.session_id AND player_key = p_bet.player_key AND account_id = p_bet.account_id;
    v_refused := refuse_bet(p_bet, v_session, v_blocked, v_available);
    IF v_refused.code IS NULL THEN
        UPDATE accounts SET held = held + p_bet.stake WHERE id = p_bet.account_id;
        r := begin_round(p_bet, v_session, v_demo);
    ELSE
        r := insert_round(p_bet, v_session, v_demo, 'declined', NULL, v_available, v_refused.code,
                          v_refused.detail);
    END IF;
    RETURN QUERY SELECT * FROM round_view v WHERE v.id = r.id;
END $$;
