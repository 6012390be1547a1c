"""The desk in a real browser; see ``conftest``."""
