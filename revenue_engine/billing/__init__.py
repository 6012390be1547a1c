"""What is owed: tariffs, payers, bills, and what is left of each bill."""
