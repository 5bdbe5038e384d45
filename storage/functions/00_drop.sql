-- Functions and views are made anew by every upgrade, so that these files are their one source.
DROP VIEW IF EXISTS round_view CASCADE;
DROP FUNCTION IF EXISTS transfer_digest CASCADE;
DROP FUNCTION IF EXISTS post_transfer CASCADE;
DROP FUNCTION IF EXISTS record_event CASCADE;
DROP FUNCTION IF EXISTS round_event_data CASCADE;
DROP FUNCTION IF EXISTS money_json CASCADE;
DROP FUNCTION IF EXISTS reserve_round CASCADE;
DROP FUNCTION IF EXISTS settle_round CASCADE;
DROP FUNCTION IF EXISTS release_round CASCADE;
DROP FUNCTION IF EXISTS deposit CASCADE;
DROP FUNCTION IF EXISTS withdraw CASCADE;
DROP FUNCTION IF EXISTS refuse_account_with_money CASCADE;
DROP FUNCTION IF EXISTS refuse_change CASCADE;
DROP FUNCTION IF EXISTS refuse_change_of_final_round CASCADE;
DROP FUNCTION IF EXISTS refuse_change_of_event CASCADE;
