"""What the suite leans on."""
