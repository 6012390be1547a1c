"""Reports, read back as their users would."""
