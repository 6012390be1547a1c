"""The verbs people look for: where a payment is, what must be looked at, and answers in the format asked for."""
