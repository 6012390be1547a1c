"""The ladder once more, the slow and plain way: every payment beside every bill. Only for small worlds.

It knows nothing of the engine's columns and indexes. Numbers are read by trying every bill's number against the text.
"""

from __future__ import annotations

import itertools
import re
from datetime import datetime

from rapidfuzz.distance import OSA

from reconciliation.engine.senders import Sender, compare, name_words, phone_pattern
from revenue_engine.identifiers import begins_like_a_phone, is_pay_account_number
from revenue_engine.money import parse_wire

FOLD = str.maketrans("OILSBZG", "0115826")
Row = dict[str, str]


def bare(text: str) -> str:
    return re.sub("[^A-Z0-9]", "", text.upper()).translate(FOLD)


def match(bills: list[Row], payments: list[Row]) -> set[tuple[str, str, int, str]]:  # noqa: C901 - one page on purpose
    began = {row["invoice_number"]: parse_wire(row["amount_due"]) * (row["status"] == "open") for row in bills}
    opened = dict(began)
    of = {row["invoice_number"]: row for row in bills}
    found: set[tuple[str, str, int, str]] = set()
    stopped: set[str] = set()

    def take(payment: Row, number: str, cents: int, rung: str) -> None:
        found.add((payment["payment_id"], number, cents, rung))
        opened[number] -= cents
        stopped.add(payment["payment_id"])

    def proof(payment: Row, number: str):  # type: ignore[no-untyped-def]
        sender = Sender(phone_pattern(payment["msisdn"]), name_words(payment["payer_name"]))
        return compare(sender, phone=phone_pattern(of[number]["msisdn"]), name=name_words(of[number]["payer_name"]))

    def others(payment: Row, cents: int, rows: list[str]) -> bool:
        """Whether the sender owes this amount elsewhere."""
        return any(opened[n] == cents and n not in rows and proof(payment, n).agrees for n in began)

    waiting = sorted(payments, key=lambda row: (datetime.fromisoformat(row["paid_at"]), row["payment_id"]))
    for rung in ("exact", "normalised", "sum_of_numbers", "alias", "slip", "payer"):
        for payment in waiting:
            key, typed, cents = payment["payment_id"], payment["account_reference"], parse_wire(payment["amount"])
            if key in stopped:
                continue
            tokens, digits = re.findall("[A-Z0-9]+", typed.upper()), re.sub("[^0-9]", "", typed)
            named = [number for number in began if began[number] and (number in tokens or number == digits)]
            if len(named) == 1 and begins_like_a_phone(named[0]):  # amount and payer may not both be another's
                named = [n for n in named if cents == began[n] or not proof(payment, n).doubtful]
            exact = [number for number in named if typed.strip() == number]
            if (rung == "exact" and exact) or (rung == "normalised" and len(named) == 1):
                take(payment, named[0], min(cents, opened[named[0]]), rung)
            elif rung == "sum_of_numbers" and len(named) > 1:
                stopped.add(key)
                if all(opened[number] for number in named) and sum(opened[number] for number in named) == cents:
                    for number in named:
                        take(payment, number, opened[number], rung)
            elif rung == "alias":
                objects = [
                    n for n in began if began[n] and of[n]["object_ref"] and bare(of[n]["object_ref"]) == bare(typed)
                ]
                if not objects:
                    continue
                fits = [n for n in objects if opened[n] == cents and proof(payment, n).agrees]
                if len(objects) == 1 and opened[objects[0]]:
                    sure = proof(payment, objects[0]).undisputed
                    if sure or (opened[objects[0]] == cents and not others(payment, cents, objects)):
                        take(payment, objects[0], min(cents, opened[objects[0]]), rung)
                elif len(objects) > 1 and len(fits) == 1:
                    take(payment, fits[0], cents, rung)
                stopped.add(key)
            elif rung == "slip" and typed.isdigit() and not is_pay_account_number(typed) and len(typed) in (8, 9, 10):
                near = [
                    n for n in began if opened[n] == cents and OSA.distance(typed, n) == 1 and proof(payment, n).agrees
                ]
                if len(near) == 1:
                    take(payment, near[0], cents, rung)
            elif rung == "payer":
                of_paid = [n for n in began if not began[n] and (n in tokens or n == digits)]
                payers = {of[n]["payer_id"] for n in of_paid}
                if len(payers) > 1:
                    continue
                owed = [n for n in began if of[n]["payer_id"] in payers]
                fits = [n for n in owed if opened[n] == cents]
                twin = any(began[n] == cents and not opened[n] for n in owed)
                if len(fits) == 1 and (proof(payment, fits[0]).agrees or not (twin or others(payment, cents, owed))):
                    take(payment, fits[0], cents, rung)
    return {one for one in found if one[2]}


def subsets(amounts: list[int], target: int) -> int:
    """How many sets of two or more amounts sum to the target."""
    sizes = range(2, len(amounts) + 1)
    return sum(sum(chosen) == target for size in sizes for chosen in itertools.combinations(amounts, size))
