"""Everybody at once: three workers, two matching runs, three persons and kills, seeded and bounded.

While a provider sends a plan, two runs match what waits, one person asks that money be set, taken back, moved and bills
be cancelled, two others agree, refuse and ask as well, and processes and servers are killed. What persons do changes
which bill holds which money, so the plan's truth of single bills does not hold here: what holds is that every credit is
there once, that all of it stands where the ledger can prove it, and that no request was done twice.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from reconciliation.runs import running
from revenue_engine import db
from revenue_engine.access import approvals
from revenue_engine.billing import invoices, payers
from revenue_engine.collection import money_moves
from revenue_engine.errors import RevenueError
from tests.faults import checks, plan
from tests.faults.harness import Figures, World, under_fire
from tests.support import people
from tests.support.books import confirmation
from tests.support.people import Someone

RUNS = 2
SLIPS = 40
_BREATH = 0.05


class Crowd:
    """Persons and runs that go on until they are told to stop; what is refused is counted, a fault is kept."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self._halt = threading.Event()
        url = world.servers.database_url
        self._api, self._worker = world.books.as_role("api"), world.books.as_role("worker")
        asks = people.clerk(url)
        agree = (people.treasurer(url), people.somebody(url, "second.officer", "finance_officer"))
        self._numbers = world.books.rows("SELECT pay_account_number, number FROM invoice ORDER BY id")
        work: list[Callable[[random.Random], None]] = [
            *(self._run for _ in range(RUNS)),
            lambda rng: self._ask(rng, asks),
            *((lambda rng, who=who: self._answer(rng, who)) for who in agree),
        ]
        self._threads = [
            threading.Thread(target=self._go_on, args=(one, random.Random(f"{world.seed}/{place}")), daemon=True)
            for place, one in enumerate(work)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def halt(self) -> None:
        """Stop and wait, bounded."""
        self._halt.set()
        for thread in self._threads:
            thread.join(timeout=60)
        if any(thread.is_alive() for thread in self._threads):
            self.faults.append("somebody did not stop within a minute")

    def _go_on(self, work: Callable[[random.Random], None], rng: random.Random) -> None:
        while not self._halt.wait(_BREATH * rng.random()):
            try:
                work(rng)
            except RevenueError as error:
                self.done[f"refused: {type(error).__name__}"] += 1
            except (DBAPIError, psycopg.Error) as error:
                if not _is_away(error):
                    self.faults.append(f"{type(error).__name__}: {str(error)[:300]}")
                self._halt.wait(0.2)  # a killed server

    def _run(self, _rng: random.Random) -> None:
        found = running.run(self._worker, by="mayhem")
        self.done["runs"] += 1
        self.done["matched by runs"] += len(found.matched)
        self._halt.wait(0.5)

    def _ask(self, rng: random.Random, who: Someone) -> None:
        number, printed = rng.choice(self._numbers)
        paid = self._one(
            "SELECT reference FROM payment WHERE kind = 'payment' ORDER BY md5(id::text || %s) LIMIT 1", rng
        )
        held = self._one(
            "SELECT p.reference FROM posting s JOIN payment p ON p.id = s.payment_id WHERE s.credit = '2200'"
            " ORDER BY md5(p.id::text || %s) LIMIT 1",
            rng,
        )
        matched = self._one(
            "SELECT p.reference FROM payment_match m JOIN payment p ON p.id = m.payment_id"
            " ORDER BY md5(p.id::text || %s) LIMIT 1",
            rng,
        )
        what = rng.choice(("set", "set", "set", "back", "move", "cancel"))
        with who.acts(), db.transaction(self._api) as session:
            if what == "cancel":
                invoices.ask_cancel(session, printed, reason="issued twice")
            elif what == "set" and held:
                running.ask(session, held, number, reason="the payer called")
            elif what == "back" and matched:
                running.ask_back(session, matched, reason="the other bill")
            elif what == "move" and paid:
                money_moves.ask(session, paid, number, reason="paid for the neighbour")
            else:
                return
        self.done[f"asked: {what}"] += 1

    def _answer(self, rng: random.Random, who: Someone) -> None:
        with who.acts(), db.transaction(self._api) as session:
            waiting = list(approvals.listed(session, "waiting"))
            if not waiting:
                return
            one = rng.choice(waiting)
            if rng.random() < 0.1:
                approvals.refuse(session, one.public_id, shown_sha256=one.shown_sha256, reason="not seen")
                self.done["refused by a person"] += 1
            else:
                approvals.agree(session, one.public_id, shown_sha256=one.shown_sha256)
                self.done["agreed"] += 1

    def _one(self, query: str, rng: random.Random) -> str:
        with db.transaction(self.world.books.engine) as session:
            found = db.raw(session).execute(query, (str(rng.random()),)).fetchone()  # type: ignore[arg-type]
        return str(found[0]) if found else ""


def _is_away(error: Exception) -> bool:
    """Whether a server was killed under a statement, or a statement waited for another too long."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    retry = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable)
    return isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError, *retry))


def mayhem(
    world: World, *, kills: int, payments: int = 300, per_second: float = 60
) -> tuple[Figures, Crowd, list[str]]:
    """One seed of it; answers what was done and every problem."""
    sent = plan.make(world.books, seed=world.seed, payments=payments)
    _with_slips(world, sent)
    crowd = Crowd(world)
    with _among(crowd):
        provider, figures = under_fire(
            world, sent, kills=kills, per_second=per_second, targets=("worker", "pg", "intake", "worker", "valkey")
        )
    world.drain()
    with world.connect() as connection:
        problems = [
            *crowd.faults,
            *checks.acked_are_stored(connection, provider.acked),
            *checks.nothing_lost(connection, sent.truth),
            *_done_once(world.books.engine),
            *checks.receipts_are_gapless(connection),
            *checks.snapshots_are_complete(world.books.engine),
            *checks.books_verify(world.books.engine),
        ]
        if (held := checks._sum_of_postings(connection, checks.CLEARING)) != sent.truth.clearing_minor:
            problems.append(f"the channel holds {held} cents, the truth is {sent.truth.clearing_minor}")
    return figures, crowd, problems


def _with_slips(world: World, sent: plan.Plan) -> None:
    """Payments whose payers typed a digit too few, among the others: suspense at first, and a run's to match."""
    rng = random.Random(world.seed)
    for place in range(SLIPS):
        shillings = 5_000 + place
        with db.transaction(world.books.as_role("api")) as session:
            payer = payers.add_payer(session, name=f"Wafula {place}", phone=f"+2547110{place:05d}").id
        bill = world.books.bill(shillings, payer=payer)
        reference = f"US{world.seed % 100:02d}{place:06d}"
        typed = bill.pay_account_number
        purpose, body = confirmation(
            shillings,
            typed[:4] + typed[5:],
            reference=reference,
            msisdn=f"2547110{place:05d}",
            names=("WAFULA", "", ""),
        )
        sent.truth.credits[reference] = shillings * 100
        sent.messages.insert(rng.randrange(len(sent.messages)), plan.Message(purpose, body, reference))


@contextlib.contextmanager
def _among(crowd: Crowd) -> Iterator[None]:
    crowd.start()
    try:
        yield
    finally:
        crowd.halt()


def _done_once(engine: Engine) -> list[str]:
    """No bill took more than it is, no payment gave more than it brought."""
    asked = {
        "bills took more than they are": "SELECT count(*) FROM (SELECT i.id FROM invoice i JOIN application a ON"
        " a.invoice_id = i.id GROUP BY i.id HAVING sum(a.amount_minor) > i.total_minor OR sum(a.amount_minor) < 0) x",
        "payments gave more than they brought": "SELECT count(*) FROM (SELECT p.id FROM payment p JOIN application a"
        " ON a.payment_id = p.id GROUP BY p.id"
        " HAVING sum(a.amount_minor) > p.amount_minor OR sum(a.amount_minor) < 0) x",
        "requests were agreed to and are neither done nor void": "SELECT count(*) FROM access.request r WHERE"
        " (SELECT count(*) FROM access.answer a WHERE a.request_id = r.id AND a.agreed) >= r.checkers"
        " AND NOT EXISTS (SELECT FROM access.execution e WHERE e.request_id = r.id)",
    }
    found = []
    with db.transaction(engine) as session:
        for words, query in asked.items():
            row = db.raw(session).execute(query).fetchone()  # type: ignore[arg-type]
            if row and row[0]:
                found.append(f"{row[0]} {words}")
    return found
