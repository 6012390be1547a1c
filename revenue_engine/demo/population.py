"""The people of the demo: payers, billed objects and bills made by the functions a county's clerk would use."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from stdnum import damm

from adapters.sandbox import mpesa
from adapters.sandbox.mpesa_people import Bill, Population, Spot
from adapters.sandbox.mpesa_slips import GIVEN_NAMES, LONGEST
from revenue_engine import payments, periods
from revenue_engine.access import approvals, sessions
from revenue_engine.billing import invoices, tariffs
from revenue_engine.billing import payers as receivables
from revenue_engine.billing.invoices import InvoiceRequest, Issued
from revenue_engine.billing.tariffs import Charge, Station, TariffLine
from revenue_engine.channels.accounts import ChannelAccount
from revenue_engine.db import acting_by, transaction
from revenue_engine.errors import ConfigurationError

CLERK = "demo clerk"
BATCH = 1_000
SHARE_AT_COUNTER = 0.4
"""Bills an attendant issues at a station, to nobody known; the others have a payer."""
MOST_VEHICLES = 120
WEIGHTS = {"MARKET": 50, "BUSPARK": 18, "TRAILER": 14, "CESS": 8}
"""How the money paid before service spreads over its streams; any other stream weighs 2."""
VEHICLES = {"TRAILER": ("KD", "UB"), "BUSPARK": ("KC", "KB")}
"""Streams whose regular payers have a plate, and how their plates begin."""
STALL_STREAM = "HOUSING"


@dataclass(frozen=True, slots=True)
class Tariff:
    """What can be charged on the day the bills are issued."""

    bills: list[TariffLine]
    spots: list[TariffLine]
    stations: dict[str, list[Station]]


def populate(engine: Engine, *, payments_planned: int, first: date, seed: int, agrees: str) -> Population:
    """Register payers, objects and bills enough for so many payments; the keys of bills are their invoice numbers.

    Who acts also asks that some bills be cancelled; ``agrees`` is the session of another person, who agrees, and the
    running worker does it.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    needed = mpesa.bills_needed(payments_planned)
    with transaction(engine) as session:
        tariff = _tariff(session, first)
        spots = _spots(session, rng, tariff, payments_planned)
    issue_at = _issue_at(engine, first)
    bills = _bills(engine, rng, tariff, needed["open"], issue_at)
    # Only a bill of the running year can be cancelled, so those to be cancelled are issued in it.
    same_year = periods.financial_year(issue_at.date()) == periods.financial_year(periods.today())
    doomed = _bills(engine, rng, tariff, needed["cancelled"], issue_at if same_year else periods.now())
    with transaction(engine) as session:
        asked = [invoices.ask_cancel(session, bill.key, reason="issued to the wrong payer") for bill in doomed]
    for public in asked:
        with acting_by(agrees), transaction(engine) as session:
            approvals.agree(session, public, shown_sha256=approvals.one(session, public).shown_sha256)
    return Population(tuple(bills) + tuple(_cancelled(bill) for bill in doomed), tuple(spots))


def _cancelled(bill: Bill) -> Bill:
    return Bill(bill.key, bill.pay_account, bill.amount_minor, bill.stream, bill.has_payer, cancelled=True)


def ask(engine: Engine, pushes: Sequence[mpesa.Push], *, accounts: dict[str, int]) -> None:
    """Remember every prompt, as the county does before it asks the provider to show it."""
    with transaction(engine) as session:
        ids = {
            number: found
            for start in range(0, len(pushes), BATCH)
            for number, found in session.execute(
                select(receivables.Invoice.number, receivables.Invoice.id).where(
                    receivables.Invoice.number.in_([push.bill for push in pushes[start : start + BATCH]])
                )
            )
        }
        for push in pushes:
            payments.request_push(
                session,
                channel_account_id=accounts[push.shortcode],
                request_id=push.request_id,
                invoice_id=ids[push.bill],
                amount_minor=push.amount_minor,
                by=CLERK,
            )


def channel_accounts(session: Session) -> list[ChannelAccount]:
    """The county's M-PESA accounts that the demo's traffic comes to. Raises ConfigurationError when there is none."""
    found = session.scalars(
        select(ChannelAccount)
        .where(ChannelAccount.adapter == "mpesa", ChannelAccount.status != "disabled")
        .order_by(ChannelAccount.id)
    ).all()
    if not found:
        raise ConfigurationError("the county's files name no M-PESA channel account: the demo has nothing to pay to")
    return list(found)


def _issue_at(engine: Engine, first: date) -> datetime:
    """A morning two weeks before the first day, but not before the books were opened."""
    with transaction(engine) as session:
        opened = tariffs.county(session).books_open_from
    return datetime.combine(max(first - timedelta(days=14), min(opened, first)), time(8), periods.NAIROBI)


def _tariff(session: Session, on: date) -> Tariff:
    lines = [line for line in tariffs.in_force(session, on=on) if line.amount_minor <= mpesa.LARGEST_MINOR - 50_000]
    stations: dict[str, list[Station]] = {}
    for station in session.scalars(select(Station).order_by(Station.code)):
        stations.setdefault(station.stream_code, []).append(station)
    return Tariff([line for line in lines if not line.spot], [line for line in lines if line.spot], stations)


# --- paid before service ---------------------------------------------------------------------------------------------


def _spots(session: Session, rng: random.Random, tariff: Tariff, planned: int) -> list[Spot]:
    found: list[Spot] = []
    for stream in sorted({line.stream_code for line in tariff.spots}):
        lines = [line for line in tariff.spots if line.stream_code == stream]
        at_stations = [
            spot
            for station in tariff.stations.get(stream, [])
            for line in lines
            for spot in _buys(lines, line, station)
        ]
        vehicles = _vehicles(session, rng, tariff, stream, planned) if stream in VEHICLES else []
        for group, share in ((at_stations, 1 if vehicles else 2), (vehicles, 1)):
            weight = 1 + 10_000 * share * WEIGHTS.get(stream, 2) // (2 * max(1, len(group)))
            found += [
                Spot(one.key, one.stream, one.amount_minor, one.typed, one.station, one.object_id, weight)
                for one in group
            ]
    return found


def _buys(lines: Sequence[TariffLine], line: TariffLine, station: Station) -> list[Spot]:
    """What an amount buys at a station without doubt: one unit of a line, or a few where it is counted."""
    found = []
    for quantity in range(1, 6 if line.unit in tariffs.COUNTABLE_UNITS else 2):
        amount = line.amount_minor * quantity
        match = tariffs.spot_match(lines, amount)
        if match is not None and match.line.id == line.id:
            typed = tuple(word for word in (station.code, station.name) if len(word) <= LONGEST)
            found.append(
                Spot(f"{station.code} {line.item_code} {quantity}", line.stream_code, amount, typed, station.code)
            )
    return found


def _vehicles(session: Session, rng: random.Random, tariff: Tariff, stream: str, planned: int) -> list[Spot]:
    """Vehicles that come again and again: known by their plate, without a payer."""
    stations = tariff.stations.get(stream, [])
    lines = [line for line in tariff.spots if line.stream_code == stream]
    found = []
    for number in range(min(MOST_VEHICLES, max(5, planned // 20)) if stations else 0):
        station, line = stations[number % len(stations)], rng.choice(lines)
        start = VEHICLES[stream][number % len(VEHICLES[stream])]
        plate = f"{start}{'ACEHJKMNPT'[number % 10]} {_apart(number, start)}"
        added = receivables.add_object(
            session,
            stream_code=stream,
            reference=plate,
            kind="plate",
            station_code=station.code,
            tariff_item=line.item_code,
            standing_number=False,
        )
        short = plate.replace(" ", "")
        typed = [plate, short, f"{station.code} {short}"]
        found.append(
            Spot(
                plate,
                stream,
                line.amount_minor,
                tuple(one for one in typed if len(one) <= LONGEST),
                station.code,
                object_id=added.id,
            )
        )
    return found


def _apart(number: int, start: str) -> str:
    """The end of a plate: no two of one beginning are a single slip apart, so that each names its vehicle for certain.

    The last letter follows from what stands before it as a check digit does, and the first digit from the beginning:
    plates that begin differently differ in a digit too.
    """
    begins = [one for starts in VEHICLES.values() for one in starts]
    digits = f"{1 + begins.index(start)}{number // 10:02d}"
    return digits + "ADFHKMPRTV"[int(damm.calc_check_digit(f"{number % 10}{digits}"))]


# --- billed first ----------------------------------------------------------------------------------------------------


def _bills(engine: Engine, rng: random.Random, tariff: Tariff, count: int, at: datetime) -> list[Bill]:
    """Issue bills in batches, each its own transaction; some at stations to nobody known, some for stalls."""
    found: list[Bill] = []
    by_stream: dict[str, list[TariffLine]] = {}
    for line in tariff.bills:
        by_stream.setdefault(line.stream_code, []).append(line)
    counters = [line for line in tariff.spots if line.stream_code in tariff.stations]
    payers: list[int] = []
    for start in range(0, count, BATCH):
        with transaction(engine) as session:
            sessions.seen(session)  # many bills take longer than a session may be idle
            requests: list[InvoiceRequest] = []
            also: list[tuple[str, ...]] = []
            for number in range(start, min(start + BATCH, count)):
                if rng.random() < SHARE_AT_COUNTER:
                    line = rng.choice(counters)
                    request = _request(line, at, station=rng.choice(tariff.stations[line.stream_code]).code)
                    names: tuple[str, ...] = ()
                else:
                    payer = _payer(session, rng, payers, number)
                    line = rng.choice(by_stream[rng.choice(sorted(by_stream))])
                    request, names = _for_payer(session, line, at, payer, number)
                requests.append(request)
                also.append(names)
            issued = invoices.issue_invoices(session, requests, issued_by=CLERK, at=at)
            found += [_bill(one, names) for one, names in zip(issued, also, strict=True)]
    return found


def _payer(session: Session, rng: random.Random, payers: list[int], number: int) -> int:
    """A payer: a new one, or more often one who has a bill already."""
    if payers and rng.random() < 0.6:
        return rng.choice(payers)
    name = f"{rng.choice(GIVEN_NAMES).title()} {number + 1:05d}"
    payers.append(receivables.add_payer(session, name=name, phone=f"07000001{number % 100:02d}").id)
    return payers[-1]


def _for_payer(
    session: Session, line: TariffLine, at: datetime, payer: int, number: int
) -> tuple[InvoiceRequest, tuple[str, ...]]:
    if line.stream_code != STALL_STREAM:
        return _request(line, at, payer=payer), ()
    digits = f"{at:%d}{number + 1:05d}"
    reference = f"STL-{digits}{damm.calc_check_digit(digits)}"  # no two stalls are a single slip apart
    added = receivables.add_object(
        session, stream_code=line.stream_code, reference=reference, kind="stall", payer_id=payer
    )
    names = tuple(filter(None, (added.pay_account_number, reference)))
    return _request(line, at, payer=payer, object_id=added.id), names


def _request(
    line: TariffLine,
    at: datetime,
    *,
    payer: int | None = None,
    object_id: int | None = None,
    station: str | None = None,
) -> InvoiceRequest:
    return InvoiceRequest(
        stream_code=line.stream_code,
        lines=[Charge(line.item_code)],
        due_on=at.date() + timedelta(days=30),
        payer_id=payer,
        object_id=object_id,
        station_code=station,
        billing="spot" if line.spot else "bill",
    )


def _bill(issued: Issued, also: tuple[str, ...]) -> Bill:
    return Bill(
        key=issued.number,
        pay_account=issued.pay_account_number,
        amount_minor=issued.total_minor,
        stream=issued.stream_code,
        has_payer=issued.payer_id is not None,
        also=also,
    )
