"""What must hold before a day is closed: named item by item with the verb that mends, and carried where it may be."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from reconciliation import breaks
from reconciliation.days import closing as days
from revenue_engine import db, periods
from revenue_engine.errors import Conflict
from tests.flows.test_statement_doubles import Move, of
from tests.flows.test_statements import BANK, bring
from tests.support import closing
from tests.support.books import DAY, SHORTCODE, Books, confirmation

NEXT = DAY + timedelta(days=1)


def show(books: Books, day: date = DAY) -> days.Sheet:
    with db.transaction(books.as_role("report")) as session:
        return days.show(session, days.day(day))


def hard(sheet: days.Sheet) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for control, item in sheet.open_items("hard"):
        found.setdefault(control["code"], []).append(item["item"])
    return found


def stated(books: Books, *moves: Move, opening: int = 0) -> None:
    """The provider's statement of some days, brought by one and agreed to by another."""
    bring(books, of(SHORTCODE, *moves, opening=opening))


def whole_day(books: Books) -> None:
    """A day on which everything is in: a bill paid, and the provider's statement of the payment."""
    bill = books.bill(800)
    books.pay(800, bill.pay_account_number, reference="UIDAY00001")
    stated(books, Move("UIDAY00001", 800, kind="payment", typed=bill.pay_account_number))


def test_a_whole_day_has_no_open_control_and_closes(books: Books) -> None:
    whole_day(books)
    sheet = show(books)
    assert (sheet.stands, hard(sheet), sheet.open_items("evidence")) == ("open", {}, [])
    (made,) = closing.close(books, DAY, controls=True)
    assert {control["code"] for control in made.body["sheet"]["controls"] if control["kind"] == "hard"} == {
        *("trial_balance", "receivable", "clearing", "suspense", "unapplied", "placed", "deliveries"),
        *("provider_statement", "papers", "breaks_owned", "bank_book", "unreviewed"),
    }
    assert made.body["sheet"]["figures"]["received"] == "80000"
    assert show(books).stands == "closed"


def test_a_day_without_the_providers_statement_is_refused_and_stays_open(books: Books) -> None:
    books.pay(800, books.bill(800).pay_account_number)
    with pytest.raises(Conflict, match="no statement of the whole day is in and agreed") as refused:
        closing.prepare(books, DAY)
    (told,) = json.loads(refused.value.as_dict()["open"])
    assert (told["control"], told["item"], told["day"]) == (
        "provider_statement",
        f"channel account mpesa {SHORTCODE}",
        str(DAY),
    )
    assert told["verb"].startswith("statement import")
    # And nothing is shut
    books.pay(10, "X")
    assert books.rows("SELECT max(book_date) FROM journal") == [(DAY,)]
    assert books.rows("SELECT count(*) FROM close_preparation") == [(0,)]


def test_a_delivery_that_nobody_worked_on_holds_the_day(books: Books) -> None:
    whole_day(books)
    (waiting,) = books.deliver(confirmation(100, "X"), received_at=datetime(2026, 9, 15, 20, 0, tzinfo=periods.NAIROBI))
    books.execute(
        "ALTER TABLE delivery DISABLE TRIGGER ALL; UPDATE delivery SET received_on = '2026-09-15';"
        "ALTER TABLE delivery ENABLE TRIGGER ALL"
    )
    assert hard(show(books)) == {"deliveries": [f"delivery {waiting}"]}
    books.work()
    assert "deliveries" not in hard(show(books))


def test_a_delivery_whose_work_is_lost_holds_the_day(books: Books) -> None:
    whole_day(books)
    (lost,) = books.deliver(confirmation(100, "X"))
    books.execute(
        "DELETE FROM job; ALTER TABLE delivery DISABLE TRIGGER ALL;"
        " UPDATE delivery SET received_on = '2026-09-15'; ALTER TABLE delivery ENABLE TRIGGER ALL"
    )
    assert hard(show(books)) == {"deliveries": [f"delivery {lost}"]}


def test_a_statement_that_was_drawn_at_noon_does_not_state_the_day(books: Books) -> None:
    whole_day(books)
    drawn = "ALTER TABLE statement DISABLE TRIGGER ALL; UPDATE statement SET recorded_at = '2026-09-15 {} +03';"
    books.execute(drawn.format("23:59:59") + "ALTER TABLE statement ENABLE TRIGGER ALL")
    assert hard(show(books)) == {"provider_statement": [f"channel account mpesa {SHORTCODE}"]}
    # A statement that goes on into the next day was drawn after this one
    stated(books, Move("UIDAY00002", 5, day=16, kind="payment", typed="X"), opening=800)
    assert "provider_statement" in hard(show(books))
    stated(books, Move("UIDAY00001", 800, kind="payment"), Move("UIDAY00002", 5, day=16, kind="payment", typed="X"))
    assert "provider_statement" not in hard(show(books))


def test_what_is_far_from_the_median_of_the_same_weekday_is_noted(books: Books) -> None:
    closing.without_controls(books)
    for week in range(5):
        day = DAY + timedelta(days=7 * week)
        at = datetime(day.year, day.month, day.day, 9, 0, tzinfo=periods.NAIROBI)
        books.pay(200_000 if week == 4 else 1000, "X", at=at)
        (made,) = closing.close(books, day)
        assert bool(made.body["sheet"]["notes"]) == (week == 4)
    (note,) = made.body["sheet"]["notes"]
    assert (note["received"], note["median"]) == ("20000000", "100000")


def test_a_large_unreconciled_item_is_given_to_a_person_first(books: Books) -> None:
    whole_day(books)
    limit = 250_000
    books.pay(limit, "NOBODY", reference="UILARGE001")
    books.pay(limit - 1, "NOBODY", reference="UISMALL001")
    stated(
        books,
        Move("UILARGE001", limit, kind="payment", typed="NOBODY"),
        Move("UISMALL001", limit - 1, kind="payment", typed="NOBODY"),
        opening=800,
    )
    ((public,),) = books.rows(
        "SELECT public_id FROM break_case WHERE key LIKE 'suspense:%%' AND amount_minor = %s", limit * 100
    )
    assert hard(show(books))["breaks_owned"] == [f"break {public}"]
    with db.transaction(books.as_role("api")) as session:
        breaks.assign(session, public, owner="jane", by="clerk")
    assert hard(show(books)) == {}


def test_a_large_payout_on_its_way_to_the_bank_is_a_reservation_and_given_to_nobody(books: Books) -> None:
    books.bank_channel(BANK)
    whole_day(books)
    stated(books, Move("UIOUT00001", -300_000, kind="payout"), opening=800)
    sheet = show(books)
    assert hard(sheet) == {}
    assert [control["code"] for control, _ in sheet.open_items("evidence")] == ["payout_not_banked"]


TAMPERS: dict[str, tuple[str, str]] = {
    "trial_balance": ("DELETE FROM posting WHERE debit = '1200.mpesa-600100'", "journal"),
    "receivable": ("UPDATE open_bill SET principal_minor = principal_minor + 1", "account 1300"),
    "clearing": ("UPDATE payment SET amount_minor = amount_minor + 1", "account 1200"),
    "suspense": ("UPDATE break_case SET amount_minor = 1 WHERE key LIKE 'suspense:%'", "payment UISUSP"),
    "unapplied": (
        "UPDATE posting SET debit = '2100' WHERE debit = '1200.mpesa-600100' AND credit = '2200'",
        "payment",
    ),
    "placed": ("UPDATE application SET amount_minor = amount_minor - 1", "payment UIDAY"),
    "papers": ("DELETE FROM receipt WHERE kind = 'receipt'", "series receipt"),
}


@pytest.mark.parametrize("control", TAMPERS)
def test_each_tie_names_what_does_not_tie(books: Books, control: str) -> None:
    whole_day(books)
    books.pay(300, "NOBODY", reference="UISUSP0001")
    assert control not in hard(show(books))
    statement, named = TAMPERS[control]
    table = statement.split()[2 if statement.startswith("DELETE") else 1]
    books.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL; {statement}; ALTER TABLE {table} ENABLE TRIGGER ALL")
    assert any(item.startswith(named) for item in hard(show(books))[control])


def reservations(made: Any) -> tuple[list[str], list[str]]:
    sheet = made.body["sheet"]
    return [one["item"] for one in sheet["reservations"]], [one["item"] for one in sheet["cleared"]]


def test_a_bank_statement_that_is_not_in_is_carried_until_a_later_certificate_clears_it(books: Books) -> None:
    books.bank_channel(BANK)
    books.execute(
        "ALTER TABLE bank_account DISABLE TRIGGER ALL; UPDATE bank_account SET opened_at = '2026-09-15';"
        "ALTER TABLE bank_account ENABLE TRIGGER ALL"
    )
    whole_day(books)
    account = "1100.bank-1100200300"
    first, second = closing.close(books, DAY, NEXT, controls=True)
    assert reservations(first) == ([f"{account} {DAY}"], [])
    assert reservations(second) == ([f"{account} {DAY}", f"{account} {NEXT}"], [])
    (carried, _) = second.body["sheet"]["reservations"]
    assert (carried["since"], carried["owner"]) == (str(DAY), "treasury")
    # When the statement of the first day comes
    bring(books, of(BANK, Move("FT1", 90, said="JOHN W"), opening=0), channel=2)
    # Then the next certificate clears it, and the sealed ones stay as they were
    (third,) = closing.close(books, NEXT + timedelta(days=1), controls=True)
    assert reservations(third)[1] == [f"{account} {DAY}"]
    assert f"{account} {NEXT}" in reservations(third)[0]
    assert reservations(first) == ([f"{account} {DAY}"], [])


def test_evidence_that_comes_between_the_two_signatures_does_not_change_what_was_shown(books: Books) -> None:
    books.bank_channel(BANK)
    whole_day(books)
    sheet = closing.prepare(books, DAY)
    bring(books, of(BANK, Move("FT1", 90, said="JOHN W"), opening=0), channel=2)
    made = closing.approve(books, sheet)
    assert made.body["shown_sha256"] == sheet.sha256
