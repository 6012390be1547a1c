"""What an adapter may import: callbacks, statements, outbound calls, strict JSON."""
