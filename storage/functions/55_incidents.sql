-- Incidents: what reconciliation found, once for each difference, and how far its checks have come.
--
-- The interleaving that must not hurt: two reconcilers at once. The unique index on open incidents makes one row
-- of what both find, and the row's lock lets one of them act on it.

-- An incident stays as it was opened. It may be acted on, be published once and be resolved once.
CREATE FUNCTION refuse_change_of_incident() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'incident % cannot change so', OLD.id USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER only_forward BEFORE UPDATE ON incidents
    FOR EACH ROW WHEN (
        (OLD.resolved_at IS NOT NULL AND NEW.resolved_at IS DISTINCT FROM OLD.resolved_at)
        OR (OLD.published_at IS NOT NULL AND NEW.published_at IS DISTINCT FROM OLD.published_at)
        OR to_jsonb(NEW) - '{acted_at,resolved_at,published_at}'::text[]
            IS DISTINCT FROM to_jsonb(OLD) - '{acted_at,resolved_at,published_at}'::text[])
    EXECUTE FUNCTION refuse_change_of_incident();
CREATE TRIGGER never_deleted BEFORE DELETE ON incidents
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON incidents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Opens an incident, or finds the one that is open. `due` says that the caller is to act on it: it is new, or as
-- long has passed since something was last done as had passed until then; a minute at least, an hour at most.
CREATE FUNCTION note_incident_v1(
    p_kind text, p_subject text, p_operator_id text, p_player_key bigint, p_round_id text, p_game_id text,
    p_detail jsonb
) RETURNS TABLE (opened boolean, due boolean) LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    INSERT INTO incidents (id, kind, subject, operator_id, player_key, round_id, game_id, detail, opened_at,
                           acted_at)
    VALUES (gen_random_uuid(), p_kind, p_subject, p_operator_id, p_player_key, p_round_id, p_game_id, p_detail,
            v_now, v_now)
    ON CONFLICT (kind, subject) WHERE resolved_at IS NULL DO NOTHING;
    IF FOUND THEN
        RETURN QUERY SELECT true, true;
        RETURN;
    END IF;
    UPDATE incidents SET acted_at = v_now
    WHERE kind = p_kind AND subject = p_subject AND resolved_at IS NULL
      AND v_now - acted_at >= least(greatest(acted_at - opened_at, interval '1 minute'), interval '1 hour');
    RETURN QUERY SELECT false, FOUND;
END $$;

-- Whether it was open until now.
CREATE FUNCTION resolve_incident_v1(p_id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE incidents SET resolved_at = clock_timestamp() WHERE id = p_id AND resolved_at IS NULL;
    RETURN FOUND;
END $$;

-- After the broker's confirm. Marking twice does nothing.
CREATE FUNCTION mark_incidents_published_v1(p_ids uuid[]) RETURNS void LANGUAGE sql AS $$
    UPDATE incidents SET published_at = clock_timestamp() WHERE id = ANY (p_ids) AND published_at IS NULL
$$;

-- Moves a mark from where the caller found it (null: there was none). False when another run moved it since: a
-- check that took longer must not set it back.
CREATE FUNCTION move_reconciliation_mark_v1(p_name text, p_from text, p_to text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_from IS NULL THEN
        INSERT INTO reconciliation_marks (name, mark) VALUES (p_name, p_to) ON CONFLICT (name) DO NOTHING;
    ELSE
        UPDATE reconciliation_marks SET mark = p_to WHERE name = p_name AND mark = p_from;
    END IF;
    RETURN FOUND;
END $$;
