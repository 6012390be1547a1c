"""What a run would doubt of a payment is doubted when it comes: the engine's own rungs over the bills it may mean.

A number that plainly names a bill needs none of this. Whatever else was typed is answered by the engine over a small
table: the bills of the numbers and objects that the text names, those one character away that owe the same, and those
of payers whom the sender or a typed phone may be. What the engine leaves is kept with its reason and its candidates.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.orm import Session

from reconciliation import ladder, spelling
from reconciliation.engine import matching
from reconciliation.engine.policy import Policy
from reconciliation.engine.rows import BillRow, PaymentRow, bill_table, payment_table
from reconciliation.engine.senders import LEAST_TAIL, Proof, Sender, compare, name_words, phone_pattern, phones_agree
from reconciliation.ladder import Rung
from reconciliation.matches import Left, Suggested
from reconciliation.spelling import Fit
from revenue_engine import identifiers
from revenue_engine.billing import open_bills
from revenue_engine.billing.open_bills import BilledThing, Open
from revenue_engine.money import parse_wire


@dataclass(frozen=True, slots=True)
class Question:
    """A payment that may mean some bills. ``by_bank``: its words are a bank's, and nothing was typed as such."""

    payment_id: int
    typed: str
    by_bank: bool
    name: str
    phone: str
    amount_minor: int
    occurred_at: datetime
    invoices: frozenset[int] = frozenset()
    """Bills whose numbers stand in the text, and the open bills of objects that it names."""
    number: str = ""
    """The one number that was typed and nothing else, where it begins like a phone."""
    keys: frozenset[str] = frozenset()
    """Folded names of the objects that the text names."""
    unbilled: bool = False
    """Whether one of these objects has no open bill, and may be meant all the same."""
    written: Mapping[int, str] = field(default_factory=dict)
    """Bill to the name of its object that fits the text, where the object has several."""
    alone: str = ""
    """The one bill's number, where nothing else with a digit was typed and the number is no phone's and no chance's."""

    @property
    def reference(self) -> str:
        """By what the engine knows the payment; later ones sort behind."""
        return f"{self.payment_id:020d}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine says of a payment: bills it is certain about, or why it is left and what may be meant."""

    invoice_ids: tuple[int, ...] = ()
    rung: Rung = Rung.NONE
    why: str = ""
    left: Left | None = None
    candidates: tuple[Suggested, ...] = ()


def policy_of(prefixes: Iterable[str]) -> Policy:
    """The standard policy with the county's own prefixes, without the rungs for which every bill must be looked at."""
    words = tuple(sorted({*Policy().prefixes, *prefixes}))
    return Policy(prefixes=words, correct_slips=False, trust_payer=False)


def ask(
    session: Session, questions: Sequence[Question], bills: Mapping[int, Open], prefixes: Iterable[str]
) -> dict[int, Answer]:
    """Answer payments, by their ids. ``bills`` are locked, and say what is open now."""
    if not questions:
        return {}
    answers = _plain(session, questions, bills)
    questions = [one for one in questions if one.payment_id not in answers]
    if not questions:
        return answers
    rows = [BillRow(*row) for row in open_bills.bills_by_id(session, _around(session, questions))]
    known = {row.invoice_id: row for row in rows}
    for invoice_id, bill in bills.items():
        if invoice_id in known:
            known[invoice_id] = known[invoice_id]._replace(open_minor=bill.outstanding_minor)
    asked = _unhashed(questions, rows)
    groups = [[one for one in asked if not one.written], *([one] for one in asked if one.written)]
    for group in groups:
        if group:
            answers.update(_answer(group, known, policy_of(prefixes)))
    for one in asked:
        answers[one.payment_id] = _looked_at_again(one, answers[one.payment_id], known)
    return answers


def _plain(session: Session, questions: Sequence[Question], bills: Mapping[int, Open]) -> dict[int, Answer]:
    """What the engine is certain to answer, without the engine: one open bill's number and no other digit was typed.

    Only where no other payment of the batch may take the bill, or owe for the same amount: then each is held against
    the others, and that is the engine's work.
    """
    plain = [one for one in questions if one.alone and _is_certain(one, bills[next(iter(one.invoices))])]
    if not plain:
        return {}
    chosen = {one.payment_id for one in plain}
    rest = _around(session, [one for one in questions if one.payment_id not in chosen])
    asked = Counter(next(iter(one.invoices)) for one in plain)
    owed = {row[7] for row in open_bills.bills_by_id(session, rest)}
    return {
        one.payment_id: Answer((invoice,), Rung.NORMALISED, _FOUND)
        for one in plain
        for invoice in one.invoices
        if asked[invoice] == 1 and invoice not in rest and one.amount_minor not in owed
    }


def _is_certain(one: Question, bill: Open) -> bool:
    """Whether a number is believed at this amount: another amount than the bill's wants the number in one piece."""
    left = bill.outstanding_minor
    return left > 0 and (left == one.amount_minor or spelling.in_one_piece(one.alone, one.typed))


_FOUND = "the pay account number was found in what was typed"
_HASH = re.compile(r"[0-9a-fA-F]{64}")


def _unhashed(questions: Sequence[Question], rows: Sequence[BillRow]) -> list[Question]:
    """A provider may show SHA-256 of a phone: it is a payer's when the hashes agree, and says nothing otherwise."""
    if not any(_HASH.fullmatch(one.phone) for one in questions):
        return list(questions)
    shown = {hashlib.sha256(row.phone.lstrip("+").encode()).hexdigest(): row.phone for row in rows if row.phone}
    return [
        replace(one, phone=shown.get(one.phone.lower(), "")) if _HASH.fullmatch(one.phone) else one for one in questions
    ]


def _around(session: Session, questions: Sequence[Question]) -> set[int]:
    """The bills that are looked at: those named, and beside an object those that may be meant instead."""
    found = {invoice for one in questions for invoice in one.invoices}
    near: list[tuple[str, int]] = []
    phones: list[tuple[str, str, int]] = []
    for one in questions:
        if not one.keys:
            continue
        phones += [(phone, "", one.amount_minor) for phone in ladder.clues(one.typed).phones]
        tail, words = _tail(one), name_words(one.name)
        if tail and words:
            phones.append((tail, words[0], one.amount_minor))
        for key in one.keys:
            near += [(other, one.amount_minor) for other in (key, *spelling.one_away(key))]
    return found | open_bills.owing_near(session, near) | open_bills.owing_of_phones(session, phones)


def _tail(one: Question) -> str:
    """The end of the sender's phone, as far as it is shown; nothing where that is too little."""
    tail = phone_pattern(one.phone).rpartition("*")[2]
    return tail if len(tail) >= LEAST_TAIL else ""


def proof_of(one: Question, row: BillRow) -> Proof:
    """How the sender of a payment compares with a bill's payer."""
    sender = Sender(phone_pattern(one.phone), name_words(one.name))
    return compare(sender, phone=phone_pattern(row.phone), name=name_words(row.payer_name))


def _looked_at_again(one: Question, answer: Answer, known: Mapping[int, BillRow]) -> Answer:
    """What only all bills could tell is left to a run; a number that takes no money may still be a phone."""
    if answer.rung is Rung.ALIAS and one.keys and not proof_of(one, known[answer.invoice_ids[0]]).undisputed:
        others = [word for word in spelling.tokens_of(one.typed) if word.isalpha()]
        unnamed = [word for word in others if not any(spelling.folded(word) in key for key in one.keys)]
        if not _tail(one) or len(unnamed) > 1 or (one.unbilled and len(one.keys) > 1):
            invoice = answer.invoice_ids[0]
            why = f"{answer.why}; a run looks at every bill before it is set"
            left = Left(one.payment_id, one.amount_minor, "ambiguous_account", "sender", why, invoice)
            return Answer(left=left, candidates=(Suggested(one.payment_id, 1, invoice, one.amount_minor, answer.why),))
    if one.number and len(one.invoices) == 1:
        row = known[next(iter(one.invoices))]
        proof = proof_of(one, row)
        is_phone = phones_agree(phone_pattern(one.phone), one.number) > 0
        if not row.open_minor and ((is_phone and not proof.agrees) or proof.doubtful):
            words = f"{row.number} takes no money any more; it begins like a phone, and {proof.words()}"
            return Answer(left=Left(one.payment_id, one.amount_minor, "ambiguous_account", "sender", words, None))
    return answer


def about_unbilled(session: Session, asked: Sequence[tuple[Question, BilledThing]]) -> dict[int, Answer]:
    """Why money that names an object without an open bill is not its payer's credit: somebody else may be meant.

    Nothing is answered where the sender is seen to be the payer, or nobody who may be meant owes this amount.
    """
    strange = []
    for one, thing in asked:
        sender = Sender(phone_pattern(one.phone), name_words(one.name))
        if not compare(sender, phone=phone_pattern(thing.payer_phone), name=name_words(thing.payer_name)).undisputed:
            strange.append((one, thing))
    if not strange:
        return {}
    rows = [BillRow(*row) for row in open_bills.bills_by_id(session, _around(session, [one for one, _ in strange]))]
    answers = {}
    for one, thing in strange:
        owing = [row for row in rows if row.open_minor == one.amount_minor and row.payer_id != str(thing.payer_id)]
        near = {other for key in one.keys for other in spelling.one_away(key)}
        tail = _tail(one)
        phones = ladder.clues(one.typed).phones
        meant = [
            row
            for row in owing
            if spelling.folded(identifiers.key(row.object_ref)) in near
            or row.phone.endswith(phones)
            or (tail and proof_of(one, row).agrees)
        ]
        if meant:
            why = (
                f"{thing.reference} was typed and has no open bill, and {len(meant)} that may be meant owe this amount"
            )
            listed = [
                Suggested(
                    one.payment_id, rank, row.invoice_id, one.amount_minor, "it owes this amount and may be meant"
                )
                for rank, row in enumerate(sorted(meant, key=lambda row: (row.due_on, row.number)), 1)
            ]
            left = Left(one.payment_id, one.amount_minor, "ambiguous_account", "sender", why, None)
            answers[one.payment_id] = Answer(left=left, candidates=tuple(listed[:5]))
    return answers


def _answer(group: Sequence[Question], known: Mapping[int, BillRow], policy: Policy) -> dict[int, Answer]:
    written = {invoice: name for one in group for invoice, name in one.written.items()}
    rows = [row._replace(object_ref=written.get(row.invoice_id, row.object_ref)) for row in known.values()]
    payments = [
        PaymentRow(
            one.payment_id,
            one.reference,
            "" if one.by_bank else one.typed,
            one.name,
            one.phone,
            one.typed if one.by_bank else "",
            one.amount_minor,
            one.occurred_at,
        )
        for one in group
    ]
    found = matching.match(bill_table(rows), payment_table(payments), policy)
    numbers = {row.number: row.invoice_id for row in rows}
    of = {one.reference: one.payment_id for one in group}
    taken: dict[int, list[tuple[int, Rung, str]]] = {}
    for row in found.matches.to_pylist():
        why = spelling.without_phones(row["why"], numbers)
        taken.setdefault(of[row["payment_id"]], []).append((numbers[row["invoice_number"]], Rung(row["rung"]), why))
    candidates: dict[int, list[Suggested]] = {}
    for row in found.suggestions.to_pylist():
        payment = of[row["payment_id"]]
        why, minor = spelling.without_phones(row["why"], numbers), parse_wire(row["amount"])
        one = Suggested(payment, int(row["rank"]), numbers[row["invoice_number"]], minor, why)
        candidates.setdefault(payment, []).append(one)
    left = {
        of[row["payment_id"]]: Left(
            of[row["payment_id"]],
            parse_wire(row["amount"]),
            row["reason"],
            row["failed"],
            spelling.without_phones(row["why_not"], numbers),
            numbers.get(row["invoice_number"]),
        )
        for row in found.breaks.to_pylist()
    }
    answers = {}
    for question in group:
        payment = question.payment_id
        chosen = taken.get(payment, [])
        answers[payment] = Answer(
            tuple(invoice for invoice, *_ in chosen),
            chosen[0][1] if chosen else Rung.NONE,
            chosen[0][2] if chosen else "",
            left.get(payment),
            tuple(candidates.get(payment, ())),
        )
    return answers


def named_in(
    text: str, things: Iterable[open_bills.NamedThing], prefixes: Iterable[str], *, typed: bool
) -> dict[int, tuple[str, Fit]]:
    """Objects that a text names: the name that fits, and how well. A name within a longer one is not meant.

    Names that go on in the text, or whose separators stand elsewhere, are answered too: their fit is below nothing.
    """
    said, words = spelling.written(text), tuple(prefixes)
    fits = [(one, spelling.fit(said, spelling.written(one.written), words, typed=typed)) for one in things]
    good = [named for _, named in fits if named.fit > 0]
    found: dict[int, tuple[str, Fit]] = {}
    for one, named in fits:
        if named.fit is Fit.NONE or any(spelling.is_inside(named, other) for other in good):
            continue
        best = found.get(one.object_id)
        if best is None or named.fit > best[1]:
            found[one.object_id] = (one.written, named.fit)
    return found
