"""What came of statement files: one file's answer for who brought it, and the statements in the books as a list."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from reconciliation import breaks
from revenue_engine.access import audit
from revenue_engine.channels import accounts, deliveries
from revenue_engine.db import raw
from revenue_engine.money import wire

COLUMNS = ("account", "from", "to", "format", "lines", "new", "opening", "closing", "id")
"""What a list of statements says of each."""


def answer(session: Session, delivery: int) -> dict[str, Any]:
    """What a file that has been read brought, as plain data: money as decimal strings, days as ISO dates.

    ``differences`` is how many open breaks it showed; ``ok`` is false where the file was refused; ``message``
    says why.
    """
    imports = audit.facts_of(session, action="statement.imported", subject=f"delivery {delivery}")
    state, reason = deliveries.outcome(session, delivery)
    rows = raw(session).execute(
        "SELECT public_id, first_day, last_day, lines, new_lines, credits_minor, debits_minor, closing_minor"
        " FROM statement WHERE delivery_id = %s ORDER BY id",
        (delivery,),
    )
    found = breaks.counted_of_delivery(session, delivery)
    return {
        "others": [one for facts in imports for one in facts.get("others", ())],
        "ok": not reason.startswith("refused"),
        "delivery": delivery,
        "state": state,
        "message": reason,
        "statements": [
            {
                "id": row[0],
                "from": row[1].isoformat() if row[1] else None,
                "to": row[2].isoformat() if row[2] else None,
                "lines": row[3],
                "new": row[4],
                "known": row[3] - row[4] if row[3] > row[4] else 0,
                "credits": wire(row[5]),
                "debits": wire(row[6]),
                "closing": None if row[7] is None else wire(row[7]),
            }
            for row in rows
        ],
        "found": [
            {"reason": one.reason, "count": one.count, "amount": wire(one.amount_minor), "open": one.open}
            for one in found
        ],
        "differences": sum(one.open for one in found),
    }


def listed(session: Session, *, account: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """The statements in the books, the newest days first, as plain data by ``COLUMNS``."""
    names = accounts.identifiers_of_all(session)
    rows = raw(session).execute(
        "SELECT channel_account_id, first_day, last_day, format, lines, new_lines, opening_minor, closing_minor,"
        " public_id FROM statement WHERE %(accounts)s::bigint[] IS NULL OR channel_account_id = ANY(%(accounts)s)"
        " ORDER BY last_day DESC NULLS LAST, id DESC LIMIT %(limit)s",
        {
            "accounts": None if account is None else [one for one, name in names.items() if name == account],
            "limit": limit,
        },
    )
    return [
        dict(
            zip(
                COLUMNS,
                [names[row[0]], *(day and day.isoformat() for day in row[1:3]), *row[3:6]]
                + [None if minor is None else wire(minor) for minor in row[6:8]]
                + [row[8]],
                strict=True,
            )
        )
        for row in rows
    ]
