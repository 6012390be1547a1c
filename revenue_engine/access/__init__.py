"""Persons and what proves them, what they may do, and what two of them agree to.

The tables are written by functions of the database alone; the modules here call them. ``docs/security.md`` says what
each function believes and what a stolen process can still do.
"""
