"""Code that nobody here wrote, asked about ours: other people's M-PESA clients and schemas.

Run them with ``python -m tests.oracles``. Their releases are pinned and installed on demand from the package registry,
each into an environment of its own; without a registry the run says so and ends with 3. They never enter the lock, and
the suite does not need them.
"""
