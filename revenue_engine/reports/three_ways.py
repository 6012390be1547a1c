"""The daily three-way reconciliation as a report, and one settlement taken apart as a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy.orm import Session

from reconciliation.days import three_ways as laying
from reconciliation.days.settlement_parts import Settlement
from reconciliation.days.three_ways import Side, ThreeWays
from revenue_engine import ledger, periods
from revenue_engine.billing import tariffs
from revenue_engine.reports.model import Cell, Column, Control, Kind, Report, Section
from revenue_engine.verification import verify

_SAID = {
    laying.Bucket.BOOKS_ONLY: "A not B: in the books, not in the statement",
    laying.Bucket.STATEMENT_ONLY: "B not A: in the statement, not in the books",
    laying.Bucket.DIFFERS: "A and B, amounts differ (A less B)",
    laying.Bucket.IN_TRANSIT: "B not C: paid out, not banked",
    laying.Bucket.BANK_ONLY: "C not B: banked, payout not told",
}


def three_ways(session: Session, on: date, *, channel: str = "") -> Report:
    """The report of one day, of every channel account or of one. ``session`` is fresh: all is read at one moment.

    Raises NotFound for an unknown channel.
    """
    verify.one_snapshot(session)
    county = tariffs.county(session)
    found = laying.three_ways(session, on, channel=channel)
    without = [one.label for one in found if not one.covered]
    closed = ledger.is_closed(session, on)
    grows = "" if closed else "the day is not closed: the figures are complete so far"
    return Report(
        name="three_ways",
        title="Three ways: books, provider, bank",
        county=county.name,
        mode=county.mode,
        on=on,
        generated_at=periods.now(),
        known_at=ledger.horizon(session),
        controls=tuple(control for one in found for control in _controls(one)),
        sections=(_sides(found), _buckets(found), _items(found)),
        provisional="the day is not over in Nairobi" if on >= periods.today() else grows,
        notes=[f"no statement with balances covers the day for {', '.join(without)}"] if without else [],
    )


def _controls(one: ThreeWays) -> list[Control]:
    waiting = sum(item.effect_minor for item in one.items)
    left, right = "the books hold", "the provider holds, and what waits"
    made = [Control(f"{one.label}: clearing", left, one.clearing_minor, right, one.held_minor + waiting)]
    if one.told_minor is not None:
        left, right = "foot of the statement", "the lines of all statements"
        made.append(Control(f"{one.label}: statement", left, one.told_minor, right, one.held_minor))
    return made


def _sides(found: Sequence[ThreeWays]) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        for side, told in (("A books", one.books), ("B provider", one.provider)):
            rows.append((one.label, side, *_figures(told)))
        if not one.bank:
            rows.append((one.label, "B paid out", None, None, None, None, None, one.paid_out_minor))
            rows.append((one.label, "C bank", None, None, None, None, None, one.banked_minor))
    columns = (
        Column("channel", "Channel account"),
        Column("side", "Side"),
        Column("items", "Items", Kind.COUNT, totalled=False),
        Column("paid", "Paid", Kind.MONEY, totalled=False),
        Column("taken_back", "Taken back", Kind.MONEY, totalled=False),
        Column("gross", "Gross", Kind.MONEY, totalled=False),
        Column("fees", "Fees", Kind.MONEY, totalled=False),
        Column("net", "Net", Kind.MONEY, totalled=False),
    )
    return Section("sides", "What each side says of the day", columns, tuple(rows))


def _figures(side: Side) -> tuple[int, ...]:
    return (
        side.items,
        side.paid_minor,
        side.reversed_minor,
        side.gross_minor,
        side.fees_minor,
        side.net_minor,
    )


def _buckets(found: Sequence[ThreeWays]) -> Section:
    rows = []
    for one in found:
        for bucket, roll in one.rolls.items():
            if one.bank and bucket in {laying.Bucket.IN_TRANSIT, laying.Bucket.BANK_ONLY}:
                continue
            rows.append(
                (
                    one.label,
                    _SAID[bucket],
                    *(roll.opening, roll.opening_minor, roll.new, roll.new_minor),
                    *(roll.cleared, roll.cleared_minor, roll.closing, roll.closing_minor),
                )
            )
    columns = [Column("channel", "Channel account"), Column("bucket", "Waits")]
    for key, heading in (("opening", "Opening"), ("new", "New"), ("cleared", "Cleared"), ("closing", "Closing")):
        columns.append(Column(key, heading, Kind.COUNT, totalled=False))
        columns.append(Column(f"{key}_amount", f"{heading}, KES", Kind.MONEY, totalled=False))
    note = "opening + new - cleared = closing"
    return Section("buckets", "What waits for another side", tuple(columns), tuple(rows), note, "Buckets")


def _items(found: Sequence[ThreeWays]) -> Section:
    rows = tuple(
        (
            one.label,
            _SAID[item.bucket],
            item.kind,
            item.reference,
            item.since,
            item.age_days,
            laying.band(item.age_days),
            item.expected_on,
            None if item.expected_on is None else max((one.day - item.expected_on).days, 0),
            item.amount_minor,
        )
        for one in found
        for item in one.items
    )
    columns = (
        Column("channel", "Channel account"),
        Column("bucket", "Waits"),
        Column("kind", "Kind"),
        Column("reference", "Reference"),
        Column("since", "Since"),
        Column("age_days", "Age, days", Kind.COUNT, totalled=False),
        Column("band", "Band"),
        Column("expected", "Expected by"),
        Column("late_days", "Late, days", Kind.COUNT, totalled=False),
        Column("amount", "Amount", Kind.MONEY, totalled=False),
    )
    return Section("items", "What waits, item by item", columns, rows, sheet="Items")


def settlement(found: Settlement) -> Section:
    """The parts of a settlement as a list; its foot says the payout, its window and what is not known."""
    rows = tuple(
        (part.kind, part.reference, part.occurred_at, part.amount_minor, "whole" if part.whole else "part")
        for part in found.parts
    )
    if found.unknown_minor:
        rows = (("before", "of before the statements", found.first_at, found.unknown_minor, "part"), *rows)
    columns = (
        Column("kind", "Kind"),
        Column("reference", "Reference"),
        Column("occurred_at", "At", Kind.INSTANT),
        Column("amount", "Amount", Kind.MONEY),
        Column("share", "Of it"),
    )
    return Section("settlement", f"Settlement {found.reference}", columns, rows)
