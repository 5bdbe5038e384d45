-- What a restore of this database leaves behind, and how it goes on from there.
--
-- A ledger that was put back to an earlier moment would draw nonces a second time and give out ids and numbers that
-- others have seen. A restore begins a new timeline, or comes up on another server, so the database can tell by itself:
-- its last epoch is of another one. Nobody plays until recovery (runtime/recovery.py) has begun an epoch and opened it.
--
-- The interleavings that must not hurt:
-- * A program of before the restore goes on. A server that was restored was restarted, so each of its connections is
--   new, and a program asks ledger_state_v1 on each before it uses it.
-- * Two recoveries at once, or one that dies. begin_epoch_v1 is one transaction under a lock; the second finds what the
--   first has begun, and everything after it may be repeated.
-- * A second restore, to a moment before the first one. What the first epoch gave out is in no row any more: so an epoch's
--   number is above each that Temporal, the timeline or the database knows, and each number has a range of its own.

-- So many ids and player's numbers has one epoch: at a thousand rounds a second they last for thirty years, and there is
-- room for nine thousand epochs in what every JSON client reads exactly.
CREATE FUNCTION epoch_range() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT 1000000000000
$$;

-- The timeline that the server writes now: a server that was restored, or took over from another, has a new one.
CREATE FUNCTION ledger_timeline() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT ('x' || lpad(left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), 16, '0'))::bit(64)::bigint
$$;

CREATE FUNCTION ledger_system() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT system_identifier FROM pg_control_system()
$$;

-- `open`; `restored`: this database was put back, and nobody plays before it is recovered; or `recovering`. One that
-- still replays has its timeline before it: a connection of then would live on when it opens for writing.
CREATE FUNCTION ledger_state_v1() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN pg_is_in_recovery() THEN 'restored'
                WHEN (e.system_identifier, e.timeline) <> (ledger_system(), ledger_timeline()) THEN 'restored'
                WHEN e.opened_at IS NULL THEN 'recovering' ELSE 'open' END
    FROM ledger_epochs e ORDER BY e.number DESC LIMIT 1
$$;

-- The last epoch, where it is of this server and timeline and is not open yet; else a new one. p_known is the highest
-- number that is known outside. Every sequence skips ahead, for the players' events too, and the seeds of all sessions
-- that have not ended are retired.
CREATE FUNCTION begin_epoch_v1(p_known bigint) RETURNS ledger_epochs LANGUAGE plpgsql AS $$
DECLARE
    v_last ledger_epochs;
    v_epoch ledger_epochs;
    v_number bigint;
BEGIN
    LOCK TABLE ledger_epochs IN EXCLUSIVE MODE;
    SELECT * INTO STRICT v_last FROM ledger_epochs ORDER BY number DESC LIMIT 1;
    IF v_last.opened_at IS NULL AND v_last.number >= p_known
       AND (v_last.system_identifier, v_last.timeline) = (ledger_system(), ledger_timeline()) THEN
        RETURN v_last;
    END IF;
    v_number := greatest(v_last.number, p_known, ledger_timeline() - 1) + 1;
    INSERT INTO ledger_epochs (number, system_identifier, timeline, gap, last_event, restored_to)
    VALUES (v_number, ledger_system(), ledger_timeline(), (v_number - v_last.number) * epoch_range(),
            (SELECT coalesce(max(id), 0) FROM outbox), last_written())
    RETURNING * INTO v_epoch;
    PERFORM skip_ahead(v_epoch);
    UPDATE seeds d SET retired_at = clock_timestamp() FROM sessions s
    WHERE s.seed_id = d.id AND s.ended_at IS NULL AND d.revealed_at IS NULL AND d.retired_at IS NULL;
    RETURN v_epoch;
END $$;

-- Closes a ledger that was put back without a trace, as a copy of its files is: Temporal knows rounds that it does not.
-- No server has the timeline 0, so whoever asks next finds a ledger that was restored.
CREATE FUNCTION suspect_ledger_v1() RETURNS void LANGUAGE sql AS $$
    UPDATE ledger_epochs SET timeline = 0 WHERE number = (SELECT max(number) FROM ledger_epochs)
$$;

-- When the ledger was last written, by its latest rows: each of these reads the end of an index.
CREATE FUNCTION last_written() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce(greatest(
        (SELECT created_at FROM rounds ORDER BY id DESC LIMIT 1),
        (SELECT occurred_at FROM outbox ORDER BY id DESC LIMIT 1),
        (SELECT created_at FROM wallet_attempts ORDER BY id DESC LIMIT 1),
        (SELECT created_at FROM players ORDER BY id DESC LIMIT 1),
        (SELECT created_at FROM transfers ORDER BY id DESC LIMIT 1)), 'epoch')
$$;

-- Every identity column goes on in the epoch's own range, and so does every player's number, also of players to come: a
-- player that was lost comes again with the number of a new one.
CREATE FUNCTION skip_ahead(e ledger_epochs) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_sequence text;
BEGIN
    FOR v_sequence IN
        SELECT pg_get_serial_sequence(format('%I.%I', current_schema(), c.table_name), c.column_name)
        FROM information_schema.columns c WHERE c.table_schema = current_schema() AND c.is_identity = 'YES'
    LOOP
        PERFORM setval(v_sequence, nextval(v_sequence) + e.gap);
    END LOOP;
    UPDATE players SET sequence = sequence + e.gap;
    EXECUTE format('ALTER TABLE players ALTER COLUMN sequence SET DEFAULT %s',
                   (SELECT sum(gap) FROM ledger_epochs));
END $$;

-- From now on rounds are played.
CREATE FUNCTION open_epoch_v1(p_number bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE ledger_epochs SET opened_at = clock_timestamp() WHERE number = p_number AND opened_at IS NULL
$$;

-- Gives a session whose seed is retired its next seed pair, and lets the retired one be revealed. False when its seed
-- is not, or no longer, retired.
CREATE FUNCTION replace_retired_seed_v1(
    p_player_key bigint, p_session_id text, p_next_id text, p_next_sealed text, p_next_hash text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_seed seeds;
BEGIN
    PERFORM 1 FROM players WHERE id = p_player_key FOR NO KEY UPDATE;
    SELECT d.* INTO v_seed FROM seeds d JOIN sessions s ON s.seed_id = d.id
    WHERE s.id = p_session_id AND s.player_key = p_player_key
      AND d.retired_at IS NOT NULL AND d.revealed_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE seeds SET revealed_at = clock_timestamp() WHERE id = v_seed.id;
    INSERT INTO seeds (id, player_key, sealed_server_seed, server_seed_hash, client_seed, previous_id)
    VALUES (p_next_id, p_player_key, p_next_sealed, p_next_hash, v_seed.client_seed, v_seed.id);
    UPDATE sessions SET seed_id = p_next_id WHERE id = p_session_id;
    RETURN true;
END $$;

CREATE FUNCTION refuse_draw_from_retired_seed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'seed % is retired: its session takes the next one first', OLD.id
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'seed_is_retired';
END $$;

CREATE TRIGGER retired_is_not_drawn BEFORE UPDATE ON seeds
    FOR EACH ROW WHEN (OLD.retired_at IS NOT NULL AND NEW.next_nonce <> OLD.next_nonce)
    EXECUTE FUNCTION refuse_draw_from_retired_seed();
