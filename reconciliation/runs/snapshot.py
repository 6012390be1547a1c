"""The open bills and the money in suspense as the engine's tables, read from the database at one snapshot."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from reconciliation import breaks, ladder, matches
from reconciliation.engine import files
from reconciliation.engine.rows import BillRow, PaymentRow, bill_table, payment_table
from reconciliation.runs import payer_links
from reconciliation.runs.payer_links import Known
from revenue_engine import payments
from revenue_engine.billing import open_bills, payers
from revenue_engine.payments import seen
from revenue_engine.payments.seen import Seen

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
    doubted: frozenset[int] = frozenset()
    """Of ``judged`` those whose bill has a payer who was edited after the money came: who edits a payer says whose the
    money is, and one person does not say that."""

    def digest(self) -> str:
        """SHA-256 over everything that was read."""
        whole = hashlib.sha256()
        for table in (bill_table(self.bills), payment_table(self.payments), payment_table(self.judged)):
            whole.update(bytes.fromhex(files.csv_digest(table)))
        return whole.hexdigest()


def at_one_moment(session: Session) -> None:
    """Let every statement of this transaction see the same books; called before any other statement of it."""
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def read(session: Session) -> Snapshot:
    """Read what a run needs. The caller's transaction should see one moment (:func:`at_one_moment`)."""
    refused = matches.refused(session)
    known = payer_links.active(session)
    # Money of which a part found its bill is left to people: its rest named a bill that takes no more.
    waiting = [_sent_by_known(payment_row(one), known) for one in seen.whole(session, breaks.in_suspense(session))]
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


def doubt_edited(session: Session, snapshot: Snapshot, chosen: Iterable[tuple[str, str]]) -> Snapshot | None:
    """The snapshot without the payments, by (reference, bill number), whose bill's payer was edited after they came.

    Answers None where there is none of them.
    """
    bills = {one.number: one.invoice_id for one in snapshot.bills}
    waiting = {one.reference: one.payment_id for one in snapshot.payments}
    pairs = [(waiting[reference], bills[number]) for reference, number in chosen]
    edited = payers.last_edits(session, (invoice for _, invoice in pairs))
    if not edited:
        return None
    came = payments.recorded_at(session, (payment for payment, _ in pairs))
    late = {payment for payment, invoice in pairs if invoice in edited and edited[invoice] > came[payment]}
    if not late:
        return None
    return replace(
        snapshot,
        payments=[one for one in snapshot.payments if one.payment_id not in late],
        judged=[*snapshot.judged, *(one for one in snapshot.payments if one.payment_id in late)],
        doubted=snapshot.doubted | late,
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


def payment_row(one: Seen) -> PaymentRow:
    """A payment as the engine reads it. What a statement alone reported has a narrative, and no words of its payer."""
    return PaymentRow(
        payment_id=one.payment_id,
        reference=f"{one.reference} ({one.public_id})" if one.shared else one.reference,
        typed="" if one.by_bank else one.said,
        payer_name=one.name,
        phone=one.phone,
        narrative=one.said if one.by_bank else "",
        amount_minor=one.amount_minor,
        occurred_at=one.occurred_at,
    )


def bills_for(session: Session, waiting: Iterable[PaymentRow]) -> list[BillRow]:
    """The bills that these payments may mean."""
    typed = {number for one in waiting for number in ladder.numbers_typed(one.typed or one.narrative)}
    named = sorted(open_bills.numbers(session, typed).bills.values())
    # By position: every open bill of the county is among these rows, and they are read at the start of each run.
    return [BillRow(*row) for row in open_bills.bills_to_match(session, named)]


def bills_of(session: Session, invoice_ids: Sequence[int]) -> list[BillRow]:
    """These bills, open or not."""
    return [BillRow(*row) for row in open_bills.bills_by_id(session, invoice_ids)]
