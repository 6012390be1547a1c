"""The county's desk, walked over HTTP."""
