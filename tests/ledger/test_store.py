"""Posting once, reversing once, and what is refused: on a real database, by several hands at a time."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from revenue_engine import ledger
from revenue_engine.db import transaction
from revenue_engine.errors import Conflict, InvalidValue, NotFound, Retryable
from revenue_engine.ledger.journal import Journal, Posting
from tests.support.accountant import (
    ACCOUNTS,
    NOON,
    journal,
    lines,
    post,
    postings_of,
    stored,
    sums,
    trial,
    undo,
)
from tests.support.books import Books

SALE = ("DR 1300.SBP CR 4000.SBP.principal 3000.00", "DR 1300.SBP CR 4000.SBP.arrears 500.00")


def together(count: int, work: Any) -> list[Any]:
    """Run ``work(number)`` in so many threads that start at one moment; what each answered or raised."""
    start = threading.Barrier(count)
    answers: list[Any] = [None] * count

    def one(number: int) -> None:
        start.wait()
        try:
            answers[number] = work(number)
        except Exception as error:  # noqa: BLE001 - the answer is looked at by the test
            answers[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements sent while this is open, COPY included."""
    sent: list[str] = []
    execute, copy = psycopg.Cursor.execute, psycopg.Cursor.copy

    def counting_execute(self: Any, query: Any, *more: Any, **named: Any) -> Any:
        sent.append(str(query))
        return execute(self, query, *more, **named)

    def counting_copy(self: Any, statement: Any, *more: Any, **named: Any) -> Any:
        sent.append(str(statement))
        return copy(self, statement, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", counting_execute)
        patch.setattr(psycopg.Cursor, "copy", counting_copy)
        yield sent


# --- once ------------------------------------------------------------------------------------------------------------


def test_the_same_journal_posted_twice_stands_once(books: Books) -> None:
    # Given a posted journal
    first = post(books, "sale", *SALE)
    # When the very same is posted again, its instant told in another zone
    with transaction(books.engine) as session:
        second = ledger.post(session, journal(*SALE, at=NOON.astimezone(UTC)), key="sale")
    # Then the answer is the journal that stands, and the books hold it once
    assert first.new
    assert not second.new
    assert (second.id, second.book_date) == (first.id, first.book_date)
    assert lines(stored(books, "sale").postings) == list(SALE)
    assert trial(books)["1300.SBP"] == (350_000, 0)


WRONG_FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("kind", {"kind": "other"}),
    ("occurred_at", {"occurred_at": NOON + timedelta(microseconds=1)}),
    ("reason", {"reason": "another"}),
    ("reverses_id", {"reverses_id": 1}),
]
WRONG_COLUMNS: list[tuple[str, Any]] = [
    ("debit", "1300.RENT"),
    ("credit", "2200"),
    ("amount_minor", 300_001),
    ("stream_code", "RENT"),
    ("station_code", "MALABA"),
    ("channel_account_id", 2),
    ("payer_id", 6),
    ("invoice_id", 72),
    ("payment_id", 10),
]


def about() -> Journal:
    return journal(
        *SALE,
        reason="because",
        stream_code="SBP",
        station_code="TANAKA",
        channel_account_id=1,
        payer_id=5,
        invoice_id=71,
        payment_id=9,
    )


def test_the_same_key_with_other_content_is_a_conflict_that_names_the_field(books: Books) -> None:
    # Given a journal, and others that differ from it in one thing each
    standing = about()
    with transaction(books.engine) as session:
        ledger.post(session, standing, key="sale")
    others = [(field, replace(standing, **change)) for field, change in WRONG_FIELDS]
    for seq in (0, 1):
        for column, value in WRONG_COLUMNS:
            changed = list(standing.postings)
            changed[seq] = changed[seq]._replace(**{column: value})
            others.append((f"postings[{seq}].{column}", replace(standing, postings=tuple(changed))))
    others.append(("number of postings", replace(standing, postings=standing.postings[:1])))
    others.append(("postings[0].credit", replace(standing, postings=standing.postings[::-1])))
    # When one of those is posted under the same key
    for field, other in others:
        with pytest.raises(Conflict) as refused, transaction(books.engine) as session:
            ledger.post(session, other, key="sale")
        # Then it is refused and the field that differs is named
        assert (refused.value.facts["key"], refused.value.facts["field"]) == ("sale", field)
    assert lines(stored(books, "sale").postings) == list(SALE)


def test_eight_hands_posting_one_key_post_it_once(books: Books) -> None:
    # When eight transactions post the same fact at one moment, and ask again when told to
    def one(number: int, tries: int = 20) -> ledger.Posted:
        try:
            return post(books, "sale", *SALE)
        except Retryable:
            if not tries:
                raise
            return one(number, tries - 1)

    answers = together(8, one)
    # Then one of them wrote it and all have the same journal
    assert sorted(answer.new for answer in answers) == [False] * 7 + [True]
    assert len({answer.id for answer in answers}) == 1
    assert trial(books)["1300.SBP"] == (350_000, 0)


# --- batches ---------------------------------------------------------------------------------------------------------


def batch(count: int, prefix: str) -> list[tuple[str, Journal]]:
    return [(f"{prefix}:{number}", journal(*SALE, payer_id=number)) for number in range(count)]


def test_a_batch_takes_the_same_statements_whatever_its_size(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given batches of 10 and of 1,000, new, half standing, and all standing
    def statements(count: int, prefix: str, *, standing: int) -> list[str]:
        with transaction(books.engine) as session:
            ledger.post_many(session, batch(count, prefix)[:standing])
        with transaction(books.engine) as session, counted(monkeypatch) as sent:
            ledger.post_many(session, batch(count, prefix))
        return sent

    statements(1, "the first connection asks more", standing=0)
    # Then each kind of batch takes as many statements small as large
    for name, part in (("new", 0), ("half", 2), ("all", 1)):
        small = statements(10, f"{name}-small", standing=10 // part if part else 0)
        large = statements(1_000, f"{name}-large", standing=1_000 // part if part else 0)
        assert len(small) == len(large), (name, small, large)
        assert len(large) <= 8, large


def test_answers_come_in_the_order_asked(books: Books) -> None:
    # Given some keys that stand already, scattered among new ones
    post(books, "c", *SALE)
    post(books, "a", *SALE)
    # When they are posted together
    with transaction(books.engine) as session:
        answers = ledger.post_many(session, [(key, journal(*SALE)) for key in "dacbe"])
    # Then the answers are in that order and say which are new
    assert [(answer.key, answer.new) for answer in answers] == [
        ("d", True),
        ("a", False),
        ("c", False),
        ("b", True),
        ("e", True),
    ]
    for answer in answers:
        with transaction(books.engine) as session:
            assert ledger.load(session, journal_id=answer.id).key == answer.key


def test_a_batch_with_one_conflict_commits_nothing(books: Books) -> None:
    post(books, "stands", "DR 1200.mpesa-600100 CR 2200 1.00")
    with pytest.raises(Conflict), transaction(books.engine) as session:
        ledger.post_many(
            session,
            [
                ("new", journal(*SALE)),
                ("stands", journal("DR 1200.mpesa-600100 CR 2200 2.00")),
                ("newer", journal(*SALE)),
            ],
        )
    assert trial(books) == {"1200.mpesa-600100": (100, 0), "2200": (0, 100)}


def test_a_key_twice_in_a_batch_is_refused_and_an_empty_batch_is_nothing(books: Books) -> None:
    with transaction(books.engine) as session:
        assert ledger.post_many(session, []) == []
        with pytest.raises(InvalidValue, match="each key once"):
            ledger.post_many(session, [("a", journal(*SALE)), ("a", journal(*SALE))])


def test_an_account_that_does_not_exist_is_refused_by_the_database(books: Books) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation), transaction(books.engine) as session:
        ledger.post(session, journal("DR 1200.9 CR 2200 1.00"), key="x")
    assert trial(books) == {}


# --- reversing -------------------------------------------------------------------------------------------------------


def test_a_reversal_is_the_mirror_and_names_what_it_undoes(books: Books) -> None:
    # Given a posted journal
    with transaction(books.engine) as session:
        posted = ledger.post(session, about(), key="sale")
    # When it is reversed a month later
    later = NOON + timedelta(days=30)
    undone = undo(books, posted.id, at=later)
    # Then the mirror stands on its own day, and every account is back at nothing
    mirror = stored(books, undone.key)
    assert lines(mirror.postings) == [
        "DR 4000.SBP.principal CR 1300.SBP 3000.00",
        "DR 4000.SBP.arrears CR 1300.SBP 500.00",
    ]
    assert [p._replace(debit=p.credit, credit=p.debit) for p in mirror.postings] == list(about().postings)
    assert (mirror.reverses_id, mirror.kind, mirror.reason) == (posted.id, "test_undone", "typed twice")
    assert undone.book_date == later.date()
    assert all(debit == credit for debit, credit in trial(books).values())


def test_a_journal_is_reversed_at_most_once_and_a_reversal_never(books: Books) -> None:
    posted = post(books, "sale", *SALE)
    undone = undo(books, posted.id)
    with pytest.raises(Conflict, match="reversed already"):
        undo(books, posted.id, at=NOON + timedelta(days=1))
    with pytest.raises(Conflict, match="not reversed"):
        undo(books, undone.id)


def test_a_reversal_needs_a_reason_and_a_journal(books: Books) -> None:
    posted = post(books, "sale", *SALE)
    with transaction(books.engine) as session:
        with pytest.raises(InvalidValue, match="why"):
            ledger.reverse(session, posted.id, reason="  ")
        with pytest.raises(NotFound):
            ledger.reverse(session, posted.id + 1, reason="typed twice")
        with pytest.raises(NotFound):
            ledger.load(session)


def test_the_database_itself_refuses_a_second_reversal(books: Books) -> None:
    posted = post(books, "sale", *SALE)
    undo(books, posted.id)
    second = Journal("by_hand", NOON, stored(books, "sale").postings, reverses_id=posted.id, reason="again")
    with pytest.raises((Conflict, psycopg.errors.UniqueViolation)), transaction(books.engine) as session:
        ledger.post(session, second, key="another key")


def test_eight_hands_reversing_one_journal_reverse_it_once(books: Books) -> None:
    for number in range(5):
        # Given a journal
        posted = post(books, f"sale:{number}", *SALE)
        # When eight persons reverse it at one moment
        answers = together(8, lambda _, posted=posted: undo(books, posted.id))
        # Then exactly one reversed it and seven are told that it was done
        won = [answer for answer in answers if isinstance(answer, ledger.Posted)]
        lost = [answer for answer in answers if isinstance(answer, Conflict)]
        assert (len(won), len(lost)) == (1, 7), answers
    assert all(debit == credit for debit, credit in trial(books).values())


# --- digests ---------------------------------------------------------------------------------------------------------


def test_a_digest_can_be_recomputed_from_the_tables_alone(books: Books) -> None:
    # Given journals of every shape
    with transaction(books.engine) as session:
        ledger.post(session, about(), key="sale")
    post(books, "kipande", "DR 1200.mpesa-600100 CR 2200 0.01", at=datetime(2026, 9, 15, 23, 59, 59, 999_999, UTC))
    undo(books, post(books, "é ☂", *SALE, reason='quotes " and \\').id)
    # When an outsider reads the rows and hashes them by the published rule
    heads = books.rows("SELECT id, key, kind, book_date, occurred_at, reverses_id, reason, digest FROM journal")
    assert len(heads) == 4
    for journal_id, key, kind, book_date, occurred_at, reverses_id, reason, digest in heads:
        postings = books.rows(
            "SELECT debit, credit, amount_minor, currency, stream_code, station_code, channel_account_id, payer_id,"
            " invoice_id, payment_id FROM posting WHERE journal_id = %s ORDER BY seq",
            journal_id,
        )
        instant = occurred_at.astimezone(UTC).isoformat()
        content = [1, key, kind, book_date.isoformat(), instant, reverses_id, reason, [list(p) for p in postings]]
        # Then the digest is the one that was stored
        assert hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).digest() == digest


def test_a_journal_read_back_is_the_journal_written(books: Books) -> None:
    with transaction(books.engine) as session:
        posted = ledger.post(session, about(), key="sale")
        read = ledger.load(session, journal_id=posted.id)
    assert (read.postings, read.occurred_at, read.kind, read.reason) == (about().postings, NOON, "test", "because")
    assert (read.key, read.book_date, read.reverses_id) == ("sale", posted.book_date, None)


# --- any history -----------------------------------------------------------------------------------------------------

OPERATIONS = st.lists(st.one_of(postings_of(*ACCOUNTS), st.integers(0, 30)), max_size=12)


def _play(session: Session, operations: list[tuple[Posting, ...] | int]) -> list[tuple[str, str, int]]:
    """Post journals and reverse earlier ones by number; every posting that must stand, in plain tuples."""
    posted: list[ledger.Posted] = []
    undone: set[int] = set()
    expected: list[tuple[str, str, int]] = []
    for number, operation in enumerate(operations):
        if isinstance(operation, tuple):
            posted.append(ledger.post(session, Journal("any", NOON, operation), key=f"any:{number}"))
            expected += [(p.debit, p.credit, p.amount_minor) for p in operation]
        elif posted:
            chosen = posted[operation % len(posted)]
            if chosen.id in undone:
                with pytest.raises(Conflict):
                    ledger.reverse(session, chosen.id, reason="again", at=NOON)
                continue
            undone.add(chosen.id)
            ledger.reverse(session, chosen.id, reason="undone", at=NOON)
            expected += [
                (p.credit, p.debit, p.amount_minor) for p in ledger.load(session, journal_id=chosen.id).postings
            ]
    return expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_after_any_history_debits_are_credits_and_each_account_is_its_sum(
    books: Books, operations: list[tuple[Posting, ...] | int]
) -> None:
    with Session(books.engine) as session:
        # When journals are posted and reversed in any order
        expected = _play(session, operations)
        # Then the trial balance is what Python adds up, and its two sides agree
        found = {line.code: (line.debit_minor, line.credit_minor) for line in ledger.trial_balance(session)}
        assert found == sums(expected)
        assert sum(debit for debit, _ in found.values()) == sum(credit for _, credit in found.values())
        session.rollback()
