-- What the console's role may read: every column but those named here, to which each new secret belongs.

CREATE FUNCTION shown_columns() RETURNS TABLE (relation name, columns text) LANGUAGE sql STABLE AS $$
    SELECT c.relname, string_agg(format('%I', a.attname), ', ')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v', 'p')
      AND a.attname NOT IN ('secret_hash', 'sealed_secrets', 'sealed_server_seed')
    GROUP BY c.relname
$$;
