"""Money on its way to the County Revenue Fund, as an auditor follows it: sent, shown by two banks, receipted, late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook
from sqlalchemy.orm import Session

from revenue_engine import db, periods
from revenue_engine.access import scope
from revenue_engine.county import loading
from revenue_engine.errors import Conflict, NotAllowed, NotFound, Rejected
from revenue_engine.periods import NAIROBI, add_working_days
from revenue_engine.reports import fo30, payments
from revenue_engine.reports import remittances as reporting
from revenue_engine.treasury import bank_accounts, clocks, remittances
from revenue_engine.treasury.clocks import Held, banking, receipting
from tests.conftest import Database
from tests.flows.test_three_ways import BANK, FRIDAY, MONDAY, SATURDAY, Dated, bring, laid_on, statement
from tests.support import people
from tests.support.books import Books
from tests.support.commands import command, run

FUND = "9000100200"
COLLECTION, CENTRAL = f"1100.bank-{BANK}", f"1100.cbk-{FUND}"


@pytest.fixture
def county(books: Books) -> Iterator[Books]:
    """1,000 and 500 paid on Friday and Saturday; 1,490 after a charge of 10 lie in the collection account on Monday."""
    books.readers["dated"] = Dated()
    books.bank_channel(BANK)
    with db.transaction(books.engine) as session:
        added = loading.add_channel_account(
            session, adapter="mpesa", identifier=FUND, mode="live", name="Fund", settings={}
        )
        bank_accounts.open_bank_account(
            session,
            bank="cbk",
            number=FUND,
            name="County Revenue Fund",
            purpose="fund",
            authority="Constitution art. 207",
            by="setup",
            channel_account_id=added.id,
        )
    bring(
        books,
        statement(
            ("payment", "UI00000R01", 1000, "who", FRIDAY),
            ("charge", "UI00000R03", -10, "", FRIDAY),
            ("payment", "UI00000R02", 500, "who", SATURDAY),
            ("payout", "UI00000R09", -1490, "", SATURDAY),
        ),
    )
    bring(books, statement(("", "FT0001", 1490, "MPS UI00000R09", MONDAY), account=BANK), channel=2)
    return books


def ask(shillings: int, number: str = "RTGS001", **other: str) -> object:
    def asking(session: Session) -> str:
        accounts = {"account": COLLECTION, "fund": CENTRAL} | other
        return remittances.ask(
            session,
            number=number,
            amount_minor=shillings * 100,
            paid_until=MONDAY,
            reason="weekly transfer",
            **accounts,
        )

    return asking


def parts(books: Books) -> list[tuple[str, str, int]]:
    return [
        (number, reference, minor // 100)
        for number, reference, minor in books.rows(
            "SELECT r.number, y.reference, p.amount_minor FROM remittance_part p JOIN remittance r ON r.id ="
            " p.remittance_id JOIN payment y ON y.id = p.payment_id ORDER BY r.id, y.id"
        )
    ]


def balance(books: Books, account: str) -> int:
    ((minor,),) = books.rows(
        "SELECT coalesce(sum(CASE WHEN debit = %s THEN amount_minor ELSE -amount_minor END), 0)::bigint / 100"
        " FROM posting WHERE debit = %s OR credit = %s",
        account,
        account,
        account,
    )
    return int(minor)


def way_to_the_fund(books: Books, reference: str) -> list[str]:
    """The steps of a payment's way that tell of the Fund."""
    with db.transaction(books.as_role("api")) as session:
        steps = payments.way(session, reference, scope=scope.WHOLE).steps
    return [f"{step.what}: {step.detail}" for step in steps if step.what.startswith("Fund")]


def test_a_transfer_covers_payments_and_the_fund_is_debited_by_its_own_statement_alone(county: Books) -> None:
    assert county.judged(ask(1200)) is None
    # The oldest first, the last one in part; the rest is in the next transfer
    assert parts(county) == [("RTGS001", "UI00000R01", 1000), ("RTGS001", "UI00000R02", 200)]
    today = periods.today()
    assert (balance(county, COLLECTION), balance(county, "1050"), balance(county, "1000")) == (290, 1200, 0)
    on_the_way = laid_on(county, today, BANK)
    assert [(item.bucket.value, item.reference, item.amount_minor) for item in on_the_way.items] == [
        ("in_books_not_in_statement", "RTGS001", -1200_00)
    ]
    assert "the Fund's own statement does not show it yet" in way_to_the_fund(county, "UI00000R01")[0]
    # Our bank shows the debit: nothing is in the Fund yet
    bring(county, statement(("", "FT0002", -1200, "RTGS001 CRF", today), opening=1490, account=BANK), channel=2)
    assert laid_on(county, today, BANK).items == []
    assert (balance(county, "1050"), balance(county, "1000")) == (1200, 0)
    # The Fund's bank shows the credit
    bring(county, statement(("", "CB0001", 1200, "BUSIA RTGS001", today), account=FUND), channel=3)
    assert (balance(county, "1050"), balance(county, "1000")) == (0, 1200)
    assert (laid_on(county, today, FUND).items, county.rows("SELECT 1 FROM payment WHERE channel_account_id = 3")) == (
        [],
        [],
    )
    (whole,), (part, rest) = (way_to_the_fund(county, one) for one in ("UI00000R01", "UI00000R02"))
    assert whole.startswith(
        f"Fund: transfer RTGS001: KSh 1,000.00 of this money; the county's bank shows it on {today}"
    )
    assert whole.endswith(f"the Fund's own statement shows it on {today}")
    assert "KSh 200.00 of this money" in part
    assert rest == "Fund: KSh 300.00 of this money is in no transfer to the Fund yet"
    assert county.judged(ask(290, "RTGS002")) is None
    assert parts(county)[2:] == [("RTGS002", "UI00000R02", 290)]
    # What is left of the payments is the channel's charge: gross = remitted + balance + charges
    with db.transaction(county.as_role("report")) as session:
        (left,) = remittances.waiting(session, on=today)
    assert (left.amount_minor, balance(county, COLLECTION)) == (10_00, 0)


def test_what_is_refused(county: Books) -> None:
    for asking, why in (
        (ask(1491), "the books hold 1490.00"),
        (ask(1501), "payments of 1500.00 lie in"),
        (ask(100, account=CENTRAL), "is no collection account of the county"),
        (ask(100, fund=COLLECTION), "is not the account of the Fund"),
    ):
        with pytest.raises(Rejected, match=why):
            county.judged(asking)
    assert county.judged(ask(100)) is None
    with pytest.raises(Conflict, match="has the number RTGS001 already"):
        county.judged(ask(100))
    # The worker alone writes no transfer, and nobody writes the Fund's credit that no statement shows
    with pytest.raises(NotAllowed, match="another person agreed"), db.transaction(county.as_role("worker")) as session:
        db.raw(session).execute(
            "INSERT INTO remittance (number, account, fund, amount_minor, paid_until, approval_id, made_by)"
            " VALUES ('RTGS009', %s, %s, 1, '2026-09-21', 1, 'x')",
            (COLLECTION, CENTRAL),
        )
    with pytest.raises(Conflict, match="no statement shows"), db.transaction(county.as_role("worker")) as session:
        db.raw(session).execute(
            "INSERT INTO remittance_event (remittance_id, event, day, channel_account_id, reference, amount_minor,"
            " kept_by) VALUES (1, 'credited', '2026-09-21', 3, 'CB0001', 10000, 'x')"
        )
    # And a payment is in transfers for no more than was paid, and nothing is added to a sent one, whoever writes it
    add = "INSERT INTO remittance_part SELECT 1, id, %s FROM payment WHERE reference = 'UI00000R02'"
    for minor, why in ((500_01, "in another transfer already"), (1, "nothing is added to a transfer that was sent")):
        with pytest.raises(psycopg.Error, match=why):
            county.execute(add, minor)


def test_an_outflow_that_is_no_transfer_is_spending_at_source_until_the_transfer_is_entered(county: Books) -> None:
    today = periods.today()
    body = statement(
        ("", "FT0002", -700, "CASH WITHDRAWAL", today),
        ("", "FT0003", -20, "LEDGER FEE", today),
        opening=1490,
        account=BANK,
    )
    bring(county, body, channel=2)
    spent = "SELECT reason, amount_minor / 100, owner, closed_at IS NULL FROM break_case WHERE key = 'outflow:2:FT0002'"
    assert county.rows(spent) == [("spending_at_source", 700, "finance", True)]
    assert county.rows("SELECT count(*) FROM break_case WHERE key LIKE 'outflow:%'") == [(1,)]
    assert county.judged(ask(700)) is None
    assert county.rows(spent) == [("spending_at_source", 700, "finance", False)]
    assert county.rows("SELECT event, reference FROM remittance_event") == [("debited", "FT0002")]


def test_the_treasurys_receipt_is_of_the_amount_and_kept_by_who_is_signed_in(county: Books) -> None:
    assert county.judged(ask(1200)) is None
    today = periods.today()

    def keep(shillings: int, number: str = "RTGS001") -> None:
        with db.transaction(county.as_role("api")) as session:
            remittances.receipt(session, number, receipt_number="MR 77", day=today, amount_minor=shillings * 100)

    with county.treasurer.acts():
        with pytest.raises(Conflict, match=r"is of 1200\.00, and not of 1200\.01|is of 1200\.00, and not of 1300\.00"):
            keep(1300)
        with pytest.raises(NotFound, match="no transfer RTGS404"):
            keep(1200, "RTGS404")
        keep(1200)
    assert county.rows("SELECT reference, kept_by FROM remittance_event") == [("MR 77", "treasurer")]
    clerk = people.somebody(county.url, "collector", "collector")
    with clerk.acts(), pytest.raises(NotAllowed):
        keep(1200)


def test_the_commands_ask_and_keep_and_the_report_is_written_in_every_format(
    county: Books, database: Database, tmp_path: Path
) -> None:
    here = {"REVENUE_DATABASE_URL": database.url, "REVENUE_REDIS_URL": database.servers.redis_url}
    clerk, treasurer = county.clerk.signed_in(tmp_path), county.treasurer.signed_in(tmp_path)
    said = ("--from", COLLECTION, "--to", CENTRAL, "--reason", "weekly transfer", "--json")
    (public,) = json.loads(run("treasury", "remit", "rtgs001", "1200.00", *said, env=here | clerk))["requests"]
    people.agree(county.as_role("api"), public, who=county.treasurer)
    county.work()
    run("treasury", "receipt", "RTGS001", "MR77", "1200.00", "--date", "today", env=here | treasurer)
    refused = command("treasury", "receipt", "RTGS001", "MR78", "1.00", "--date", "today", env=here | treasurer)
    assert (refused.returncode, "is of 1200.00" in refused.stderr) == (1, True)
    told = json.loads(run("report", "remittances", "--format", "json", env=here))
    assert (told["ties"], told["sections"]["transfers"][0]["receipt"]) == (True, "MR77")
    assert "RTGS001" in run("report", "remittances", "--format", "csv", env=here)
    printed = run("report", "fo30", COLLECTION, "--format", "csv", env=here)
    assert "Balance as per bank certificate" in printed
    assert "RTGS001" in printed
    book = tmp_path / "remittances.xlsx"
    run("report", "remittances", "--format", "xlsx", "--out", str(book), env=here)
    names = CalamineWorkbook.from_path(str(book)).sheet_names
    assert {"Transfers", "Covered", "In no transfer"} <= set(names)


def test_late_money_is_named_at_the_close_and_in_the_report(county: Books) -> None:
    """Friday's money is due on the Friday after, Saturday's too: late from the Saturday on."""
    due = FRIDAY + timedelta(days=7)
    late = "SELECT item, amount_minor / 100 FROM open_items('late_remittance', %s, %s, '0'::xid8, '9999999999'::xid8)"
    assert county.rows(late, due, due) == []
    after = due + timedelta(days=1)
    assert county.rows(late, after, after) == [
        (f"{COLLECTION} paid {FRIDAY}", 1000),
        (f"{COLLECTION} paid {SATURDAY}", 500),
    ]
    assert county.judged(ask(1200)) is None
    found = dict(county.rows(late, after, after))
    assert found == {"transfer RTGS001": 1200, f"{COLLECTION} paid {SATURDAY}": 300}

    with db.transaction(county.as_role("report")) as session:
        report = reporting.remittances(session, periods.today())
    assert report.ties
    transfers, covered, waiting = report.sections
    assert [row[0] for row in transfers.rows] == ["RTGS001"]
    days_late = (periods.today() - due).days
    assert [(row[1], row[3], row[4], row[5]) for row in covered.rows] == [
        (FRIDAY, 1000_00, due, days_late),
        (SATURDAY, 200_00, due, days_late),
    ]
    assert [(row[1], row[3]) for row in waiting.rows] == [(SATURDAY, 300_00)]


def test_two_forms_of_one_account_carry_items_forward_and_clear_them(county: Books) -> None:
    """Bank 1,490: 100 and 200 sent and not shown, 700 gone and not known. The next day the 200 are shown."""
    first, second = periods.today() - timedelta(days=1), periods.today()
    for shillings, number in ((100, "RTGS001"), (200, "CHQ0002")):
        assert county.judged(ask(shillings, number)) is None
    bring(county, statement(("", "FT0002", -700, "CASH WITHDRAWAL", first), opening=1490, account=BANK), channel=2)

    def form(day: date) -> tuple[dict[str, int], list[list[tuple[str, int | None, int | None]]]]:
        with db.transaction(county.as_role("report")) as session:
            report = fo30.fo30(session, COLLECTION, day)
        assert report.ties
        head, *details, signed = report.sections
        assert len(signed.rows) == 3
        assert [section.note for section in details] == [
            "" if section.rows else "No unreconciled data" for section in details
        ]
        return {str(row[0]): row[2] // 100 for row in head.rows}, [
            [(row[2], row[5], row[6]) for row in section.rows] for section in details
        ]

    head, details = form(first)  # the transfers are of today: yesterday's cash book has none of them
    assert (head["Balance as per bank certificate"], head["Bank Balance as per Cash Book"]) == (790, 1490)
    assert details == [[], [], [("FT0002", None, 700_00)], []]

    bring(county, statement(("", "FT0004", -200, "CHQ0002", second), opening=790, account=BANK), channel=2)
    head, details = form(second)
    assert (head["Balance as per bank certificate"], head["Bank Balance as per Cash Book"]) == (590, 1190)
    assert details == [[("RTGS001", None, 100_00)], [], [("FT0002", None, 700_00)], []]
    with pytest.raises(NotFound, match="no bank account"), db.transaction(county.as_role("report")) as session:
        fo30.fo30(session, "1100.none-1", second)


# --- the clocks, which are pure ---------------------------------------------------------------------------------------

DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 1))


@given(DAYS, st.integers(0, 40), st.frozensets(DAYS, max_size=30), st.integers(1, 10**9))
def test_the_clock_is_late_by_the_days_after_five_working_days(
    paid: date, held_days: int, holidays: frozenset[date], minor: int
) -> None:
    credited = paid + timedelta(days=held_days)
    told = banking(Held(minor, paid, credited_on=credited), on=date(2027, 6, 1), holidays=holidays)
    working = [d for n in range(1, 200) if (d := paid + timedelta(days=n)).weekday() < 5 and d not in holidays]
    assert told.due_on == working[4]
    assert told.late_days == max((credited - working[4]).days, 0)
    assert (told.shilling_days_minor, told.runs) == (told.late_days * minor, False)
    # later days than the payer's never move the clock: the strictest counts
    stricter = Held(minor, paid, paid + timedelta(days=3), paid + timedelta(days=5), credited)
    assert banking(stricter, on=date(2027, 6, 1), holidays=holidays) == told


def test_a_holiday_gazetted_late_changes_exactly_the_verdicts_that_it_touches() -> None:
    easter = frozenset({date(2026, 4, 3), date(2026, 4, 6)})
    held = {
        "before": Held(100, date(2026, 3, 20), credited_on=date(2026, 3, 28)),
        "over": Held(100, date(2026, 4, 1), credited_on=date(2026, 4, 13)),
    }
    found = clocks.changed(held, on=date(2026, 5, 1), before=easter, after=easter | {date(2026, 4, 8)})
    assert {key: (old.late_days, new.late_days) for key, (old, new) in found.items()} == {"over": (3, 0)}
    assert add_working_days(date(2026, 4, 1), 5, easter) == date(2026, 4, 10)


def test_the_treasurys_own_clock_begins_at_the_credit() -> None:
    assert receipting(None, None, on=MONDAY, holidays=()) is None
    assert receipting(FRIDAY, None, on=MONDAY, holidays=()) == 1
    assert receipting(FRIDAY, MONDAY, on=MONDAY + timedelta(days=9), holidays=()) == 1
    assert datetime(2026, 9, 18, tzinfo=NAIROBI).date() == FRIDAY
