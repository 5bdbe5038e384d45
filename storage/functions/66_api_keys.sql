-- What an operator's administrator does with the operator's API keys. The programs' role can make, end and
-- rotate keys by these functions alone, and never reads a key: only hashes come in.
--
-- The interleavings that must not hurt:
-- * A key is revoked while it is being rotated. Both take the key's row first, so that either the rotation finds it
--   revoked and makes nothing, or the revocation finds both keys there; never does a key that was revoked first
--   leave a successor.
-- * A key is rotated twice, because the first answer was lost. Each time makes a new key, and the old one's end only
--   ever comes nearer: no rotation lets a key live longer.
-- * Many keys are added at once. The operator's row is locked, so the limit is counted by one at a time; for those of
--   the platform, a lock of their own.
--
-- The operator is null for keys of the platform, which no operator can rotate or revoke.

-- `added`; `too-many` when the operator has p_limit keys that open something; `no-operator`.
CREATE FUNCTION add_api_key_v3(
    p_operator_id text, p_id text, p_secret_hash text, p_scope text, p_expires_at timestamptz, p_limit int,
    p_brand text, p_name text
) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF p_operator_id IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('croupier: keys of the platform'));
    ELSE
        PERFORM 1 FROM operators WHERE id = p_operator_id FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN 'no-operator';
        END IF;
    END IF;
    IF p_limit <= (SELECT count(*) FROM api_keys
                   WHERE operator_id IS NOT DISTINCT FROM p_operator_id AND revoked_at IS NULL
                     AND (expires_at IS NULL OR expires_at > clock_timestamp())) THEN
        RETURN 'too-many';
    END IF;
    INSERT INTO api_keys (id, operator_id, secret_hash, scope, expires_at, brand, name)
    VALUES (p_id, p_operator_id, p_secret_hash, p_scope, p_expires_at, p_brand, p_name);
    RETURN 'added';
END $$;

-- As programs without names call it.
CREATE FUNCTION add_api_key_v2(
    p_operator_id text, p_id text, p_secret_hash text, p_scope text, p_expires_at timestamptz, p_limit int,
    p_brand text
) RETURNS text LANGUAGE sql AS $$
    SELECT add_api_key_v3(p_operator_id, p_id, p_secret_hash, p_scope, p_expires_at, p_limit, p_brand, NULL)
$$;

-- As programs without brands call it.
CREATE FUNCTION add_api_key_v1(
    p_operator_id text, p_id text, p_secret_hash text, p_scope text, p_expires_at timestamptz, p_limit int
) RETURNS text LANGUAGE sql AS $$
    SELECT add_api_key_v3(p_operator_id, p_id, p_secret_hash, p_scope, p_expires_at, p_limit, NULL, NULL)
$$;

-- Makes a key of the same scope, brand and name and lets the old one end in p_overlap_s seconds, or when it would end anyway. No row
-- when the operator has no such key, or one that opens nothing any more.
CREATE FUNCTION rotate_api_key_v2(
    p_operator_id text, p_old_id text, p_new_id text, p_secret_hash text, p_overlap_s int
) RETURNS TABLE (scope text, brand text, old_expires_at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    v_name text;
BEGIN
    UPDATE api_keys k
    SET expires_at = least(k.expires_at, clock_timestamp() + make_interval(secs => p_overlap_s))
    WHERE k.id = p_old_id AND k.operator_id IS NOT DISTINCT FROM p_operator_id AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
    RETURNING k.scope, k.expires_at, k.brand, k.name INTO scope, old_expires_at, brand, v_name;
    IF FOUND THEN
        INSERT INTO api_keys (id, operator_id, secret_hash, scope, brand, name)
        VALUES (p_new_id, p_operator_id, p_secret_hash, scope, brand, v_name);
        RETURN NEXT;
    END IF;
END $$;

-- As programs without brands call it.
CREATE FUNCTION rotate_api_key_v1(
    p_operator_id text, p_old_id text, p_new_id text, p_secret_hash text, p_overlap_s int
) RETURNS TABLE (scope text, old_expires_at timestamptz) LANGUAGE sql AS $$
    SELECT r.scope, r.old_expires_at
    FROM rotate_api_key_v2(p_operator_id, p_old_id, p_new_id, p_secret_hash, p_overlap_s) r
$$;

-- Whether the operator has such a key; revoking it twice changes nothing.
CREATE FUNCTION revoke_api_key_v1(p_operator_id text, p_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp())
    WHERE id = p_id AND operator_id IS NOT DISTINCT FROM p_operator_id;
    RETURN FOUND;
END $$;
