"""The directorates' own registers and flows."""
