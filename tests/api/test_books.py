"""The books of the directorates over the API: what stands, and what a figure is made of down to the delivery."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from revenue_engine import db
from revenue_engine.api import application
from tests.api.conftest import Desk
from tests.conftest import Database
from tests.secondary_ledgers.shelf import Shelf, nothing, share


@pytest.fixture
def shelf(database: Database) -> Iterator[Shelf]:
    made = Shelf(database.url)
    yield made
    made.close()


@pytest.fixture
def desk(database: Database, shelf: Shelf) -> Iterator[Desk]:
    """The application on a book that takes a tenth of permits, with one payment counted."""
    shelf.open("ict", share("levy", "SBP", 1000), nothing())
    bill = shelf.bill(1000, payer=shelf.payer())
    shelf.pay(1000, bill.pay_account_number, reference="UIBOOK0001")
    shelf.derive()
    engine = db.make_engine(database.role_url("api"), pool_size=4)
    app = application.make(engine)
    with TestClient(app, base_url="https://revenue.example", raise_server_exceptions=False) as client:
        yield Desk(shelf, app, client)
    engine.dispose()


def asked(desk: Desk, address: str, *, code: int = 200, role: str = "auditor") -> Any:
    answered = desk.client.get(f"/api/v1{address}", headers=desk.headers(role))
    assert answered.status_code == code, answered.text
    return answered.json()


def test_a_book_and_the_way_of_one_figure_back_to_the_callback(desk: Desk) -> None:
    (one,) = asked(desk, "/books")["data"]
    assert (one["book"], one["owner"]) == ("ict", "the ICT officer")
    told = asked(desk, "/books/ict")
    balances = {row["account"]: row["balance"] for row in told["balances"]}
    assert (balances["11"], balances["41"]) == ("100.00", "-100.00")
    assert [row["rule"] for row in told["rules"]] == ["charges", "levy", "others"]
    assert "claim" in {row["fund_class"] for row in told["funds"]}
    figure = asked(desk, "/books/ict/figure?account=11")
    (row,) = figure["data"]
    assert (figure["whole"], row["amount"], row["source"], row["rule"]) == (True, "100.00", "1000.00", "levy")
    ((delivery,),) = desk.books.rows("SELECT max(delivery_id) FROM evidence WHERE reference = 'UIBOOK0001'")
    assert (row["reference"], row["delivery"]) == ("UIBOOK0001", delivery)
    # And up to a day before, nothing stands
    before = date.fromisoformat(row["day"]) - timedelta(days=1)
    assert asked(desk, f"/books/ict/figure?account=11&last={before}")["data"] == []
    assert {row["balance"] for row in asked(desk, f"/books/ict?upto={before}")["balances"]} <= {"0.00"}


def test_a_figure_with_more_rows_than_are_told_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from revenue_engine.secondary_ledgers import books

    monkeypatch.setattr(books, "TRACED", 0)
    assert asked(desk, "/books/ict/figure?account=11")["whole"] is False


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("/books/nothing", 404, "not_found"),
        ("/books/nothing/figure?account=11", 404, "not_found"),
        ("/books/ict/figure?account=999", 404, "not_found"),
        ("/books/ict/figure", 422, "invalid_value"),
        ("/books/ict/figure?account=11&first=2026-09-02&last=2026-09-01", 422, "invalid_value"),
    ],
)
def test_what_makes_no_sense_is_refused(desk: Desk, address: str, code: int, said: str) -> None:
    assert asked(desk, address, code=code)["code"] == said


def test_registers_answer_where_nothing_is_kept_and_a_person_of_a_place_reads_as_of_reports(desk: Desk) -> None:
    assert asked(desk, "/agreements?expiring=true")["data"] == asked(desk, "/literacy?year=2026")["data"] == []
    headers = desk.headers("clerk", sub_county="Samia")
    report = desk.client.get("/api/v1/reports/daily", headers=headers).status_code
    found = {
        desk.client.get(f"/api/v1{one}", headers=headers).status_code
        for one in ("/books", "/books/ict/figure?account=11")
    }
    assert found == {report} == {403}
