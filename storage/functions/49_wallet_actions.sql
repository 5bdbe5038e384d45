-- Actions that cost something, in rounds whose money an operator's own wallet keeps: each is a bet of its own there,
-- with an id that derives from the round and the action. No function waits for a wallet; each is one transaction.
--
-- wallet_action_bets has a row for such a bet from before the wallet is first asked for it. While it has no outcome
-- the round waits on, as it did, and no other action is taken. Then the bet is `taken` (what it cost is collected and
-- held, and the action is on record), `declined` (the wallet surely never took it) or `rolled-back`; after the last
-- two the same choices stand, and the action's id is spent.
--
-- The interleavings that must not hurt:
-- * The bet's answer is lost. It is asked for once more, with the same id; is that unknown again, or refused, an
--   earlier asking may be on its way yet. Then the bet is marked `releasing`, never to be asked for again, and rolled
--   back until that is certain. The wallet remembers the rollback of a bet that it never saw.
-- * A worker dies between the wallet's yes and the ledger's. The step is taken again: it asks with the same id, and
--   the wallet says yes again and moves nothing.
-- * The round is released while the wallet is asked: wallet_bets.releasing. Nothing is taken any more, and the release
--   rolls back each bet that may be at the wallet before it closes the round. One whose asking arrives later meets
--   its rollback there.
-- * The timer's choice, or another action, while the wallet is asked: refused under the player's lock
--   (judge_action).
-- * A result is recorded while a bet is under way: it is not, for the round is `awaiting_choice` until the bet has its
--   outcome. So no win meets an unanswered bet of its round at the wallet.

CREATE FUNCTION refuse_change_of_action_bet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the wallet bet of action % of round % cannot change so', OLD.action_id, OLD.round_id
        USING ERRCODE = 'restrict_violation';
END $$;

-- One that a restore has lost is as its wallet's statement says (81_lost_rounds.sql).
CREATE TRIGGER only_forward BEFORE UPDATE ON wallet_action_bets
    FOR EACH ROW WHEN ((OLD.outcome IS NOT NULL OR OLD.releasing > NEW.releasing)
            AND OLD.refusal IS DISTINCT FROM 'round-lost'
        OR NEW.asks < OLD.asks
        OR to_jsonb(NEW) - '{asks,releasing,outcome,refusal,resolved_at}'::text[]
            IS DISTINCT FROM to_jsonb(OLD) - '{asks,releasing,outcome,refusal,resolved_at}'::text[])
    EXECUTE FUNCTION refuse_change_of_action_bet();
CREATE TRIGGER never_deleted BEFORE DELETE ON wallet_action_bets
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON wallet_action_bets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Before an action is taken. `verdict` is an ActionVerdict of contracts.actions: a choice that costs nothing is taken
-- here and now, as is any of a round of our own ledger. Or it is `ask` (the wallet may be asked for a bet of `amount`)
-- or `rollback` (that bet must be rolled back). p_several_bets says that this wallet takes several bets a round.
CREATE FUNCTION begin_wallet_action_v1(
    p_player_key bigint, p_round_id text, p_action_id text, p_action text, p_params jsonb, p_by text,
    p_request_id text, p_after int, p_transaction_id text, p_several_bets boolean
) RETURNS TABLE (standing round_view, verdict text, amount bigint) LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    a wallet_action_bets;
    v_blocked boolean;
    v_judged record; -- judge_action's verdict and debit
    v_verdict text;
BEGIN
    SELECT blocked INTO STRICT v_blocked FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT * INTO r FROM rounds WHERE player_key = p_player_key AND round_id = p_round_id;
    SELECT * INTO a FROM wallet_action_bets
    WHERE player_key = p_player_key AND round_id = p_round_id AND action_id = p_action_id;
    IF FOUND AND a.outcome IS DISTINCT FROM 'taken' THEN
        v_verdict := CASE WHEN (a.action, a.params) <> (p_action, p_params) THEN 'id-reused'
                          ELSE ask_for_action_again(a, p_request_id) END;
        RETURN QUERY SELECT v, v_verdict, a.amount FROM round_view v WHERE v.id = r.id;
        RETURN;
    END IF;

    v_judged := judge_action(r, p_action_id, p_action, p_params, p_request_id, p_after);
    IF r.id IS NULL OR v_judged.verdict IS NOT NULL OR v_judged.debit = 0 OR NOT EXISTS (
        SELECT 1 FROM wallet_bets b WHERE b.player_key = p_player_key AND b.round_id = p_round_id) THEN
        RETURN QUERY SELECT t.standing, t.verdict, 0::bigint
        FROM take_action_v1(p_player_key, p_round_id, p_action_id, p_action, p_params, p_by, p_request_id,
                            p_after) t;
        RETURN;
    END IF;
    v_verdict := CASE WHEN NOT p_several_bets THEN 'wrong-state'
                      ELSE refuse_further_stake(r, v_judged.debit, v_blocked) END;
    IF v_verdict IS NULL THEN
        v_verdict := 'ask';
        INSERT INTO wallet_action_bets (player_key, round_id, action_id, action, params, amount, taken_by,
                                        request_id, transaction_id)
        VALUES (p_player_key, p_round_id, p_action_id, p_action, p_params, v_judged.debit, p_by, p_request_id,
                p_transaction_id);
    END IF;
    RETURN QUERY SELECT v, v_verdict, v_judged.debit FROM round_view v WHERE v.id = r.id;
END $$;

-- The verdict on an action whose bet was asked for before; counts that it is asked for again.
CREATE FUNCTION ask_for_action_again(a wallet_action_bets, p_request_id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_verdict text := verdict_on_action(a, p_request_id);
BEGIN
    IF v_verdict IS NULL AND NOT a.releasing THEN
        v_verdict := 'ask';
        UPDATE wallet_action_bets SET asks = asks + 1
        WHERE player_key = a.player_key AND round_id = a.round_id AND action_id = a.action_id;
    END IF;
    RETURN coalesce(v_verdict, 'rollback');
END $$;

-- What stands of an action whose bet was asked for, null while that is open. While the round is released, the release
-- has the bet in hand.
CREATE FUNCTION verdict_on_action(a wallet_action_bets, p_request_id text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN a.outcome = 'taken' THEN CASE a.request_id WHEN p_request_id THEN 'taken' ELSE 'replayed' END
        WHEN a.outcome IS NOT NULL THEN a.refusal
        WHEN (SELECT b.releasing FROM wallet_bets b
              WHERE b.player_key = a.player_key AND b.round_id = a.round_id) THEN 'wrong-state'
    END
$$;

-- The wallet has taken the action's bet: it is collected and held beside the stake, and the action is on record.
-- `verdict` is `rollback` when the bet was given up before the answer came.
CREATE FUNCTION accept_wallet_action_v1(
    p_player_key bigint, p_round_id text, p_action_id text, p_request_id text, p_balance bigint
) RETURNS TABLE (standing round_view, verdict text) LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    a wallet_action_bets;
    v_verdict text;
    v_available bigint;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT * INTO STRICT r FROM rounds WHERE player_key = p_player_key AND round_id = p_round_id;
    SELECT * INTO STRICT a FROM wallet_action_bets
    WHERE player_key = p_player_key AND round_id = p_round_id AND action_id = p_action_id;
    v_verdict := coalesce(verdict_on_action(a, p_request_id), CASE WHEN a.releasing THEN 'rollback' END);
    IF v_verdict IS NULL THEN
        IF r.state <> 'awaiting_choice' THEN
            RAISE EXCEPTION 'round % of player % (%) does not wait for its action', p_round_id, p_player_key,
                r.state USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        UPDATE accounts SET balance = balance + a.amount, held = held + a.amount WHERE id = r.account_id
        RETURNING balance - held INTO STRICT v_available;
        PERFORM post_transfer(p_player_key, 'collected', p_round_id, wallet_account(r.operator_id, r.currency),
                              r.account_id, a.amount, r.currency, v_available, r.actions + 1);
        PERFORM record_action(r, a.action_id, a.action, a.params, a.amount, a.taken_by, a.request_id);
        UPDATE wallet_action_bets SET outcome = 'taken', resolved_at = clock_timestamp()
        WHERE player_key = p_player_key AND round_id = p_round_id AND action_id = p_action_id;
        UPDATE wallet_bets SET balance = coalesce(p_balance, balance - a.amount)
        WHERE player_key = p_player_key AND round_id = p_round_id;
        v_verdict := CASE a.request_id WHEN p_request_id THEN 'taken' ELSE 'replayed' END;
    END IF;
    RETURN QUERY SELECT v, v_verdict FROM round_view v WHERE v.id = r.id;
END $$;

-- The wallet has refused the action's bet, or was surely never reached: p_refusal is the verdict that the player gets.
-- It is null when nobody knows whether the wallet took it. A bet that was asked for more than once may be on its way
-- yet, whatever this answer says: `verdict` is `rollback`. It is `ask` when the bet is to be asked for once more.
CREATE FUNCTION refuse_wallet_action_v1(
    p_player_key bigint, p_round_id text, p_action_id text, p_request_id text, p_refusal text
) RETURNS TABLE (standing round_view, verdict text) LANGUAGE plpgsql AS $$
DECLARE
    a wallet_action_bets;
    v_verdict text;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT * INTO STRICT a FROM wallet_action_bets
    WHERE player_key = p_player_key AND round_id = p_round_id AND action_id = p_action_id;
    v_verdict := verdict_on_action(a, p_request_id);
    IF v_verdict IS NULL THEN
        v_verdict := CASE WHEN a.releasing OR a.asks > 1 THEN 'rollback' ELSE coalesce(p_refusal, 'ask') END;
        UPDATE wallet_action_bets SET releasing = v_verdict = 'rollback',
            outcome = CASE WHEN v_verdict NOT IN ('rollback', 'ask') THEN 'declined' END,
            refusal = CASE WHEN v_verdict NOT IN ('rollback', 'ask') THEN v_verdict END,
            resolved_at = CASE WHEN v_verdict NOT IN ('rollback', 'ask') THEN clock_timestamp() END
        WHERE player_key = p_player_key AND round_id = p_round_id AND action_id = p_action_id;
    END IF;
    RETURN QUERY SELECT v, v_verdict FROM round_view v
    WHERE v.player_key = p_player_key AND v.round_id = p_round_id;
END $$;

-- The wallet has rolled the action's bet back, or will never take it: the round waits with the choices that it had.
CREATE FUNCTION end_wallet_action_v1(p_player_key bigint, p_round_id text, p_action_id text, p_request_id text)
RETURNS TABLE (standing round_view, verdict text) LANGUAGE plpgsql AS $$
DECLARE
    a wallet_action_bets;
    v_verdict text;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT * INTO STRICT a FROM wallet_action_bets
    WHERE player_key = p_player_key AND round_id = p_round_id AND action_id = p_action_id;
    IF a.outcome IS NULL AND NOT a.releasing THEN
        RAISE EXCEPTION 'the bet of action % of round % is not released', p_action_id, p_round_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    v_verdict := verdict_on_action(a, p_request_id);
    IF v_verdict IS NULL THEN
        v_verdict := 'wallet-failed';
        UPDATE wallet_action_bets SET outcome = 'rolled-back', refusal = v_verdict,
            resolved_at = clock_timestamp()
        WHERE player_key = p_player_key AND round_id = p_round_id AND action_id = p_action_id;
    END IF;
    RETURN QUERY SELECT v, v_verdict FROM round_view v
    WHERE v.player_key = p_player_key AND v.round_id = p_round_id;
END $$;
