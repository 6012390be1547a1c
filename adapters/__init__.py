"""Channel adapters: one provider, one file. They know the port and nothing behind it."""
