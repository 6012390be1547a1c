"""What the best ranking could reach for the payments that are left to a person, by kind of mistake, beside ours.

``python -m benchmarks.match_ceiling CORPUS MATCHES SUGGESTIONS`` reads a labelled corpus (invoices, payments, truth)
and an answer. For each payment left it counts the bills, open after the certain matches, that agree with everything
with which the right bill agrees: what was typed, the amount, the sender's phone and name. Those that agree with more
come first whoever ranks; among equals the right one is anywhere. What a kind of mistake still tells is taken from the
truth, so it is not less than any reader of texts can find.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciliation.engine.senders import Agreement, Sender, compare, name_words, phone_pattern
from revenue_engine.money import parse_wire

SHOWN = 3
_TAIL = 3
Bill = dict[str, Any]
Index = dict[tuple[Any, ...], list[Bill]]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        yield from csv.DictReader(handle)


def _open_after(corpus: Path, matches: Path) -> dict[str, Bill]:
    """The bills of which something is open when the certain matches are made, by number."""
    taken: Counter[str] = Counter()
    for row in _rows(matches):
        taken[row["invoice_number"]] += parse_wire(row["amount"])
    found: dict[str, Bill] = {}
    for row in _rows(corpus / "invoices.csv"):
        due = parse_wire(row["amount_due"]) - taken[row["invoice_number"]]
        if row["status"] == "open" and due > 0:
            found[row["invoice_number"]] = {
                "number": row["invoice_number"],
                "open": due,
                "payer": row["payer_id"],
                "phone": phone_pattern(row["msisdn"]),
                "name": name_words(row["payer_name"]),
            }
    return found


def _indexes(bills: dict[str, Bill]) -> dict[str, Index]:
    """The bills by what a kind of mistake still tells, and the amount."""
    found: dict[str, Index] = {kind: defaultdict(list) for kind in ("payer", "phone", "name", "tail", "amount")}
    for bill in bills.values():
        cents = bill["open"]
        for kind in ("payer", "phone", "name"):
            found[kind][bill[kind], cents].append(bill)
        found["tail"][bill["phone"][-_TAIL:], cents].append(bill)
        found["amount"][(cents,)].append(bill)
    return found


_TELLS = {"old_invoice": "payer", "sum_of_two": "payer", "phone_as_ref": "phone", "name_as_ref": "name"}


def _chance(kind: str, sender: Sender, right: Bill, indexes: dict[str, Index]) -> float:
    """How likely the right bill is among the first, for a ranking that never prefers less evidence."""
    if kind not in (*_TELLS, "blank_ref"):
        return 1.0  # a number or an object was typed: it means one bill
    proof = compare(sender, phone=right["phone"], name=right["name"])
    if kind in _TELLS:
        alike = indexes[_TELLS[kind]][right[_TELLS[kind]], right["open"]]
    elif proof.phone > 0:
        alike = indexes["tail"][right["phone"][-_TAIL:], right["open"]]
    elif proof.name is Agreement.FULLY:
        alike = indexes["name"][right["name"], right["open"]]
    else:
        alike = indexes["amount"][(right["open"],)]
        if proof.name <= 0:
            return min(1.0, SHOWN / len(alike))  # nothing is told but the amount, nor by those who agree with more
    better = equal = 0
    for bill in alike:
        other = compare(sender, phone=bill["phone"], name=bill["name"])
        if other == proof:
            equal += 1
        elif other.phone >= proof.phone and other.name >= proof.name:
            better += 1
    return min(1.0, max(0, SHOWN - better) / equal)


def ceiling(corpus: Path, matches: Path, suggestions: Path) -> dict[str, Any]:
    """By kind and in all: how many are left, the share that can be reached, and the share that was."""
    bills = _open_after(corpus, matches)
    indexes = _indexes(bills)
    done = {(row["payment_id"], row["invoice_number"]) for row in _rows(matches)}
    left: dict[str, list[str]] = defaultdict(list)
    kinds: dict[str, str] = {}
    for row in _rows(corpus / "truth.csv"):
        if row["invoice_number"] and (row["payment_id"], row["invoice_number"]) not in done:
            left[row["payment_id"]].append(row["invoice_number"])
            kinds[row["payment_id"]] = row["kind"]
    shown: dict[str, set[str]] = defaultdict(set)
    for row in _rows(suggestions):
        if int(row["rank"]) <= SHOWN:
            shown[row["payment_id"]].add(row["invoice_number"])
    count, best, ours = Counter[str](), defaultdict[str, float](float), Counter[str]()
    for row in _rows(corpus / "payments.csv"):
        key = row["payment_id"]
        if key not in left:
            continue
        sender = Sender(phone_pattern(row["msisdn"]), name_words(row["payer_name"]))
        chances = [_chance(kinds[key], sender, bills[number], indexes) for number in left[key] if number in bills]
        for kind in (kinds[key], "all"):
            count[kind] += 1
            best[kind] += max(chances, default=0.0)
            ours[kind] += not shown[key].isdisjoint(left[key])
    return {
        kind: {
            "left": count[kind],
            "ceiling": round(best[kind] / count[kind], 4),
            "ours": round(ours[kind] / count[kind], 4),
        }
        for kind in sorted(count)
    }


if __name__ == "__main__":
    for one, figures in ceiling(*map(Path, sys.argv[1:4])).items():
        print(one, json.dumps(figures))
