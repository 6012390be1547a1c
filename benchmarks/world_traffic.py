"""The traffic of ``bench world``: bills issued, and what payers send, with the slips that payers make.

Of a hundred payments about three name nothing that is known, five pay half, one too much, some come twice, and a few
are taken back. Everything follows from the number of the chunk, so that a chunk that was lost is written the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import IPv4Address

from psycopg.types.json import Jsonb
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from stdnum import damm

from adapters.sandbox import mpesa_bodies
from adapters.sandbox.mpesa_slips import GIVEN_NAMES
from benchmarks import post_world, world_people, world_shape
from benchmarks.world_shape import YEARLY, Chunk
from revenue_engine import payments, periods
from revenue_engine.billing import invoices, tariffs
from revenue_engine.billing.invoices import InvoiceRequest, Issued
from revenue_engine.billing.tariffs import Charge, Station, TariffLine
from revenue_engine.db import copy_rows, raw, transaction

SHORTCODE = "600100"
BATCH = 1_000
LATER = timedelta(hours=2)
UNPAID = 0.08
"""Bills of a month, beside those that are paid, that never are."""
_WORDS = ("RENT", "SCHOOL FEES", "MPESA", "COUNTY", "FEES JUNE", "NYUMBA", "LICENCE", "MAMA", "12", "KODI")
ITEMS = {
    "HOSPITAL": ("HOSPITAL.CONSULT", "HOSPITAL.LAB", "HOSPITAL.BED"),
    "HOUSING": ("HOUSING.STALL",),
    "BODA": ("BODA.STICKER",),
    "HEALTH": ("HEALTH.HANDLER", "HEALTH.PREMISES"),
    "ADVERT": ("ADVERT.SIGN",),
    "LIQUOR": ("LIQUOR.BAR", "LIQUOR.SHOP"),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One message as it reaches the county."""

    purpose: str
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """What a payer is about to pay: what is typed, and how much is right."""

    typed: str
    amount_minor: int
    at: datetime


class Writer:
    """Writes chunk after chunk; keeps what stays the same from one to the next."""

    def __init__(self, engine: Engine, payments_planned: int) -> None:
        self.engine, self.planned = engine, payments_planned
        self.yearly: dict[tuple[int, str], list[tuple[str, int]]] = {}
        with transaction(engine) as session:
            rows = session.scalars(select(Station).order_by(Station.code))
            self.stations: dict[str, list[Station]] = {}
            for station in rows:
                self.stations.setdefault(station.stream_code, []).append(station)
            connection = raw(session)
            self.stalls = connection.execute(
                "SELECT id, payer_id, reference FROM billed_object WHERE stream_code = 'HOUSING' ORDER BY id"
            ).fetchall()
            self.plates: dict[str, list[str]] = {}
            for stream, plate in connection.execute(
                "SELECT stream_code, reference FROM billed_object WHERE tariff_item IS NOT NULL ORDER BY id"
            ):
                self.plates.setdefault(stream, []).append(plate)
            self.persons = [
                row[0]
                for row in connection.execute(
                    "SELECT id FROM payer p WHERE NOT EXISTS (SELECT FROM billed_object o WHERE o.payer_id = p.id)"
                    " ORDER BY id"
                )
            ]

    def write(self, chunk: Chunk) -> None:
        """Issue the chunk's bills, keep its deliveries and its mark: one transaction."""
        rng = random.Random(f"{self.planned} {chunk.number}")
        with transaction(self.engine) as session:
            if chunk.first.month == 1 and chunk.first.day == 1:
                self._bill_the_year(session, chunk.first)
            due = self._due(session, rng, chunk)
            sent = list(self._sent(session, rng, chunk, due))
            sent.sort(key=lambda one: one.at)
            _keep(session, sent)
            raw(session).execute("INSERT INTO bench.chunk (number, payments) VALUES (%s, %s)", (chunk.number, len(due)))

    # --- bills ------------------------------------------------------------------------------------------------------

    def _bill_the_year(self, session: Session, first: date) -> None:
        at = datetime.combine(first + timedelta(days=1), time(8), periods.NAIROBI)
        for stream in YEARLY:
            things = (
                raw(session)
                .execute("SELECT id FROM billed_object WHERE stream_code = %s ORDER BY id", (stream,))
                .fetchall()
            )
            requests = [
                InvoiceRequest(
                    stream_code=stream,
                    lines=[Charge(world_people.item_of(stream, number))],
                    due_on=date(first.year, 3, 31),
                    object_id=thing,
                )
                for number, (thing,) in enumerate(things)
            ]
            _issue(session, requests, at)

    def _yearly(self, session: Session, year: int, stream: str) -> list[tuple[str, int]]:
        """What pays each yearly bill and how much, in the order in which payers come."""
        if (year, stream) not in self.yearly:
            rows = raw(session).execute(
                "SELECT i.pay_account_number, a.number, o.reference, i.total_minor, i.id FROM invoice i"
                "  JOIN billed_object o ON o.id = i.object_id JOIN pay_account a ON a.object_id = o.id"
                " WHERE i.stream_code = %s AND i.issued_at >= %s AND i.issued_at < %s ORDER BY i.id",
                (stream, date(year, 1, 1), date(year + 1, 1, 1)),
            )
            found = [
                (name if number % 20 == 7 else standing if number % 4 == 1 else own, total)
                for number, (own, standing, name, total, _) in enumerate(rows)
            ]
            random.Random(f"{stream} {year}").shuffle(found)
            self.yearly[year, stream] = found
        return self.yearly[year, stream]

    def _due(self, session: Session, rng: random.Random, chunk: Chunk) -> list[Due]:
        found: list[Due] = []
        for stream, count in chunk.payments.items():
            instants = [_instant(rng, chunk) for _ in range(count)]
            if stream in YEARLY:
                first = chunk.yearly_before[stream]
                bills = self._yearly(session, chunk.first.year, stream)[first : first + count] if count else []
                found += [Due(*bill, at) for bill, at in zip(bills, instants, strict=True)]
            elif stream in ITEMS:
                issued = self._issued(session, rng, stream, instants, chunk)
                found += [Due(_typed(rng, one.pay_account_number), one.total_minor, at) for one, at in issued]
            else:
                found += [self._spot(session, rng, stream, at) for at in instants]
        return found

    def _issued(
        self, session: Session, rng: random.Random, stream: str, instants: Sequence[datetime], chunk: Chunk
    ) -> list[tuple[Issued, datetime]]:
        unpaid = round(len(instants) * UNPAID)
        ats: list[datetime | None] = [*instants, *[None] * unpaid]
        requests = []
        for at in ats:
            paid_at = at or _instant(rng, chunk)
            opened = datetime.combine(world_shape.OPENED, time(6), periods.NAIROBI)
            issued_at = max(opened, paid_at - timedelta(minutes=rng.randrange(10, 3_000)))
            payer, thing, station = None, None, None
            if stream == "HOUSING":
                thing, payer, _ = self.stalls[rng.randrange(len(self.stalls))]
            elif stream == "HOSPITAL":
                station = rng.choice(self.stations[stream]).code
                payer = rng.choice(self.persons) if rng.random() < 0.2 else None
            else:
                payer = rng.choice(self.persons)
            charge = Charge(rng.choice(ITEMS[stream]), rng.randrange(1, 4) if stream == "HOSPITAL" else 1)
            due_on = issued_at.astimezone(periods.NAIROBI).date() + timedelta(days=30)
            requests.append(InvoiceRequest(stream, [charge], due_on, payer, thing, station, at=issued_at))
        issued = _issue(session, requests, None)
        return list(zip(issued[: len(instants)], instants, strict=True))  # the others are never paid

    def _spot(self, session: Session, rng: random.Random, stream: str, at: datetime) -> Due:
        month = periods.nairobi_date(at).replace(day=1)
        station = rng.choice(self.stations[stream])
        if stream in self.plates and rng.random() < 0.4:
            plate = rng.choice(self.plates[stream])
            line = next(one for one in _lines(session, stream, month) if one.item_code == world_people.ITEMS[stream])
            typed = plate.replace(" ", "") if rng.random() < 0.5 else f"{station.code} {plate.replace(' ', '')}"
            return Due(typed, line.amount_minor, at)
        line = rng.choice(_lines(session, stream, month))
        return Due(station.code, line.amount_minor, at)

    # --- messages ---------------------------------------------------------------------------------------------------

    def _sent(self, session: Session, rng: random.Random, chunk: Chunk, due: list[Due]) -> Iterator[Sent]:
        for number, one in enumerate(due):
            n = chunk.before + number + 1
            reference = post_world.receipt_code(n, periods.nairobi_date(one.at))
            slip, typed, amount = rng.random(), one.typed, one.amount_minor
            if slip < 0.012:
                body = f"{rng.randrange(30_000_000, 69_999_999)}"
                typed = body + str(damm.calc_check_digit(body))
            elif slip < 0.02:
                typed = rng.choice(_WORDS)
            elif slip < 0.07 and amount >= 20_000:
                amount //= 2
            elif slip < 0.08:
                amount += 10_000
            body_of = _confirmation(reference, one.at, amount, typed, n)
            yield Sent("confirmation", body_of, one.at)
            again = rng.random()
            if again < 0.005:
                yield Sent("confirmation", body_of, one.at + timedelta(minutes=2))
            elif again < 0.0055:
                other = _confirmation(reference, one.at, amount + 100, typed, n)
                yield Sent("confirmation", other, one.at + timedelta(minutes=3))
            elif again < 0.0065:
                yield Sent("result", _reversal(reference, amount, one.at + LATER, n), one.at + LATER)
            elif again < 0.0095 and number % 2:
                self._push(session, n, amount)

    def _push(self, session: Session, n: int, amount: int) -> None:
        """A prompt that nobody answered."""
        row = raw(session).execute("SELECT max(id) FROM invoice").fetchone()
        if row is not None and row[0] is not None:
            payments.request_push(
                session,
                channel_account_id=1,
                request_id=f"ws_CO_{n:012d}",
                invoice_id=row[0],
                amount_minor=amount,
                by="bench",
            )


def _issue(session: Session, requests: Sequence[InvoiceRequest], at: datetime | None) -> list[Issued]:
    made: list[Issued] = []
    for start in range(0, len(requests), BATCH):
        made += invoices.issue_invoices(session, requests[start : start + BATCH], issued_by="bench", at=at)
    return made


_LINES: dict[tuple[str, date], list[TariffLine]] = {}


def _lines(session: Session, stream: str, month: date) -> list[TariffLine]:
    """The spot lines whose amount buys one thing without doubt in a month; tariffs change on the first of July."""
    if (stream, month) not in _LINES:
        lines = list(tariffs.in_force(session, on=month, stream_code=stream))
        sure = []
        for line in lines:
            match = tariffs.spot_match(lines, line.amount_minor)
            if line.spot and match is not None and match.line.id == line.id:
                sure.append(line)
        session.expunge_all()
        _LINES[stream, month] = sure
    return _LINES[stream, month]


def _instant(rng: random.Random, chunk: Chunk) -> datetime:
    day = chunk.first + timedelta(days=rng.randrange(chunk.days))
    return datetime.combine(day, time(7), periods.NAIROBI) + timedelta(seconds=rng.randrange(39_600))


def _typed(rng: random.Random, number: str) -> str:
    chance = rng.random()
    if chance < 0.1:
        return f"{number[:3]} {number[3:6]} {number[6:]}"
    return f"Acc {number}" if chance < 0.15 else number


def _confirmation(reference: str, at: datetime, amount: int, typed: str, n: int) -> bytes:
    return mpesa_bodies.c2b_confirmation(
        receipt=reference,
        at=at,
        amount_minor=amount,
        shortcode=SHORTCODE,
        account=typed,
        msisdn=f"254700{n % 1_000_000:06d}",
        names=(GIVEN_NAMES[n % len(GIVEN_NAMES)], "", ""),
    )


def _reversal(reference: str, amount: int, at: datetime, n: int) -> bytes:
    return mpesa_bodies.reversal_result(
        conversation=f"AG_{n:012d}",
        originator_conversation=f"10819-{n}",
        receipt=post_world.receipt_code(40_000_000 + n, periods.nairobi_date(at)),
        reverses=reference,
        at=at,
        amount_minor=amount,
        shortcode=SHORTCODE,
        organisation="County",
        payer=f"254700{n % 1_000_000:06d} - Somebody",
    )


_DELIVERY = (
    "channel_account_id, endpoint_id, purpose, peer, headers, body, body_length, verdict, verdict_reason, received_at,"
    " received_on"
)
_TYPES = ("int8", "int8", "text", "inet", "jsonb", "bytea", "int8", "text", "text", "timestamptz", "date")
HERE = IPv4Address("127.0.0.1")
_ENDPOINTS = {"confirmation": 1, "push_result": 2, "result": 3}


def _keep(session: Session, sent: Sequence[Sent]) -> None:
    copy_rows(
        raw(session),
        "delivery",
        tuple(_DELIVERY.split(", ")),
        _TYPES,
        [
            (
                1,
                _ENDPOINTS[one.purpose],
                one.purpose,
                HERE,
                Jsonb({}),
                one.body,
                len(one.body),
                "accepted",
                "",
                one.at.astimezone(UTC),
                periods.nairobi_date(one.at),
            )
            for one in sent
        ],
    )
