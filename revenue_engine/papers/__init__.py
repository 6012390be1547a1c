"""What is printed: bills, official receipts and acknowledgements, their words, and the proof that they carry."""
