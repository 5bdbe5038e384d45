-- What the console's role may read: every column but those named here, to which each new secret belongs.

-- A statement for each table and view; none where there is no such role.
CREATE FUNCTION console_grants() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT format('GRANT SELECT (%s) ON %I TO croupier_console', string_agg(format('%I', a.attname), ', '), c.relname)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE to_regrole('croupier_console') IS NOT NULL
      AND c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v', 'p')
      AND a.attname NOT IN ('secret_hash', 'sealed_secrets', 'sealed_server_seed')
    GROUP BY c.relname
$$;
