"""Notices that are written otherwise than most, through the real intake into the books: right, or a named break."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from adapters.mpesa import adapter as mpesa
from adapters.signed_json import coop, jenga
from revenue_engine.intake import server
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Rehearsal
from revenue_engine.worker import Worker
from tests.conftest import Database
from tests.flows.test_banks import add
from tests.support.books import SHORTCODE, Books
from tests.support.intake_server import HOME, Served, free_port

COOP, JENGA = "01120000000100", "2200200"


class Provider:
    """The intake with the addresses of three accounts, and the notices as their providers send them."""

    def __init__(self, books: Books, database: Database) -> None:
        self.books = books
        books.execute(
            "UPDATE channel_account SET settings = %s WHERE id = 1", Jsonb({"shortcode": SHORTCODE, "peers": [HOME]})
        )
        books.execute("UPDATE county SET books_open_from = '2026-06-01'")
        self.rehearsals: dict[str, Rehearsal] = {}
        self.tokens = {purpose: self._address(1, purpose) for purpose in ("confirmation", "result")}
        for bank, number in ((coop, COOP), (jenga, JENGA)):
            self.rehearsals[bank.name] = bank.rehearse(number)
            self.tokens[bank.name] = self._address(
                add(books, bank, number, self.rehearsals[bank.name].settings), "confirmation"
            )
        self.adapters: dict[str, Any] = {"mpesa": mpesa, "coop": coop, "jenga": jenga}
        login = database.role_url("intake")
        app = server.create_app(login, adapters=self.adapters, role=None if "options=" not in login else "intake")
        self.served = Served(app, free_port()).start()

    def _address(self, account: int, purpose: str) -> str:
        token = secrets.token_urlsafe(32)
        self.books.execute(
            "INSERT INTO channel_endpoint (channel_account_id, purpose, token_sha256) VALUES (%s, %s, %s)",
            account,
            purpose,
            hashlib.sha256(token.encode()).digest(),
        )
        return token

    def send(self, address: str, doc: dict[str, Any] | bytes) -> dict[str, Any]:
        """Send one notice, proved as its provider proves it; the answer."""
        body = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        signed = self.rehearsals[address].sign(body) if address in self.rehearsals else None
        headers = dict(signed.headers) if signed else {}
        answer = self.served.post(self.tokens[address], signed.body if signed else body, **headers)
        assert answer.status_code == 200
        return dict(answer.json())

    def work(self) -> None:
        Worker(self.books.as_role("worker"), self.adapters).drain()

    def posted(self) -> dict[str, tuple[str, int, bool]]:
        """Of each payment: its day in Nairobi, its shillings, and whether its time is doubted."""
        found = self.books.rows(
            "SELECT p.reference, p.occurred_at, p.amount_minor, EXISTS (SELECT FROM break_case b"
            " WHERE b.reason = 'clock_differs' AND b.key LIKE '%%' || p.reference || '%%') FROM payment p"
        )
        return {name: (str(at.astimezone(NAIROBI).date()), minor // 100, doubted) for name, at, minor, doubted in found}

    def waiting(self) -> list[str]:
        return [
            why for (why,) in self.books.rows("SELECT reason FROM delivery_state WHERE state = 'waiting' ORDER BY 1")
        ]


@pytest.fixture
def provider(books: Books, database: Database) -> Iterator[Provider]:
    made = Provider(books, database)
    yield made
    made.served.stop()


def result(**params: object) -> dict[str, Any]:
    listed = [{"Key": key, "Value": value} for key, value in params.items()]
    return {
        "Result": {
            "ResultCode": 0,
            "ConversationID": f"AG_{secrets.token_hex(4)}",
            "ResultParameters": {"ResultParameter": listed},
        }
    }


def status(receipt: str, **params: object) -> dict[str, Any]:
    return result(
        ReceiptNo=receipt,
        Amount=params.pop("Amount", "300"),
        TransactionStatus="Completed",
        ReasonType="Pay Bill Online",
        CreditPartyName=f"{SHORTCODE} - Sample County",
        DebitPartyName="254700000101 - Sample Payer",
        **params,
    )


def express(receipt: str, bill: str, **more: object) -> dict[str, Any]:
    return {"resultCode": "0", "amount": "83.0", "requestId": receipt, "paymentReference": bill} | {
        "transactionID": receipt,
        "status": "SUCCESS",
        **more,
    }


def bill_manager(receipt: str, bill: str, day: str) -> dict[str, Any]:
    return {"transactionId": receipt, "paidAmount": "300", "dateCreated": day, "accountReference": bill} | {
        "shortCode": int(SHORTCODE)
    }


def confirmed(receipt: str, time: str, bill: str = "nothing") -> dict[str, Any]:
    return {"TransID": receipt, "TransTime": time, "TransAmount": "300.00", "BusinessShortCode": SHORTCODE} | {
        "BillRefNumber": bill,
        "OrgAccountBalance": "1.00",
    }


def test_messages_of_the_newer_products(provider: Provider) -> None:
    bill = provider.books.bill(83)
    number = bill.pay_account_number
    confirm, answered = "confirmation", []
    provider.send(confirm, express("UIF0000201", number))
    provider.send(confirm, express("UIF0000202", number, currency="USD"))
    provider.send(confirm, express("UIF0000203", number, resultCode="4001"))  # a receipt beside "cancelled"
    provider.send(confirm, {"resultCode": 4001, "requestId": "a", "amount": 83, "paymentReference": number})
    provider.send(confirm, {"responseHeader": {"responseCode": "1037", "requestRefID": "b"}, "ResponseBody": {}})
    # One notice and one answer to a question agree: neither alone is enough.
    answered.append(provider.send(confirm, bill_manager("UIF0000204", "nothing", "2026-09-15")))
    provider.send("result", status("UIF0000204", **{"Finalised Time": 20260915111502}))
    answered.append(provider.send(confirm, bill_manager("UIF0000205", "nothing", "2026-09-15 10:30:00")))
    provider.send("result", status("UIF0000206", finalisedtime="20260915111502", FinalizedTime="20260915111503"))
    provider.send("result", result(TransactionReceipt="UIF0000207", TransactionAmount=10, transactionAmount=90))
    provider.work()
    assert answered == [{"resmsg": "Success", "rescode": "200"}] * 2
    assert provider.books.left(bill) == 0
    assert provider.posted() == {
        "UIF0000201": ("2026-09-15", 83, False),
        "UIF0000204": ("2026-09-15", 300, False),
    }
    states = [state for (state,) in provider.books.rows("SELECT state FROM delivery_state ORDER BY delivery_id")]
    assert states[3:5] == ["ignored", "ignored"]
    assert provider.waiting() == [
        "B2B Express: currency text of 3 characters, and the pay bill is in KES",
        "B2B Express: result code 4001 says that nothing moved, beside a receipt or a success: look at the statement",
        "no payment of this reference is confirmed yet",
        "result: FinalisedTime and FinalizedTime differ",
        "result: ResultParameters.ResultParameter names 'TransactionAmount' twice",
    ]
    assert "unconfirmed" in provider.books.open_breaks()  # UIF0000205, told by one message that is no proof


def test_a_time_that_its_receipt_contradicts_is_named(provider: Provider) -> None:
    provider.send("confirmation", confirmed("UIF0000211", "20260915120000"))
    provider.send("confirmation", confirmed("UIF0000212", "20260509120000"))
    provider.send("confirmation", confirmed("UIF0000213", "20260916000100"))  # just after midnight
    provider.send("result", status("UIF0000214", FinalisedTime=20250915111502))
    provider.send("confirmation", bill_manager("UIF0000214", "nothing", "2026-09-15"))
    provider.send("confirmation", confirmed("UIF0000214", "20260915111502"))
    provider.work()
    assert provider.posted() == {
        "UIF0000211": ("2026-09-15", 300, False),
        "UIF0000212": ("2026-05-09", 300, True),
        "UIF0000213": ("2026-09-16", 300, False),
        "UIF0000214": ("2026-09-15", 300, True),
    }
    ((said,),) = provider.books.rows(
        "SELECT detail FROM break_case WHERE key LIKE '%%UIF0000212%%' AND detail LIKE 'the time%%'"
    )
    assert said == (
        "the time told is of 09 May 2026, and the receipt UIF0000212 was given on 15 Sep 2026: booked on the day that"
        " is told; the statement says which is right"
    )


def coop_notice(reference: str, **fields: object) -> dict[str, Any]:
    doc = json.loads(coop.rehearse(COOP).example)
    plain = {"Narration": "nothing", "CustMemoLine1": "nothing", "CustMemoLine2": "", "CustMemoLine3": ""}
    return {**doc, **plain, "TransactionId": reference, **fields}


def test_the_day_of_booking_stands_for_a_time_that_is_not_told(provider: Provider) -> None:
    june = {"PostingDate": "2026-06-30+03:00", "ValueDate": "2026-06-30"}
    receipt = {"Narration": "UFU0000031~254700000101~nothing~MPESAC2B_400200~SAMPLE PAYER"}
    for reference, fields in {
        "CB1_MISSING": {**june, "TransactionDate": None},
        "CB2_WORDS": {**june, "TransactionDate": "30/06/2026"},
        "CB3_NO_SECONDS": {**june, "TransactionDate": "2026-06-30T23:50"},
        "CB4_DIGITS": {**june, "TransactionDate": "20260630"},
        "CB5_BY_RECEIPT": {**june, **receipt, "TransactionDate": "2025-06-30+03:00"},
        "CB6_LATE": {"TransactionDate": "2026-06-30T10:00:00", "PostingDate": "2026-07-02", "ValueDate": "2026-07-03"},
    }.items():
        provider.send("coop", coop_notice(reference, **fields))
    provider.send("coop", coop_notice("CB7_NOTHING", PostingDate="", ValueDate=None, TransactionDate="soon"))
    provider.send("coop", coop_notice("CB8_CONTRADICTS", PostingDate="2026-09-06", TransactionDate="2026-06-09"))
    provider.work()
    posted = provider.posted()
    received = str(provider.books.rows("SELECT (now() AT TIME ZONE 'Africa/Nairobi')::date")[0][0])
    assert {name: posted.pop(name)[2] for name in ("CB7_NOTHING", "CB8_CONTRADICTS")} == dict.fromkeys(
        ("CB7_NOTHING", "CB8_CONTRADICTS"), True
    )
    assert posted == {
        "CB1_MISSING": ("2026-06-30", 1500, False),
        "CB2_WORDS": ("2026-06-30", 1500, True),
        "CB3_NO_SECONDS": ("2026-06-30", 1500, False),
        "CB4_DIGITS": ("2026-06-30", 1500, False),
        "CB5_BY_RECEIPT": ("2026-06-30", 1500, True),
        "CB6_LATE": ("2026-06-30", 1500, False),
    }
    assert received  # the two without a certain day are booked on the day they came
    assert provider.waiting() == []


def test_an_account_that_is_none_or_masked_is_that_of_the_address(provider: Provider) -> None:
    doc = json.loads(jenga.rehearse(JENGA).example)
    for at, account in enumerate(
        ("(null)", "Not Applicable", "unknown", "#N/A", "000000", "****0200", "22XXX00", "0220 0200", None, "2200 200")
    ):
        doc["transaction"]["reference"], doc["bank"]["account"] = f"REF{at:05d}", account
        provider.send("jenga", doc)
    others = ("2200201", "****0201", "***01", "22002000", "XXXXXXX99")
    for at, account in enumerate(others):
        doc["transaction"]["reference"], doc["bank"]["account"] = f"OTHER{at:05d}", account
        provider.send("jenga", doc)
    provider.work()
    assert sorted(provider.posted()) == sorted(f"REF{at:05d}" for at in range(10))
    assert provider.waiting() == [
        f"the message names another account than {JENGA}, to which this address belongs" for _ in others
    ]
    assert provider.books.open_breaks().count("wrong_shortcode_or_stream") == len(others)
