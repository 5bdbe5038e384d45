-- Rounds that wait for their player: an offer is recorded, one action is taken from it, and so on until the
-- round is settled or released. Between an action and what follows from it the round is `pending`, as before
-- its first outcome: it can only be computed further, or be released.
--
-- The interleavings that must not hurt:
-- * Two actions at once, or one of the player and one of the timer. Each is taken under the player's lock from the
--   offer that stands; the second finds the round pending, or an offer that is not the one it answers.
-- * The step that took an action commits and its answer is lost. The repeat has the same id and finds it taken;
--   the outcome after it is computed again, and is the same.
-- * A worker that computed the outcome after n actions comes late, when n + 1 are taken: open_round_v1 and
--   settle_round_v1 refuse what was computed from another number of actions than the round has.
-- * The round is released while its player decides. The release closes it, or has marked its wallet bet; either
--   way no action is taken and no offer is made any more.
-- * An action that costs something while another game of the player spends the same money: what it costs is held
--   under the player's lock from what is available, as a stake is.

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON round_actions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON round_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Records a step that leaves the round open, computed after p_actions of them. A round that is not waiting
-- for this step is answered as it stands.
CREATE FUNCTION open_round_v1(
    p_player_key bigint, p_round_id text, p_actions int, p_outcome jsonb, p_offer jsonb, p_decide_within_s int
) RETURNS SETOF round_view LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    UPDATE rounds SET state = 'awaiting_choice', outcome = p_outcome, offer = p_offer,
        decide_by = clock_timestamp() + p_decide_within_s * interval '1 second'
    WHERE player_key = p_player_key AND round_id = p_round_id AND state = 'pending' AND actions = p_actions
      AND NOT EXISTS (SELECT 1 FROM wallet_bets b
                      WHERE b.player_key = p_player_key AND b.round_id = p_round_id AND b.releasing)
    RETURNING * INTO r;
    IF FOUND AND p_actions = 0 THEN
        PERFORM record_round_opened(r, p_offer -> 'choices', r.decide_by);
    END IF;
    RETURN QUERY SELECT * FROM round_view v WHERE v.player_key = p_player_key AND v.round_id = p_round_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no round % of player % to open', p_round_id, p_player_key USING ERRCODE = 'no_data_found';
    END IF;
END $$;

-- Takes an action from the round's offer, and holds what it costs. `verdict` is one of contracts.actions'
-- ActionVerdict; the round is as it stands after it, null when there is none.
CREATE FUNCTION take_action_v1(
    p_player_key bigint, p_round_id text, p_action_id text, p_action text, p_params jsonb, p_by text,
    p_request_id text, p_after int
) RETURNS TABLE (standing round_view, verdict text) LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    v_blocked boolean;
    v_judged record; -- judge_action's verdict and debit
    v_verdict text;
BEGIN
    SELECT blocked INTO STRICT v_blocked FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT * INTO r FROM rounds WHERE player_key = p_player_key AND round_id = p_round_id;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::round_view, 'not-found'::text;
        RETURN;
    END IF;
    v_judged := judge_action(r, p_action_id, p_action, p_params, p_request_id, p_after);
    v_verdict := v_judged.verdict;
    IF v_verdict IS NULL AND v_judged.debit > 0 THEN
        v_verdict := refuse_debit(r, v_judged.debit, v_blocked);
    END IF;

    IF v_verdict IS NULL THEN
        v_verdict := 'taken';
        IF v_judged.debit > 0 THEN
            UPDATE accounts SET held = held + v_judged.debit WHERE id = r.account_id;
        END IF;
        PERFORM record_action(r, p_action_id, p_action, p_params, v_judged.debit, p_by, p_request_id);
    END IF;
    RETURN QUERY SELECT v, v_verdict FROM round_view v WHERE v.id = r.id;
END $$;

-- The verdict on an action as far as its round says it, null when it may be taken, and what it costs. An action that
-- is on record is `taken` for the very request that took it, by a step that is repeated. While the operator's wallet
-- is asked for an action that costs something, no other is taken.
CREATE FUNCTION judge_action(
    r rounds, p_action_id text, p_action text, p_params jsonb, p_request_id text, p_after int,
    OUT verdict text, OUT debit bigint
) LANGUAGE plpgsql AS $$
DECLARE
    a round_actions;
    v_choice jsonb;
BEGIN
    debit := 0;
    SELECT * INTO a FROM round_actions
    WHERE player_key = r.player_key AND round_id = r.round_id AND action_id = p_action_id;
    IF FOUND THEN
        verdict := CASE
            WHEN (a.action, a.params) <> (p_action, p_params) THEN 'id-reused'
            WHEN a.request_id = p_request_id THEN 'taken'
            ELSE 'replayed'
        END;
    ELSIF NOT is_open(r.state) THEN
        verdict := 'round-closed';
    ELSIF r.state <> 'awaiting_choice' OR EXISTS (
        SELECT 1 FROM wallet_bets b
        WHERE b.player_key = r.player_key AND b.round_id = r.round_id AND b.releasing
    ) OR EXISTS (
        SELECT 1 FROM wallet_action_bets b
        WHERE b.player_key = r.player_key AND b.round_id = r.round_id AND b.outcome IS NULL) THEN
        verdict := 'wrong-state';
    ELSIF p_after <> r.actions THEN
        verdict := 'stale';
    ELSE
        SELECT c INTO v_choice FROM jsonb_array_elements(r.offer -> 'choices') c WHERE c ->> 'action' = p_action;
        debit := coalesce((v_choice ->> 'debit')::bigint, 0);
        verdict := CASE
            WHEN v_choice IS NULL OR NOT admits(v_choice -> 'params', p_params) THEN 'unknown-choice' END;
    END IF;
END $$;

-- Writes that the round's offer is answered by this action, whose cost is held already.
CREATE FUNCTION record_action(
    r rounds, p_action_id text, p_action text, p_params jsonb, p_debit bigint, p_by text, p_request_id text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO round_actions (player_key, round_id, ordinal, action_id, action, params, debit, taken_by,
                               request_id)
    VALUES (r.player_key, r.round_id, r.actions + 1, p_action_id, p_action, p_params, p_debit, p_by,
            p_request_id);
    UPDATE rounds SET state = 'pending', actions = r.actions + 1, extra = extra + p_debit, offer = NULL,
        decide_by = NULL
    WHERE id = r.id;
END $$;

-- Whether exactly these values are allowed: p_allowed has an array for each name.
CREATE FUNCTION admits(p_allowed jsonb, p_params jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT NOT EXISTS (
        SELECT 1 FROM jsonb_each(p_allowed) a FULL JOIN jsonb_each(p_params) p ON p.key = a.key
        WHERE NOT coalesce(a.value @> jsonb_build_array(p.value) AND jsonb_typeof(p.value)
                           IN ('string', 'number', 'boolean'), false))
$$;

-- Why an action may not cost this much now; null when it may. What an operator's own wallet keeps cannot be held
-- here: 49_wallet_actions.sql asks the wallet for it.
CREATE FUNCTION refuse_debit(r rounds, p_debit bigint, p_blocked boolean) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_available bigint;
BEGIN
    IF EXISTS (SELECT 1 FROM wallet_bets b WHERE b.player_key = r.player_key AND b.round_id = r.round_id) THEN
        RETURN 'wrong-state';
    END IF;
    SELECT balance - held INTO STRICT v_available FROM accounts WHERE id = r.account_id;
    RETURN coalesce(refuse_further_stake(r, p_debit, p_blocked),
                    CASE WHEN v_available < p_debit THEN 'insufficient-funds' END);
END $$;

-- Why the round may not be staked on any further, whatever its player has; null when it may. What an action costs is
-- a stake, so it is refused as one.
CREATE FUNCTION refuse_further_stake(r rounds, p_debit bigint, p_blocked boolean) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_limit text; -- of the session, that the round's stakes would exceed altogether
BEGIN
    SELECT more_refusal(s, r.stake + r.extra + p_debit) INTO v_limit FROM sessions s
    WHERE s.id = r.session_id AND s.limits IS NOT NULL;
    RETURN CASE
        WHEN p_blocked THEN 'player-blocked'
        WHEN (SELECT s.ended_at IS NOT NULL OR s.expires_at <= clock_timestamp()
              FROM sessions s WHERE s.id = r.session_id) THEN 'session-expired'
        ELSE v_limit
    END;
END $$;
