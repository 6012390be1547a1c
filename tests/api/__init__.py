"""The API, asked as its callers ask it, on a real database."""
