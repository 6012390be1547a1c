"""Papers: their words, their proof and their looks."""
