"""Faults: real processes killed under load, and sabotages that the same checks must find."""
