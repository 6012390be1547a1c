"""Runs inside a peer's environment: reads statement files named on standard input, one a line, and says what it found.

One JSON object a line: entries and the sums of credits and debits as decimal strings, or the name of the error.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any


def mt_940(path: str) -> Iterable[Decimal]:
    import mt940  # type: ignore[import-not-found,unused-ignore]

    return [entry.data["amount"].amount for entry in mt940.parse(path).transactions]


def bankfile(path: str) -> Iterable[Decimal]:
    from bankfile import read_mt940  # type: ignore[import-not-found,unused-ignore]

    statement = read_mt940(Path(path).read_bytes(), path=path)
    return [Decimal(str(entry.amount)) for entry in statement.transactions]


def bankstatementparser(path: str) -> Iterable[Decimal]:
    import bankstatementparser as peer  # type: ignore[import-not-found,unused-ignore]

    kind = path.rsplit("/", 2)[-2]
    parsers = {"mt940": peer.Mt940Parser, "mt942": peer.Mt942Parser, "camt053": peer.CamtParser}
    parser = {**parsers, "camt052": peer.Camt052Parser, "camt054": peer.Camt054Parser}[kind]
    rows = parser(path).parse().to_dict("records")
    return [Decimal(str(row.get("amount", row.get("Amount")))) for row in rows]


def pycamt(path: str) -> Iterable[Decimal]:
    from pycamt.parser import Camt053Parser  # type: ignore[import-not-found,unused-ignore]

    rows = Camt053Parser.from_file(path).get_transactions()
    return [Decimal(row["Amount"]) * (1 if row["CreditDebitIndicator"] == "CRDT" else -1) for row in rows]


PEERS: dict[str, Callable[[str], Iterable[Decimal]]] = {
    "mt-940": mt_940,
    "bankfile": bankfile,
    "bankstatementparser": bankstatementparser,
    "pycamt": pycamt,
}


def main() -> None:
    """Answer for each file named on standard input."""
    peer = PEERS[sys.argv[1]]
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        path = line.strip()
        answer: dict[str, Any]
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                amounts = list(peer(path))
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
            answer = {"error": type(error).__name__}
        else:
            answer = {
                "entries": len(amounts),
                "credits": str(sum((one for one in amounts if one > 0), Decimal(0))),
                "debits": str(-sum((one for one in amounts if one < 0), Decimal(0))),
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
