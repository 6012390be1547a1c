"""Who acts: the record of every change."""
