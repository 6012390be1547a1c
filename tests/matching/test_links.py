"""Words that mean a payer: learnt, agreed to by a person, used, undone with what taught them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciliation.runs import payer_links
from revenue_engine.db import transaction
from tests.conftest import Database
from tests.matching.test_runs import by_hand, payer, proves, run, take_back
from tests.support.books import Books

SAID = "Ziwa Traders shop rent"


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    kept = Books(testland.url)
    yield kept
    kept.close()


def listed(books: Books) -> list[tuple[str, str]]:
    with transaction(books.as_role("api")) as session:
        return [(one.state, one.words) for one in payer_links.listed(session)]


def answer(books: Books, *, agreed: bool) -> None:
    """Two persons say yes; one says no."""
    with transaction(books.as_role("api")) as session:
        public = payer_links.listed(session)[0].public_id
    if agreed:
        assert books.judged(lambda session: payer_links.ask(session, public, reason="known to us")) is None
    else:
        with books.clerk.acts(), transaction(books.as_role("api")) as session:
            payer_links.refuse(session, public)


def taught(books: Books) -> tuple[int, str]:
    """A payer whose words two persons set against a bill, and a run that proposes the link."""
    owner = payer(books, "Ziwa Traders Limited", "0700 000 303")
    bill = books.bill(500, payer=owner)
    paid = books.pay(500, f"{SAID} JAN 2026")
    by_hand(books, paid, bill.pay_account_number)
    assert run(books).links_proposed == 1
    return owner, paid


def test_words_that_two_persons_placed_are_proposed_and_then_find_the_next_bill(books: Books) -> None:
    owner, _ = taught(books)
    assert listed(books) == [("waiting", f"{SAID} JAN 2026")]
    bill = books.bill(800, payer=owner)
    books.pay(800, f"{SAID} FEB 2026")
    assert run(books).matched == []  # nobody has agreed yet
    with pytest.raises(Exception, match="another person agreed"):  # also who holds the database is told
        books.execute("INSERT INTO payer_link_answer (link_id, agreed, answered_by) VALUES (1, true, 'me')")
    answer(books, agreed=True)
    done = run(books)
    assert [one.parts[0].number for one in done.matched] == [bill.pay_account_number]
    assert "by link lnk_" in done.matched[0].parts[0].why
    assert (books.left(bill), listed(books)[0][0]) == (0, "in use")
    assert proves(books)


def test_a_link_is_undone_with_the_match_that_taught_it(books: Books) -> None:
    owner, paid = taught(books)
    answer(books, agreed=True)
    take_back(books, paid)
    assert [state for state, _ in listed(books)] == ["undone"]
    books.bill(800, payer=owner)
    books.pay(800, f"{SAID} FEB 2026")
    assert run(books).matched == []


def test_a_no_stands_for_ever(books: Books) -> None:
    owner, _ = taught(books)
    answer(books, agreed=False)
    more = books.bill(650, payer=owner)
    by_hand(books, books.pay(650, f"{SAID} MAR 2026"), more.pay_account_number)
    assert run(books).links_proposed == 0
    assert [state for state, _ in listed(books)] == ["refused"]


def test_words_of_two_payers_mean_nobody(books: Books) -> None:
    for name in ("Ziwa Traders Limited", "Ziwa Traders Busia"):
        bill = books.bill(500, payer=payer(books, name, None))
        by_hand(books, books.pay(500, f"{SAID} JAN"), bill.pay_account_number)
    assert run(books).links_proposed == 0


def test_words_beside_exact_numbers_are_proposed_when_they_come_again(books: Books) -> None:
    owner = payer(books, "Ziwa Traders Limited", "0700 000 303")
    for times in (0, 1):
        bill = books.bill(500, payer=owner)
        books.pay(500, f"{SAID} {bill.pay_account_number}")
        assert books.left(bill) == 0
        assert run(books).links_proposed == times


def test_no_words_are_kept_but_their_hash(books: Books) -> None:
    taught(books)
    ((row,),) = books.rows("SELECT to_jsonb(l)::text FROM payer_link l")
    assert "ziwa" not in row.lower()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("EFT 0012 ZIWA TRADERS JAN", "EFT/8893/Ziwa Traders - March 2026", True),
        ("ZIWA TRADERS", "ZIWA MERCHANTS", False),
        ("TRADERS ZIWA", "ZIWA TRADERS", False),
    ],
)
def test_what_words_boil_down_to(one: str, other: str, same: bool) -> None:
    assert (payer_links.words_digest(one) == payer_links.words_digest(other)) is same
    assert payer_links.words_digest("rent") is None
