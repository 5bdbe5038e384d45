"""Rounds for people who look: a list, one on its time line, what is stuck, what is open now."""
