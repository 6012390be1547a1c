"""The book as plain-text accounting, for programs nobody here wrote: each journal with its payment, bill and papers.

The text declares its commodity and accounts, opens with what stood before its first day, and ends by asserting every
balance, so that a strict reader proves it alone. What a journal is about stands in tags; no name or phone is there.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from revenue_engine import ledger, payments, periods
from revenue_engine.billing import payers
from revenue_engine.billing.tariffs import county
from revenue_engine.ledger.balances import ExportRow
from revenue_engine.money import wire
from revenue_engine.payments import receipts
from revenue_engine.verification import verify

TOGETHER = 2_000
"""Journals whose codes, bills and papers are looked up at once."""


@dataclass(slots=True)
class Exported:
    """What an export came to, for its manifest; money in cents."""

    journals: int = 0
    postings: int = 0
    debits_minor: int = 0
    first: date | None = None
    last: date | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: days in ISO, money as a decimal string."""
        return {
            **self.facts,
            "journals": self.journals,
            "postings": self.postings,
            "debits": wire(self.debits_minor),
            "first_day": self.first and self.first.isoformat(),
            "last_day": self.last and self.last.isoformat(),
        }


def text(session: Session, told: Exported, *, first: date | None = None, last: date | None = None) -> Iterator[str]:
    """The journals of some book dates (both included, all when not named) as text; ``told`` is filled on the way.

    ``session`` is fresh: everything is read at one moment.
    """
    verify.one_snapshot(session)
    home, horizon = county(session), ledger.horizon(session)
    told.facts = {
        "county": home.name,
        "mode": home.mode,
        "from": first and first.isoformat(),
        "to": last and last.isoformat(),
        "known_at_horizon": horizon,
        "made_at": periods.now().astimezone(periods.NAIROBI).isoformat(timespec="seconds"),
    }
    heads = ledger.account_heads(session)
    yield f"; {home.name}, the revenue ledger" + (" - TEST BOOKS, no real money" if home.mode == "test" else "") + "\n"
    yield "".join(f"; {name}: {value}\n" for name, value in told.facts.items() if name not in {"county", "mode"})
    yield "\ncommodity KES 1000.00\n\n"
    yield "".join(f"account {head}  ; {name}\n" for head, name in sorted(heads.values()))
    if first is not None:
        yield from _opening(session, {code: head for code, (head, _) in heads.items()}, first)
    names = {code: head for code, (head, _) in heads.items()}
    journals = itertools.groupby(ledger.export_rows(session, first=first, last=last), key=lambda row: row.journal_id)
    whole = ([*rows] for _, rows in journals)
    while batch := list(itertools.islice(whole, TOGETHER)):
        yield from _journals(session, names, batch, told)
    yield from _closing(session, names, last or told.last, told)


def _opening(session: Session, names: dict[str, str], first: date) -> Iterator[str]:
    """What stood before the first day. Every posting moves money between two accounts, so this comes to nothing."""
    before = ledger.trial_balance(session, effective=first - timedelta(days=1))
    moved = [(line.code, line.debit_minor - line.credit_minor) for line in before]
    if any(minor for _, minor in moved):
        yield f"\n{first} opening balances\n"
        yield "".join(f"    {names[code]}  KES {wire(minor)}\n" for code, minor in moved if minor)


def _journals(
    session: Session, names: dict[str, str], batch: Sequence[Sequence[ExportRow]], told: Exported
) -> Iterator[str]:
    rows = [row for journal in batch for row in journal]
    paid = payments.by_ids(session, [row.payment_id for row in rows if row.payment_id is not None])
    bills = payers.pay_account_numbers(session, [row.invoice_id for row in rows if row.invoice_id is not None])
    papers = receipts.standing_numbers(session, sorted(paid))
    for journal in batch:
        head = journal[0]
        told.journals += 1
        told.first, told.last = told.first or head.book_date, head.book_date
        ids = {row.payment_id for row in journal if row.payment_id is not None}
        tags = [("key", head.key), *(("code", paid[one].identity.reference) for one in sorted(ids))]
        tags += [("receipt", number) for one in sorted(ids) for number in papers.get(one, ())]
        yield f"\n{head.book_date} {head.kind}  ; " + ", ".join(f"{name}: {value}" for name, value in tags) + "\n"
        for row in journal:
            told.postings += 1
            told.debits_minor += row.amount_minor
            about = [
                ("bill", bills.get(row.invoice_id or 0)),
                ("stream", row.stream_code),
                ("station", row.station_code),
            ]
            comment = ", ".join(f"{name}: {value}" for name, value in about if value)
            comment = f"  ; {comment}" if comment else ""
            yield f"    {names[row.debit]}  KES {wire(row.amount_minor)}{comment}\n"
            yield f"    {names[row.credit]}  KES {wire(-row.amount_minor)}\n"


def _closing(session: Session, names: dict[str, str], last: date | None, told: Exported) -> Iterator[str]:
    """Every balance at the end, as assertions that a reader must find true."""
    if last is None or told.last is None:
        return
    yield f"\n{last} closing balances, each asserted\n"
    for line in ledger.trial_balance(session, effective=last):
        yield f"    {names[line.code]}  KES 0.00 = KES {wire(line.debit_minor - line.credit_minor)}\n"


def write(session: Session, file: Path, *, first: date | None = None, last: date | None = None) -> Path:
    """Write the text to a file and its manifest (``FILE.manifest.json``) beside it, whole or not at all.

    The manifest says of when and what the text is, and its SHA-256. Answers the manifest's place.
    """
    told, digest = Exported(), hashlib.sha256()
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    manifest = file.with_name(f"{file.name}.manifest.json")
    try:
        with part.open("wb") as handle:
            for piece in text(session, told, first=first, last=last):
                data = piece.encode()
                digest.update(data)
                handle.write(data)
        said = {"file": file.name, "sha256": digest.hexdigest(), **told.as_dict()}
        part.replace(file)
        manifest.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", "utf-8")
    finally:
        part.unlink(missing_ok=True)
    return manifest
