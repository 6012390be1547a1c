"""The county that ``bench_post`` measures in: loaded from files as any county is, with bills and a past by SQL.

Bills are open and their journals stand. Deliveries are whole C2B confirmations as the provider sends them, written with
COPY. The past of a grown county is filled in chunks, each with the snapshot a worker would have taken.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg
from sqlalchemy import Engine
from stdnum import damm

from adapters.sandbox import mpesa_bodies
from revenue_engine import bootstrap, db, ledger, periods
from revenue_engine.county import loading
from revenue_engine.ledger import chart
from revenue_engine.worker import SNAPSHOT_EVERY

SHORTCODE = "600100"
CLEARING = chart.clearing(f"mpesa-{SHORTCODE}")
OPENED = date(2026, 1, 1)
DAY = date(2026, 9, 15)
PAYERS = 20_000
STREAMS = [
    "SBP",
    "LANDRATE",
    "MARKET",
    "BUSPARK",
    "CESS",
    "LIQUOR",
    "HOSPITAL",
    "HEALTH",
    "ADVERT",
    "PARKING",
    "HOUSING",
    "WATER",
    "FIRE",
    "PLANS",
]
STATIONS = 42
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CODES = 36**7
_NAMES = ("ACHIENG", "WAFULA", "NAFULA", "BARASA", "AKINYI", "OUMA", "NEKESA", "OKELLO")


@dataclass(slots=True)
class Bill:
    """An open bill as its payer knows it."""

    invoice_id: int
    number: str
    amount_minor: int


@dataclass(slots=True)
class World:
    """A database and how far its numbers have been used."""

    url: str
    bills: int = 0
    payments: int = 0
    paid_minor: int = 0
    billed_minor: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(20260915))

    def connect(self) -> psycopg.Connection[Any]:
        """A connection as whoever owns the server."""
        return psycopg.connect(self.url)


def set_up(url: str) -> World:
    """A county of :data:`STREAMS`, :data:`STATIONS` and one live channel account, loaded from files; and its payers."""
    world = World(url)
    models = {name: adapter.settings_model for name, adapter in bootstrap.adapters().items()}
    engine = db.make_engine(url)
    with tempfile.TemporaryDirectory() as folder:
        _write_county(Path(folder))
        with db.transaction(engine) as session:
            loading.load(session, "bench", mode="live", directory=Path(folder), settings_models=models, by="bench")
    engine.dispose()
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO payer (public_id, name) SELECT 'pyr_' || n, 'Payer ' || n FROM generate_series(1, %s) n",
            (PAYERS,),
        )
    return world


def _write_county(folder: Path) -> None:
    """The files of the county, as a county writes its own (``docs/counties.md``)."""
    kept: dict[str, list[str]] = {
        "county.toml": [
            'code = "bench"',
            'name = "Bench"',
            f"books_open_from = {OPENED}",
            "refuse_unknown_accounts = false",
            'confirm_limit = "1000000.00"',
            "[sub_counties]",
            'Sub = ["Ward"]',
        ],
        "channel_accounts.toml": [
            "[[channel_account]]",
            'adapter = "mpesa"',
            f'identifier = "{SHORTCODE}"',
            'mode = "live"',
            'status = "active"',
            'name = "M-PESA"',
            f'settings = {{ shortcode = "{SHORTCODE}", kind = "paybill" }}',
        ],
        "streams.csv": ["code,name,note,billing,retained_by,law,prefixes"]
        + [f"{code},{code.title()},{note},bill,county,Finance Act," for note, code in enumerate(STREAMS, start=1)],
        "stations.csv": ["code,name,stream_code,sub_county,ward"]
        + [f"ST{n},Station {n},{STREAMS[n % len(STREAMS)]},Sub,Ward" for n in range(1, STATIONS + 1)],
        "tariffs.csv": [
            "item_code,stream_code,name,unit,amount,law,effective_from,effective_to,status,spot",
            f"{STREAMS[0]}.ONE,{STREAMS[0]},One,year,50.00,Finance Act,{OPENED},,active,no",
        ],
        "holidays.csv": ["day,name,source", f"{OPENED},New Year's Day,Public Holidays Act"],
    }
    for name, lines in kept.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def pay_account(n: int) -> str:
    """The n-th pay account number: scattered over the eight free digits, none like a phone, with its check digit."""
    first, rest = divmod(n * 48_271_001 % 60_000_000, 10_000_000)
    body = f"{'345689'[first]}{rest:07d}"
    return body + str(damm.calc_check_digit(body))


def receipt_code(n: int, day: date) -> str:
    """The n-th provider reference: scattered as M-PESA's codes are, never twice."""
    left, tail = n * 48_271_000_003 % _CODES, ""
    for _ in range(7):
        left, digit = divmod(left, 36)
        tail += _ALPHABET[digit]
    return f"{chr(ord('A') + day.year - 2006)}{chr(ord('A') + day.month - 1)}{_ALPHABET[day.day]}{tail}"


_BILLS = """
INSERT INTO invoice (id, public_id, number, pay_account_number, payer_id, stream_code, station_code, billing,
                     total_minor, issued_at, due_on, issued_by)
SELECT id, 'inv_bench' || id, 'INV-' || id, number, payer, (%(streams)s::text[])[1 + id %% %(count)s],
       'ST' || 1 + id %% %(stations)s, 'bill', amount, %(at)s, %(due)s, 'bench' FROM fill ORDER BY id;
INSERT INTO pay_account (number, invoice_id) SELECT number, id FROM fill ORDER BY id;
INSERT INTO invoice_line (invoice_id, seq, description, component, quantity, unit_amount_minor, amount_minor)
SELECT id, 1, 'bench', 'principal', 1, amount, amount FROM fill ORDER BY id;
WITH written AS (
    INSERT INTO journal (book_date, key, kind, occurred_at, digest)
    SELECT %(on)s, 'invoice:' || id || ':issued', 'invoice_issued', %(at)s, sha256(number::bytea) FROM fill ORDER BY id
    RETURNING id, book_date, split_part(key, ':', 2)::bigint AS invoice_id
)
INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor, stream_code, station_code, payer_id,
                     invoice_id)
SELECT w.id, 0, w.book_date, '1300.' || i.stream_code, '4000.' || i.stream_code || '.principal', i.total_minor,
       i.stream_code, i.station_code, i.payer_id, i.id FROM written w JOIN invoice i ON i.id = w.invoice_id
"""


def _inline(connection: psycopg.Connection[Any], script: str, values: dict[str, Any]) -> None:
    """Run statements one after another with the same named values."""
    for statement in script.split(";\n"):
        connection.execute(cast("Any", statement), values)


def open_bills(world: World, connection: psycopg.Connection[Any], count: int, *, on: date) -> list[Bill]:
    """Issue so many bills of one principal each, as set-based SQL; most have a payer."""
    made = []
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS fill (id bigint, number text, amount bigint, payer bigint)")
    connection.execute("TRUNCATE fill")
    with connection.cursor().copy("COPY fill FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(("int8", "text", "int8", "int8"))
        for number in range(world.bills + 1, world.bills + count + 1):
            bill = Bill(number, pay_account(number), 100 * world.rng.randrange(50, 20_000))
            made.append(bill)
            payer = world.rng.randrange(1, PAYERS + 1) if number % 5 else None
            copy.write_row((bill.invoice_id, bill.number, bill.amount_minor, payer))
    at = datetime.combine(on, time(8), periods.NAIROBI)
    _inline(
        connection,
        _BILLS,
        {
            "streams": list(STREAMS),
            "count": len(STREAMS),
            "stations": STATIONS,
            "at": at,
            "on": on,
            "due": on + timedelta(days=30),
        },
    )
    world.bills += count
    world.billed_minor += sum(bill.amount_minor for bill in made)
    connection.execute("SELECT setval('invoice_id_seq', %s)", (world.bills,))
    return made


def _confirmations(world: World, bills: list[Bill], on: date) -> Iterator[tuple[bytes, datetime]]:
    noon = datetime.combine(on, time(9), periods.NAIROBI)
    for bill in bills:
        world.payments += 1
        n = world.payments
        at = noon + timedelta(seconds=n % 28_800)
        amount = bill.amount_minor if n % 10 else bill.amount_minor // 2
        typed = bill.number if n % 9 else f"Acc {bill.number[:3]} {bill.number[3:6]} {bill.number[6:]}"
        world.paid_minor += amount
        body = mpesa_bodies.c2b_confirmation(
            receipt=receipt_code(n, on),
            at=at,
            amount_minor=amount,
            shortcode=SHORTCODE,
            account=typed,
            msisdn=f"2547{n % 100_000_000:08d}",
            names=(_NAMES[n % len(_NAMES)], "", ""),
            balance_minor=world.paid_minor,
        )
        yield body, at


def deliver(world: World, count: int, *, on: date = DAY) -> None:
    """Open ``count`` bills and keep one confirmation for each, as the intake would have kept them; jobs are due.

    One in ten pays half its bill and one in nine types a word and the number in groups as printed.
    """
    with world.connect() as connection:
        bills = open_bills(world, connection, count, on=on)
        columns = (
            "channel_account_id, endpoint_id, purpose, peer, headers, body, body_length, verdict, verdict_reason,"
            " received_at, received_on"
        )
        sent = list(_confirmations(world, bills, on))
        world.rng.shuffle(sent)
        with connection.cursor().copy(f"COPY delivery ({columns}) FROM STDIN") as copy:
            for body, at in sent:
                copy.write_row(
                    (1, 1, "confirmation", "127.0.0.1", "{}", body, len(body), "accepted", "", at.astimezone(UTC), on)
                )
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) job")
        connection.execute("CHECKPOINT")


# --- a county with a past --------------------------------------------------------------------------------------------

_PAST = """
CREATE TEMP TABLE IF NOT EXISTS paid (invoice_id bigint, n bigint, reference text, at timestamptz, journal_id bigint);
INSERT INTO delivery (id, received_on, received_at, channel_account_id, endpoint_id, purpose, peer, headers, body,
                      body_length, verdict, verdict_reason)
SELECT p.n, %(on)s, p.at, 1, 1, 'confirmation', '127.0.0.1', '{}', b.body, length(b.body), 'accepted', ''
  FROM paid p JOIN fill f ON f.id = p.invoice_id CROSS JOIN LATERAL (
       SELECT convert_to(rpad(format('{"TransactionType":"Pay Bill","TransID":"%%s","BillRefNumber":"%%s",',
                                     p.reference, f.number), 420), 'UTF8') AS body) b ORDER BY p.n;
DELETE FROM job WHERE kind = 'interpret';
INSERT INTO evidence (delivery_id, channel_account_id, kind, reference, message, amount_minor, currency, occurred_at,
                      strength, typed_digest)
SELECT p.n, 1, 'payment', p.reference, 'c2b', f.amount, 'KES', p.at, 'confirms', sha256(f.number::bytea)
  FROM paid p JOIN fill f ON f.id = p.invoice_id ORDER BY p.n;
INSERT INTO payment (id, public_id, channel_account_id, kind, reference, amount_minor, occurred_at)
SELECT p.n, 'pay_' || replace(uuidv7()::text, '-', ''), 1, 'payment', p.reference, f.amount, p.at
  FROM paid p JOIN fill f ON f.id = p.invoice_id ORDER BY p.n;
INSERT INTO payment_party (payment_id, name, msisdn, account_reference)
SELECT p.n, 'ACHIENG', '2547 ***** 126', f.number FROM paid p JOIN fill f ON f.id = p.invoice_id ORDER BY p.n;
UPDATE paid SET journal_id = nextval('journal_id_seq');
INSERT INTO journal (id, book_date, key, kind, occurred_at, digest)
SELECT journal_id, %(on)s, 'payment:' || n || ':received', 'payment_received', at, sha256(reference::bytea)
  FROM paid ORDER BY n;
INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor, stream_code, station_code,
                     channel_account_id, payer_id, invoice_id, payment_id)
SELECT p.journal_id, 0, %(on)s, %(clearing)s, '1300.' || o.stream_code, f.amount, o.stream_code, o.station_code, 1,
       o.payer_id, o.invoice_id, p.n
  FROM paid p JOIN fill f ON f.id = p.invoice_id JOIN open_bill o ON o.invoice_id = p.invoice_id ORDER BY p.n;
INSERT INTO application (payment_id, invoice_id, component, amount_minor, journal_id, rung)
SELECT p.n, p.invoice_id, 'principal', f.amount, p.journal_id, 'exact'
  FROM paid p JOIN fill f ON f.id = p.invoice_id ORDER BY p.n;
UPDATE receipt_series SET last_number = last_number + (SELECT count(*) FROM paid)
 WHERE kind = 'receipt' AND financial_year = %(year)s;
INSERT INTO receipt (public_id, kind, financial_year, number, payment_id, amount_minor, paid_at, book_date)
SELECT 'rct_' || replace(uuidv7()::text, '-', ''), 'receipt', %(year)s,
       s.last_number - (SELECT count(*) FROM paid) + row_number() OVER (ORDER BY p.n), p.n, f.amount, p.at, %(on)s
  FROM paid p JOIN fill f ON f.id = p.invoice_id, receipt_series s
 WHERE s.kind = 'receipt' AND s.financial_year = %(year)s
"""


def grow(world: World, total: int, *, engine: Engine) -> None:
    """Fill a past of ``total`` payments over the days before ``DAY``, in chunks as large as a worker's snapshots.

    Foreign keys are not looked at while filling (``session_replication_role``); every guard that always runs, runs.
    """
    chunks = -(-total // SNAPSHOT_EVERY)
    days = (DAY - OPENED).days - 1
    for number in range(chunks):
        count = min(SNAPSHOT_EVERY, total - world.payments)
        if count <= 0:
            break
        _past_chunk(world, count, OPENED + timedelta(days=number * days // chunks))
        with db.transaction(engine) as session:
            ledger.snapshot(session, every=SNAPSHOT_EVERY)
            ledger.tick(session)
    with psycopg.connect(world.url, autocommit=True) as connection:
        for table in ("delivery", "payment"):
            connection.execute(cast("Any", f"SELECT setval('{table}_id_seq', %s)"), (world.payments,))
        connection.execute("VACUUM (ANALYZE)")


def _past_chunk(world: World, count: int, on: date) -> None:
    year = periods.financial_year(on)
    with world.connect() as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "INSERT INTO receipt_series (kind, financial_year) VALUES ('receipt', %s) ON CONFLICT DO NOTHING", (year,)
        )
        bills = open_bills(world, connection, count, on=on)
        create, *rest = _PAST.split(";\n")
        connection.execute(cast("Any", create))
        with connection.cursor().copy("COPY paid (invoice_id, n, reference, at) FROM STDIN") as copy:
            for bill in bills:
                world.payments += 1
                at = datetime.combine(on, time(9), periods.NAIROBI) + timedelta(seconds=world.payments % 28_800)
                copy.write_row((bill.invoice_id, world.payments, receipt_code(world.payments, on), at))
                world.paid_minor += bill.amount_minor
        _inline(connection, ";\n".join(rest), {"on": on, "year": year, "clearing": CLEARING})
