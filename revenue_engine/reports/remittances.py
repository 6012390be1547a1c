"""Remittances to the County Revenue Fund: each transfer, its two banks, its receipt, and how late its money is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlalchemy.orm import Session

from revenue_engine import ledger, periods
from revenue_engine.billing import tariffs
from revenue_engine.ledger import chart
from revenue_engine.reports.model import Cell, Column, Control, Kind, Report, Section
from revenue_engine.treasury import clocks
from revenue_engine.treasury import remittances as sending
from revenue_engine.treasury.clocks import Held
from revenue_engine.treasury.remittances import PaidPart, Sent
from revenue_engine.verification import verify


def remittances(session: Session, on: date) -> Report:
    """The report as it stands at the end of a day. ``session`` is fresh: all is read at one moment."""
    verify.one_snapshot(session)
    county = tariffs.county(session)
    holidays = tariffs.holidays(session)
    sent = sending.sent(session, on=on)
    covered = sending.parts(session, [one.id for one in sent])
    waiting = sending.waiting(session, on=on)
    on_the_way = sum(one.amount_minor for one in sent if one.credited_on is None)
    in_transit = ledger.balance(session, chart.CRF_IN_TRANSIT, effective=on).net_minor
    return Report(
        name="remittances",
        title="Remittances to the County Revenue Fund",
        county=county.name,
        mode=county.mode,
        on=on,
        generated_at=periods.now(),
        known_at=ledger.horizon(session),
        controls=(
            Control("in transit", "account 1050", in_transit, "transfers that the Fund does not show", on_the_way),
            Control(
                "covered",
                "transfers",
                sum(one.amount_minor for one in sent),
                "the payments that they cover",
                sum(part.amount_minor for part in covered),
            ),
        ),
        sections=(
            _transfers(sent, on, holidays),
            _covered(sent, covered, on, holidays),
            _waiting(waiting, on, holidays),
        ),
        provisional="the day is not over in Nairobi" if on >= periods.today() else "",
        notes=["the five working days run from the day on which the payer paid (r. 81(2)), to the Fund's value date"],
    )


def _transfers(sent: list[Sent], on: date, holidays: Collection[date]) -> Section:
    rows: list[tuple[Cell, ...]] = [
        (
            one.number,
            one.account,
            one.fund,
            one.given_on,
            one.debited_on,
            one.credited_on,
            one.receipt,
            one.receipted_on,
            clocks.receipting(one.credited_on, one.receipted_on, on=on, holidays=holidays),
            one.amount_minor,
        )
        for one in sent
    ]
    columns = (
        Column("number", "Transfer"),
        Column("account", "From"),
        Column("fund", "To"),
        Column("given_on", "Given"),
        Column("debited_on", "Our bank shows it"),
        Column("credited_on", "In the Fund"),
        Column("receipt", "Treasury receipt (MR no.)"),
        Column("receipted_on", "Receipted"),
        Column("receipt_days", "Receipt, working days", Kind.COUNT, totalled=False),
        Column("amount", "Amount", Kind.MONEY),
    )
    return Section("transfers", "Transfers", columns, tuple(rows))


_LATE = (
    Column("paid_on", "Paid"),
    Column("payments", "Payments", Kind.COUNT),
    Column("amount", "Amount", Kind.MONEY),
    Column("due_on", "Due in the Fund"),
    Column("late_days", "Late, days", Kind.COUNT, totalled=False),
    Column("late_held", "Late, KES x days", Kind.MONEY),
)


def _covered(sent: list[Sent], covered: list[PaidPart], on: date, holidays: Collection[date]) -> Section:
    of = {one.id: one for one in sent}
    rows = tuple(
        (of[part.remittance_id].number, *_late(part, of[part.remittance_id].credited_on, on, holidays))
        for part in covered
    )
    return Section(
        "covered", "What transfers cover, by day paid", (Column("number", "Transfer"), *_LATE), rows, sheet="Covered"
    )


def _waiting(waiting: list[PaidPart], on: date, holidays: Collection[date]) -> Section:
    rows = tuple((part.account, *_late(part, None, on, holidays)) for part in waiting)
    columns = (Column("account", "Account"), *_LATE)
    return Section("waiting", "In collection accounts and in no transfer", columns, rows, sheet="In no transfer")


def _late(part: PaidPart, credited_on: date | None, on: date, holidays: Collection[date]) -> tuple[Cell, ...]:
    held = Held(part.amount_minor, part.paid_on, credited_on=credited_on)
    told = clocks.banking(held, on=on, holidays=holidays)
    return part.paid_on, part.payments, part.amount_minor, told.due_on, told.late_days, told.shilling_days_minor
