"""F.O. 30, the bank reconciliation of one bank account as the government prints it, from the three ways of a day.

The bank's balance, less what only the cash book paid and only the bank received, and with what only the bank paid and
only the cash book received, is the balance of the cash book. The cash book of an account is its account under 1100, the
clearing of its own channel, and for the Fund's account 1000. A balance below nothing is printed as it is.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from reconciliation.days import three_ways as laying
from reconciliation.days.three_ways import Bucket, Item, ThreeWays
from revenue_engine import ledger, periods
from revenue_engine.billing import tariffs
from revenue_engine.channels import accounts
from revenue_engine.errors import NotFound
from revenue_engine.reports.model import Cell, Column, Control, Kind, Report, Section
from revenue_engine.treasury import bank_accounts
from revenue_engine.verification import verify

_SECTIONS = (
    ("Less", "Payments in Cash Book not yet recorded in Bank Statement (unpresented cheques)", -1),
    ("Less", "Receipts in Bank Statement not yet recorded in Cash Book", -1),
    ("Add", "Payments in Bank Statement not yet recorded in Cash Book", 1),
    ("Add", "Receipts in Cash Book not yet recorded in Bank Statement", 1),
)
"""The four groups in the order of the form, and how each changes the balance of the bank certificate."""


def fo30(session: Session, account: str, on: date) -> Report:
    """The form of one bank account at the end of a day. ``session`` is fresh: all is read at one moment.

    Raises NotFound for what is no bank account, or one whose statements no channel brings.
    """
    verify.one_snapshot(session)
    channel = bank_accounts.channel_of(session, account)
    if channel is None:
        raise NotFound(f"{account} is no bank account whose statements come in", account=account)
    county = tariffs.county(session)
    (found,) = [
        one
        for one in laying.three_ways(session, on, channel=accounts.channels(session)[channel].identifier)
        if one.channel_account_id == channel
    ]
    groups: list[list[Item]] = [[], [], [], []]
    for item in found.items:
        groups[_group(item)].append(item)
    bank = found.held_minor if found.told_minor is None else found.told_minor
    explained = bank + sum(
        sign * abs(item.effect_minor) for (_, _, sign), group in zip(_SECTIONS, groups, strict=True) for item in group
    )
    notes = []
    if found.told_minor is None:
        notes.append("no statement ends on the day: the balance of the bank is that of its lines up to the day")
    return Report(
        name="fo30",
        title="F.O. 30 Bank Reconciliation",
        county=county.name,
        mode=county.mode,
        on=on,
        generated_at=periods.now(),
        known_at=ledger.horizon(session),
        controls=(
            Control(account, "the bank, less and add", explained, "the cash book", found.clearing_minor),
            Control("bank", "balance as per bank certificate", bank, "the lines of its statements", found.held_minor),
        ),
        sections=(
            _form(bank, groups, found),
            *(_detail(place, group) for place, group in enumerate(groups)),
            _signed(),
        ),
        provisional="the day is not over in Nairobi" if on >= periods.today() else "",
        notes=notes,
    )


def _group(item: Item) -> int:
    if item.bucket is Bucket.STATEMENT_ONLY:
        return 1 if item.amount_minor > 0 else 2
    return 3 if item.amount_minor > 0 else 0  # in the cash book alone, or there by more than in the bank


def _form(bank: int, groups: list[list[Item]], found: ThreeWays) -> Section:
    rows: list[tuple[Cell, ...]] = [("Balance as per bank certificate", None, bank)]
    for place, ((way, name, _), group) in enumerate(zip(_SECTIONS, groups, strict=True), start=1):
        rows.append((f"{way}: {place}. {name}", len(group), sum(abs(item.effect_minor) for item in group)))
    rows.append(("Bank Balance as per Cash Book", None, found.clearing_minor))
    columns = (
        Column("line", "BANK RECONCILIATION"),
        Column("items", "Items", Kind.COUNT, totalled=False),
        Column("amount", "KES", Kind.MONEY, totalled=False),
    )
    return Section("form", f"{found.label}: {found.name}", columns, tuple(rows), sheet="F.O. 30")


def _detail(place: int, group: list[Item]) -> Section:
    name = _SECTIONS[place][1]
    rows = tuple(
        (
            item.since,
            periods.financial_year(item.since),
            item.reference,
            "amounts differ" if item.bucket is Bucket.DIFFERS else item.kind,
            item.age_days,
            abs(item.amount_minor) if item.amount_minor > 0 else None,
            abs(item.amount_minor) if item.amount_minor < 0 else None,
        )
        for item in group
    )
    columns = (
        Column("date", "Date"),
        Column("year", "FY"),
        Column("reference", "Reference"),
        Column("description", "Description"),
        Column("age_days", "Age, days", Kind.COUNT, totalled=False),
        Column("debit", "Debit", Kind.MONEY),
        Column("credit", "Credit", Kind.MONEY),
    )
    note = "" if rows else "No unreconciled data"
    return Section(f"section_{place + 1}", f"{place + 1}. {name}", columns, rows, note, f"Section {place + 1}")


def _signed() -> Section:
    rows = tuple((who, "", "") for who in ("Reconciled by", "Reviewed by", "Approved by"))
    columns = (Column("who", "Officer"), Column("signature", "Name and signature"), Column("date", "Date"))
    return Section("signatures", "Signatures", columns, rows)
