"""What the peers do with the same files, each in an environment of its own: DuckDB's join, bankstatementparser.

Run by the Python that has them: ``match_peers.py duckdb|bankstatementparser INVOICES PAYMENTS OUT``; prints JSON.
"""

from __future__ import annotations

import csv
import json
import resource
import sys
import time
from pathlib import Path


def duckdb(invoices: str, payments: str, out: str) -> dict[str, object]:
    import duckdb as db

    connection = db.connect()
    connection.execute("SET threads = 2")
    connection.execute(
        f"""COPY (SELECT p.payment_id, i.invoice_number, p.amount
                  FROM read_csv('{payments}', all_varchar = true) p
                  JOIN read_csv('{invoices}', all_varchar = true) i ON p.account_reference = i.invoice_number
                  WHERE i.status = 'open') TO '{out}' (HEADER)"""
    )
    matched = connection.execute(f"SELECT count(*) FROM read_csv('{out}', all_varchar = true)").fetchone()
    return {"matched": matched[0] if matched else 0, "version": db.__version__}


def bankstatementparser(invoices: str, payments: str, out: str) -> dict[str, object]:
    from importlib.metadata import version

    from bankstatementparser.reconciliation import reconcile_payments_and_statements

    def side(path: str, key: str, amount: str, name: str) -> list[dict[str, str]]:
        with Path(path).open(newline="", encoding="utf-8") as handle:
            return [
                {"end_to_end_id": row[key], "amount": row[amount], "currency": "KES", "creditor_name": row[name]}
                for row in csv.DictReader(handle)
            ]

    found = reconcile_payments_and_statements(
        side(payments, "account_reference", "amount", "payer_name"),
        side(invoices, "invoice_number", "amount_due", "payer_name"),
    )
    return {"matched": found.matched_count, "version": version("bankstatementparser")}


if __name__ == "__main__":
    began = time.perf_counter()
    answer = {"duckdb": duckdb, "bankstatementparser": bankstatementparser}[sys.argv[1]](*sys.argv[2:5])
    answer["seconds"] = round(time.perf_counter() - began, 2)
    used = resource.getrusage(resource.RUSAGE_SELF)
    answer["cpu_seconds"] = round(used.ru_utime + used.ru_stime, 2)
    answer["peak_mib"] = used.ru_maxrss // 1024
    print(json.dumps(answer))
