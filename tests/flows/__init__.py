"""Worked examples: from a provider's callback to the trial balance and the receipt."""
