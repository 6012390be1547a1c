"""What is left of bills: the look-ups by number, alias and object, the locks, and the lawful order of components."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from revenue_engine import identifiers
from revenue_engine.billing.tariffs import COMPONENTS
from revenue_engine.db import raw
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


def aliases(session: Session, keys: Iterable[str]) -> dict[str, frozenset[int]]:
    """Which of these keys are aliases, and of which objects."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = raw(session).execute(
        "SELECT normal, array_agg(object_id) FROM alias WHERE normal = ANY(%s) GROUP BY normal", (wanted,)
    )
    return {row[0]: frozenset(row[1]) for row in rows}


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
        "SELECT id, stream_code, station_code, payer_id, tariff_item FROM billed_object WHERE id = ANY(%s)", (wanted,)
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
    row = (
        raw(session).execute("SELECT outstanding_minor FROM open_bill WHERE invoice_id = %s", (invoice_id,)).fetchone()
    )
    return int(row[0]) if row else 0


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
