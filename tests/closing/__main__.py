"""Draws more edits of a superuser than the suite does: ``python -m tests.closing [HOW MANY] [SEED]``."""

from __future__ import annotations

import os
import sys

import pytest

if __name__ == "__main__":
    os.environ["REVENUE_TEST_EDITS"] = sys.argv[1] if len(sys.argv) > 1 else "200"
    os.environ["REVENUE_TEST_SEED"] = sys.argv[2] if len(sys.argv) > 2 else "20"
    told = ["-q", "--timeout=580", "tests/closing/test_superuser.py", "-k", "random or clean", "--durations=3"]
    sys.exit(pytest.main(told))
