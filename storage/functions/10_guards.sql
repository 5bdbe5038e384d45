-- What is written stays as it was written: transfers, postings, closed rounds and recorded events.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON postings
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_change_of_final_round() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'round % of player % is %, which is final', OLD.round_id, OLD.player_key, OLD.state
        USING ERRCODE = 'restrict_violation';
END $$;

-- is_open is not called here: the condition is planned again for every update.
CREATE TRIGGER final_is_final BEFORE UPDATE ON rounds
    FOR EACH ROW WHEN (OLD.state IN ('settled', 'declined', 'void'))
    EXECUTE FUNCTION refuse_change_of_final_round();
CREATE TRIGGER never_deleted BEFORE DELETE ON rounds
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON rounds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An event may only be marked as published, once.
CREATE FUNCTION refuse_change_of_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.published_at IS NOT NULL
       OR (to_jsonb(OLD) - 'published_at') IS DISTINCT FROM (to_jsonb(NEW) - 'published_at') THEN
        RAISE EXCEPTION 'event % is recorded and cannot change', OLD.event_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER recorded_once BEFORE UPDATE ON outbox
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_event();
CREATE TRIGGER never_deleted BEFORE DELETE ON outbox
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
