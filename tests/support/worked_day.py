"""Two days of a small county, in round shillings, written the way the engine writes them: the worked example of tests.

19 November 2026: two bills; one part-payment; one payment that names nothing.
20 November 2026: three bills, one of them cancelled; five payments, one taken back; the old suspense identified; one
notice that nothing confirms; one settlement to the bank.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from revenue_engine import ledger, payments
from revenue_engine.access import audit
from revenue_engine.billing import payers
from revenue_engine.county import loading
from revenue_engine.db import raw
from revenue_engine.ledger import chart, postings
from revenue_engine.ledger.postings import Bill, Placed
from revenue_engine.payments import NewApplication, receipts
from revenue_engine.payments.receipts import ToIssue
from revenue_engine.periods import NAIROBI
from revenue_engine.treasury import bank_accounts

COUNTIES = Path(__file__).parent / "counties"
THURSDAY, FRIDAY = date(2026, 11, 19), date(2026, 11, 20)
BILLING = {"SBP": "bill", "MKT": "spot", "HOS": "bill"}
PAYBILL, KCB = chart.clearing("mpesa-000111"), chart.clearing("kcb-0099")
BANK = chart.bank("kcb-0099")


def at(day: date, clock: str) -> datetime:
    """An instant of a Nairobi day."""
    return datetime.combine(day, datetime.strptime(clock, "%H:%M").time(), tzinfo=NAIROBI)  # noqa: DTZ007


def set_up(session: Session) -> None:
    """The county and its two live channel accounts, as ``init`` loads them, and two payers."""
    loading.load(session, "workland", mode="live", directory=COUNTIES / "workland")
    for name in ("Akinyi Traders", "J. Wafula"):
        payers.add_payer(session, name=name)


def bank_account(session: Session) -> None:
    """The bank account that settlements go to."""
    bank_accounts.open_bank_account(
        session,
        bank="kcb",
        number="0099",
        name="KCB collection",
        purpose="collection",
        authority="Letter CT/1",
        by="setup",
        channel_account_id=2,
    )


def bill(
    session: Session,
    number: int,
    stream: str,
    parts: Mapping[str, int],
    *,
    when: datetime,
    payer: int | None = None,
    station: str | None = None,
) -> Bill:
    """Issue a bill of these components (cents)."""
    connection = raw(session)
    account = f"{number:09d}"
    connection.execute(
        "INSERT INTO invoice (id, public_id, number, pay_account_number, payer_id, stream_code, station_code, billing,"
        " total_minor, issued_at, due_on, issued_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'clerk')",
        (
            number,
            f"inv_{number}",
            f"INV-2627-{number:06d}",
            account,
            payer,
            stream,
            station,
            BILLING[stream],
            sum(parts.values()),
            when,
            when.date(),
        ),
    )
    connection.execute("INSERT INTO pay_account (number, invoice_id) VALUES (%s, %s)", (account, number))
    connection.execute(
        "INSERT INTO invoice_line (invoice_id, seq, description, component, quantity, unit_amount_minor, amount_minor)"
        " SELECT %s, n, c, c, 1, a, a FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS l (c, a, n)",
        (number, list(parts), list(parts.values())),
    )
    made = Bill(number, stream, station, payer)
    ledger.post(session, postings.invoice_issued(made, parts, at=when), key=f"invoice:{number}:issued")
    return made


def cancel(session: Session, made: Bill, parts: Mapping[str, int], *, when: datetime) -> None:
    """Cancel an unpaid bill."""
    journal = postings.invoice_cancelled(made, parts, at=when, reason="issued twice")
    ledger.post(session, journal, key=f"invoice:{made.invoice_id}:cancelled")
    raw(session).execute(
        "INSERT INTO invoice_cancellation (invoice_id, reason, cancelled_by) VALUES (%s, 'issued twice', 'clerk')",
        (made.invoice_id,),
    )


def told(
    session: Session,
    reference: str,
    kind: str,
    amount: int,
    *,
    channel: int,
    when: datetime,
    reverses: str | None = None,
) -> None:
    """A delivery and the evidence read from it; its job is done."""
    connection = raw(session)
    row = connection.execute(
        "INSERT INTO delivery (received_on, received_at, channel_account_id, endpoint_id, purpose, headers, body,"
        " body_length, verdict, verdict_reason) VALUES (%s, %s, %s, 1, 'confirmation', '{}', '{}', 2, 'accepted', '')"
        " RETURNING id",
        (when.date(), when, channel),
    ).fetchone()
    assert row is not None
    connection.execute("DELETE FROM job WHERE ref_id = %s", (row[0],))
    connection.execute(
        "INSERT INTO evidence (delivery_id, channel_account_id, kind, reference, message, amount_minor, currency,"
        " occurred_at, strength, typed_digest, recorded_at, reverses) VALUES (%s, %s, %s, %s, 'c2b', %s, 'KES', %s,"
        " 'confirms', %s, %s, %s)",
        (row[0], channel, kind, reference, amount, when, hashlib.sha256(b"").digest(), when, reverses),
    )


def pay(
    session: Session,
    number: int,
    places: Sequence[Placed],
    parts: Sequence[tuple[int, str, int]] = (),
    *,
    when: datetime,
    channel: int = 1,
) -> None:
    """A confirmed payment, placed; ``parts`` are (invoice id, component, cents). Suspense opens its break."""
    amount = sum(place.amount_minor for place in places)
    reference = f"RKT{number:07d}"
    told(session, reference, "payment", amount, channel=channel, when=when)
    connection = raw(session)
    connection.execute(
        "INSERT INTO payment (id, public_id, channel_account_id, kind, reference, amount_minor, occurred_at,"
        " recorded_at) VALUES (%s, %s, %s, 'payment', %s, %s, %s, %s)",
        (number, f"pay_{number}", channel, reference, amount, when, when),
    )
    journal = postings.payment_received(
        places, payment_id=number, channel_account_id=channel, clearing=PAYBILL if channel == 1 else KCB, at=when
    )
    posted = ledger.post(session, journal, key=f"payment:{number}:received")
    payments.apply(session, [NewApplication(number, i, c, a, posted.id, "exact") for i, c, a in parts])
    suspended = sum(place.amount_minor for place in places if place.bill is None and place.payer_id is None)
    if suspended:
        connection.execute(
            "INSERT INTO break_event (event, actor, public_id, key, reason, detail, amount_minor, owner, payment_id,"
            " channel_account_id, occurred_at, at) VALUES ('opened', 'engine', %s, %s, 'unknown_account',"
            " 'nothing of this number', %s, 'finance', %s, %s, %s, %s)",
            (f"brk_{number}", f"suspense:{number}", suspended, number, channel, when, when),
        )
    kind = "acknowledgement" if suspended == amount else "receipt"
    receipts.issue(session, [ToIssue(number, kind, amount, when, posted.book_date)])


def take_back(
    session: Session,
    number: int,
    original: int,
    places: Sequence[Placed],
    parts: Sequence[tuple[int, str, int]],
    *,
    when: datetime,
) -> None:
    """The provider reverses a payment: the bill is open again and the receipt cancelled."""
    amount = sum(place.amount_minor for place in places)
    told(session, f"REV{number:07d}", "reversal", amount, channel=1, when=when, reverses=f"RKT{original:07d}")
    raw(session).execute(
        "INSERT INTO payment (id, public_id, channel_account_id, kind, reference, amount_minor, occurred_at,"
        " recorded_at, reverses_id) VALUES (%s, %s, 1, 'reversal', %s, %s, %s, %s, %s)",
        (number, f"pay_{number}", f"REV{number:07d}", amount, when, when, original),
    )
    journal = postings.payment_reversed(places, payment_id=original, channel_account_id=1, clearing=PAYBILL, at=when)
    posted = ledger.post(session, journal, key=f"payment:{number}:reversed")
    payments.apply(session, [NewApplication(original, i, c, -a, posted.id, "reversal") for i, c, a in parts])
    receipts.cancel(session, [original], reason="the provider reversed the payment")


def identify(session: Session, number: int, place: Placed, component: str, *, when: datetime) -> None:
    """Suspense finds its bill: applied, the acknowledgement replaced by a receipt, the break closed."""
    assert place.bill is not None
    journal = postings.suspense_identified([place], payment_id=number, stream_code=None, station_code=None, at=when)
    posted = ledger.post(session, journal, key=f"payment:{number}:identified")
    part = NewApplication(number, place.bill.invoice_id, component, place.amount_minor, posted.id, "reopened")
    payments.apply(session, [part])
    connection = raw(session)
    paid = connection.execute("SELECT occurred_at FROM payment WHERE id = %s", (number,)).fetchone()
    assert paid is not None
    receipts.cancel(session, [number], reason="identified", kinds=["acknowledgement"])
    receipts.issue(session, [ToIssue(number, "receipt", place.amount_minor, paid[0], posted.book_date)])
    connection.execute(
        "INSERT INTO break_event (event, actor, at, words, key) VALUES ('resolved', 'engine', %s, 'identified', %s)",
        (when, f"suspense:{number}"),
    )


def shown_at_bank(session: Session, amount: int, *, when: datetime) -> None:
    """A statement of the bank with one credit, FT1, that is what the paybill paid out."""
    connection = raw(session)
    row = connection.execute(
        "INSERT INTO delivery (received_on, received_at, channel_account_id, purpose, headers, body, body_length,"
        " verdict, verdict_reason) VALUES (%s, %s, 2, 'statement', '{}', '{}', 2, 'accepted', '') RETURNING id",
        (when.date(), when),
    ).fetchone()
    assert row is not None
    connection.execute("DELETE FROM job WHERE ref_id = %s", row)
    connection.execute(
        "INSERT INTO delivery_outcome (delivery_id, outcome, reason) VALUES (%s, 'ignored', 'read')", row
    )
    connection.execute(  # a second person's figure agrees with the foot of the file
        "INSERT INTO statement_reading (delivery_id, foot, foot_minor, credits_minor, lines)"
        " VALUES (%s, 'closing', %s, %s, 1)",
        (row[0], amount, amount),
    )
    connection.execute(
        "INSERT INTO statement_entry (delivery_id, person_id, entered_minor) VALUES (%s, 1, %s)", (row[0], amount)
    )
    connection.execute(
        "WITH s AS (INSERT INTO statement (public_id, delivery_id, channel_account_id, format, account, currency,"
        " reference, number, opening_minor, closing_minor, credits_minor, debits_minor, lines, new_lines, first_day,"
        " last_day) VALUES ('stm_1', %(delivery)s, 2, 'mt940', '0099', 'KES', 'ST1', '1', 0, %(minor)s, %(minor)s, 0,"
        " 1, 1, %(day)s, %(day)s) RETURNING id)"
        " INSERT INTO statement_line (statement_id, channel_account_id, number, key, booked_on, amount_minor, kind,"
        " reference, counts, told_as) SELECT id, 2, 1, sha256('FT1'), %(day)s, %(minor)s, 'payment', 'FT1', true, 'FT1'"
        " FROM s",
        {"delivery": row[0], "minor": amount, "day": when.date()},
    )


def two_days(session: Session) -> None:
    """The worked example; the docstring of this module tells it."""
    set_up(session)
    bank_account(session)
    permit = bill(session, 1, "SBP", {"penalty": 50_000, "principal": 500_000}, when=at(THURSDAY, "08:00"), payer=1)
    ward = bill(session, 2, "HOS", {"principal": 120_000}, when=at(THURSDAY, "09:00"), payer=2, station="BCRH")
    pay(
        session,
        1,
        [Placed(300_000, permit)],
        [(1, "penalty", 50_000), (1, "principal", 250_000)],
        when=at(THURSDAY, "10:00"),
    )
    pay(session, 2, [Placed(70_000)], when=at(THURSDAY, "11:00"))
    ledger.tick(session)

    kiosk = bill(session, 3, "SBP", {"principal": 200_000}, when=at(FRIDAY, "08:00"), payer=2)
    stall = bill(session, 4, "MKT", {"principal": 5_000}, when=at(FRIDAY, "08:10"), station="BUSMKT")
    twice = {"principal": 80_000}
    cancel(session, bill(session, 5, "SBP", twice, when=at(FRIDAY, "08:20"), payer=1), twice, when=at(FRIDAY, "08:30"))
    pay(session, 3, [Placed(120_000, ward)], [(2, "principal", 120_000)], when=at(FRIDAY, "09:00"), channel=2)
    pay(session, 4, [Placed(5_000, stall)], [(4, "principal", 5_000)], when=at(FRIDAY, "09:10"))
    places = [Placed(250_000, permit), Placed(10_000, payer_id=1, stream_code="SBP")]
    pay(session, 5, places, [(1, "principal", 250_000)], when=at(FRIDAY, "09:20"))
    pay(session, 6, [Placed(40_000, stream_code="MKT", station_code="BUSMKT")], when=at(FRIDAY, "09:30"))
    parts = [(3, "principal", 200_000)]
    pay(session, 7, [Placed(200_000, kiosk)], parts, when=at(FRIDAY, "09:40"))
    take_back(session, 8, 7, [Placed(200_000, kiosk)], parts, when=at(FRIDAY, "12:00"))
    identify(session, 2, Placed(70_000, kiosk), "principal", when=at(FRIDAY, "13:00"))
    told(session, "KCB777", "payment", 25_000, channel=2, when=at(FRIDAY, "14:00"))
    shown_at_bank(session, 297_000, when=at(FRIDAY, "18:00"))
    settled = postings.settled(
        297_000, 3_000, bank=BANK, clearing=PAYBILL, channel_account_id=1, at=at(FRIDAY, "18:00")
    )
    ledger.post(session, settled, key="settled:2:FT1")
    audit.record(session, actor="clerk", action="cancel", subject="INV-2627-000005")
