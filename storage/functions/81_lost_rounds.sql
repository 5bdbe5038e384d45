-- Rounds that Temporal played and that a restored ledger does not know, or knows as they were before.
--
-- Money of our own ledger went back with it, so a lost round is void and nothing is to be refunded. An operator's wallet
-- went on: what it took and paid is played back from its statement, and a bet that it has no win for is rolled back.
--
-- The interleavings that must not hurt:
-- * A lost bet is asked of its wallet again. Its repeat would be accepted as the one that was taken, and a new outcome
--   would meet the old one's win: so a bet without a round is marked as being released, and never asked for again.
-- * Another round of the player is open at the game: one is open at a time, so the lost one waits for its end.

-- Makes the player, account and session of a lost round where the restore has lost them too, with the keys that its
-- workflow and its wallet know. The session has ended. False when the player has another key by now.
CREATE FUNCTION restore_party(
    p_bet bet_v1, p_seed_id text, p_sealed_seed text, p_seed_hash text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO players (id, operator_id, player_id, demo) OVERRIDING SYSTEM VALUE
    VALUES (p_bet.player_key, p_bet.operator_id, p_bet.player_id, false) ON CONFLICT DO NOTHING;
    INSERT INTO accounts (operator_id, kind, currency)
    VALUES (p_bet.operator_id, 'house', p_bet.currency), (p_bet.operator_id, 'cash', p_bet.currency)
    ON CONFLICT (operator_id, kind, currency) WHERE player_key IS NULL DO NOTHING;
    PERFORM 1 FROM players
    WHERE (id, operator_id, player_id) = (p_bet.player_key, p_bet.operator_id, p_bet.player_id)
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO accounts (id, operator_id, kind, player_key, currency, balance) OVERRIDING SYSTEM VALUE
    VALUES (p_bet.account_id, p_bet.operator_id, 'player', p_bet.player_key, p_bet.currency, 0)
    ON CONFLICT DO NOTHING;
    IF NOT EXISTS (SELECT FROM sessions WHERE id = p_bet.session_id) THEN
        INSERT INTO seeds (id, player_key, sealed_server_seed, server_seed_hash, client_seed, retired_at)
        VALUES (p_seed_id, p_bet.player_key, p_sealed_seed, p_seed_hash, '', clock_timestamp());
        INSERT INTO sessions (id, operator_id, player_key, account_id, game_id, currency, mode, seed_id, expires_at,
                              ended_at)
        VALUES (p_bet.session_id, p_bet.operator_id, p_bet.player_key, p_bet.account_id, p_bet.game_id,
                p_bet.currency, 'real', p_seed_id, clock_timestamp(), clock_timestamp());
    END IF;
    RETURN EXISTS (SELECT FROM accounts WHERE (id, player_key) = (p_bet.account_id, p_bet.player_key));
END $$;

-- What became of a round that its workflow has played: `known` (there is a round), `void` (our ledger's: it is closed
-- here, so that its id is spent), `at-wallet` (its wallet's statement says how it ends), or `foreign`: its operator,
-- player or session is not here.
CREATE FUNCTION record_lost_round_v1(
    p_bet bet_v1, p_demo boolean, p_detail text, p_seed_id text, p_sealed_seed text, p_seed_hash text
) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM rounds WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id) THEN
        RETURN 'known';
    END IF;
    IF NOT p_demo AND EXISTS (SELECT FROM operator_wallets
                              WHERE operator_id = p_bet.operator_id AND unset_at IS NULL) THEN
        UPDATE wallet_bets SET releasing = true, release_code = 'round-lost', release_detail = p_detail
        WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id AND NOT releasing AND resolved_at IS NULL;
        RETURN CASE WHEN restore_party(p_bet, p_seed_id, p_sealed_seed, p_seed_hash) THEN 'at-wallet'
                    ELSE 'foreign' END;
    END IF;
    IF NOT EXISTS (SELECT FROM sessions s JOIN accounts a ON a.id = s.account_id
                   WHERE s.id = p_bet.session_id AND s.operator_id = p_bet.operator_id
                     AND s.player_key = p_bet.player_key AND a.id = p_bet.account_id) THEN
        RETURN 'foreign';
    END IF;
    PERFORM release_round_v1(p_bet, 'round-lost', p_detail);
    RETURN 'void';
END $$;

-- Gives up a round that is open here, and that went on in its workflow: what its player has seen must not be played
-- again. `void`, or `at-wallet` as above. p_actions are those that cost something and that the ledger does not know.
CREATE FUNCTION give_up_round_v1(p_bet bet_v1, p_detail text, p_actions jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id) THEN
        PERFORM release_round_v1(p_bet, 'round-lost', p_detail);
        RETURN 'void';
    END IF;
    PERFORM begin_wallet_release_v1(p_bet, 'round-lost', p_detail);
    PERFORM note_lost_bets(p_bet, p_actions);
    RETURN 'at-wallet';
END $$;

-- The bets of a round's lost actions, for its release to roll back; unless it is played back.
CREATE FUNCTION note_lost_bets(p_bet bet_v1, p_actions jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO wallet_action_bets (player_key, round_id, action_id, action, params, amount, taken_by, request_id,
                                    transaction_id, releasing, outcome, refusal, resolved_at)
    SELECT p_bet.player_key, p_bet.round_id, a.action_id, a.action, a.params, a.debit, 'player', a.request_id,
           a.transaction_id, true, 'rolled-back', 'round-lost', clock_timestamp()
    FROM jsonb_to_recordset(p_actions)
         AS a (action_id text, action text, params jsonb, debit bigint, request_id text, transaction_id text)
    WHERE a.debit > 0
    ON CONFLICT (player_key, round_id, action_id) DO NOTHING
$$;

-- Before a lost bet is rolled back at its wallet. False while another bet of the player's is open at the game.
CREATE FUNCTION begin_lost_release_v1(p_bet bet_v1, p_transaction_id text, p_detail text, p_actions jsonb)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM players WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;
    PERFORM note_wallet_bet(p_bet, p_transaction_id, true, p_detail);
    IF NOT EXISTS (SELECT FROM wallet_bets WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id) THEN
        RETURN false;
    END IF;
    PERFORM note_lost_bets(p_bet, p_actions);
    RETURN true;
END $$;

CREATE FUNCTION note_wallet_bet(p_bet bet_v1, p_transaction_id text, p_releasing boolean, p_detail text)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO wallet_bets (player_key, round_id, game_id, stake, currency, transaction_id, bet, releasing,
                             release_code, release_detail)
    SELECT p_bet.player_key, p_bet.round_id, p_bet.game_id, p_bet.stake, p_bet.currency, p_transaction_id,
           bet_document(p_bet, s.jurisdiction), p_releasing, 'round-lost', p_detail
    FROM sessions s WHERE s.id = p_bet.session_id
    ON CONFLICT DO NOTHING
$$;

-- Plays back a lost round whose wallet has taken its win: what the wallet took and paid is booked, and the round is
-- settled as it was there. p_actions are those that counted, in their order. No row while another round of the player's
-- is open at the game.
CREATE FUNCTION play_back_round_v1(
    p_bet bet_v1, p_transaction_id text, p_detail text, p_win bigint, p_actions jsonb
) RETURNS SETOF round_view LANGUAGE plpgsql AS $$
DECLARE
    r rounds;
BEGIN
    PERFORM 1 FROM players WHERE id = p_bet.player_key AND operator_id = p_bet.operator_id FOR NO KEY UPDATE;
    SELECT * INTO r FROM rounds WHERE player_key = p_bet.player_key AND round_id = p_bet.round_id;
    IF r.id IS NULL THEN
        IF EXISTS (SELECT FROM rounds_in_the_way(p_bet.player_key, p_bet.game_id, NULL) w
                   WHERE w.round_id <> p_bet.round_id) THEN
            RETURN;
        END IF;
        PERFORM note_wallet_bet(p_bet, p_transaction_id, false, p_detail);
        r := play_back_bet(p_bet);
    END IF;
    IF is_open(r.state) THEN
        r := play_back_actions(r, p_actions);
        UPDATE rounds SET state = 'settling', outcome = '{"played_back": true}', win = p_win, extra = r.extra,
            actions = r.actions, offer = NULL, decide_by = NULL
        WHERE id = r.id;
        PERFORM settle_round_v1(p_bet.player_key, p_bet.round_id, NULL, NULL, true, NULL);
    END IF;
    RETURN QUERY SELECT * FROM round_view v WHERE v.id = r.id;
END $$;

-- The bet that the wallet took: a round without a draw, for nobody knows any more what its outcome was drawn from.
CREATE FUNCTION play_back_bet(p_bet bet_v1) RETURNS rounds LANGUAGE plpgsql AS $$
DECLARE
    v_session sessions;
BEGIN
    SELECT * INTO STRICT v_session FROM sessions WHERE id = p_bet.session_id AND player_key = p_bet.player_key;
    PERFORM collect_lost(p_bet.player_key, p_bet.round_id, p_bet.account_id, p_bet.operator_id, p_bet.currency,
                         p_bet.stake, 0);
    RETURN insert_round(p_bet, v_session, false, 'pending');
END $$;

-- Takes the lost actions on record, with what the wallet took for them.
CREATE FUNCTION play_back_actions(r rounds, p_actions jsonb) RETURNS rounds LANGUAGE plpgsql AS $$
DECLARE
    a record;
BEGIN
    FOR a IN SELECT * FROM jsonb_to_recordset(p_actions)
             AS t (action_id text, action text, params jsonb, debit bigint, request_id text, transaction_id text)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM round_actions t WHERE t.player_key = r.player_key
                              AND t.round_id = r.round_id AND t.action_id = a.action_id);
        r.actions := r.actions + 1;
        r.extra := r.extra + a.debit;
        IF a.debit > 0 THEN
            PERFORM collect_lost(r.player_key, r.round_id, r.account_id, r.operator_id, r.currency, a.debit,
                                 r.actions);
            INSERT INTO wallet_action_bets (player_key, round_id, action_id, action, params, amount, taken_by,
                                            request_id, transaction_id, outcome, resolved_at)
            VALUES (r.player_key, r.round_id, a.action_id, a.action, a.params, a.debit, 'player', a.request_id,
                    a.transaction_id, 'taken', clock_timestamp())
            ON CONFLICT (player_key, round_id, action_id) DO UPDATE
            SET outcome = 'taken', refusal = NULL, releasing = false, resolved_at = clock_timestamp();
        END IF;
        INSERT INTO round_actions (player_key, round_id, ordinal, action_id, action, params, debit, taken_by,
                                   request_id)
        VALUES (r.player_key, r.round_id, r.actions, a.action_id, a.action, a.params, a.debit, 'player',
                a.request_id);
    END LOOP;
    RETURN r;
END $$;

CREATE FUNCTION collect_lost(
    p_player_key bigint, p_round_id text, p_account_id bigint, p_operator_id text, p_currency text, p_amount bigint,
    p_step int
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_available bigint;
BEGIN
    UPDATE accounts SET balance = balance + p_amount, held = held + p_amount
    WHERE id = p_account_id AND player_key = p_player_key RETURNING balance - held INTO STRICT v_available;
    PERFORM post_transfer(p_player_key, 'collected', p_round_id, wallet_account(p_operator_id, p_currency),
                          p_account_id, p_amount, p_currency, v_available, p_step);
END $$;
