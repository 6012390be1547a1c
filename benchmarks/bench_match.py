"""Matching from files to files, beside DuckDB's plain join of the same files and bankstatementparser.

The peers do less: DuckDB joins the typed reference to the bill number and nothing else, and answers no questions of
consumption, slips or payers. They stand here as the measure of what reading and joining such files costs at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.post_baseline import install
from tests.matching import county

PINNED = ("duckdb==1.5.2", "bankstatementparser==0.0.29")
_KEPT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Ours and the peers run as installed programs do, with their modules compiled once."""
PEERS = Path(__file__).with_name("match_peers.py")
SLOW_PEER_MOST = 2_000
"""bankstatementparser compares every unmatched pair: larger files do not end within the time of a measurement."""


def run(*, payments: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """Seconds and peak memory at each size; the median of ``rounds``. ``CORPUS`` names folders made before."""
    result: dict[str, Any] = {"peers": " ".join(PINNED)}
    with tempfile.TemporaryDirectory(prefix="match-") as folder:
        python = os.environ.get("BENCH_MATCH_PYTHON")
        if python is None:
            try:
                python = install(Path(folder) / "peers", PINNED)
            except (OSError, subprocess.SubprocessError):
                result["peers"] = "could not be installed: is a package registry reachable?"
        for size in payments:
            result[f"{size}"] = _measure(Path(folder) / str(size), size, rounds, python)
    ours = [result[f"{size}"]["seconds"] for size in payments]
    if len(ours) > 1:
        result["growth"] = f"{ours[-1] / ours[0]:.1f}x the time for {payments[-1] / payments[0]:.0f}x the payments"
    return result


def _measure(folder: Path, size: int, rounds: int, python: str | None) -> dict[str, Any]:
    given = os.environ.get("BENCH_MATCH_CORPUS")
    if given and (Path(given.format(size)) / "invoices.csv").exists():
        made = Path(given.format(size))
        bills, paid = made / "invoices.csv", made / "payments.csv"
        folder.mkdir()
    else:
        bills, paid = county.make(1, size).write(folder)
    outputs = [str(folder / name) for name in ("m.csv", "s.csv", "b.csv")]
    words = ["match", "--invoices", str(bills), "--payments", str(paid), "--matches", outputs[0], "--suggestions"]
    command = [sys.executable, "-m", "revenue_engine.cli", *words, outputs[1], "--breaks", outputs[2], "--json"]
    ours: list[dict[str, Any]] = []
    peers: dict[str, list[dict[str, Any]]] = {"duckdb": [], "bankstatementparser": []} if python else {}
    for _ in range(rounds):  # in turn, so that a busy moment meets all of them
        ours.append(_ours(command))
        for peer, runs in peers.items():
            if peer == "duckdb" or size <= SLOW_PEER_MOST:
                runs.append(_peer(str(python), peer, bills, paid, folder))
    found = _median(ours)
    found |= {peer: _median(runs) for peer, runs in peers.items() if runs}
    if "duckdb" in found:
        for measure in ("seconds", "cpu_seconds"):
            found[f"{measure}_times_duckdb"] = round(found[measure] / found["duckdb"][measure], 1)
    return found


def _ours(command: list[str]) -> dict[str, Any]:
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_KEPT)
    answer = json.loads(process.stdout.read() if process.stdout else "")
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError("the engine did not end well")
    return {
        "seconds": round(time.perf_counter() - before, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_mib": used.ru_maxrss // 1024,
        "matched": answer["matched"],
        "result": answer["manifest"]["result"],
    }


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run of median seconds, whole: its figures belong together."""
    return sorted(runs, key=lambda one: one["seconds"])[len(runs) // 2]


def _peer(python: str, peer: str, bills: Path, paid: Path, folder: Path) -> dict[str, Any]:
    command = [python, str(PEERS), peer, str(bills), str(paid), str(folder / f"{peer}.csv")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=_KEPT)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
