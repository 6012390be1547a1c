"""Tests of the secondary ledgers."""
