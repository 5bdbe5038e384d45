-- What the platform does with its operators: adds, disables and enables them.
--
-- The interleaving that must not hurt: a session that is opened while its operator is disabled. open_session_v1 shares
-- the operator's row, which is altered here: so either the session is there when this is done, and whoever disables the
-- operator ends it with the others, or it is refused.

-- Whether the operator was added; an id that is there already stays as it is.
CREATE FUNCTION add_operator_v1(p_id text, p_name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operators (id, name) VALUES (p_id, p_name) ON CONFLICT (id) DO NOTHING;
    RETURN FOUND;
END $$;

-- The operator's sessions with which a bet may still come, or be on its way: a token may have expired since.
CREATE FUNCTION sessions_that_may_bet(p_operator_id text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT id::text FROM sessions
    WHERE operator_id = p_operator_id AND ended_at IS NULL
      AND expires_at > clock_timestamp() - interval '1 day'
$$;

-- Whether there is such an operator. Disabling it twice changes nothing.
CREATE FUNCTION switch_operator_v1(p_id text, p_enabled boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE operators
    SET disabled_at = CASE WHEN p_enabled THEN NULL ELSE coalesce(disabled_at, clock_timestamp()) END
    WHERE id = p_id;
    RETURN FOUND;
END $$;
