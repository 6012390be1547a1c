"""Measurements beside strong baselines, run from a checkout."""
