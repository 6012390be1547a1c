"""Small worlds for the engine: tables out of a few plain values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from reconciliation.engine import columns, matching
from reconciliation.engine.files import INVOICE_COLUMNS, PAYMENT_COLUMNS
from reconciliation.engine.policy import Policy
from revenue_engine.money import parse_wire

A, B, C, D = "508060611", "556796571", "123456786", "987654329"


def bill(number: str, due: str = "100.00", **more: str) -> dict[str, str]:
    start = dict.fromkeys(INVOICE_COLUMNS, "")
    return start | {
        "invoice_number": number, "amount_due": due, "status": "open", "payer_id": f"P-{number}",
        "payer_name": "Achieng Odera", "msisdn": "254712000345", "due_on": "2026-04-30", "stream": "PARKING",
    } | more  # fmt: skip


def paid(key: str, amount: str = "100.00", typed: str = "", **more: str) -> dict[str, str]:
    start = dict.fromkeys(PAYMENT_COLUMNS, "")
    return start | {
        "payment_id": key, "amount": amount, "account_reference": typed, "channel": "MPESA", "payer_name": "ACHIENG",
        "msisdn": "2547*****345", "paid_at": "2026-04-01T09:00:00+03:00",
    } | more  # fmt: skip


def tables(bills: list[dict[str, str]], payments: list[dict[str, str]]) -> tuple[pa.Table, pa.Table]:
    """The tables that the readers of files make."""
    from datetime import datetime

    first = columns.table({name: columns.texts(row[name] for row in bills) for name in INVOICE_COLUMNS})
    first = first.append_column("amount_minor", columns.ints([parse_wire(row["amount_due"]) for row in bills]))
    second = columns.table({name: columns.texts(row[name] for row in payments) for name in PAYMENT_COLUMNS})
    second = second.append_column("amount_minor", columns.ints([parse_wire(row["amount"]) for row in payments]))
    moments = [round(datetime.fromisoformat(row["paid_at"]).timestamp() * 1_000_000) for row in payments]
    return first, second.append_column("paid_at_us", columns.ints(moments))


def run(bills: list[dict[str, str]], payments: list[dict[str, str]], **policy: Any) -> matching.Outcome:
    return matching.match(*tables(bills, payments), Policy(**policy))


def matched(found: matching.Outcome) -> set[tuple[str, str, str, str]]:
    """(payment, bill, amount, rung) of every match."""
    rows = found.matches.to_pylist()
    return {(row["payment_id"], row["invoice_number"], row["amount"], row["rung"]) for row in rows}


def left(found: matching.Outcome) -> dict[str, tuple[str, str]]:
    """Payment to (reason, the predicate that failed)."""
    return {row["payment_id"]: (row["reason"], row["failed"]) for row in found.breaks.to_pylist()}
