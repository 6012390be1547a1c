"""A small county with secondary ledgers: opened, ruled and derived as two persons and a worker do it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date
from typing import Any

from revenue_engine import ledger
from revenue_engine.db import transaction
from revenue_engine.ledger.journal import Journal, Posting
from revenue_engine.secondary_ledgers import books, deriving, funds, proof, remaps, rules
from revenue_engine.secondary_ledgers.deriving import Derived
from revenue_engine.secondary_ledgers.proof import Proof
from tests.support.accountant import noon
from tests.support.books import CLEARING, DAY, Books

ACCOUNTS = (
    ("11", "Claim on the Fund", "memo"),
    ("12", "Bank and exchequer", "asset"),
    ("13", "Reserved", "memo"),
    ("31", "Fund balance", "fund"),
    ("41", "Notional share", "memo"),
    ("42", "Exchequer issues", "income"),
    ("44", "Fees", "income"),
    ("51", "Connectivity", "expense"),
    ("53", "Charges", "expense"),
)


def share(rule: str, stream: str, *parts: int, start: date = date(2026, 7, 1), **more: Any) -> dict[str, Any]:
    """A rule of shares, a leg a share: the first a claim, the others earmarked."""
    legs = [
        {"debit": "11", "credit": "41", "share": part, "fund_class": "claim"}
        if number == 0
        else {"debit": "12", "credit": "44", "share": part, "fund_class": "earmarked"}
        for number, part in enumerate(parts)
    ]
    return {
        "rule": rule,
        "kind": "share",
        "event": "receipt",
        "stream": stream,
        "law": "none known: a memorandum",
        "effective_from": start.isoformat(),
        "legs": legs,
    } | more


def nothing(rule: str = "others", event: str = "receipt", **more: Any) -> dict[str, Any]:
    """A rule that says that the rest is not this book's."""
    return {"rule": rule, "kind": "nothing", "event": event, "law": "-", "effective_from": "2020-01-01"} | more


@dataclass
class Shelf(Books):
    """Books, and the secondary ledgers beside them."""

    def open(self, code: str = "ict", *described: dict[str, Any], basis: str = "cash") -> None:
        """A book with a chart, and rules; two persons agree to each."""
        told = {
            "code": code,
            "name": f"The book {code}",
            "directorate": "ICT",
            "currency": "KES",
            "calendar": "financial_year",
            "basis": basis,
            "owner": "the ICT officer",
            "accounts": [{"code": a, "name": n, "type": t} for a, n, t in ACCOUNTS],
        }
        assert self.judged(lambda session: books.ask(session, told, reason="to see what is ours")) is None
        for one in (*described, nothing(event="charge", rule="charges")):
            self.rule(one, book=code)

    def rule(self, described: dict[str, Any], *, book: str = "ict") -> None:
        """A version of a rule, agreed to by two."""
        why = self.judged(lambda session: rules.ask(session, book, described, reason="as discussed")[0])
        assert why is None, why

    def derive(self, book: str = "ict", *, upto: int | None = None) -> Derived:
        """What a worker does: derive what is final. Waits until everything that was committed is."""
        if upto is None:
            self.settle()
        with transaction(self.as_role("worker")) as session:
            return deriving.derive(session, book, upto=upto)

    def settle(self) -> int:
        """Wait until the horizon is past every journal; returns the horizon."""
        ((newest,),) = self.rows(
            "SELECT coalesce(max(x)::text::bigint, 0) FROM (SELECT max(xid) x FROM journal"
            " UNION ALL SELECT max(xid) FROM closed_day) y"
        )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with transaction(self.engine) as session:
                horizon = ledger.horizon(session)
                if horizon > newest:
                    return horizon
            time.sleep(0.02)
        raise AssertionError("the horizon stands still")

    def prove(self, book: str = "ict", **more: Any) -> Proof:
        """The proof of a book."""
        with transaction(self.as_role("worker")) as session:
            return proof.prove(session, book, **more)

    def rebuild(self, book: str = "ict", **more: Any) -> tuple[int, str, str]:
        """The horizon and the digests of the shadow and the book."""
        with transaction(self.as_role("worker")) as session:
            return proof.rebuild(session, book, **more)

    def remap(self, rule: str, *, first: date, last: date, book: str = "ict") -> str | None:
        """Map days anew, as two persons agree; why it was void, or None."""
        return self.judged(
            lambda session: remaps.ask(session, book, rule, first=first, last=last, reason="the law says")
        )

    def fund(self, book: str = "ict", **described: Any) -> str | None:
        """A fund's fact, as two persons agree; why it was void, or None."""
        return self.judged(lambda session: funds.ask(session, book, described, reason="voucher seen"))

    def balance(self, book: str = "ict") -> dict[str, int]:
        """Debits less credits by account, in cents; what is nothing left out."""
        with transaction(self.as_role("report")) as session:
            return {one.code: one.balance_minor for one in books.balances(session, book) if one.balance_minor}

    def lines(self, book: str = "ict") -> list[tuple[Any, ...]]:
        """The lines of a book without what depends on the database: day, accounts, cents, class."""
        return self.rows(
            "SELECT book_date, debit, credit, amount_minor, fund_class FROM derived_line WHERE book_code = %s"
            " ORDER BY journal_id, seq, turn, leg",
            book,
        )

    # --- the ledger's postings, straight ------------------------------------------------------------------------------

    def receipt(
        self, cents: int, *, stream: str = "SBP", payment: int | None = None, day: date = DAY, **more: Any
    ) -> int:
        """Money of a payment on a stream; the journal's id."""
        return self.post(
            Posting(CLEARING, f"1300.{stream}", cents, stream_code=stream, payment_id=payment, **more), day
        )

    def back(self, cents: int, *, stream: str = "SBP", payment: int | None = None, day: date = DAY, **more: Any) -> int:
        """Money of a payment taken off a stream; the journal's id."""
        return self.post(
            Posting(f"1300.{stream}", CLEARING, cents, stream_code=stream, payment_id=payment, **more), day
        )

    def post(self, *postings: Posting | tuple[Posting, ...], day: date = DAY) -> int:
        """A journal of these postings; its id."""
        *given, last = postings
        if isinstance(last, date):
            day = last
        else:
            given.append(last)
        self._keys = getattr(self, "_keys", 0) + 1
        with transaction(self.as_role("worker")) as session:
            journal = Journal("test", noon(day), tuple(given))
            return ledger.post(session, journal, key=f"shelf:{self._keys}").id
