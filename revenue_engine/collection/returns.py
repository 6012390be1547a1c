"""Money that a bank took back, such as a cheque that was not paid: the deposit goes back, and its bill is open again.

A bank's line of this kind seldom names the deposit in a field of its own. Where the line names exactly one deposit of
its amount (by the bank's reference, else by the number of the cheque, else by the number of the bill), the deposit is
taken back with the line as evidence, whichever of the two is known first. Else a break names the deposits that may be
meant, and two persons say which one it is.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, UniqueConstraint, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation import break_keys
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import payments, periods
from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.channels import accounts, deliveries
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection import bank_words, pipeline, reversals, same_payment
from revenue_engine.collection.batch import Batch
from revenue_engine.db import Base, Sealed, raw
from revenue_engine.errors import Conflict, NotFound
from revenue_engine.money import wire
from revenue_engine.payments import Fact, Identity, Recorded, Stored
from revenue_engine.ports.callbacks import Kind, Strength
from revenue_engine.ports.statements import StatementLine, StatementReader, one_by_one, pick, proved

KIND = "deposit_return"
"""The kind of request by which two persons name the deposit."""
RECOGNISED = "Returned deposit"
"""What evidence is called that says which deposit a line took back: by the words of the line, or by two persons."""
WHY = "the bank took the deposit back"
_STALE_DAYS = 45
"""A bank takes a cheque or a transfer back within weeks."""
_ITEM = -1_000_000_000
"""Items of evidence that names a deposit begin here, downwards: the line's number is what is left."""


class DepositReturn(Sealed, Base):
    """Which deposit a bank's line took back, by the word of two persons."""

    __tablename__ = "deposit_return"
    __table_args__ = (
        UniqueConstraint("approval_id"),
        UniqueConstraint("evidence_id"),
        CheckConstraint("amount_minor > 0", name="amount"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Serial(), primary_key=True)
    approval_id: Mapped[int]
    evidence_id: Mapped[int]
    """What the line said: money was taken back, of no named payment."""
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    amount_minor: Mapped[int]
    reason: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


# --- what a line names -----------------------------------------------------------------------------------------------


class Keys(NamedTuple):
    """What a line names a deposit by, the strongest first."""

    references: frozenset[str]
    fields: frozenset[bytes]
    """Hashes of references that stand in fields which only the bank writes."""
    cheques: frozenset[bytes]
    numbers: frozenset[bytes]

    @property
    def hashes(self) -> frozenset[bytes]:
        """All that can be looked up as other names of movements."""
        return self.fields | self.cheques | self.numbers


def _cheque_hash(number: str) -> bytes:
    return hashlib.sha256(f"cheque {number}".encode()).digest()


def keys_of(line: StatementLine) -> Keys:
    """What the line of a return names its deposit by. The number of a bill counts only where no cheque is named."""
    named = bank_words.named(line)
    fields = {value for _, value in line.references} | {line.reverses} | ({line.reference} if line.kind else set())
    told = same_payment.of_line(line)
    return Keys(
        named.references | {value.upper() for value in fields if value},
        frozenset(map(same_payment.name_hash, (value for value in fields if value))),
        frozenset(map(_cheque_hash, named.cheques)),
        frozenset() if named.cheques else frozenset(map(same_payment.number_hash, told.numbers)),
    )


def _own_hashes(line: StatementLine, name: str) -> frozenset[bytes]:
    """What a deposit may be named by in a line that takes it back."""
    references = {name, line.reference, *(value for _, value in line.references)} - {""}
    hashes = {same_payment.name_hash(value) for value in references}
    hashes |= {_cheque_hash(number) for number in bank_words.cheques(line)}
    return frozenset(hashes | {same_payment.number_hash(number) for number in same_payment.of_line(line).numbers})


def is_unnamed(line: StatementLine) -> bool:
    """Whether a line takes money back and no field of the line says of which payment."""
    return line.counts and line.amount_minor < 0 and not line.reverses and bank_words.kind_of(line) is Kind.REVERSAL


# --- at the import ---------------------------------------------------------------------------------------------------


def settle(
    session: Session,
    batch: Batch,
    bank: Channel,
    channels: Mapping[int, Channel],
    readers: Mapping[str, StatementReader],
    new: Sequence[tuple[StatementLine, str]],
) -> None:
    """Take back the deposits that the new lines of a proved statement name, once they are booked.

    ``new``: the lines, each with the name its movement is known by. Lines that took money back before their deposit was
    known are looked at again where the deposit is among the new lines.
    """
    deposits = [(line, name) for line, name in new if same_payment.may_be_told(line)]
    same_payment.keep_hashes(
        session,
        bank.id,
        [
            (name, line.amount_minor, line.booked_on, frozenset(map(_cheque_hash, cheques)))
            for line, name in deposits
            if (cheques := bank_words.cheques(line))
        ],
    )
    returned = [(line, name) for line, name in new if is_unnamed(line)]
    same_payment.keep_hashes(
        session, bank.id, [(name, line.amount_minor, line.booked_on, _stored_keys(line)) for line, name in returned]
    )
    waiting = {name: line for line, name in returned}
    waiting |= _waiting_for(session, bank.id, readers, deposits)
    if not waiting:
        return
    told = {one.identity.reference: one for one in payments.reversals_unnamed(session, bank.id, sorted(waiting))}
    ready: list[tuple[Stored, Recorded]] = []
    taken: set[int] = set()
    fresh = {name for _, name in returned}
    for name, line in sorted(waiting.items(), key=lambda one: (one[1].booked_on, one[1].number)):
        if name not in told:
            continue
        exact, near = _deposits(session, bank.id, line, without=taken)
        if len(exact) == 1:
            (deposit,) = exact
            taken.add(deposit.id)
            ready.append((told[name], deposit))
        elif name in fresh and line.kind is None:  # what the format itself calls a reversal has its break
            batch.opened.append(_break(bank, line, name, exact or near, told[name].delivery_id))
    _take_back(session, batch, channels, ready)


def _stored_keys(line: StatementLine) -> frozenset[bytes]:
    keys = keys_of(line)
    return keys.hashes | frozenset(map(same_payment.name_hash, keys.references))


def _waiting_for(
    session: Session,
    bank_id: int,
    readers: Mapping[str, StatementReader],
    deposits: Sequence[tuple[StatementLine, str]],
) -> dict[str, StatementLine]:
    """Lines that took money back before, by name, which name one of these deposits of the same amount."""
    amounts: dict[bytes, set[int]] = {}
    for line, name in deposits:
        for one in _own_hashes(line, name):
            amounts.setdefault(one, set()).add(-line.amount_minor)
    names = {
        called.reference
        for called_hash, found in same_payment.taken_back(session, bank_id, amounts).items()
        for called in found
        if called.amount_minor in amounts[called_hash]
    }
    if not names:
        return {}
    told = payments.reversals_unnamed(session, bank_id, sorted(names))
    found = {one.identity.reference: line_again(session, readers, one) for one in told}
    return {reference: line for reference, line in found.items() if line is not None}


def line_again(session: Session, readers: Mapping[str, StatementReader], told: Stored) -> StatementLine | None:
    """The line that evidence from a statement file rests on, read again from the file."""
    number = number_of(told.item)
    (arrived,) = deliveries.arrived(session, [told.delivery_id])
    name = deliveries.filename(session, arrived.id)
    stream = io.BytesIO(arrived.body)
    events = one_by_one(proved(pick(readers, stream, name).read(stream, filename=name)))
    return next((one for one in events if isinstance(one, StatementLine) and one.number == number), None)


def number_of(item: int) -> int:
    """The number of the line that an item of evidence from a file rests on."""
    return item if item >= 0 else -1 - item if item > _ITEM else _ITEM - item


def naming_item(number: int) -> int:
    """The item of the evidence that names the deposit which a line took back."""
    return _ITEM - number


# --- which deposit ---------------------------------------------------------------------------------------------------


def _deposits(
    session: Session, bank_id: int, line: StatementLine, *, without: Iterable[int] = ()
) -> tuple[list[Recorded], list[Recorded]]:
    """The deposits of just the line's amount that the line names, and all that may be meant, the likeliest first."""
    keys, minor = keys_of(line), -line.amount_minor
    called = same_payment.called(session, bank_id, keys.hashes)
    named: list[Recorded] = []
    for rung in (
        keys.references | _names(called, keys.fields),
        _names(called, keys.cheques),
        _names(called, keys.numbers),
    ):
        found = payments.find(session, (Identity(bank_id, Kind.PAYMENT.value, name) for name in rung))
        standing = _standing(session, found.values(), line.booked_on, without)
        exact = [one for one in standing if one.amount_minor == minor]
        named += standing
        if exact:
            return exact, exact
    until = datetime.combine(line.booked_on + timedelta(days=1), time(), periods.NAIROBI)
    same_amount = [one for one in payments.of_amount(session, bank_id, minor, until=until) if one.id not in without]
    return [], list(dict.fromkeys([*named, *same_amount]))


def _names(called: Mapping[bytes, Sequence[same_payment.Called]], hashes: Iterable[bytes]) -> set[str]:
    return {one.reference for wanted in hashes for one in called.get(wanted, ()) if one.amount_minor > 0}


def _standing(session: Session, found: Iterable[Recorded], day: date, without: Iterable[int]) -> list[Recorded]:
    known = {one.id: one for one in found}
    gone = payments.reversed_already(session, list(known)) | set(without)
    return [
        one
        for one in sorted(known.values(), key=lambda one: (one.occurred_at, one.id))
        if one.id not in gone and timedelta() <= day - periods.nairobi_date(one.occurred_at) <= timedelta(_STALE_DAYS)
    ]


def _break(bank: Channel, line: StatementLine, name: str, meant: Sequence[Recorded], delivery_id: int) -> NewBreak:
    minor = -line.amount_minor
    shown = [
        one.identity.reference if one.amount_minor == minor else f"{one.identity.reference} of {wire(one.amount_minor)}"
        for one in meant[:5]
    ]
    named = bool(keys_of(line).cheques or keys_of(line).numbers)
    which = f"the deposits that may be meant: {', '.join(shown)}" if shown else "no deposit like it is in the books"
    what = "the line names more than one deposit, or none of this amount" if named else "the line names no deposit"
    return NewBreak(
        break_keys.returned(bank.id, name),
        BreakReason.RETURNED_BY_BANK,
        f"{bank.identifier} took money back ({name}); {what}; {which}; until two persons name the deposit"
        f" (payment return {name} PAYMENT), its bill still shows as paid",
        datetime.combine(line.booked_on, time(), periods.NAIROBI),
        amount_minor=minor,
        payment_id=meant[0].id if len(meant) == 1 else None,
        delivery_id=delivery_id,
        channel_account_id=bank.id,
    )


# --- taking back -----------------------------------------------------------------------------------------------------


def _take_back(
    session: Session, batch: Batch, channels: Mapping[int, Channel], ready: Sequence[tuple[Stored, Recorded]]
) -> None:
    """Write which deposit each line took back, as evidence of its file, and take the deposits back."""
    if not ready:
        return
    naming = [
        Fact(
            delivery_id=told.delivery_id,
            item=naming_item(number_of(told.item)),
            identity=told.identity,
            message=RECOGNISED,
            amount_minor=told.amount_minor,
            currency=told.currency,
            occurred_at=told.occurred_at,
            received_at=told.occurred_at,
            strength=Strength.PROVES,
            reverses=deposit.identity.reference,
        )
        for told, deposit in ready
    ]
    deposits = {told.identity: deposit for told, deposit in ready}
    written = payments.write_evidence(session, naming)
    reversals.take_back(session, batch, channels, [(one, deposits[one.identity]) for one in written], why=WHY)
    for told, _ in ready:
        about = told.identity.channel_account_id, told.identity.reference
        batch.resolve([break_keys.returned(*about), break_keys.reversal(*about)], WHY)


def ask(session: Session, bank_reference: str, payment: str, *, reason: str) -> str:
    """Ask that a deposit be taken back by a bank's line that names none; returns the request's public id.

    ``bank_reference`` is what the line is known by, as its break shows; the payment is named by its reference or its
    public id. Raises NotFound for an unknown line or payment, Conflict where the line took a deposit back already or is
    of another account or amount, and what ``approvals.ask`` raises.
    """
    deposit = payments.by_id(session, payments.named(session, payment))
    account = deposit.identity.channel_account_id
    found = payments.reversals_unnamed(session, account, [bank_reference.strip().upper()])
    if not found:
        raise NotFound(f"no line {bank_reference} of this bank took money back and waits for the name of a deposit")
    told = found[0]
    if told.amount_minor != deposit.amount_minor:
        raise Conflict(
            f"{bank_reference} took {wire(told.amount_minor or 0)} back, and {deposit.identity.reference} is of"
            f" {wire(deposit.amount_minor)}: only a whole deposit is taken back"
        )
    payload = {"evidence_id": told.id, "payment_id": deposit.id, "amount_minor": deposit.amount_minor}
    subject = f"{deposit.identity.reference} by {told.identity.reference}"
    return approvals.ask(session, KIND, subject=subject, payload=payload, reason=reason)


def return_agreed(session: Session, agreed: Agreed) -> int:
    """Take a deposit back as two persons agreed; returns its cents.

    Raises Conflict where the line or the deposit is not what the two persons saw.
    """
    payment_id, evidence_id = int(agreed.payload["payment_id"]), int(agreed.payload["evidence_id"])
    deposit = payments.by_id(session, payment_id)
    waiting = payments.reversals_unnamed(session, deposit.identity.channel_account_id, None, ids=[evidence_id])
    if not waiting or payments.reversed_already(session, [payment_id]):
        raise Conflict(
            "the deposit was taken back, or the line was, since two persons agreed", request=agreed.public_id
        )
    batch = Batch()
    _take_back(session, batch, accounts.channels(session), [(waiting[0], deposit)])
    raw(session).execute(
        "INSERT INTO deposit_return (approval_id, evidence_id, payment_id, amount_minor, reason, made_by)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (
            *(agreed.number, evidence_id, payment_id, deposit.amount_minor, agreed.reason),
            f"approval {agreed.public_id}",
        ),
    )
    pipeline.close(session, batch)
    return deposit.amount_minor
