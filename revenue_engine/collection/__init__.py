"""The flow of money: from a delivery to postings, bill by bill."""
