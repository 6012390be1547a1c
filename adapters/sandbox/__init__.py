"""What the providers' side looks like: message builders for the simulator and the tests, apart from the adapters."""
