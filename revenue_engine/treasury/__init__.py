"""The county's own money at banks: bank accounts, and later deposits, sweeps and remittances to the Fund."""
