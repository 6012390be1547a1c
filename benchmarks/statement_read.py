"""Reads one statement in a process of its own and says how long it took: our readers, or a peer in its environment.

``python statement_read.py READER FILE``; one JSON object with seconds by the clock (``seconds``) and of the processor
(``cpu``), lines and the peak of memory in KiB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable


def ours(name: str) -> Callable[[str], int]:
    """One of our readers, found by its entry point, with its proof: what an import of the file does before it books."""
    from importlib.metadata import entry_points

    from revenue_engine.ports.statements import StatementLine, proved

    reader = next(point for point in entry_points(group="revenue_engine.statements") if point.name == name).load()

    def read(path: str) -> int:
        lines = 0
        with open(path, "rb") as stream:  # noqa: PTH123 - a peer's Python runs this file too
            for event in proved(reader.read(stream, filename=path)):
                if isinstance(event, StatementLine):
                    lines += 1
        return lines

    return read


def mt_940() -> Callable[[str], int]:
    import mt940  # type: ignore[import-not-found,unused-ignore]

    return lambda path: len(mt940.parse(path).transactions)


def pycamt() -> Callable[[str], int]:
    from pycamt.parser import Camt053Parser  # type: ignore[import-not-found,unused-ignore]

    return lambda path: len(Camt053Parser.from_file(path).get_transactions())


def pandas() -> Callable[[str], int]:
    from pandas import read_csv

    return lambda path: len(read_csv(path, dtype=str, skiprows=2))


PEERS: dict[str, Callable[[], Callable[[str], int]]] = {"mt-940": mt_940, "pycamt": pycamt, "pandas": pandas}


def main() -> None:
    """Read and tell."""
    name, path = sys.argv[1:]
    read = PEERS[name]() if name in PEERS else ours(name)
    began, worked = time.perf_counter(), time.process_time()
    lines = read(path)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    print(json.dumps({"seconds": seconds, "cpu": cpu, "lines": lines, "peak_kib": peak_kib()}))


def peak_kib() -> int:
    """The most memory this process held. The kernel's own count is of the parent too, until this program began."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
