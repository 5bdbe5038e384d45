-- A manual intervention in a round that does not come to its end by itself: decided and recorded in one
-- transaction, under the player's lock, so that of two interventions, or of one and a worker, one comes first.
--
-- The interleavings that must not hurt:
-- * An intervention voids a round whose win is on its way to the wallet. The round is marked as being released and
--   keeps its result, so that both ends are open: a wallet that takes the win closes it as settled, one that takes
--   the rollback as void. The wallet takes only one of the two, and release_round_v1 and settle_round_v1 close only
--   once.
-- * The operator has paid, or refunded, by other means, while a worker's call is under way. The round closes here;
--   whatever the call comes to finds it closed.
-- * The step that puts the intervention to the ledger commits and its answer is lost. The repeat has the same id, and
--   answers what the first one did.

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON interventions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON interventions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- `verdict` is `accepted` or `refused`, of this intervention or of the first one with its id. `standing` is the
-- round as it is now, null while the wallet has not answered for the stake; `being_released` says that it is open
-- and on its way to void.
CREATE FUNCTION intervene_round_v1(p_bet bet_v1, p_id uuid, p_action text, p_reason text, p_actor text)
RETURNS TABLE (standing round_view, verdict text, being_released boolean) LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    b wallet_bets;
    v_verdict text;
    v_at_wallet boolean;
    v_open boolean;
    v_being_released boolean;
BEGIN
    PERFORM 1 FROM players WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;
    SELECT i.verdict INTO v_verdict FROM interventions i
    WHERE i.id = p_id AND (i.player_key, i.round_id, i.action) = (p_bet.player_key, p_bet.round_id, p_action);

    IF NOT FOUND THEN
        SELECT * INTO r FROM rounds WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
        v_open := FOUND AND is_open(r.state);
        SELECT * INTO b FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
        v_at_wallet := FOUND;
        v_open := v_open OR (v_at_wallet AND b.resolved_at IS NULL);

        v_verdict := CASE WHEN v_open AND CASE p_action
            WHEN 'retry-now' THEN true
            WHEN 'void' THEN coalesce(is_open(r.state), true)
            WHEN 'paid-outside' THEN v_at_wallet AND coalesce(r.state = 'settling', false) AND NOT b.releasing
            WHEN 'refunded-outside' THEN v_at_wallet AND (coalesce(r.state = 'settling', false) OR b.releasing)
            ELSE false
        END THEN 'accepted' ELSE 'refused' END;
        INSERT INTO interventions (id, operator_id, player_key, round_id, action, reason, actor, state_before,
                                   verdict)
        VALUES (p_id, p_bet.operator_id, p_bet.player_key, p_bet.round_id, p_action, p_reason, p_actor, r.state,
                v_verdict);

        IF v_verdict = 'accepted' AND p_action = 'paid-outside' THEN
            PERFORM settle_round_v1(p_bet.player_key, p_bet.round_id, NULL, NULL, true, NULL);
        ELSIF v_verdict = 'accepted' AND p_action IN ('void', 'refunded-outside') THEN
            UPDATE wallet_bets SET releasing = true, release_code = 'voided-by-operator',
                release_detail = p_reason
            WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id AND NOT releasing;
            IF p_action = 'refunded-outside' OR NOT v_at_wallet THEN
                PERFORM release_round_v1(p_bet, 'voided-by-operator', p_reason, v_at_wallet, NULL);
            END IF;
        END IF;
    END IF;

    SELECT * INTO b FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    v_being_released := coalesce(b.releasing AND b.resolved_at IS NULL, false);
    RETURN QUERY SELECT v, v_verdict, v_being_released FROM round_view v
    WHERE v.player_key = p_bet.player_key AND v.round_id = p_bet.round_id;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::round_view, v_verdict, v_being_released;
    END IF;
END $$;
