"""Readers of statement files: one module a format, each found by its entry point in ``revenue_engine.statements``."""
