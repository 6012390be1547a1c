"""A county's facts: loading and checking them."""
