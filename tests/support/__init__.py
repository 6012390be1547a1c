"""What tests share: small counties and their books, servers as processes, a schema as text, an accountant's words."""
