-- deposit: money from the operator's cash account to the player. The transaction id makes it happen once:
-- a repeat answers `replayed` with what the first one left, another amount or currency answers `reused`, and
-- so does the id of a withdrawal. A balance beyond 2^52 - 1 is refused, `too-much`: what JSON clients read exactly
-- ends at 2^53 - 1, and as much again is room for wins. A player of demo money has no real money, and none comes in.
CREATE FUNCTION deposit_v1(
    p_operator_id text, p_player_key bigint, p_account_id bigint, p_transaction_id text, p_amount bigint,
    p_currency text
) RETURNS TABLE (result text, available bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_cash bigint;
    v_available bigint;
    v_balance bigint;
BEGIN
    PERFORM 1 FROM players
    WHERE id = p_player_key AND operator_id = p_operator_id AND NOT demo FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'operator % has no player % with real money', p_operator_id, p_player_key
            USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY SELECT * FROM earlier_movement(p_player_key, 'deposit', p_transaction_id, p_amount, p_currency);
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT balance - held, balance INTO STRICT v_available, v_balance FROM accounts
    WHERE id = p_account_id AND player_key = p_player_key AND currency = p_currency
      FOR NO KEY UPDATE;
    IF v_balance > 4503599627370495 - p_amount THEN
        RETURN QUERY SELECT 'too-much'::text, v_available;
        RETURN;
    END IF;
    SELECT id INTO STRICT v_cash FROM accounts
    WHERE operator_id = p_operator_id AND kind = 'cash' AND currency = p_currency AND player_key IS NULL;
    UPDATE accounts SET balance = balance + p_amount
    WHERE id = p_account_id AND player_key = p_player_key AND currency = p_currency
    RETURNING balance - held INTO STRICT v_available;
    PERFORM post_transfer(p_player_key, 'deposit', p_transaction_id, v_cash, p_account_id, p_amount, p_currency,
                          v_available);
    PERFORM record_player_event(
        p_player_key, 'wallet.deposited', '', NULL,
        jsonb_build_object('transaction_id', p_transaction_id, 'amount', money_json(p_amount, p_currency),
                           'balance', balance_json(v_available, p_currency)));
    RETURN QUERY SELECT 'deposited'::text, v_available;
END $$;

-- The result that a transaction id had before: `replayed` with what was available after it, or `reused` when it was
-- another movement's. No row when it is new.
CREATE FUNCTION earlier_movement(
    p_player_key bigint, p_kind text, p_transaction_id text, p_amount bigint, p_currency text
) RETURNS TABLE (result text, available bigint) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN (t.kind, t.amount, t.currency) = (p_kind, p_amount, p_currency)
                THEN 'replayed' ELSE 'reused' END,
           t.available_after
    FROM transfers t
    WHERE t.player_key = p_player_key AND t.reference = p_transaction_id AND t.kind IN ('deposit', 'withdrawal')
$$;
