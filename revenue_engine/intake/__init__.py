"""The door for providers' callbacks."""
