"""The matching engine, from rules to files."""
