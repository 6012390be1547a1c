"""A small county for tests, deliveries as a provider sends them, and the books read back as an accountant would."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from adapters.mpesa import adapter as mpesa
from adapters.sandbox import mpesa_bodies as bodies
from revenue_engine import db
from revenue_engine.billing import invoices, payers
from revenue_engine.billing.tariffs import AssessedLine
from revenue_engine.channels import deliveries
from revenue_engine.county import loading
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.ports.statements import StatementReader, StatementRefused
from revenue_engine.statements import by_hand, importing
from revenue_engine.treasury import bank_accounts
from revenue_engine.worker import Worker
from tests.support import people
from tests.support.people import Someone

SHORTCODE = "600100"
CLEARING = f"1200.mpesa-{SHORTCODE}"
COUNTIES = Path(__file__).parent / "counties"
DAY = date(2026, 9, 15)
NOON = datetime(2026, 9, 15, 12, 0, tzinfo=NAIROBI)
_codes = itertools.count(1)


def code() -> str:
    """A fresh provider reference that looks like an M-PESA code."""
    return f"UI{next(_codes):08d}"


def county(url: str, name: str, *, mode: str = "live") -> None:
    """Load a county of ``tests/support/counties`` into an empty database, as ``init`` does it."""
    engine = db.make_engine(url, pool_size=0)
    with db.transaction(engine) as session:
        loading.load(session, name, mode=mode, directory=COUNTIES / name)
    engine.dispose()


@dataclass
class Books:
    """A migrated database with a small county in it."""

    url: str
    engine: Engine = field(init=False)
    engines: list[Engine] = field(default_factory=list)
    readers: dict[str, StatementReader] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = self.as_role(None)
        with db.transaction(self.engine) as session:
            loaded = db.exists(session, "SELECT FROM county")
        if not loaded:  # a copy of a database that has the county is not loaded again
            county(self.url, "testland")

    def as_role(self, role: str | None) -> Engine:
        """An engine on this database, disposed with it. Through the API the clerk acts, unless somebody else does."""
        engine = db.make_engine(self.url, role=role, pool_size=5)
        if role == "api":
            people.signed(engine, self.clerk)

        self.engines.append(engine)
        return engine

    def bring(self, body: bytes, *, account: int = 1, filename: str = "a.csv", **headers: str) -> int:
        """Bring a statement file: the clerk brings it, the treasurer enters what it closes with; the delivery."""
        with db.transaction(self.as_role("api")) as session:
            delivery = deliveries.keep(
                session,
                channel_account_id=account,
                purpose=Purpose.STATEMENT,
                body=body,
                headers={"filename": filename, **headers},
            )
        with contextlib.suppress(StatementRefused):  # what is refused has no foot
            foot = importing.foot_of(self.readers, body, filename=filename)
            with self.treasurer.acts(), db.transaction(self.as_role("api")) as session:
                by_hand.enter(session, delivery, foot.minor, gap="gap_accepted" in headers)
        return delivery

    # --- two persons ------------------------------------------------------------------------------------------------

    @cached_property
    def clerk(self) -> Someone:
        """Who asks."""
        return people.clerk(self.url)

    @cached_property
    def treasurer(self) -> Someone:
        """Who agrees."""
        return people.treasurer(self.url)

    def judged(self, ask: Callable[[Session], str]) -> str | None:
        """Let the clerk ask, the treasurer agree and a worker do it; why it was void, or None. Raises what refuses."""
        with self.clerk.acts(), db.transaction(self.as_role("api")) as session:
            public = ask(session)
        people.agree(self.as_role("api"), public, who=self.treasurer)
        self.work()
        ((outcome, why),) = self.rows(
            "SELECT e.outcome, e.reason FROM access.request r LEFT JOIN access.execution e ON e.request_id = r.id"
            " WHERE r.public_id = %s",
            public,
        )
        assert outcome in ("done", "void"), f"{public} was not worked on"
        return str(why) if outcome == "void" else None

    def close(self) -> None:
        """Let every connection go."""
        for engine in self.engines:
            engine.dispose()

    # --- bills ------------------------------------------------------------------------------------------------------

    def payer(self, name: str = "Achieng Odera") -> int:
        """A payer; the id."""
        with db.transaction(self.as_role("api")) as session:
            return payers.add_payer(session, name=name).id

    def bill(self, shillings: int, *, payer: int | None = None, stream: str = "SBP", **parts: int) -> invoices.Issued:
        """An issued bill of so many shillings of principal; other components by name, in shillings."""
        lines = [
            AssessedLine(None, stream, component, component, 1, amount * 100)
            for component, amount in {"principal": shillings, **parts}.items()
            if amount
        ]
        with db.transaction(self.as_role("api")) as session:
            return invoices.issue_invoice(
                session,
                invoices.InvoiceRequest(
                    stream_code=stream, lines=lines, due_on=DAY + timedelta(days=30), payer_id=payer, at=NOON
                ),
                issued_by="clerk",
            )

    def bank_channel(self, number: str) -> None:
        """A bank that is channel account 2 (clearing ``BANK_CLEARING``), and its bank account (``BANK``)."""
        with db.transaction(self.engine) as session:
            added = loading.add_channel_account(
                session, adapter="mpesa", identifier=number, mode="live", name="Bank", settings={}
            )
            bank_accounts.open_bank_account(
                session,
                bank="bank",
                number=number,
                name="Collections",
                purpose="collection",
                authority="Letter of 1 July 2026",
                by="setup",
                channel_account_id=added.id,
            )

    def cancel(self, bill: invoices.Issued) -> None:
        """Cancel a bill: the clerk asks, the treasurer agrees, a worker does it."""
        why = self.judged(lambda session: invoices.ask_cancel(session, bill.number, reason="issued twice"))
        assert why is None, why

    # --- deliveries -------------------------------------------------------------------------------------------------

    def deliver(
        self, *sent: tuple[str, bytes], accepted: bool = True, received_at: datetime | None = None, account: int = 1
    ) -> list[int]:
        """Keep deliveries as the intake does: (purpose, body); answers their ids."""
        ids = []
        with psycopg.connect(self.url) as connection:
            for purpose, body in sent:
                row = connection.execute(
                    "INSERT INTO delivery (channel_account_id, endpoint_id, purpose, peer, headers, body, body_length,"
                    " verdict, verdict_reason, received_at) VALUES (%s, 1, %s, '127.0.0.1', %s, %s, %s, %s, %s, %s)"
                    " RETURNING id",
                    (
                        account,
                        purpose,
                        Jsonb({}),
                        body,
                        len(body),
                        "accepted" if accepted else "refused",
                        "" if accepted else "peer not on the list",
                        received_at or datetime.now(UTC),
                    ),
                ).fetchone()
                ids.append(row[0])
        return ids

    def agree_to_files(self) -> int:
        """Let the treasurer enter what stands at the foot of each file that waits; how many did."""
        waiting = self.rows(
            "SELECT r.delivery_id, r.foot_minor FROM statement_reading r"
            " WHERE NOT EXISTS (SELECT FROM statement_entry e"
            " WHERE e.delivery_id = r.delivery_id AND e.entered_minor = r.foot_minor) ORDER BY 1"
        )
        for delivery, minor in waiting:
            with self.treasurer.acts(), db.transaction(self.as_role("api")) as session:
                by_hand.enter(session, delivery, minor, gap=True)
        return len(waiting)

    def work(self, *, batch: int = 500) -> Worker:
        """Let a worker do what is due now, the treasurer agree to the files that wait, and the worker book them."""
        engine = db.make_engine(self.url, role="worker", pool_size=2)
        worker = Worker(engine, {"mpesa": mpesa}, self.readers, batch=batch)
        self.engines.append(worker.engine)
        worker.drain()
        while self.agree_to_files():
            worker.drain()
        return worker

    def pay(self, shillings: int, typed: str, **more: Any) -> str:
        """One C2B confirmation, delivered and worked on; answers its reference."""
        reference = more.pop("reference", None) or code()
        self.deliver(confirmation(shillings, typed, reference=reference, **more))
        self.work()
        return reference

    # --- the books read back ----------------------------------------------------------------------------------------

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query, as the superuser."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement, values or None).fetchall()

    def execute(self, statement: str, *values: Any) -> None:
        """Do something to the database as the superuser."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statement, values or None)

    def journal(self, reference: str) -> list[str]:
        """Every posting about a payment, as ``DR account CR account amount`` lines in the order posted."""
        found = self.rows(
            "SELECT o.debit, o.credit, o.amount_minor FROM posting o JOIN payment p ON p.id = o.payment_id"
            " WHERE p.reference = %s ORDER BY o.journal_id, o.seq",
            reference,
        )
        return [f"DR {debit} CR {credit} {amount // 100}.{amount % 100:02d}" for debit, credit, amount in found]

    def left(self, bill: invoices.Issued) -> int:
        """What is left of a bill, in shillings."""
        ((minor,),) = self.rows("SELECT outstanding_minor FROM open_bill WHERE invoice_id = %s", bill.id)
        return int(minor) // 100

    def papers(self, reference: str) -> list[str]:
        """Receipts and acknowledgements of a payment, cancelled ones marked."""
        found = self.rows(
            "SELECT r.kind, r.financial_year, r.number, c.receipt_id IS NOT NULL FROM receipt r"
            " JOIN payment p ON p.id = r.payment_id LEFT JOIN receipt_cancellation c ON c.receipt_id = r.id"
            " WHERE p.reference = %s ORDER BY r.id",
            reference,
        )
        return [f"{kind} {year}-{number}{' cancelled' if gone else ''}" for kind, year, number, gone in found]

    def open_breaks(self) -> list[str]:
        """The reasons of the open breaks, sorted."""
        return [row[0] for row in self.rows("SELECT reason FROM break_case WHERE closed_at IS NULL ORDER BY reason")]

    def states(self, ids: Iterable[int]) -> list[str]:
        """How deliveries stand."""
        found = dict(self.rows("SELECT delivery_id, state FROM delivery_state WHERE delivery_id = ANY(%s)", list(ids)))
        return [found[one] for one in ids]

    def balances(self) -> dict[str, int]:
        """Debits less credits of every account, in cents; accounts at nothing left out."""
        found = self.rows(
            "SELECT account, sum(amount)::bigint FROM (SELECT debit AS account, amount_minor AS amount FROM posting"
            " UNION ALL SELECT credit, -amount_minor FROM posting) moved GROUP BY account HAVING sum(amount) <> 0"
        )
        return dict(found)

    def final_state(self) -> tuple[Any, ...]:
        """What must not depend on the order of deliveries: balances, bills, papers, payments, open breaks."""
        return (
            tuple(sorted(self.balances().items())),
            tuple(self.rows("SELECT invoice_id, outstanding_minor FROM open_bill ORDER BY 1")),
            tuple(
                self.rows(
                    "SELECT p.kind, p.reference, p.amount_minor, r.kind, c.receipt_id IS NOT NULL FROM payment p"
                    " LEFT JOIN receipt r ON r.payment_id = p.id"
                    " LEFT JOIN receipt_cancellation c ON c.receipt_id = r.id ORDER BY 1, 2, 4"
                )
            ),
            tuple(
                self.rows(
                    "SELECT p.reference, a.invoice_id, a.component, sum(a.amount_minor)::bigint FROM application a"
                    " JOIN payment p ON p.id = a.payment_id GROUP BY 1, 2, 3 HAVING sum(a.amount_minor) <> 0"
                    " ORDER BY 1, 2, 3"
                )
            ),
            tuple(self.open_breaks()),
        )


def confirmation(
    shillings: int, typed: str, *, reference: str | None = None, at: datetime = NOON, cents: int = 0, **more: Any
) -> tuple[str, bytes]:
    """A C2B confirmation as it is posted to the confirmation address."""
    return "confirmation", bodies.c2b_confirmation(
        receipt=reference or code(),
        amount_minor=shillings * 100 + cents,
        shortcode=more.pop("shortcode", SHORTCODE),
        account=typed,
        at=at,
        msisdn=more.pop("msisdn", "254700000101"),
        **more,
    )


def push_result(shillings: int, request: str, *, reference: str, at: datetime = NOON) -> tuple[str, bytes]:
    """The success of a push request, as it is posted to the push address."""
    return "push_result", bodies.stk_success(
        merchant_request="29115-1",
        checkout_request=request,
        receipt=reference,
        amount_minor=shillings * 100,
        at=at,
        msisdn="254700000101",
    )


def reversal(reference: str, shillings: int, *, own: str | None = None, at: datetime = NOON) -> tuple[str, bytes]:
    """The result of a reversal of a payment, as it is posted to the result address."""
    return "result", bodies.reversal_result(
        conversation="AG_20260915_0001",
        originator_conversation="10819-1",
        receipt=own or code(),
        reverses=reference,
        at=at,
        amount_minor=shillings * 100,
        shortcode=SHORTCODE,
        organisation="Testland",
        payer="254700000101 - Somebody",
    )
