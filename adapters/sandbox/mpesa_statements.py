"""The organisation portal's statements of a simulated short code, in its two layouts, as the portal writes them.

``legacy``: a preamble with the opening and closing balance, then 13 columns. ``new``: no preamble, 7 columns, amounts
with thousands commas. Both are newest first, show each charge on its own row under the receipt of its payment, and
show what failed. Rows of one instant keep the reversed order of the balance, so the charge stands above its payment.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final, Literal

from adapters.sandbox import mpesa_bodies as bodies
from adapters.sandbox.mpesa_ledger import Books, Movement
from revenue_engine.money import wire
from revenue_engine.periods import NAIROBI

Layout = Literal["legacy", "new"]

LEGACY: Final = (
    "Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status", "Paid In", "Withdrawn",
    "Balance", "Balance Confirmed", "Reason Type", "Other Party Info", "Linked Transaction ID", "A/C No.",
)  # fmt: skip
NEW: Final = (
    "Receipt No", "Completion Time", "Details", "Transaction Status", "Paid In (KSHs)", "Withdrawn (KSHs)",
    "Balance (KSHs)",
)  # fmt: skip
TO_SETTLEMENT: Final = "Utility Account to Organization Settlement Account"
TO_MMF: Final = "Organization Settlement Account to Organization MMF Account"
TO_BANK: Final = "Agency Withdrawal of funds to Bank"


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: cents signed by their effect, and the balance after it."""

    reference: str
    at: datetime
    details: str
    amount_minor: int
    balance_minor: int
    reason: str
    other: str = ""
    linked: str = ""
    account: str = ""
    status: str = "Completed"


def statement(books: Books, shortcode: str, *, first: date, last: date, layout: Layout, holder: str) -> bytes:
    """The statement of the days ``first`` to ``last``, both in it, as the bytes of a CSV file (CRLF)."""
    start = datetime.combine(first, time(tzinfo=NAIROBI))
    end = datetime.combine(last, time(23, 59, 59, tzinfo=NAIROBI))
    opening = books.balance(shortcode, start)
    rows = list(_rows(books.between(shortcode, start, end), opening, layout))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    if layout == "legacy":
        _preamble(writer, rows, opening, shortcode, holder, start, end)
        writer.writerow(LEGACY)
        writer.writerows(_legacy(row) for row in reversed(rows))
    else:
        writer.writerow(NEW)
        writer.writerows(_new(row) for row in reversed(rows))
    return out.getvalue().encode()


def _rows(movements: Sequence[Movement], opening: int, layout: Layout) -> Iterator[_Row]:
    """The rows in the order of time."""
    balance = opening
    for one in movements:
        party = f"{bodies.told(one.phone, 'masked').replace(' ', '')} - {one.name}" if one.phone else ""
        if one.what == "payment":
            via = "Pay Bill Online" if one.pushed else "Pay Bill"
            reason = "Pay Bill Online" if one.pushed else "Pay Utility"
            details = f"{via} from {party} Acc. {one.typed}"
            moved = one.amount_minor if one.state == "Completed" else 0
            balance += moved
            yield _Row(
                one.reference,
                one.occurred_at,
                details,
                one.amount_minor,
                balance,
                reason,
                party,
                "",
                one.typed,
                one.state,
            )
            if one.charge_minor:
                balance -= one.charge_minor
                yield _Row(one.reference, one.occurred_at, "Pay Bill Charge", -one.charge_minor, balance, reason, "SP")
        elif one.what == "reversal":
            balance -= one.amount_minor
            details = f"Pay Bill Reversal to {party}"
            yield _Row(
                one.reference, one.occurred_at, details, -one.amount_minor, balance, details.split(" to ")[0], party,
                one.reverses,
            )  # fmt: skip
        else:
            steps = ((TO_SETTLEMENT, -1),) if layout == "legacy" else _THROUGH
            for details, sign in steps:
                balance += sign * one.amount_minor
                yield _Row(one.reference, one.occurred_at, details, sign * one.amount_minor, balance, details)


_THROUGH: Final = ((TO_SETTLEMENT, -1), (TO_SETTLEMENT, 1), (TO_MMF, -1), (TO_MMF, 1), (TO_BANK, -1))
"""The new layout shows every account that the money passes on its way to the bank."""


def _preamble(
    writer: Any,
    rows: Sequence[_Row],
    opening: int,
    shortcode: str,
    holder: str,
    start: datetime,
    end: datetime,
) -> None:
    counted = [row for row in rows if row.status == "Completed"]
    closing = counted[-1].balance_minor if counted else opening
    paid_in = sum(row.amount_minor for row in counted if row.amount_minor > 0)
    withdrawn = sum(row.amount_minor for row in counted if row.amount_minor < 0)
    writer.writerow(["Account Holder:", holder])
    writer.writerow(["Short Code:", shortcode])
    writer.writerow(["Account:", "Utility Account"])
    writer.writerow(["Time Period:", "From", _dashed(start), "To", _dashed(end)])
    writer.writerow(["Operator:", "clerk1", "Organization:", holder, "Date of Report:", _dashed(end)])
    figures = (
        ("Opening Balance:", opening), ("Closing Balance:", closing), ("Available Balance:", closing),
        ("Total Paid In:", paid_in), ("Total Withdrawn:", withdrawn),
    )  # fmt: skip
    writer.writerow([text for name, minor in figures for text in (name, wire(minor))])


def _dashed(at: datetime) -> str:
    return at.astimezone(NAIROBI).strftime("%d-%m-%Y %H:%M:%S")


def _legacy(row: _Row) -> list[str]:
    done = row.status == "Completed"
    paid_in, withdrawn = (wire(row.amount_minor), "") if row.amount_minor > 0 else ("", wire(row.amount_minor))
    balance = wire(row.balance_minor) if done else ""
    at = _dashed(row.at)
    return [
        row.reference, at, at, row.details, row.status, paid_in, withdrawn, balance, "true" if done else "false",
        row.reason, row.other, row.linked, row.account,
    ]  # fmt: skip


def _new(row: _Row) -> list[str]:
    at = row.at.astimezone(NAIROBI).strftime("%d/%m/%Y %H:%M:%S")
    paid_in, withdrawn = (row.amount_minor, 0) if row.amount_minor > 0 else (0, row.amount_minor)
    return [row.reference, at, row.details, row.status, *(_commas(m) for m in (paid_in, withdrawn, row.balance_minor))]


def _commas(minor: int) -> str:
    sign, size = ("-", -minor) if minor < 0 else ("", minor)
    return f"{sign}{size // 100:,}.{size % 100:02d}"
