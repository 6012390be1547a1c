"""A longer run: ``SEEDS=1,2,3 KILLS=100 python -m tests.faults`` (or SEEDS=5 for five seeds from the clock).

``MAYHEM=1`` lets three workers, two runs and three persons act at once while the kills fall.
"""

from __future__ import annotations

import os
import sys
import time

from tests.faults import checks, plan
from tests.faults.harness import Fault, under_fire, world
from tests.faults.mayhem import mayhem


def main() -> int:
    """Run every seed; the first that fails ends it."""
    asked = os.environ.get("SEEDS", "3")
    first = int(time.time()) % 1_000_000
    seeds = [int(one) for one in asked.split(",") if one] if "," in asked else [first + n for n in range(int(asked))]
    kills = int(os.environ.get("KILLS", "60"))
    for seed in seeds:
        try:
            if os.environ.get("MAYHEM"):
                with world(seed, workers=3) as made:
                    figures, crowd, problems = mayhem(made, kills=kills)
                    if problems:
                        raise made.fault(problems)
                said = ", ".join(f"{what} {count}" for what, count in sorted(crowd.done.items()))
                print(f"{figures}: {said}: 0 problems", flush=True)
                continue
            with world(seed) as made:
                sent = plan.make(made.books, seed=seed, payments=max(400, kills * 40))
                targets = ("intake", "worker", "pg", "valkey")
                provider, figures = under_fire(made, sent, kills=kills, per_second=100, targets=targets)
                with made.connect() as connection:
                    problems = checks.everything(made.books.engine, connection, sent.truth, provider.acked)
                if problems:
                    raise made.fault(problems)
        except Fault as fault:
            print(fault)
            return 1
        print(f"{figures}: 0 lost, 0 doubled", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
