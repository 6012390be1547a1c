"""Reports: read only, every figure from the postings, one renderer each for table, CSV, JSON and workbook."""
