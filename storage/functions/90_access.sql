-- Rights of the programs' role: it calls the functions that are listed here, reads, and writes what no money hangs
-- on; of the readers' role, which reads; and of the console's, which reads no secret, not even a sealed one.
--
-- The functions run with the rights of their owner, who also owns the tables and runs the migrations. Their
-- search path is pinned, so that nobody can put a table or an operator of the same name before ours. The
-- role itself is made by whoever runs the server; without it (one role for everything, or a database of
-- tests) there is nothing to grant. What is not granted here, the programs cannot do.

DO $$
DECLARE
    v_function text;
    v_role text;
    v_grant text;
BEGIN
    FOREACH v_function IN ARRAY ARRAY[
        -- rounds
        'reserve_round_v1', 'open_round_v1', 'take_action_v1', 'settle_round_v1', 'release_round_v1',
        'intervene_round_v1',
        -- rounds at operators' wallets
        'begin_wallet_bet_v1', 'accept_wallet_bet_v1', 'decline_wallet_bet_v1', 'record_wallet_result_v1',
        'begin_wallet_release_v1', 'record_wallet_attempt_v1', 'set_operator_wallet_v1',
        'set_operator_wallet_v2', 'unset_operator_wallet_v1', 'unset_operator_wallet_v2', 'begin_wallet_action_v1', 'accept_wallet_action_v1',
        'refuse_wallet_action_v1', 'end_wallet_action_v1',
        -- players' money
        'deposit_v1', 'withdraw_v1', 'give_play_money_v1',
        -- sessions and their seeds
        'open_session_v1', 'open_session_v2', 'prolong_session_v1', 'end_session_v1', 'rotate_seed_v1',
        'record_game_events_v1',
        -- operators, and API keys
        'add_operator_v1', 'switch_operator_v1',
        'add_api_key_v1', 'add_api_key_v2', 'add_api_key_v3', 'rotate_api_key_v1', 'rotate_api_key_v2', 'revoke_api_key_v1',
        -- after a restore
        'ledger_state_v1', 'suspect_ledger_v1', 'begin_epoch_v1', 'open_epoch_v1', 'record_lost_round_v1',
        'give_up_round_v1', 'begin_lost_release_v1', 'play_back_round_v1', 'replace_retired_seed_v1',
        -- reconciliation
        'note_incident_v1', 'resolve_incident_v1', 'mark_incidents_published_v1', 'move_reconciliation_mark_v1']
    LOOP
        EXECUTE format('ALTER FUNCTION %I SECURITY DEFINER SET search_path = %I, pg_temp',
                       v_function, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I FROM PUBLIC', v_function);
        IF to_regrole('croupier_app') IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I TO croupier_app', v_function);
        END IF;
    END LOOP;

    IF to_regrole('croupier_app') IS NOT NULL THEN
        GRANT USAGE ON TYPE bet_v1 TO croupier_app;
        GRANT EXECUTE ON FUNCTION is_open, sessions_that_may_bet TO croupier_app;
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, croupier_app', current_schema());
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO croupier_app', current_schema());
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM croupier_app', current_schema());
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO croupier_app', current_schema());
        GRANT INSERT (operator_id, player_id, demo, blocked), UPDATE (blocked) ON players TO croupier_app;
        GRANT INSERT (operator_id, kind, player_key, currency, balance) ON accounts TO croupier_app;
        GRANT INSERT, UPDATE ON game_switches TO croupier_app;
        GRANT UPDATE (published_at) ON outbox TO croupier_app;
        GRANT INSERT ON inbox TO croupier_app;
        GRANT INSERT, UPDATE ON game_statistics TO croupier_app;
        GRANT INSERT, UPDATE, DELETE ON webhooks, webhook_deliveries TO croupier_app;
        GRANT INSERT (operator_id, actor, kind, subject, detail, reason) ON audit_log TO croupier_app;
    END IF;

    -- Whoever looks reads what programs read, where secrets are sealed or hashed, and does nothing else. The console
    -- shows people what it reads, and reads no secret (89_console.sql).
    FOREACH v_role IN ARRAY ARRAY['croupier_reader', 'croupier_console'] LOOP
        CONTINUE WHEN to_regrole(v_role) IS NULL;
        EXECUTE format('GRANT EXECUTE ON FUNCTION is_open TO %I', v_role);
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM %I', current_schema(), v_role);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), v_role);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', current_schema(), v_role);
    END LOOP;
    IF to_regrole('croupier_reader') IS NOT NULL THEN
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO croupier_reader', current_schema());
    END IF;
    FOR v_grant IN SELECT format('GRANT SELECT (%s) ON %I TO croupier_console', columns, relation)
        FROM shown_columns() WHERE to_regrole('croupier_console') IS NOT NULL LOOP
        EXECUTE v_grant;
    END LOOP;
END $$;
