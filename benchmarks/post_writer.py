"""One writer of ``bench_post``: a worker process as it is deployed, with the rights it has in production.

Reads its settings as one line of JSON, says ``ready``, waits for a line, drains, and answers one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from adapters.mpesa import adapter
from revenue_engine import db
from revenue_engine.bootstrap import configure_logging
from revenue_engine.worker import Worker


def run(given: dict[str, Any]) -> None:
    """Drain what is due once told to."""
    configure_logging("warning")
    engine = db.make_engine(given["url"], role="worker", pool_size=2)
    worker = Worker(engine, {"mpesa": adapter}, batch=int(given["batch"]))
    worker.drain()  # nothing is due: connections are made and modules are loaded
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    worker.drain()
    took = time.perf_counter() - began
    print(json.dumps({"seconds": took, "recorded": worker.tally.recorded, "failed": worker.tally.failed}), flush=True)
    engine.dispose()


if __name__ == "__main__":
    run(json.loads(sys.stdin.readline()))
