"""Matching runs over the books: what they read, what they set, what they leave for people."""
