"""Reads the books and says what is wrong: invariants, hash chains, outcomes, the audit, and the check."""
