-- withdraw: money from the player to the operator's cash account, never more than what no open round holds.
--
-- The interleavings that must not hurt: two withdrawals, or a withdrawal and a reserve, that both read the
-- balance before either takes of it; and a deposit and a withdrawal that arrive at once with one id. All of
-- them wait for the player's row, and the check follows the lock. A transaction id names one movement of the
-- player's for ever: one that a deposit has is `reused` here, and the other way round. A refusal records
-- nothing, so the same withdrawal may come again when there is more.
CREATE FUNCTION withdraw_v1(
    p_operator_id text, p_player_key bigint, p_transaction_id text, p_amount bigint, p_currency text
) RETURNS TABLE (result text, available bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_account bigint;
    v_available bigint;
    v_cash bigint;
BEGIN
    PERFORM 1 FROM players
    WHERE id = p_player_key AND operator_id = p_operator_id AND NOT demo FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'operator % has no player % with real money', p_operator_id, p_player_key
            USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY SELECT * FROM earlier_movement(p_player_key, 'withdrawal', p_transaction_id, p_amount, p_currency);
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT id, balance - held INTO v_account, v_available FROM accounts
    WHERE player_key = p_player_key AND operator_id = p_operator_id AND currency = p_currency
      FOR NO KEY UPDATE;
    IF v_account IS NULL OR v_available < p_amount THEN
        RETURN QUERY SELECT 'insufficient-funds'::text, coalesce(v_available, 0);
        RETURN;
    END IF;

    SELECT id INTO STRICT v_cash FROM accounts
    WHERE operator_id = p_operator_id AND kind = 'cash' AND currency = p_currency AND player_key IS NULL;
    UPDATE accounts SET balance = balance - p_amount WHERE id = v_account
    RETURNING balance - held INTO STRICT v_available;
    PERFORM post_transfer(p_player_key, 'withdrawal', p_transaction_id, v_account, v_cash, p_amount, p_currency,
                          v_available);
    PERFORM record_player_event(
        p_player_key, 'wallet.withdrawn', '', NULL,
        jsonb_build_object('transaction_id', p_transaction_id, 'amount', money_json(p_amount, p_currency),
                           'balance', balance_json(v_available, p_currency)));
    RETURN QUERY SELECT 'withdrawn'::text, v_available;
END $$;
