"""Statement files: importing them, their rows, and which line is which."""
