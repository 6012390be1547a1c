"""Tests of the directorates."""
