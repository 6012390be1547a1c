"""Statements of 10,000 and 100,000 lines, read and proved, beside the libraries people use: one run, one machine.

Every reading is a process of its own. Ours reads the file as a stream and proves it; the peers read it whole and prove
nothing. Ratios are of the processor's seconds, medians of the rounds, which neighbours on the machine disturb least.

A peer whose cost grows with the square of the lines is read at a size where it ends in seconds, and the ratio bears
that size in its name: what it would be at the larger one can only be more. ``full`` reads it at every size.
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
QUIET_SECONDS = 2.0
FLAT_KIB = 16 * 1024
"""Memory counts as flat when ten times the lines add less than this to the peak."""
AT_MOST_SECONDS = 240.0
SLOW_SECONDS = 30.0
"""A peer slower than this is read once at that size, and not at a larger one."""
SQUARE = {"pycamt": 1_000}
"""Peers that take the square of the lines, and the size at which each is read: 10,000 lines take pycamt minutes."""


def run(*, sizes: tuple[int, ...] = (10_000, 100_000), rounds: int = 3, full: bool = False) -> dict[str, Any]:
    """Measure each reader that is installed; medians, spreads, ratios and the peaks of memory in MiB."""
    known = {point.name for point in entry_points(group="revenue_engine.statements")}
    result: dict[str, Any] = {"sizes": ", ".join(f"{size:,}" for size in sizes), "rounds": rounds}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="statements-")))
        for name in (name for name in statement_files.WRITERS if name in known):
            peer = PEERS[name]
            _tell(f"{name}: {peer} is set up")
            python, reason = _python(stack, peer)
            beside = peer if python else ""
            at = SQUARE.get(beside, 0) if not full else 0
            found: dict[str, Any] = {}
            if at:
                found = _measured(name, beside, python, folder, (at,), rounds)
                found[f"{peer}_read_at"] = f"{at:,} lines: it takes the square of them, and --full reads it at more"
                beside = ""
            found |= _measured(name, beside, python, folder, sizes, rounds)
            ratios = [value for key, value in found.items() if key.startswith("ratio_")]
            if peer in {"mt-940", "pycamt"} and ratios:
                found["goal_met"] = min(ratios) >= GOAL
            result[name] = found | ({f"{peer}_skipped": reason} if reason else {})
    return result | {"notes": NOTES}


def _tell(words: str) -> None:
    """Say on stderr how far it is: some readings take minutes."""
    print(f"bench statement: {words}", file=sys.stderr, flush=True)


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
        pythons = {name: sys.executable} | ({peer: python} if peer and not too_slow else {})
        times = _rounds(path, size, pythons, peer, rounds)
        for who, answers in times.items():
            label = "ours" if who == name else who
            result |= _figures(f"{label}_{size}", answers)
        result[f"file_{size}_mb"] = round(path.stat().st_size / 1e6, 1)
        path.unlink()
        peaks.append(max(answer["peak_kib"] for answer in times[name]))
        quick = statistics.median(answer["cpu"] for answer in times[name])
        if peer in times:
            slow = statistics.median(answer["cpu"] for answer in times[peer])
            result[f"ratio_{size}"] = round(slow / quick, 1)
            too_slow = slow > SLOW_SECONDS
        elif peer in pythons:
            too_slow = True
            result[f"{peer}_{size}"] = f"not done in {AT_MOST_SECONDS:.0f} s"
            result[f"ratio_{size}_at_least"] = round(AT_MOST_SECONDS / quick, 1)
    if len(peaks) > 1:
        result["memory_is_flat"] = peaks[-1] - peaks[0] < FLAT_KIB
    return result


def _rounds(
    path: Path, size: int, pythons: dict[str, str], peer: str, rounds: int
) -> dict[str, list[dict[str, float]]]:
    """The answers of each reader, in turns; without a peer that did not end."""
    times: dict[str, list[dict[str, float]]] = {who: [] for who in pythons}
    for number in range(rounds):
        for who in sorted(times, reverse=number % 2 == 1):  # a copy: a peer that never ends is taken out
            if who == peer and times[who] and times[who][-1]["seconds"] > SLOW_SECONDS:
                continue
            quiet.wait(at_most=QUIET_SECONDS)
            answer = _read(pythons[who], who, path)
            if answer is None:
                del times[who]
                _tell(f"{size:,} lines, {who}: not done in {AT_MOST_SECONDS:.0f} s")
                continue
            if who != peer and answer["lines"] != size:
                raise RuntimeError(f"{who} read {answer['lines']} of {size} lines")
            times[who].append(answer)
            _tell(f"{size:,} lines, round {number + 1} of {rounds}, {who}: {answer['cpu']:.3f} s")
    return times


def _figures(label: str, answers: list[dict[str, float]]) -> dict[str, Any]:
    cpu = [answer["cpu"] for answer in answers]
    return {
        f"{label}_cpu_seconds": round(statistics.median(cpu), 3),
        f"{label}_cpu_spread": f"{min(cpu):.3f}-{max(cpu):.3f}",
        f"{label}_seconds": round(statistics.median(answer["seconds"] for answer in answers), 3),
        f"{label}_peak_mib": round(max(answer["peak_kib"] for answer in answers) / 1024, 1),
    }


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
    "what grows with our lines is a hash of each, which tells a real repeat in one statement from another line",
    "pandas reads the columns of the table as text and knows no amounts: what a bare reading costs",
]
