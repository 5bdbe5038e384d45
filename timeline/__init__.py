"""Everything that is on record of one round, on one time line."""
