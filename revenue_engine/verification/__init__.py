"""The books recomputed: every invariant, every finding a row."""
