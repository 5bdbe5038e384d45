-- Accounts begin empty: whatever one has came by a transfer, whoever may insert accounts.

CREATE FUNCTION refuse_account_with_money() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an account begins empty' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER begins_empty BEFORE INSERT ON accounts
    FOR EACH ROW WHEN (NEW.balance <> 0 OR NEW.held <> 0)
    EXECUTE FUNCTION refuse_account_with_money();
