"""What is left of bills: the look-ups by number, alias and object, the locks, and the lawful order of components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import db, identifiers
from revenue_engine.db import raw
from revenue_engine.errors import Conflict, NotFound
from revenue_engine.ledger.chart import COMPONENTS
from revenue_engine.ledger.postings import Bill
from revenue_engine.work.locks import Lock


@dataclass(slots=True)
class Open:
    """A locked bill and what is left of it, in cents per component; ``pay`` takes from it in the lawful order."""

    bill: Bill
    object_id: int | None
    due_on: date
    cancelled: bool
    left: dict[str, int]

    @property
    def outstanding_minor(self) -> int:
        """All that is left, in cents."""
        return sum(self.left.values())

    def pay(self, amount_minor: int) -> list[tuple[str, int]]:
        """Take up to ``amount_minor`` off, component by component in the lawful order; answers what was taken."""
        taken = []
        for component in COMPONENTS:
            part = min(self.left[component], amount_minor)
            if part > 0:
                self.left[component] -= part
                amount_minor -= part
                taken.append((component, part))
        return taken


@dataclass(frozen=True, slots=True)
class BilledThing:
    """An object as placing a payment needs it."""

    id: int
    stream_code: str
    station_code: str | None
    payer_id: int | None
    tariff_item: str | None
    reference: str
    payer_name: str = ""
    payer_phone: str = ""
    was_billed: bool = True
    """Whether a bill of it was ever issued."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Typed numbers that exist: of bills and of objects."""

    bills: dict[str, int]
    standing: dict[str, int]


def numbers(session: Session, typed: Iterable[str]) -> Numbers:
    """Which of these pay account numbers exist, and what each names."""
    wanted = sorted(set(typed))
    found = Numbers({}, {})
    if wanted:
        for number, invoice_id, object_id in raw(session).execute(
            "SELECT number, invoice_id, object_id FROM pay_account WHERE number = ANY(%s)", (wanted,), binary=True
        ):
            if invoice_id is not None:
                found.bills[number] = invoice_id
            else:
                found.standing[number] = object_id
    return found


def stations(session: Session) -> tuple[dict[str, str], dict[str, str]]:
    """Keys that name a station (its code, its name without spaces) to its code; and each code to its stream."""
    keys: dict[str, str] = {}
    streams: dict[str, str] = {}
    for code, name, stream_code in raw(session).execute("SELECT code, name, stream_code FROM station ORDER BY code"):
        streams[code] = stream_code
        for written in (code, name):
            keys.setdefault(identifiers.key(written), code)
    return keys, streams


def objects(session: Session, object_ids: Iterable[int]) -> dict[int, BilledThing]:
    """Billed objects by id."""
    wanted = sorted(set(object_ids))
    if not wanted:
        return {}
    rows = raw(session).execute(
        "SELECT o.id, o.stream_code, o.station_code, o.payer_id, o.tariff_item, o.reference, coalesce(p.name, ''),"
        " coalesce(p.phone, ''), EXISTS (SELECT FROM invoice i WHERE i.object_id = o.id)"
        " FROM billed_object o LEFT JOIN payer p ON p.id = o.payer_id WHERE o.id = ANY(%s)",
        (wanted,),
    )
    return {row[0]: BilledThing(*row) for row in rows}


def open_of_objects(session: Session, object_ids: Iterable[int]) -> dict[int, list[int]]:
    """The ids of the open bills of objects, in the order in which money pays them: due date, then id."""
    wanted = sorted(set(object_ids))
    if not wanted:
        return {}
    found: dict[int, list[int]] = {object_id: [] for object_id in wanted}
    for object_id, invoice_id in raw(session).execute(
        "SELECT object_id, invoice_id FROM open_bill WHERE object_id = ANY(%s) AND outstanding_minor > 0"
        " ORDER BY due_on, invoice_id",
        (wanted,),
    ):
        found[object_id].append(invoice_id)
    return found


_LOCK = (
    "SELECT invoice_id, stream_code, station_code, payer_id, object_id, due_on, cancelled, costs_minor, penalty_minor,"
    " interest_minor, arrears_minor, principal_minor FROM lock_open_bills(%s)"
)


def lock(session: Session, invoice_ids: Iterable[int]) -> dict[int, Open]:
    """Lock bills to the end of the transaction, in id order, and read what is left of each."""
    wanted = sorted(set(invoice_ids))
    if not wanted:
        return {}
    rows = raw(session).execute(_LOCK, (wanted,), binary=True)
    return {row[0]: _open(row) for row in rows}


def _open(row: Sequence[object]) -> Open:
    invoice_id, stream_code, station_code, payer_id, object_id, due_on, cancelled, *left = row
    return Open(
        Bill(invoice_id, stream_code, station_code, payer_id),  # type: ignore[arg-type]
        object_id,  # type: ignore[arg-type]
        due_on,  # type: ignore[arg-type]
        bool(cancelled),
        dict(zip(COMPONENTS, left, strict=True)),  # type: ignore[arg-type]
    )


def outstanding(session: Session, invoice_id: int) -> int:
    """What is left of a bill now, in cents; nothing of a bill that does not exist."""
    return db.found(session, "SELECT outstanding_minor FROM open_bill WHERE invoice_id = %s", (invoice_id,)) or 0


def lock_payers(session: Session, payer_ids: Iterable[int]) -> None:
    """Serialise work on the unapplied credit of payers, in id order, to the end of the transaction."""
    wanted = sorted(set(payer_ids))
    if wanted:
        raw(session).execute(
            "SELECT pg_advisory_xact_lock(%s, mod(id, 2147483647)::int) FROM unnest(%s::bigint[]) WITH ORDINALITY"
            " AS w (id, n) ORDER BY n",
            (Lock.PAYER, wanted),
        )


def left_of(session: Session, invoice_ids: Iterable[int]) -> dict[int, int]:
    """What is left to pay of each of some bills, in cents, without locking them."""
    rows = raw(session).execute(
        "SELECT invoice_id, outstanding_minor FROM open_bill WHERE invoice_id = ANY(%s)", (sorted(set(invoice_ids)),)
    )
    return {row[0]: row[1] for row in rows}


# --- what a payment may mean -----------------------------------------------------------------------------------------

READ_BILLS = """
    SELECT i.id, i.pay_account_number, coalesce(o.payer_id::text, ''), coalesce(p.name, ''), coalesce(p.phone, ''),
           coalesce(b.reference, ''), i.due_on::text, o.outstanding_minor, o.cancelled
      FROM open_bill o JOIN invoice i ON i.id = o.invoice_id
      LEFT JOIN payer p ON p.id = o.payer_id LEFT JOIN billed_object b ON b.id = o.object_id
"""
"""A bill with its payer, its object and what is left of it, for whoever compares it with a payment."""

_FOLDED = "translate(a.normal, 'OILSBZG', '0115826')"


_TO_MATCH = """
     WHERE o.outstanding_minor > 0 OR o.invoice_id = ANY(%(named)s)
        OR o.invoice_id IN (SELECT max(invoice_id) FROM open_bill WHERE payer_id IS NOT NULL
                             GROUP BY payer_id HAVING max(outstanding_minor) = 0)
        OR o.invoice_id IN (SELECT max(invoice_id) FROM open_bill WHERE object_id IS NOT NULL
                             GROUP BY object_id HAVING max(outstanding_minor) = 0)
     ORDER BY i.id
"""


def bills_to_match(session: Session, named: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Rows of :data:`READ_BILLS` of every open bill and of the bills of the ids in ``named``, in id order.

    Of payers and objects without an open bill their last bill is among them, so that a name or a plate which belongs
    to two is seen to.
    """
    return iter(raw(session).execute(READ_BILLS + _TO_MATCH, {"named": list(named)}))


def bills_by_id(session: Session, invoice_ids: Iterable[int]) -> list[tuple[Any, ...]]:
    """Rows of :data:`READ_BILLS` of these bills, open or not, in id order."""
    wanted = sorted(set(invoice_ids))
    if not wanted:
        return []
    return raw(session).execute(READ_BILLS + " WHERE i.id = ANY(%s) ORDER BY i.id", (wanted,)).fetchall()


def payable(session: Session, written: str) -> tuple[int, str]:
    """The open bill of a number as it is printed: its pay account number, in groups or not, or its own number.

    Answers its id and its pay account number. Raises NotFound, and Conflict where nothing is left of it to pay.
    """
    row = db.first(
        session,
        "SELECT i.id, i.pay_account_number, o.outstanding_minor, o.cancelled FROM invoice i"
        " JOIN open_bill o ON o.invoice_id = i.id WHERE i.number = %s OR i.pay_account_number = %s",
        (written.strip().upper(), identifiers.key(written)),
    )
    if row is None:
        raise NotFound(f"no bill has the number {written!r}", number=written)
    invoice_id, number, left, cancelled = row
    if not left:
        state = "was cancelled" if cancelled else "is paid"
        raise Conflict(f"bill {number} {state}: nothing is left of it", number=number)
    return invoice_id, number


class NamedThing(NamedTuple):
    """An object that a text may name: the key, and how it is written."""

    key: str
    object_id: int
    written: str


def things_named(session: Session, folded: Iterable[str]) -> list[NamedThing]:
    """Objects by the folded key of one of their names, every letter that is written for a digit as that digit."""
    wanted = sorted(set(folded))
    if not wanted:
        return []
    rows = raw(session).execute(  # a statement's lines hold tens of thousands of keys, none with a blank: one text
        f"SELECT {_FOLDED}, a.object_id, a.typed FROM alias a WHERE {_FOLDED} = ANY(string_to_array(%s, ' '))"  # noqa: S608
        " ORDER BY a.object_id, a.id",
        (" ".join(wanted),),
    )
    return [NamedThing(*row) for row in rows]


def owing_near(session: Session, asked: Sequence[tuple[str, int]]) -> set[int]:
    """Open bills of objects that have one of these folded names and owe the amount beside it, in cents."""
    if not asked:
        return set()
    rows = raw(session).execute(
        "SELECT DISTINCT o.invoice_id FROM unnest(%s::text[], %s::bigint[]) AS w (name, minor)"  # noqa: S608
        f" JOIN alias a ON {_FOLDED} = w.name"
        " JOIN open_bill o ON o.object_id = a.object_id AND o.outstanding_minor = w.minor",
        ([name for name, _ in asked], [minor for _, minor in asked]),
    )
    return {row[0] for row in rows}


def owing_of_phones(session: Session, asked: Sequence[tuple[str, str, int]]) -> set[int]:
    """Open bills of payers whose phone ends so (three digits or more) and whose name has the word, and who owe the
    amount, in cents. An empty word is every name."""
    if not asked:
        return set()
    rows = raw(session).execute(
        "SELECT DISTINCT o.invoice_id FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS w (tail, word, minor)"
        " JOIN payer p ON right(p.phone, 3) = right(w.tail, 3) AND right(p.phone, length(w.tail)) = w.tail"
        " AND position(w.word IN upper(p.name)) > 0"
        " JOIN open_bill o ON o.payer_id = p.id AND o.outstanding_minor = w.minor AND o.outstanding_minor > 0",
        ([tail for tail, _, _ in asked], [word for _, word, _ in asked], [minor for *_, minor in asked]),
    )
    return {row[0] for row in rows}
