"""The secondary ledgers as lists: rules, balances, funds, the way of a figure, the proof by rule and day."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from revenue_engine.reports.model import Cell, Column, Kind, Section
from revenue_engine.secondary_ledgers import books, funds, rules
from revenue_engine.secondary_ledgers.proof import Proof


def book_section(session: Session) -> Section:
    """The books there are."""
    columns = tuple(
        Column(key, heading)
        for key, heading in (
            *(("book", "Book"), ("name", "Name"), ("directorate", "Directorate"), ("currency", "Currency")),
            *(("calendar", "Calendar"), ("basis", "Basis"), ("owner", "Mends its rules")),
        )
    )
    return Section("books", "Secondary ledgers", columns, tuple(tuple(book) for book in books.listed(session)))


def rule_section(session: Session, book: str) -> Section:
    """The versions of the rules of a book; a share for which no law is known is shown as what it is."""
    columns = (
        *(Column("rule", "Rule"), Column("version", "Version", Kind.COUNT, totalled=False), Column("kind", "Kind")),
        *(Column("about", "About"), Column("legs", "Makes"), Column("law", "By"), Column("effective_from", "From")),
    )
    found = []
    for one in rules.versions(session, book):
        about = [
            one.event,
            *(f"{name} {value}" for name, value in (
                ("stream", one.stream_code),
                ("station", one.station_code),
                ("channel", one.channel_account_id),
                ("prefix", one.reference_prefix),
                ("item", one.item_code),
            ) if value is not None),
        ]  # fmt: skip
        legs = "; ".join(_leg(leg) for leg in one.legs) or "nothing"
        found.append((
            *(one.rule_code, one.number, one.kind, ", ".join(about), legs, one.basis_of_law),
            one.effective_from.isoformat(),
        ))  # fmt: skip
    return Section("rules", f"Rules of the book {book}", columns, tuple(found))


def _leg(leg: dict[str, object]) -> str:
    parts, flat = leg["parts"], leg["flat_minor"]
    size = f"{parts} of 10000" if isinstance(parts, int) else f"{flat} cents"
    return f"{size}: {leg['debit']} from {leg['credit']} ({leg['fund_class']})"


def balance_section(session: Session, book: str, *, upto: date | None = None) -> Section:
    """The trial balance of a book."""
    columns = (
        *(Column("account", "Account"), Column("name", "Name"), Column("type", "Type")),
        *(Column("debit", "Debit", Kind.MONEY), Column("credit", "Credit", Kind.MONEY)),
        Column("balance", "Balance", Kind.MONEY),
    )
    found: tuple[tuple[Cell, ...], ...] = tuple(tuple(one) for one in books.balances(session, book, upto=upto))
    return Section("balances", f"Trial balance of the book {book}", columns, found)


def fund_section(session: Session, book: str) -> Section:
    """What a book may spend, by fund class, and what is only a claim."""
    money = ("derived", "issued", "spent", "committed", "available")
    columns = (
        Column("fund_class", "Fund class"),
        *(Column(name, name.capitalize(), Kind.MONEY, totalled=False) for name in money),
        Column("note", "What it is"),
    )
    return Section("funds", f"Funds of the book {book}", columns, tuple(tuple(o) for o in funds.classes(session, book)))


def cell_section(
    session: Session,
    book: str,
    *,
    account: str | None = None,
    rule: str | None = None,
    first: date | None = None,
    last: date | None = None,
    limit: int = books.TRACED,
) -> Section:
    """Which postings and which version of which rule a figure is made of; amounts carry their sign. Where there are
    more rows than ``limit``, the note says so."""
    columns = (
        *(Column("day", "Day"), Column("debit", "Debit"), Column("credit", "Credit")),
        *(Column("amount", "KES", Kind.MONEY), Column("fund_class", "Fund class"), Column("rule", "Rule")),
        *(Column("version", "Version", Kind.COUNT, totalled=False), Column("source", "Of", Kind.MONEY)),
        *(Column("journal", "Journal"), Column("posting", "Posting", Kind.COUNT, totalled=False)),
        *(Column("stream", "Stream"), Column("payment", "Payment"), Column("reference", "Provider's reference")),
        Column("delivery", "Delivery", Kind.COUNT, totalled=False),
    )
    traced = books.cell(session, book, account=account, rule=rule, first=first, last=last, limit=limit + 1)
    note = f"the first {limit} rows of more: ask for fewer days or a higher limit" if len(traced) > limit else ""
    found = tuple(
        (
            *(one.book_date.isoformat(), one.debit, one.credit, one.amount_minor, one.fund_class, one.rule_code),
            *(one.version, one.sign * one.source_minor, one.journal_key, one.seq, one.stream_code, one.payment),
            *(one.provider_reference, one.delivery_id),
        )
        for one in traced[:limit]
    )
    return Section("cell", f"What the book {book} is made of", columns, found, note)


def proof_section(proof: Proof) -> Section:
    """The proof by rule and day: what the sources and the rule make, and what the book holds."""
    columns = (
        *(Column("rule", "Rule"), Column("version", "Version", Kind.COUNT, totalled=False), Column("day", "Day")),
        *(Column("sources", "Sources", Kind.COUNT), Column("source", "Receipts", Kind.MONEY)),
        *(Column("makes", "Rule makes", Kind.MONEY), Column("holds", "Book holds", Kind.MONEY)),
        *(Column("difference", "Difference", Kind.MONEY), Column("ties", "Ties")),
    )
    found = tuple(
        (
            *(row.rule, row.version, row.day.isoformat(), row.expected.entries, row.expected.source_minor),
            *(row.expected.amount_minor, row.held.amount_minor, row.held.amount_minor - row.expected.amount_minor),
            "yes" if row.ties else "NO",
        )
        for row in proof.table
    )
    return Section("proof", f"Proof of the book {proof.book}", columns, found)


def discrepancy_section(proof: Proof) -> Section:
    """What was found, typed."""
    columns = (
        *(Column("kind", "Kind"), Column("rule", "Rule"), Column("version", "Version", Kind.COUNT, totalled=False)),
        *(Column("day", "Day"), Column("what", "What")),
    )
    found = tuple(
        (one.kind, one.rule, one.version, one.day.isoformat() if one.day else None, one.what)
        for one in proof.discrepancies
    )
    return Section("discrepancies", f"What differs in the book {proof.book}", columns, found)
