"""What the database itself refuses, whoever asks: a source counted twice, above itself, on another day or unjudged."""

from __future__ import annotations

import contextlib
from datetime import date

import pytest

from revenue_engine.db import transaction
from revenue_engine.errors import IntegrityFault, InvalidValue, Rejected
from revenue_engine.ledger.journal import Posting
from revenue_engine.secondary_ledgers import books, deriving, rules
from tests.secondary_ledgers.shelf import Shelf, nothing, share
from tests.secondary_ledgers.test_proof import refused
from tests.support import closing
from tests.support.books import CLEARING, DAY

ENTRY = (
    "INSERT INTO derived_entry (book_code, journal_id, seq, turn, origin_journal_id, origin_seq, version_id, remap_id,"
    " book_date, sign, source_minor, thirtieth) SELECT book_code, journal_id, seq, {turn}, journal_id, seq, version_id,"
    " {remap}, {day}, {sign}, {minor}, thirtieth FROM derived_entry WHERE turn = 0 LIMIT 1"
)


def entry(turn: str = "0", remap: str = "NULL", day: str = "book_date", sign: str = "1", minor: str = "10000") -> str:
    return ENTRY.format(turn=turn, remap=remap, day=day, sign=sign, minor=minor)


@pytest.fixture
def one(shelf: Shelf) -> Shelf:
    """A book with one receipt of 100 shillings of which it has 2.5 %."""
    shelf.open("ict", share("levy", "SBP", 250), nothing())
    shelf.receipt(10_000, payment=1)
    shelf.derive()
    return shelf


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (entry(), "duplicate key value"),
        (entry(turn="1"), "ck_derived_entry_receipt"),
        (entry(turn="2", remap="1"), "counted beyond its amount"),
        (entry(turn="3", sign="-1"), "no posting 0 of journal"),
        (entry(turn="2", remap="1", sign="-1", minor="10001"), "counted beyond its amount"),
        (
            (
                "INSERT INTO derived_line SELECT book_code, journal_id, seq, turn, 9, book_date, '11', '41', 1, 'claim'"
                " FROM derived_entry"
            ),
            "of no entry of this run",
        ),
        ("UPDATE derived_line SET amount_minor = 1", "permission denied"),
        ("DELETE FROM derived_entry", "permission denied"),
        (
            (
                "INSERT INTO book_run (book_code, after, horizon, entries, lines, source_digest, book_digest)"
                " VALUES ('ict', '0', '0', 0, 0, '', '')"
            ),
            "was derived up to",
        ),
        (
            (
                "INSERT INTO book_run (book_code, after, horizon, entries, lines, source_digest, book_digest)"
                " SELECT 'ict', book_horizon('ict'), '9223372036854775807', 0, 0, '', ''"
            ),
            "still in flight",
        ),
        (
            (
                "INSERT INTO book_run (book_code, after, horizon, entries, lines, source_digest, book_digest)"
                " SELECT 'ict', book_horizon('ict'), book_horizon('ict'), 0, 0, '1', '2'"
            ),
            "ck_book_run_agree",
        ),
        ("INSERT INTO book_closed_day SELECT 'ict', '2026-09-15', 1", "is open in the revenue ledger"),
        (
            (
                "INSERT INTO book (code, name, directorate, currency, calendar, basis, owner, approval_id)"
                " VALUES ('mine', 'x', 'x', 'KES', 'financial_year', 'cash', 'x', 1)"
            ),
            "another person agreed",
        ),
        (
            (
                "INSERT INTO book_rule_version (book_code, rule_code, number, kind, event, basis_of_law,"
                " effective_from, from_horizon, approval_id) VALUES"
                " ('ict', 'mine', 1, 'nothing', 'receipt', '-', '2026-01-01', '0', 1)"
            ),
            "another person agreed",
        ),
        (
            (
                "INSERT INTO book_rule_leg SELECT version_id, 2, book_code, debit, credit, parts, flat_minor,"
                " fund_class FROM book_rule_leg"
            ),
            "not what two persons agreed to",
        ),
        (
            (
                "INSERT INTO book_remap (book_code, number, rule_code, first_day, last_day, book_date, horizon, newest,"
                " reason, approval_id) VALUES"
                " ('ict', 1, 'levy', '2026-01-01', '2026-12-31', '2026-09-15', '0', 1, 'x', 1)"
            ),
            "another person agreed",
        ),
        (
            (
                "INSERT INTO fund_fact (book_code, kind, fund_class, amount_minor, book_date, debit, credit,"
                " reference, reason, approval_id) VALUES"
                " ('ict', 'expense', 'earmarked', 1, '2026-09-15', '51', '12', 'x', 'x', 1)"
            ),
            "another person agreed",
        ),
    ],
)
def test_a_worker_alone_is_refused(one: Shelf, statement: str, said: str) -> None:
    assert said in refused(one, statement)


def test_a_day_of_a_book_closes_after_its_source_day_and_takes_nothing_then(one: Shelf) -> None:
    # Given a day that closes in the ledger while a book has not read on
    closing.close(one, DAY)
    assert one.rows("SELECT count(*) FROM book_closed_day") == [(0,)]
    # When the book reads on
    done = one.derive()
    # Then the same days close in the book, in the same run
    assert done.closed[-1] == DAY
    assert one.rows("SELECT max(book_date) FROM book_closed_day") == [(DAY,)]
    # And a late receipt of that day is booked to the open day, in both
    one.receipt(10_000, payment=2, day=DAY)
    one.derive()
    assert [day for day, *_ in one.lines()] == [DAY, date(2026, 9, 16)]
    # And no rule begins on a closed day, and no remap touches one
    why = one.judged(lambda session: rules.ask(session, "ict", share("levy", "SBP", 1000), reason="too late")[0])
    assert "is closed" in str(why)
    one.rule(share("levy", "SBP", 1000, start=date(2026, 9, 16)))
    assert one.remap("levy", first=date(2026, 9, 16), last=date(2026, 9, 16)) is None
    assert [(day, minor) for day, _, _, minor, _ in one.lines()][2:] == [
        (date(2026, 9, 16), 250),
        (date(2026, 9, 16), 1000),
    ]
    assert one.prove().holds


def test_a_taking_back_of_what_never_came_refuses_the_derive(one: Shelf) -> None:
    one.back(500, payment=9)
    with pytest.raises(IntegrityFault, match=r"takes back KES 5\.00, and 0\.00 came in"):
        one.derive()


def test_a_crash_in_a_derive_leaves_nothing(one: Shelf) -> None:
    one.receipt(20_000, payment=2)
    one.settle()
    before = one.lines()
    with contextlib.suppress(RuntimeError), transaction(one.as_role("worker")) as session:
        assert deriving.derive(session, "ict").entries == 1
        raise RuntimeError("the machine stopped")
    assert one.lines() == before
    assert one.derive().entries == 1
    assert one.prove().holds


def test_two_writers_that_commit_out_of_order_are_both_counted_once(one: Shelf) -> None:
    from revenue_engine import ledger
    from revenue_engine.ledger.journal import Journal
    from tests.support.books import NOON

    one.settle()
    with transaction(one.engine) as slow:
        ledger.post(
            slow, Journal("test", NOON, (Posting(CLEARING, "1300.SBP", 100_00, stream_code="SBP"),)), key="slow"
        )
        # Given a later journal that is committed while an earlier one is not
        one.receipt(100_00)
        ((horizon,),) = one.rows("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        # When the book is derived, then neither is counted
        assert one.derive(upto=horizon).entries == 0
    # When both are committed, then both are
    assert one.derive().entries == 2
    assert one.prove().holds


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"legs": [{"debit": "11", "credit": "41", "share": 10_001, "fund_class": "claim"}]}, "parts of 10000"),
        (
            {"legs": [{"debit": "11", "credit": "41", "share": 6000, "fund_class": "claim"}] * 2},
            "pass 100 %",
        ),
        ({"kind": "split"}, "make 10000, and these make 250"),
        ({"kind": "prefix"}, "make 10000"),
        ({"legs": []}, "at least one leg"),
        ({"legs": [{"debit": "11", "credit": "99", "share": 250, "fund_class": "claim"}]}, "no account '99'"),
        ({"legs": [{"debit": "11", "credit": "41", "share": 250, "fund_class": "mine"}]}, "fund class"),
        ({"legs": [{"debit": "11", "credit": "41", "flat": "1.00", "fund_class": "claim"}]}, "share alone"),
        ({"event": "billed"}, "counts cash"),
        ({"prefix": "AGR"}, "has no prefix"),
        ({"effective_from": "July"}, "a day such as"),
        ({"colour": "red"}, "no field colour"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_its_field(one: Shelf, change: dict[str, object], said: str) -> None:
    with one.clerk.acts(), transaction(one.as_role("api")) as session, pytest.raises(InvalidValue, match=said):
        rules.ask(session, "ict", share("levy", "SBP", 250) | change, reason="to see")


def test_the_preview_is_part_of_what_is_agreed_to_and_cannot_be_invented(one: Shelf) -> None:
    from datetime import timedelta

    from revenue_engine import periods
    from revenue_engine.access import approvals

    one.receipt(12_345, payment=5, day=periods.today() - timedelta(days=2))
    one.settle()
    with one.clerk.acts(), transaction(one.as_role("api")) as session:
        _, shown = rules.ask(session, "ict", share("levy", "SBP", 1000), reason="as discussed")
        assert (shown["postings"], shown["matched_minor"]) == (1, 12_345)
        assert shown["then"] == [{"debit": "11", "credit": "41", "minor": 1235}]
        payload = rules.read(session, "ict", share("levy", "SBP", 1000))
        payload["preview"] = shown | {"source_minor": 1}
    with (
        one.clerk.acts(),
        pytest.raises(Rejected, match="not of the postings"),
        transaction(one.as_role("api")) as session,
    ):
        approvals.ask(session, rules.KIND, subject="rule", payload=payload, reason="a nicer preview")


def test_a_chart_has_no_suspense_account(one: Shelf) -> None:
    told = {
        "code": "x2",
        "name": "x",
        "directorate": "x",
        "currency": "KES",
        "calendar": "financial_year",
        "basis": "cash",
        "owner": "x",
        "accounts": [{"code": "1", "name": "Suspense", "type": "asset"}],
    }
    with one.clerk.acts(), transaction(one.as_role("api")) as session, pytest.raises(InvalidValue, match="no suspense"):
        books.ask(session, told, reason="to see")
