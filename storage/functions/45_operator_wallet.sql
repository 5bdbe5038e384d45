-- Rounds whose money an operator's own wallet keeps: the decision before the wallet is asked, and the record of its
-- answer. No function waits for a wallet; each is one transaction.
--
-- wallet_bets has a row for a bet from before the wallet is first asked for it, so no money can have moved there
-- that we do not know of. When the wallet has taken the stake, our ledger mirrors it: `collected` from the wallet
-- to the player, and from there the round looks like any other. The mirror is emptied again when the round ends,
-- by `paid` (the win) or by `returned` (the stake of a void round).
--
-- The interleavings that must not hurt:
-- * A win and a rollback of one round both on their way to the wallet. The decision between them is made here, under
--   the player's lock, before either is sent: record_wallet_result_v1 refuses a round that is being released,
--   begin_wallet_release_v1 answers one whose result is recorded as it stands. Only a manual intervention may release
--   such a round (46_interventions.sql), and a wallet that refuses its win because the bet was rolled back there; then
--   its win, if it is under way, and the rollback meet at the wallet, which takes one of them.
-- * The wallet takes a bet while its round is released. The release has marked the bet, so accept_wallet_bet_v1
--   makes no round of it, and the rollback that follows the mark releases the money.
-- * Two attempts of one bet, of which the wallet takes one and refuses the other. A refusal is final only when
--   the bet was asked for once: decline_wallet_bet_v1 counts, and answers `uncertain` otherwise.
-- * A worker that does not know yet that the operator has a wallet meets one that does: the ledger's own
--   reserve, settle and release refuse a round that has a wallet bet, and the functions here hand a round that
--   has none to the ledger's.
-- * A worker that does not know yet that the operator's wallet is unset takes a bet: begin_wallet_bet_v1 hands it to
--   the ledger's reserve, for nobody asks that wallet any more.

-- A result that is recorded never changes; only a round whose bet was rolled back all the same pays nothing for it.
CREATE FUNCTION refuse_change_of_result() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the result of round % of player % is recorded', OLD.round_id, OLD.player_key
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER result_is_final BEFORE UPDATE ON rounds
    FOR EACH ROW WHEN (OLD.state = 'settling' AND (
        NEW.state NOT IN ('settling', 'settled', 'void') OR NEW.outcome IS DISTINCT FROM OLD.outcome
        OR NEW.win <> CASE NEW.state WHEN 'void' THEN 0 ELSE OLD.win END))
    EXECUTE FUNCTION refuse_change_of_result();

-- A wallet bet only goes forward: its answer is stored once, a release is never taken back and keeps its first
-- reason, and once its round has ended it stays as it is.
CREATE FUNCTION refuse_change_of_wallet_bet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the wallet bet of round % of player % cannot change so', OLD.round_id, OLD.player_key
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER only_forward BEFORE UPDATE ON wallet_bets
    FOR EACH ROW WHEN (OLD.resolved_at IS NOT NULL OR OLD.releasing > NEW.releasing OR NEW.asks < OLD.asks
        OR (NEW.player_key, NEW.round_id, NEW.game_id, NEW.stake, NEW.currency, NEW.transaction_id)
            <> (OLD.player_key, OLD.round_id, OLD.game_id, OLD.stake, OLD.currency, OLD.transaction_id)
        OR NEW.bet IS DISTINCT FROM OLD.bet
        OR (OLD.releasing AND (NEW.release_code, NEW.release_detail)
            IS DISTINCT FROM (OLD.release_code, OLD.release_detail)))
    EXECUTE FUNCTION refuse_change_of_wallet_bet();
CREATE TRIGGER never_deleted BEFORE DELETE ON wallet_bets
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON wallet_bets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON wallet_attempts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON wallet_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The operator's wallet as a side of the double entry, made when it is first needed.
CREATE FUNCTION wallet_account(p_operator_id text, p_currency text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_account bigint;
BEGIN
    SELECT id INTO v_account FROM accounts
    WHERE operator_id = p_operator_id AND kind = 'wallet' AND currency = p_currency AND player_key IS NULL;
    IF v_account IS NULL THEN
        INSERT INTO accounts (operator_id, kind, currency) VALUES (p_operator_id, 'wallet', p_currency)
        ON CONFLICT (operator_id, kind, currency) WHERE player_key IS NULL DO NOTHING;
        SELECT id INTO STRICT v_account FROM accounts
        WHERE operator_id = p_operator_id AND kind = 'wallet' AND currency = p_currency AND player_key IS NULL;
    END IF;
    RETURN v_account;
END $$;

-- The bet as contracts.rounds has it: kept with what the wallet is asked for, until there is a round.
CREATE FUNCTION bet_document(p_bet bet_v1, p_jurisdiction text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(p_bet) - '{operator_id,player_key,round_id}'::text[] || jsonb_build_object(
        'key', jsonb_build_object('operator_id', p_bet.operator_id, 'player_key', p_bet.player_key,
                                  'round_id', p_bet.round_id),
        'jurisdiction', p_jurisdiction)
$$;

-- Before the wallet is asked for a stake. `verdict` is `stands` (with the round: it exists, was refused here, or is our
-- ledger's because the wallet is unset), `ask` (the wallet may be asked), or `releasing` (the round is on its way to
-- void: do not ask).
CREATE FUNCTION begin_wallet_bet_v1(p_bet bet_v1, p_transaction_id text)
RETURNS TABLE (standing round_view, verdict text) LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
    v_verdict text;
    v_blocked boolean;
    v_demo boolean;
    v_session sessions;
    v_refused record; -- refuse_bet's code and detail
BEGIN
    SELECT blocked, demo INTO STRICT v_blocked, v_demo FROM players
    WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;
    IF v_demo THEN
        RAISE EXCEPTION 'player % plays with demo money: no wallet is asked for it', p_bet.player_key
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    RETURN QUERY SELECT v, 'stands' FROM round_view v
    WHERE v.player_key = p_bet.player_key AND v.round_id = p_bet.round_id;
    IF FOUND THEN
        RETURN;
    END IF;
    v_verdict := ask_again(p_bet);
    IF v_verdict IS NOT NULL THEN
        RETURN QUERY SELECT NULL::round_view, v_verdict;
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM operator_wallets WHERE operator_id = p_bet.operator_id AND unset_at IS NOT NULL) THEN
        RETURN QUERY SELECT v, 'stands' FROM reserve_round_v1(p_bet) v;
        RETURN;
    END IF;

    PERFORM 1 FROM accounts
    WHERE id = p_bet.account_id AND player_key = p_bet.player_key AND currency = p_bet.currency;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'player % has no account % in %', p_bet.player_key, p_bet.account_id, p_bet.currency
            USING ERRCODE = 'no_data_found';
    END IF;
    SELECT * INTO STRICT v_session FROM sessions
    WHERE id = p_bet.session_id AND player_key = p_bet.player_key AND account_id = p_bet.account_id;
    v_refused := refuse_bet(p_bet, v_session, v_blocked, NULL);
    IF v_refused.code IS NOT NULL THEN
        r := insert_round(p_bet, v_session, false, 'declined', NULL, NULL, v_refused.code, v_refused.detail);
        RETURN QUERY SELECT v, 'stands' FROM round_view v WHERE v.id = r.id;
        RETURN;
    END IF;
    INSERT INTO wallet_bets (player_key, round_id, game_id, stake, currency, transaction_id, bet)
    VALUES (p_bet.player_key, p_bet.round_id, p_bet.game_id, p_bet.stake, p_bet.currency, p_transaction_id,
            bet_document(p_bet, v_session.jurisdiction));
    RETURN QUERY SELECT NULL::round_view, 'ask'::text;
END $$;

-- The verdict on a bet that the wallet was asked for before, null when it was not; counts that it is asked again.
CREATE FUNCTION ask_again(p_bet bet_v1) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    b wallet_bets;
BEGIN
    SELECT * INTO b FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF (b.game_id, b.stake, b.currency) <> (p_bet.game_id, p_bet.stake, p_bet.currency) THEN
        RAISE EXCEPTION 'round % of player % was asked of the wallet as another bet',
            p_bet.round_id, p_bet.player_key USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF b.releasing THEN
        RETURN 'releasing';
    END IF;
    UPDATE wallet_bets SET asks = asks + 1 WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    RETURN 'ask';
END $$;

-- The wallet has taken the stake: custody, hold, nonce and a pending round. `verdict` is `stands` with the round,
-- or `releasing`: then there is no round, and the rollback that is on its way releases the stake.
CREATE FUNCTION accept_wallet_bet_v1(p_bet bet_v1, p_balance bigint)
RETURNS TABLE (standing round_view, verdict text) LANGUAGE plpgsql AS $$
DECLARE
    b wallet_bets;
    r rounds;
    v_session sessions;
    v_available bigint;
BEGIN
    PERFORM 1 FROM players WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;

    RETURN QUERY SELECT v, 'stands' FROM round_view v
    WHERE v.player_key = p_bet.player_key AND v.round_id = p_bet.round_id;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT * INTO STRICT b FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    IF b.releasing THEN
        RETURN QUERY SELECT NULL::round_view, 'releasing'::text;
        RETURN;
    END IF;

    UPDATE accounts SET balance = balance + p_bet.stake, held = held + p_bet.stake
    WHERE id = p_bet.account_id AND player_key = p_bet.player_key AND currency = p_bet.currency
    RETURNING balance - held INTO STRICT v_available;
    PERFORM post_transfer(p_bet.player_key, 'collected', p_bet.round_id,
                          wallet_account(p_bet.operator_id, p_bet.currency), p_bet.account_id, p_bet.stake,
                          p_bet.currency, v_available);
    SELECT * INTO STRICT v_session FROM sessions
    WHERE id = p_bet.session_id AND player_key = p_bet.player_key AND account_id = p_bet.account_id;
    r := begin_round(p_bet, v_session, false);
    UPDATE wallet_bets SET balance = p_balance
    WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    RETURN QUERY SELECT v, 'stands' FROM round_view v WHERE v.id = r.id;
END $$;

-- The wallet has refused the stake, or was surely never reached. `verdict` is `stands` with the round, which is
-- declined unless it was something else before; `releasing` as above; or `uncertain`: the bet was asked for more
-- than once, and the wallet may take an earlier attempt yet, so only a rollback can close the round. The balance is
-- null where the wallet did not send it.
CREATE FUNCTION decline_wallet_bet_v1(
    p_bet bet_v1, p_failure_code text, p_failure_detail text, p_balance bigint
) RETURNS TABLE (standing round_view, verdict text) LANGUAGE plpgsql AS $$
DECLARE
    b wallet_bets;
    r rounds;
    v_session sessions;
BEGIN
    PERFORM 1 FROM players WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;

    RETURN QUERY SELECT v, 'stands' FROM round_view v
    WHERE v.player_key = p_bet.player_key AND v.round_id = p_bet.round_id;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT * INTO STRICT b FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    IF b.releasing OR b.asks > 1 THEN
        RETURN QUERY SELECT NULL::round_view, CASE WHEN b.releasing THEN 'releasing' ELSE 'uncertain' END;
        RETURN;
    END IF;
    SELECT * INTO v_session FROM sessions WHERE id = p_bet.session_id;
    r := insert_round(p_bet, v_session, false, 'declined', NULL, p_balance, p_failure_code, p_failure_detail);
    UPDATE wallet_bets SET balance = p_balance, resolved_at = clock_timestamp()
    WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    RETURN QUERY SELECT v, 'stands' FROM round_view v WHERE v.id = r.id;
END $$;

-- Before a win is sent to the wallet: outcome and win are committed, and the round is `settling`. From here on only a
-- manual intervention releases it, or the wallet's word that the bet was rolled back. A round that has a result, or has ended, is answered as it stands; so is one that
-- is being released, and it is marked so: the win must not be sent to the wallet. A round of our own ledger is
-- settled at once.
CREATE FUNCTION record_wallet_result_v1(
    p_player_key bigint, p_round_id text, p_outcome jsonb, p_win bigint, p_actions int
) RETURNS TABLE (closed round_view, event_data text, being_released boolean) LANGUAGE plpgsql AS $$
DECLARE
    b wallet_bets;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT * INTO b FROM wallet_bets WHERE player_key = p_player_key AND round_id = p_round_id;
    IF NOT FOUND THEN
        RETURN QUERY SELECT s.closed, s.event_data, false
        FROM settle_round_v1(p_player_key, p_round_id, p_outcome, p_win, p_actions => p_actions) s;
        RETURN;
    END IF;
    IF NOT b.releasing AND p_outcome IS NOT NULL THEN
        UPDATE rounds SET state = 'settling', outcome = p_outcome, win = p_win
        WHERE player_key = p_player_key AND round_id = p_round_id AND state = 'pending'
          AND actions = p_actions;
    END IF;
    RETURN QUERY SELECT v, NULL::text, b.releasing AND b.resolved_at IS NULL FROM round_view v
    WHERE v.player_key = p_player_key AND v.round_id = p_round_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no round % of player % to settle', p_round_id, p_player_key
            USING ERRCODE = 'no_data_found';
    END IF;
END $$;

-- Before a rollback is sent to the wallet: the point where a round's release is decided. `verdict` is `rollback` (it
-- must be sent to the wallet, then release_round_v1 closes the round) or `stands` with the round: it has ended, or
-- its result is recorded (and neither has a manual intervention released it, nor the wallet refused the win because
-- the bet was rolled back there), or the wallet was never asked for its stake, so that the void is complete. The first
-- decision's code and detail are those of the void round.
CREATE FUNCTION begin_wallet_release_v1(p_bet bet_v1, p_failure_code text, p_failure_detail text)
RETURNS TABLE (standing round_view, verdict text) LANGUAGE plpgsql AS $$
DECLARE
    b wallet_bets;
BEGIN
    PERFORM 1 FROM players WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;
    SELECT * INTO b FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    IF NOT FOUND THEN
        RETURN QUERY SELECT v, 'stands' FROM release_round_v1(p_bet, p_failure_code, p_failure_detail) v;
        RETURN;
    END IF;

    RETURN QUERY SELECT v, 'stands' FROM round_view v
    WHERE v.player_key = p_bet.player_key AND v.round_id = p_bet.round_id
      AND v.state NOT IN ('pending', 'awaiting_choice')
      AND NOT (v.state = 'settling' AND (b.releasing OR p_failure_code = 'rolled-back'));
    IF FOUND THEN
        RETURN;
    END IF;
    UPDATE wallet_bets SET releasing = true, release_code = p_failure_code, release_detail = p_failure_detail
    WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id AND NOT releasing;
    RETURN QUERY SELECT NULL::round_view, 'rollback'::text;
END $$;

-- The result of one HTTP attempt. Returns whether it is the first of its transaction with this verdict, so that
-- whoever reports a contradiction does so once.
CREATE FUNCTION record_wallet_attempt_v1(
    p_player_key bigint, p_round_id text, p_call text, p_transaction_id text, p_amount bigint, p_verdict text,
    p_code text, p_balance bigint, p_wallet_transaction_id text, p_duplicate boolean, p_sent boolean,
    p_took_us bigint, p_detail text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_first boolean;
BEGIN
    SELECT count(*) = 0 INTO v_first FROM wallet_attempts
    WHERE player_key = p_player_key AND round_id = p_round_id AND call = p_call AND verdict = p_verdict
      AND transaction_id = p_transaction_id;
    INSERT INTO wallet_attempts (player_key, round_id, call, transaction_id, amount, verdict, code, balance,
                                 wallet_transaction_id, duplicate, sent, took_us, detail)
    VALUES (p_player_key, p_round_id, p_call, p_transaction_id, p_amount, p_verdict, p_code, p_balance,
            p_wallet_transaction_id, p_duplicate, p_sent, p_took_us, p_detail);
    RETURN v_first;
END $$;

-- How far a wallet has been compared, as activities/statements.py reads it: up to a time and an attempt.
CREATE FUNCTION statement_mark(p_until timestamptz, p_attempt bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(p_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00|"') || coalesce(p_attempt, 0)
$$;

-- From now on the operator's own wallet keeps its players' money: of the rounds that begin from here. Of a wallet that
-- does not take several bets of one round no action is asked that costs something; where p_several_bets is null, one
-- that was set before stays as it was, and a new one takes several. Reconciliation of the wallet begins
-- at the moment when there first was one, and has a mark of its own from then on: a secret or an address that changes
-- leaves no gap.
CREATE FUNCTION set_operator_wallet_v2(
    p_operator_id text, p_url text, p_dialect text, p_sealed_secrets text, p_local boolean, p_connect_ms int,
    p_read_ms int, p_total_ms int, p_calls int, p_several_bets boolean
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO reconciliation_marks (name, mark)
    SELECT 'statement:' || p_operator_id, statement_mark(clock_timestamp(), max(a.id)) FROM wallet_attempts a
    ON CONFLICT (name) DO NOTHING;
    INSERT INTO operator_wallets (operator_id, url, dialect, sealed_secrets, local, connect_ms, read_ms,
                                  total_ms, calls, several_bets)
    VALUES (p_operator_id, p_url, p_dialect, p_sealed_secrets, p_local, p_connect_ms, p_read_ms, p_total_ms,
            p_calls, coalesce(p_several_bets, true))
    ON CONFLICT (operator_id) DO UPDATE SET
        url = EXCLUDED.url, dialect = EXCLUDED.dialect, sealed_secrets = EXCLUDED.sealed_secrets,
        local = EXCLUDED.local, connect_ms = EXCLUDED.connect_ms, read_ms = EXCLUDED.read_ms,
        total_ms = EXCLUDED.total_ms, calls = EXCLUDED.calls,
        several_bets = coalesce(p_several_bets, operator_wallets.several_bets),
        updated_at = clock_timestamp(), unset_at = NULL
$$;

-- As the release before called it, when a wallet was asked for one bet a round.
CREATE FUNCTION set_operator_wallet_v1(
    p_operator_id text, p_url text, p_dialect text, p_sealed_secrets text, p_local boolean, p_connect_ms int,
    p_read_ms int, p_total_ms int, p_calls int
) RETURNS void LANGUAGE sql AS $$
    SELECT set_operator_wallet_v2(p_operator_id, p_url, p_dialect, p_sealed_secrets, p_local, p_connect_ms,
                                  p_read_ms, p_total_ms, p_calls, false)
$$;

-- Whether a disabled operator's wallet was compared up to its last call, and beyond the moment since which no bet
-- begins there. The mark is `time|attempt|...`, as reconciliation writes it.
CREATE FUNCTION wallet_is_compared(p_operator_id text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM reconciliation_marks m JOIN operators o ON o.id = p_operator_id
        WHERE m.name = 'statement:' || p_operator_id
          AND split_part(m.mark, '|', 1)::timestamptz >= o.disabled_at
          AND NOT EXISTS (SELECT FROM wallet_attempts a JOIN players p ON p.id = a.player_key
                          WHERE a.id > split_part(m.mark, '|', 2)::bigint AND p.operator_id = p_operator_id))
$$;

-- From now on our ledger keeps the money of the operator's players. `unset`; `no-wallet`; or what stands in the way:
-- `enabled` (the operator must be disabled first), `sessions-open`, `rounds-open`. A bet whose session has ended is
-- refused before the wallet is asked, so with the sessions ended and the bets resolved nothing can be on its way there.
-- The row stays, for what the wallet has kept is on record.
CREATE FUNCTION unset_operator_wallet_v2(p_operator_id text, p_uncompared boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM operator_wallets WHERE operator_id = p_operator_id AND unset_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'no-wallet';
    END IF;
    -- No session opens while this is shared: 67_operators.sql.
    PERFORM 1 FROM operators WHERE id = p_operator_id AND disabled_at IS NOT NULL FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'enabled';
    END IF;
    IF EXISTS (SELECT FROM sessions_that_may_bet(p_operator_id)) THEN
        RETURN 'sessions-open';
    END IF;
    IF EXISTS (SELECT FROM wallet_bets b JOIN players p ON p.id = b.player_key
               WHERE p.operator_id = p_operator_id AND b.resolved_at IS NULL) THEN
        RETURN 'rounds-open';
    END IF;
    IF NOT p_uncompared AND NOT wallet_is_compared(p_operator_id) THEN
        RETURN 'not-compared';
    END IF;
    UPDATE operator_wallets SET unset_at = clock_timestamp() WHERE operator_id = p_operator_id;
    RETURN 'unset';
END $$;

-- As programs call it that compare nothing before.
CREATE FUNCTION unset_operator_wallet_v1(p_operator_id text) RETURNS text LANGUAGE sql AS $$
    SELECT unset_operator_wallet_v2(p_operator_id, true)
$$;
