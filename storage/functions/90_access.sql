-- Who may do what: the programs' role calls the functions that are listed here, reads, and writes what no money
-- hangs on.
--
-- The functions run with the rights of their owner, who also owns the tables and runs the migrations. Their
-- search path is pinned, so that nobody can put a table or an operator of the same name before ours. The
-- role itself is made by whoever runs the server; without it (one role for everything, or a database of
-- tests) there is nothing to grant. What is not granted here, the programs cannot do.

DO $$
DECLARE
    v_function text;
BEGIN
    FOREACH v_function IN ARRAY ARRAY[
        -- rounds
        'reserve_round', 'open_round', 'take_action', 'settle_round', 'release_round', 'intervene_round',
        -- rounds at operators' wallets
        'begin_wallet_bet', 'accept_wallet_bet', 'decline_wallet_bet', 'record_wallet_result',
        'begin_wallet_release', 'record_wallet_attempt', 'set_operator_wallet',
        -- players' money
        'deposit', 'withdraw', 'give_play_money',
        -- sessions and their seeds
        'open_session', 'prolong_session', 'end_session', 'rotate_seed', 'record_game_events',
        -- operators' API keys
        'add_api_key', 'rotate_api_key', 'revoke_api_key',
        -- reconciliation
        'note_incident', 'resolve_incident', 'mark_incidents_published', 'move_reconciliation_mark']
    LOOP
        EXECUTE format('ALTER FUNCTION %I SECURITY DEFINER SET search_path = %I, pg_temp',
                       v_function, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I FROM PUBLIC', v_function);
        IF to_regrole('croupier_app') IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I TO croupier_app', v_function);
        END IF;
    END LOOP;

    IF to_regrole('croupier_app') IS NOT NULL THEN
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
    END IF;
END $$;
