-- The rules of this folder, and what all of its files use.
--
-- 1. A function that programs call has a version in its name: reserve_round_v1. Once it is released, its parameters
--    and their types stay as they are, and what it returns may only grow: programs of the release before still call
--    it while an upgrade goes on. What needs another parameter is reserve_round_v2, beside it. Only 90_access.sql
--    says what programs call. Everything else (helpers, triggers, views) has no version; its text may change at any
--    time, but a helper whose parameters or result change gets another name, and a view new columns at its end.
-- 2. A released composite type is never altered. A program writes ROW($1, ...)::bet_v1 with as many columns as it
--    was built with, and one column more in the type would fail its next bet. A new field of a bet makes bet_v2 and
--    the functions that take it; the version before calls the new one with a null. Such pairs are no duplicates.
-- 3. Types are made by migrations, functions by these files: each is replaced in place when its text has changed
--    (storage/migrate.py). What leaves its file does so with a migration, and is dropped in the half after.
-- 4. A function fits one screen: 70 lines at most.
-- See docs/decisions/0020-versioned-functions.md and docs/contributing/compatible-changes.md.

-- Whether a round in this state has not come to its end: in these files, and in the statements of the programs. It
-- is inlined, and so matches the index of open rounds.
CREATE FUNCTION is_open(state text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT state IN ('pending', 'awaiting_choice', 'settling')
$$;
