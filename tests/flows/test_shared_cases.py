"""What files and notices that troubled other people do to the books. The inputs lie beside the repository."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from adapters.signed_json import coop, jenga
from revenue_engine import bootstrap, db
from revenue_engine.access import audit
from revenue_engine.worker import Worker
from tests.flows.test_banks import add
from tests.flows.test_statements import bring
from tests.support.books import Books

CASES = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[3] / "shared")) / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside the repository")
RECEIVED = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)


def content(name: str) -> bytes:
    found = next(CASES.glob(f"channels-{name}"), None)
    if found is None:
        pytest.skip("this case is not among the shared ones")
    return found.read_bytes()


@pytest.fixture
def county(books: Books) -> Books:
    books.readers.update(bootstrap.statement_readers())
    return books


def bank(books: Books, number: str) -> int:
    return add(books, coop, number, coop.rehearse(number).settings)


def reason(books: Books, delivery: int) -> str:
    ((found,),) = books.rows("SELECT reason FROM delivery_state WHERE delivery_id = %s", delivery)
    return str(found)


def test_02_a_resaved_export_books_its_true_days_and_no_money_twice(county: Books) -> None:
    for name in ("p22b_us_resaved.csv", "p22c_true.csv"):
        bring(county, content(f"02-*/{name}"), filename=name, gap_accepted="the first of the year")
    days = county.rows("SELECT reference, (occurred_at AT TIME ZONE 'Africa/Nairobi')::date FROM payment ORDER BY 2")
    assert days == [
        ("UHC0000121", date(2026, 8, 12)),
        ("UI50000122", date(2026, 9, 5)),
        ("UI70000123", date(2026, 9, 7)),
    ]
    assert county.rows("SELECT sum(amount_minor)::bigint FROM payment") == [(250000,)]
    assert "duplicate_code" not in county.open_breaks()


def test_10_a_notice_that_names_no_account_is_posted_to_its_endpoint(county: Books) -> None:
    account = add(county, jenga, "2200200", jenga.rehearse("2200200").settings)
    body = content("10-*/b04_jenga_none.json")
    for at, word in enumerate(("NONE", "null", "None", "N/A", "-", "0", "")):
        doc = json.loads(body)
        doc["bank"]["account"] = word
        doc["transaction"]["reference"] += str(at)
        county.deliver(("confirmation", json.dumps(doc).encode()), account=account)
    Worker(county.as_role("worker"), {"jenga": jenga}).drain()
    assert county.rows("SELECT DISTINCT state FROM delivery_state") == [("posted",)]
    assert "wrong_shortcode_or_stream" not in county.open_breaks()


def test_12_a_day_without_an_hour_is_booked_on_that_day(county: Books) -> None:
    account = bank(county, "01134248358600")
    county.execute("UPDATE county SET books_open_from = '2026-06-01'")
    county.deliver(("confirmation", content("12-*/b01h.json")), account=account, received_at=RECEIVED)
    county.deliver(("confirmation", content("12-*/b02_coop_day.json")), account=account, received_at=RECEIVED)
    Worker(county.as_role("worker"), {"coop": coop}).drain()
    assert county.rows("SELECT book_date FROM journal ORDER BY 1") == [(date(2026, 6, 30),), (date(2026, 9, 15),)]
    assert "clock_differs" not in county.open_breaks()


def _for_bills(books: Books, body: bytes, **bills: int) -> tuple[bytes, dict[str, object]]:
    """The body with the numbers of fresh bills of so many shillings in place of its own."""
    issued = {}
    for name, shillings in bills.items():
        bill = books.bill(shillings)
        body = body.replace(name[1:].encode(), bill.pay_account_number.encode())
        issued[name] = bill
    return body, dict(issued)


def test_14_payments_inside_one_entry_each_pay_their_bill(county: Books) -> None:
    body, bills = _for_bills(county, content("14-*/i01_batch.xml"), n743265721=26, n562597067=2000)
    bring(county, body, channel=bank(county, "01134248358600"), filename="a.xml")
    assert [county.left(bill) for bill in bills.values()] == [0, 0]  # type: ignore[arg-type]
    assert county.rows("SELECT reference, amount_minor FROM payment ORDER BY 1") == [
        ("FTBAT1", 2600),
        ("FTBAT1/2", 200000),
    ]
    assert county.rows("SELECT lines, new_lines, credits_minor FROM statement") == [(2, 2, 202600)]


def test_16_a_charge_that_the_bank_kept_is_its_own_posting(county: Books) -> None:
    body, bills = _for_bills(county, content("16-*/i02_charge_credit.xml"), n743265721=2000)
    bring(county, body, channel=bank(county, "01134248358600"), filename="a.xml")
    assert [county.left(bill) for bill in bills.values()] == [0]  # type: ignore[arg-type]
    assert county.balances()["5900"] == 2600
    assert county.rows("SELECT kind, amount_minor FROM payment ORDER BY 1") == [("charge", 2600), ("payment", 200000)]
    assert county.rows("SELECT credits_minor, debits_minor FROM statement") == [(200000, 2600)]


@pytest.mark.parametrize(
    ("name", "lines"), [("23-*/i04_two_accounts.xml", (10000, 3000)), ("24-*/i21_two_accounts.sta", (50000, 3000))]
)
def test_23_24_a_file_of_two_accounts_is_imported_for_each(county: Books, name: str, lines: tuple[int, int]) -> None:
    body = content(name)
    for account, other, amount in (("1100100", "2200200", lines[0]), ("2200200", "1100100", lines[1])):
        channel = bank(county, account)
        delivery = bring(county, body, channel=channel, filename=Path(name).name)
        assert not reason(county, delivery).startswith("refused")
        assert county.rows(
            "SELECT credits_minor FROM statement WHERE delivery_id = %s AND channel_account_id = %s", delivery, channel
        ) == [(amount,)]
        with db.transaction(county.as_role("api")) as session:
            (facts,) = audit.facts_of(session, action="statement.imported", subject=f"delivery {delivery}")
        others = facts["others"]
        assert [one.split(":")[0] for one in others] == [f"account {other}"]


def test_23_a_file_of_other_accounts_alone_is_refused(county: Books) -> None:
    delivery = bring(county, content("23-*/*.xml"), channel=bank(county, "3300300"), filename="a.xml")
    assert "account 1100100: 1 line, 0.00 to 100.00; account 2200200" in reason(county, delivery)
    assert county.rows("SELECT count(*) FROM statement") == [(0,)]


def test_one_sweep_of_the_new_export_is_one_payout(county: Books) -> None:
    """Three receipts, five legs: what left the channel is what was paid in, and no more waits for the bank."""
    sample = CASES.parent / "corpus" / "mpesa_statement" / "statements_new_export_ksh.csv"
    if not sample.is_file():
        pytest.skip("the shared corpus is not beside the repository")
    bring(county, sample.read_bytes(), filename=sample.name)
    assert county.rows(
        "SELECT key, amount_minor FROM break_case WHERE closed_at IS NULL AND reason = 'settlement_not_banked'"
    ) == [("settlement:1:UB2AAWD001", 7_104_000)]
    assert "duplicate_code" not in county.open_breaks()
