"""What other programs read in the corpus of statements, beside ours: ``python -m tests.oracles.statements``.

No part of the suite: it installs pinned releases of four peers into environments of their own and asks each of them for
the sums of every file of its formats. Each disagreement is decided once, in ``statement_disagreements.csv``; a new one,
or one that is gone, fails the command. ``--write`` writes the table anew and keeps the decisions that are in it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

from adapters.statements import camt, mt940
from benchmarks import peers
from revenue_engine.money import minor_from_decimal, wire
from revenue_engine.ports.statements import StatementLine, StatementRefused

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("REVENUE_SHARED", ROOT.parent / "shared")) / "corpus"
TABLE = Path(__file__).with_name("statement_disagreements.csv")
COLUMNS = ("file", "peer", "ours", "theirs", "decision")
SWIFT, CAMT = ("mt940", "mt942"), ("camt052", "camt053", "camt054")
ENVIRONMENTS = (
    (("mt-940==5.1.1", "bankfile==0.2.0"), {"mt-940": SWIFT, "bankfile": SWIFT}),
    (("bankstatementparser==0.0.29",), {"bankstatementparser": SWIFT + CAMT}),
    (("pycamt==1.1.1",), {"pycamt": CAMT}),
)
SECONDS = 300


def ours(name: str) -> str:
    """Our answer for a file, before it is proved: the sums, or the fault it is refused for."""
    reader = mt940.reader if name.startswith("mt") else camt.reader
    up = down = 0
    try:
        for event in reader.read(io.BytesIO((CORPUS / name).read_bytes()), filename=name):
            if isinstance(event, StatementLine):
                up, down = up + max(event.amount_minor, 0), down + max(-event.amount_minor, 0)
    except StatementRefused as refused:
        return f"refused: {refused.fault}"
    return f"+{wire(up)} -{wire(down)}"


def theirs(python: str, peer: str, names: list[str]) -> dict[str, str]:
    """A peer's answers for the files."""
    program = ROOT / "tests" / "oracles" / "statement_peer.py"
    asked = "".join(f"{CORPUS / name}\n" for name in names)
    done = subprocess.run(
        [python, str(program), peer], input=asked, text=True, capture_output=True, timeout=SECONDS, check=True
    )
    answers = {}
    for name, line in zip(names, done.stdout.splitlines(), strict=True):
        found = json.loads(line)
        answers[name] = f"error: {found['error']}" if "error" in found else _sums(found)
    return answers


def _sums(found: dict[str, str]) -> str:
    return f"+{_wire(found['credits'])} -{_wire(found['debits'])}"


def _wire(text: str) -> str:
    value = Decimal(text)
    return wire(minor_from_decimal(value)) if value == round(value, 2) else str(value)


def disagreements() -> list[tuple[str, str, str, str]]:
    """Every file and peer whose answers are not ours. Raises OSError or SubprocessError where a peer cannot be had."""
    found = []
    for number, (pinned, asked) in enumerate(ENVIRONMENTS):
        with tempfile.TemporaryDirectory(prefix=f"peer{number}-") as folder:
            python = peers.install(Path(folder), pinned)
            for peer, formats in asked.items():
                names = sorted(f"{kind}/{path.name}" for kind in formats for path in (CORPUS / kind).iterdir())
                for name, answer in theirs(python, peer, names).items():
                    own = ours(name)
                    if own != answer:
                        found.append((name, peer, own, answer))
    return sorted(found)


def main() -> int:
    """Compare, and say what differs from the table. 0 when nothing does, or when no peer can be had."""
    if not CORPUS.is_dir():
        print("skipped: the shared corpus is not beside the repository")
        return 0
    try:
        found = disagreements()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"skipped: a peer could not be installed or asked ({type(error).__name__}): is a registry reachable?")
        return 0
    with TABLE.open(encoding="utf-8", newline="") as table:
        pinned = {tuple(row[name] for name in COLUMNS[:4]): row["decision"] for row in csv.DictReader(table)}
    if "--write" in sys.argv:
        with TABLE.open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([*row, pinned.get(row, "")] for row in found)
        return 0
    new = [row for row in found if not pinned.get(row)]
    gone = sorted(set(pinned) - set(found))
    for word, rows in (("undecided", new), ("gone", gone)):
        for row in rows:
            print(f"{word}: {', '.join(row)}")
    print(f"{len(found)} disagreements, {len(new)} undecided, {len(gone)} gone")
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main())
