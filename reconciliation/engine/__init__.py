"""The matching engine: pure, deterministic, independent of the order of its input."""
