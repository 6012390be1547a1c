"""Small inputs that were once answered wrongly, as callbacks and bank lines with a run behind them: they end as `match`
ends them. The inputs stand beside the project."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO
from unittest import mock

import pytest

from reconciliation.runs import running
from revenue_engine import bootstrap, db, identifiers
from revenue_engine.billing import invoices, payers
from revenue_engine.billing.tariffs import AssessedLine
from revenue_engine.money import parse_wire
from revenue_engine.ports.callbacks import Party
from revenue_engine.ports.statements import StatementEvent, StatementLine
from tests.flows.test_shared_cases import bank
from tests.flows.test_statement_doubles import Move, Rows, of
from tests.flows.test_statements import BANK, bring
from tests.matching.test_cases import CASES, RIGHT
from tests.support.books import DAY, NOON, Books, confirmation

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside the repository")
MakeBooks = Callable[[], AbstractContextManager[Books]]


@dataclass(frozen=True)
class FromSomebody(Rows):
    """Lines of a bank that names who sent the money."""

    sender: str = ""

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:
        for event in super().read(stream, filename=filename):
            yield event._replace(party=Party(name=self.sender)) if isinstance(event, StatementLine) else event


def issue(books: Books, bills: list[dict[str, str]]) -> None:
    """Issue the bills of a case under their own numbers and objects; one that is cancelled is cancelled by two."""
    cancelled = []
    with db.transaction(books.as_role("api")) as session:
        for row in bills:
            payer = payers.add_payer(session, name=row["payer_name"], phone=f"+{row['msisdn']}").id
            thing = row["object_ref"] and payers.add_object(
                session,
                stream_code="RENT",
                reference=row["object_ref"],
                kind="stall",
                payer_id=payer,
                standing_number=False,
            )
            request = invoices.InvoiceRequest(
                stream_code="RENT",
                lines=[AssessedLine(None, "RENT", "principal", "principal", 1, parse_wire(row["amount_due"]))],
                due_on=DAY + timedelta(days=30),
                payer_id=payer,
                object_id=thing.id if thing else None,
                at=NOON,
            )
            with mock.patch.object(identifiers, "draw_pay_account_number", return_value=row["invoice_number"]):
                issued = invoices.issue_invoice(session, request, issued_by="clerk")
            cancelled += [issued] if row["status"] == "cancelled" else []
    for issued in cancelled:
        books.cancel(issued)


def pay(books: Books, row: dict[str, str]) -> None:
    """Bring the payment of a case: by callback what a payer typed, by a bank's statement what a bank printed."""
    shillings = parse_wire(row["amount"]) // 100
    if row["channel"] == "BANK":
        books.readers["rows"] = FromSomebody("rows", row["payer_name"])
        books.bank_channel(BANK)
        bring(books, of(BANK, Move("FT00000001", shillings, 20, said=row["narrative"])), channel=2)
        return
    phone, name = row["msisdn"].replace("*", "0"), row["payer_name"]
    books.deliver(confirmation(shillings, row["account_reference"], msisdn=phone, names=(name, "", "")))
    books.work()


@pytest.mark.parametrize("case", RIGHT)
def test_a_case_ends_by_callback_as_it_ends_by_match(new_books: MakeBooks, case: str) -> None:
    folder = CASES / f"matching-{case}"
    if not folder.is_dir():
        pytest.skip(f"the case {case} does not stand beside the project")
    bills, payments = (
        list(csv.DictReader((folder / name).open(encoding="utf-8"))) for name in ("bills.csv", "payments.csv")
    )
    with new_books() as books:
        issue(books, bills)
        pay(books, payments[0])
        running.run(books.as_role("worker"), by="t")
        paid = books.rows(
            "SELECT i.pay_account_number, sum(a.amount_minor)::bigint FROM application a"
            " JOIN invoice i ON i.id = a.invoice_id GROUP BY 1 HAVING sum(a.amount_minor) <> 0"
        )
    assert " ".join(f"{number} {minor / 100:.2f}" for number, minor in paid) == RIGHT[case]


def test_db15_a_returned_cheque_opens_its_bill_again(books: Books) -> None:
    books.readers.update(bootstrap.statement_readers())
    account = bank(books, "1100200")
    bill = books.bill(2000)
    raw = content_of("DB15", "kcb.csv").replace(b"NNNNNNNNN", bill.pay_account_number.encode())
    bring(books, raw, channel=account, filename="kcb.csv")
    assert books.left(bill) == 2000
    taken = "SELECT r.reference, p.reference FROM payment r JOIN payment p ON p.id = r.reverses_id"
    assert books.rows(taken) == [("FT26307AAAAF", "FT26306AAAAD")]
    assert books.rows("SELECT amount_minor FROM payment WHERE kind = 'charge'") == [(50_00,)]
    assert not {"returned_by_bank", "settlement_not_banked"} & set(books.open_breaks())


def content_of(case: str, name: str) -> bytes:
    found = next(CASES.glob(f"matching-{case}-*/{name}"), None)
    if found is None:
        pytest.skip(f"the case {case} does not stand beside the project")
    return found.read_bytes()
