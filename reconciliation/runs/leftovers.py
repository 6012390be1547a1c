"""What is left in suspense, as people are shown it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from reconciliation import matches
from revenue_engine import payments
from revenue_engine.billing import payers
from revenue_engine.money import wire


def listed(session: Session, payment_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """What was left in suspense and why, with the bills to choose from, the best first; money as decimal strings.

    Of some payments alone where they are named.
    """
    left = matches.left(session, payment_ids)
    told = payments.by_ids(session, [row[0] for row in left])
    bills = payers.pay_account_numbers(session, [invoice for row in left for invoice, _, _ in row[4]])
    return [
        {
            "payment": told[payment_id].identity.reference,
            "amount": wire(minor),
            "reason": reason,
            "why": why,
            "suggestions": [
                {"bill": bills[invoice], "amount": wire(part), "why": words} for invoice, part, words in suggested
            ],
        }
        for payment_id, minor, reason, why, suggested in sorted(
            left, key=lambda row: (told[row[0]].occurred_at, row[0])
        )
    ]
