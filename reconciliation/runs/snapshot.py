"""The open bills and the money in suspense as the engine's tables, read from the database at one snapshot."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from reconciliation import break_keys, ladder, matches
from reconciliation.engine import files
from reconciliation.engine.rows import BillRow, PaymentRow, bill_table, payment_table
from reconciliation.runs import payer_links
from reconciliation.runs.payer_links import Known
from revenue_engine.billing import open_bills
from revenue_engine.db import raw

_HASH = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a run reads, all of one moment."""

    bills: list[BillRow]
    payments: list[PaymentRow]
    """Those that a run may match."""
    judged: list[PaymentRow]
    """Those a person took back from a bill: only suggested, for a person's judgement is not outvoted by a rule."""
    refused: dict[int, set[int]]
    """Payment to the bills from which a person took it back."""

    def digest(self) -> str:
        """SHA-256 over everything that was read."""
        whole = hashlib.sha256()
        for table in (bill_table(self.bills), payment_table(self.payments), payment_table(self.judged)):
            whole.update(bytes.fromhex(files.csv_digest(table)))
        return whole.hexdigest()


# Money of which a part found its bill is left to people: its rest named a bill that takes no more.
_WAITING = """
    SELECT p.id, p.reference, coalesce(y.account_reference, ''), coalesce(y.name, ''), coalesce(y.msisdn, ''),
           NOT EXISTS (SELECT FROM evidence e WHERE e.channel_account_id = p.channel_account_id AND e.kind = p.kind
                          AND e.reference = p.reference AND e.message <> 'Statement'),
           p.amount_minor, p.occurred_at, p.public_id, count(*) OVER (PARTITION BY p.reference) > 1
      FROM break_case b JOIN payment p ON p.id = b.payment_id LEFT JOIN payment_party y ON y.payment_id = p.id
     WHERE b.closed_at IS NULL AND b.key = %(suspense)s || b.payment_id AND b.amount_minor = p.amount_minor
     ORDER BY p.occurred_at, p.reference COLLATE "C", p.id
"""

# Every open bill; of payers and objects without one their last bill, so that a name or a plate that belongs to two is
# seen to; and the bills whose numbers were typed.
_WANTED = """
     WHERE o.outstanding_minor > 0 OR o.invoice_id = ANY(%(named)s)
        OR o.invoice_id IN (SELECT max(invoice_id) FROM open_bill WHERE payer_id IS NOT NULL
                             GROUP BY payer_id HAVING max(outstanding_minor) = 0)
        OR o.invoice_id IN (SELECT max(invoice_id) FROM open_bill WHERE object_id IS NOT NULL
                             GROUP BY object_id HAVING max(outstanding_minor) = 0)
     ORDER BY i.id
"""


def at_one_moment(session: Session) -> None:
    """Let every statement of this transaction see the same books; called before any other statement of it."""
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def read(session: Session) -> Snapshot:
    """Read what a run needs. The caller's transaction should see one moment (:func:`at_one_moment`)."""
    refused = matches.refused(session)
    known = payer_links.active(session)
    waiting = [
        _sent_by_known(payment_row(row), known)
        for row in raw(session).execute(_WAITING, {"suspense": break_keys.SUSPENSE_PREFIX})
    ]
    bills = bills_for(session, waiting)
    if any(map(_is_hashed, waiting)):
        shown = {hashlib.sha256(one.phone.lstrip("+").encode()).hexdigest(): one.phone for one in bills if one.phone}
        waiting = [_unhashed(one, shown) for one in waiting]
    return Snapshot(
        bills,
        [one for one in waiting if one.payment_id not in refused],
        [one for one in waiting if one.payment_id in refused],
        refused,
    )


def _is_hashed(one: PaymentRow) -> bool:
    return _HASH.fullmatch(one.phone) is not None


def _unhashed(one: PaymentRow, phones: Mapping[str, str]) -> PaymentRow:
    """A provider may show SHA-256 of a phone: it is a payer's when the hashes agree, and says nothing otherwise."""
    return one._replace(phone=phones.get(one.phone.lower(), "")) if _is_hashed(one) else one


def _sent_by_known(one: PaymentRow, known: dict[bytes, Known]) -> PaymentRow:
    """Where the words are known to mean a payer and no number was typed, that payer is the sender.

    A payer without a phone is known by name: then the name stands for what was typed.
    """
    said = one.typed or one.narrative
    found = known.get(payer_links.words_digest(said) or b"")
    if found is None or ladder.numbers_typed(said):
        return one
    typed = "" if found.phone else found.name
    return one._replace(typed=typed, narrative="", payer_name=found.name, phone=found.phone, link=found.link)


def payment_row(row: Sequence[Any]) -> PaymentRow:
    """A movement told by a statement alone has a narrative of the bank's, and nothing that its payer typed as such."""
    payment_id, reference, said, name, phone, by_bank, amount, at, public, shared = row
    key = f"{reference} ({public})" if shared else reference
    return PaymentRow(payment_id, key, "" if by_bank else said, name, phone, said if by_bank else "", amount, at)


def bills_for(session: Session, payments: Iterable[PaymentRow]) -> list[BillRow]:
    """The bills that these payments may mean."""
    typed = {number for one in payments for number in ladder.numbers_typed(one.typed or one.narrative)}
    named = sorted(open_bills.numbers(session, typed).bills.values())
    return [BillRow(*row) for row in raw(session).execute(open_bills.READ_BILLS + _WANTED, {"named": named})]


def bills_of(session: Session, invoice_ids: Sequence[int]) -> list[BillRow]:
    """These bills, open or not."""
    rows = raw(session).execute(open_bills.READ_BILLS + " WHERE i.id = ANY(%s) ORDER BY i.id", (list(invoice_ids),))
    return [BillRow(*row) for row in rows]
