"""Persons, rights, approvals, and what is tried against them."""
