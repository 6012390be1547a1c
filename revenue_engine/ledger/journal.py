"""Journals and postings as values. A posting moves one amount from one account to another, so no journal can be
written down that does not balance. Pure: no database here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from revenue_engine.errors import InvalidValue
from revenue_engine.money import KES, LARGEST_MINOR

DIGEST_VERSION = 1
_encode = json.JSONEncoder(separators=(",", ":")).encode  # made once: json.dumps would make one for every journal


class Posting(NamedTuple):
    """``amount_minor`` cents from the account ``credit`` to the account ``debit``, and what they are about.

    The references are keys of our own tables; none of them is personal data.
    """

    debit: str
    credit: str
    amount_minor: int
    currency: str = KES
    stream_code: str | None = None
    station_code: str | None = None
    channel_account_id: int | None = None
    payer_id: int | None = None
    invoice_id: int | None = None
    payment_id: int | None = None

    def mirrored(self) -> Posting:
        """The posting that undoes this one."""
        return self._replace(debit=self.credit, credit=self.debit)


@dataclass(frozen=True, slots=True)
class Journal:
    """One business fact and its postings, before it has a book date.

    ``occurred_at`` is the channel's clock (aware). ``reverses_id`` names the journal undone; ``reason`` says why a
    person or a rule corrected something. Raises InvalidValue when it could not be a journal.
    """

    kind: str
    occurred_at: datetime
    postings: tuple[Posting, ...]
    reverses_id: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if not self.postings:
            raise InvalidValue("a journal has at least one posting", kind=self.kind)
        if self.occurred_at.tzinfo is None:
            raise InvalidValue("a journal's instant must carry its zone", kind=self.kind)
        for posting in self.postings:
            amount = posting.amount_minor
            if type(amount) is not int or not 0 < amount < LARGEST_MINOR:
                raise InvalidValue("a posting moves between 1 cent and ten billion shillings", amount=amount)
            if posting.debit == posting.credit:
                raise InvalidValue("a posting moves money between two accounts", account=posting.debit)
            if posting.currency != KES:
                raise InvalidValue("the primary book is kept in KES", currency=posting.currency)

    @property
    def total_minor(self) -> int:
        """The sum of its postings, in cents."""
        return sum(posting.amount_minor for posting in self.postings)


def digest(
    *,
    key: str,
    kind: str,
    book_date: date,
    occurred_at: datetime,
    reverses_id: int | None,
    reason: str | None,
    postings: Sequence[Sequence[object]],
) -> bytes:
    """SHA-256 over the canonical content of a journal: JSON without spaces, instants in UTC, postings in order."""
    content = _encode(
        [
            DIGEST_VERSION,
            key,
            kind,
            book_date.isoformat(),
            occurred_at.astimezone(UTC).isoformat(),
            reverses_id,
            reason,
            [list(posting) for posting in postings],
        ]
    )
    return hashlib.sha256(content.encode()).digest()
