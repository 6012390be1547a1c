"""``python -m tests.oracles.badges``: our Open Badge verified by openbadgeslib, which nobody here wrote.

A badge that it does not verify, or a changed one that it does, ends the run with 1; without a registry it ends with 3.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date
from pathlib import Path

from revenue_engine import signed_notes
from revenue_engine.papers import learning
from tests.oracles.environments import Unreachable, install, judged


def main() -> int:
    """Ask the library about one badge, one with another signature and one with another body."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        signed_notes.make_key(folder / "county.pem", "county")
        key = signed_notes.read_key(folder / "county.pem")
        learned = learning.Learned("DL26-0A1B2C3D4E", "ICT/CU/IT/BC/02/6/A", 1, date(2026, 11, 30))
        course = learning.Course("County", "Basics", "DigComp 3.0", "Testland VTC", 4, 3)
        good = learning.badge(learned, course, learner="L-1", keys=[key])
        head, body, signature = good.split(".")
        changed = (f"{head}.{body}.{'A' * len(signature)}", f"{head}.{body[:-4]}AAAA.{signature}")
        try:
            python = install(folder, "openbadgeslib")
        except Unreachable as error:
            print(error, file=sys.stderr)
            return 3
        asked = {"issuer": learning.issuer(key.public), "tokens": [good, *changed]}
        verdicts = judged(python, "judge_badge.py", asked)
    print("\n".join(verdicts))
    return 0 if verdicts[0] == course.course and all(one.startswith("refused") for one in verdicts[1:]) else 1


if __name__ == "__main__":
    sys.exit(main())
