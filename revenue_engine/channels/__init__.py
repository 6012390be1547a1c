"""Channel accounts, their addresses and settings, and the deliveries that reach them."""
