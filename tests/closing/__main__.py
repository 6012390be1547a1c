"""More than the suite does: ``python -m tests.closing edits|races|month [HOW MANY] [SEED]``.

``edits`` draws edits of a superuser (200); ``races`` runs races of a recorder and a close (1000), and 20 closes of real
processes; ``month`` closes 30 days of the demo. Each stops by itself within ten minutes.
"""

from __future__ import annotations

import os
import sys

import pytest

if __name__ == "__main__":
    what, *told = sys.argv[1:] or ["edits"]
    if what == "edits":
        os.environ["REVENUE_TEST_EDITS"] = told[0] if told else "200"
        os.environ["REVENUE_TEST_SEED"] = told[1] if len(told) > 1 else "20"
        chosen = ["tests/closing/test_superuser.py", "-k", "random or clean"]
    elif what == "month":
        os.environ["REVENUE_TEST_DAYS"] = told[0] if told else "30"
        chosen = ["tests/closing/test_demo_month.py"]
    else:
        os.environ["REVENUE_TEST_RACES"] = told[0] if told else "1000"
        os.environ["REVENUE_TEST_CLOSES"] = "20"
        chosen = ["tests/closing/test_races.py", "-k", "lands or pass_each_other"]
    sys.exit(pytest.main(["-q", "--timeout=580", "--durations=3", *chosen]))
