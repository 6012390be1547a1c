"""Statements of 10,000 and 100,000 lines, read and proved, beside the libraries people use: one run, one machine.

Every reading is a process of its own. Ours reads the file as a stream and proves it; the peers read it whole and prove
nothing. A peer that does not finish in a bounded time is compared at the size it does finish.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from benchmarks import peers, quiet, statement_files

ROOT = Path(__file__).parents[1]
PROGRAM = Path(__file__).with_name("statement_read.py")
PEERS = {"mt940": "mt-940", "camt": "pycamt", "table": "pandas"}
PINNED = {"mt-940": ("mt-940==5.1.1",), "pycamt": ("pycamt==1.1.1",), "pandas": ()}
GOAL = 10
QUIET_SECONDS = 10.0
FLAT_KIB = 16 * 1024
"""Memory counts as flat when ten times the lines add less than this to the peak."""
AT_MOST_SECONDS = 240.0
SLOW_SECONDS = 30.0
"""A peer slower than this is read once at that size, and not at a larger one."""


def run(*, sizes: tuple[int, ...] = (10_000, 100_000), rounds: int = 3) -> dict[str, Any]:
    """Measure each reader that is installed; medians, spreads, ratios and the peaks of memory in MiB."""
    known = {point.name for point in entry_points(group="revenue_engine.statements")}
    result: dict[str, Any] = {"sizes": ", ".join(f"{size:,}" for size in sizes), "rounds": rounds}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="statements-")))
        for name in (name for name in statement_files.WRITERS if name in known):
            peer = PEERS[name]
            python, reason = _python(stack, peer)
            found = _measured(name, peer if python else "", python, folder, sizes, rounds)
            result[name] = found | ({f"{peer}_skipped": reason} if reason else {})
    return result | {"notes": NOTES}


def _python(stack: contextlib.ExitStack, peer: str) -> tuple[str, str]:
    if not PINNED[peer]:
        return sys.executable, ""
    try:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-"))
        return peers.install(Path(folder), PINNED[peer]), ""
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"{peer} could not be installed ({type(error).__name__}): is a package registry reachable?"


def _measured(name: str, peer: str, python: str, folder: Path, sizes: tuple[int, ...], rounds: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    peaks = []
    too_slow = False
    for size in sizes:
        path = folder / f"{name}-{size}.{statement_files.ENDINGS[name]}"
        statement_files.WRITERS[name](path, size)
        times: dict[str, list[dict[str, float]]] = {name: []} | ({peer: []} if peer and not too_slow else {})
        for number in range(rounds):
            for who in sorted(times, reverse=number % 2 == 1):  # a copy: a peer that never ends is taken out
                if times[who] and times[who][-1]["seconds"] > SLOW_SECONDS and who == peer:
                    continue
                quiet.wait(at_most=QUIET_SECONDS)
                answer = _read(sys.executable if who == name else python, who, path)
                if answer is None:
                    del times[who]
                    too_slow = True
                    result[f"{who}_{size}"] = f"not done in {AT_MOST_SECONDS:.0f} s"
                    result[f"ratio_{size}_at_least"] = None
                    continue
                if who == name and answer["lines"] != size:
                    raise RuntimeError(f"{name} read {answer['lines']} of {size} lines")
                times[who].append(answer)
        for who, answers in times.items():
            seconds = [answer["seconds"] for answer in answers]
            label = "ours" if who == name else who
            result[f"{label}_{size}_seconds"] = round(statistics.median(seconds), 3)
            result[f"{label}_{size}_spread"] = f"{min(seconds):.3f}-{max(seconds):.3f}"
            result[f"{label}_{size}_peak_mib"] = round(max(answer["peak_kib"] for answer in answers) / 1024, 1)
        if f"ratio_{size}_at_least" in result:
            result[f"ratio_{size}_at_least"] = round(AT_MOST_SECONDS / result[f"ours_{size}_seconds"], 1)
        peaks.append(max(answer["peak_kib"] for answer in times[name]))
        result[f"file_{size}_mb"] = round(path.stat().st_size / 1e6, 1)
        path.unlink()
        if peer in times:
            slow = statistics.median(answer["seconds"] for answer in times[peer])
            quick = statistics.median(answer["seconds"] for answer in times[name])
            result[f"ratio_{size}"] = round(slow / quick, 1)
            too_slow = slow > SLOW_SECONDS
    result["memory_is_flat"] = peaks[-1] - peaks[0] < FLAT_KIB
    ratios = [value for key, value in result.items() if key.startswith("ratio_")]
    if peer in {"mt-940", "pycamt"} and ratios:
        result["goal_met"] = min(ratios) >= GOAL
    return result


def _read(python: str, who: str, path: Path) -> dict[str, float] | None:
    command = [python, str(PROGRAM), who, str(path)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=AT_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


NOTES = [
    "ours reads and proves: every statement adds up, and statements follow each other; the peers only read",
    "seconds of reading alone, without the start of Python; peaks are of the whole process",
    "pandas reads the columns of the table as text and knows no amounts: what a bare reading costs",
]
