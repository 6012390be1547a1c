"""Policies as data: no policy is used that was not tried on confirmed history, or by one person alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciliation.engine.policy import Policy
from reconciliation.runs import policies, running
from revenue_engine.db import transaction
from revenue_engine.errors import Conflict, InvalidValue, NotFound
from tests.conftest import Database
from tests.matching.test_runs import ACCOUNTANT, CLERK, payer, proves, run, slip
from tests.support.books import Books


@pytest.fixture
def books(database: Database) -> Iterator[Books]:
    kept = Books(database.url)
    yield kept
    kept.close()


def by_hand(books: Books, reference: str, number: str) -> None:
    """Two persons set a payment against a bill."""
    with transaction(books.as_role("api")) as session:
        asked = running.ask(session, reference, number, reason="seen at the desk", by=CLERK)
    with transaction(books.as_role("worker")) as session:
        running.agree(session, asked, by=ACCOUNTANT)


def propose(books: Books, by: str = CLERK, **settings: object) -> str:
    with transaction(books.as_role("api")) as session:
        return policies.propose(session, settings, by=by)


def test_a_policy_is_activated_only_after_its_own_trial_and_by_another_person(books: Books) -> None:
    strict, other = propose(books, correct_slips=False), propose(books, trust_payer=False)
    with transaction(books.as_role("api")) as session, pytest.raises(Conflict, match="not tried"):
        policies.activate(session, strict, by=ACCOUNTANT)
    with transaction(books.as_role("api")) as session:
        policies.backtest(session, other, by=CLERK)
    with transaction(books.as_role("api")) as session, pytest.raises(Conflict, match="not tried"):
        policies.activate(session, strict, by=ACCOUNTANT)  # the trial of another policy is none
    with transaction(books.as_role("api")) as session:
        policies.backtest(session, strict[:12], by=CLERK)
    with transaction(books.as_role("api")) as session, pytest.raises(Conflict, match="another person"):
        policies.activate(session, strict, by=CLERK)
    with transaction(books.as_role("api")) as session:
        assert policies.active(session) == Policy()
        assert policies.activate(session, strict[:12], by=ACCOUNTANT) == strict
    with transaction(books.as_role("api")) as session:
        assert policies.active(session) == Policy(correct_slips=False)


def test_the_database_refuses_it_too(books: Books) -> None:
    strict, other = propose(books, correct_slips=False), propose(books, trust_payer=False)
    with transaction(books.as_role("api")) as session:
        trial = policies.backtest(session, other, by=CLERK)["trial"]
    statement = "INSERT INTO policy_activation (policy_digest, trial_id, activated_by) VALUES (%s, %s, %s)"
    with pytest.raises(Exception, match="not tried"):
        books.execute(statement, strict, trial, ACCOUNTANT)
    with pytest.raises(Exception, match="another person"):
        books.execute(statement, other, trial, CLERK)


def test_runs_use_the_active_policy_and_name_it(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    books.pay(1_000, slip(bill), names=("ACHIENG", "", ""))
    strict = propose(books, correct_slips=False, trust_payer=False)
    with transaction(books.as_role("api")) as session:
        policies.backtest(session, strict, by=CLERK)
        policies.activate(session, strict, by=ACCOUNTANT)
    assert run(books).matched == []
    assert books.rows("SELECT policy_digest FROM matching_run") == [(strict,)]
    again = propose(books)
    with transaction(books.as_role("api")) as session:
        policies.backtest(session, again, by=CLERK)
        policies.activate(session, again, by=ACCOUNTANT)
    assert len(run(books).matched) == 1


def test_a_trial_counts_what_a_policy_would_win_and_lose(books: Books) -> None:
    """Two slips that persons settled, one payment by its number. Without the rung for slips two are lost; and where the
    number is taken away, the sender's masked phone and first name alone say nothing certain."""
    owner, other = payer(books), payer(books, "Wafula Barasa", "0700 000 202")
    first, second, third = books.bill(1_000, payer=owner), books.bill(700, payer=owner), books.bill(900, payer=other)
    for bill, shillings in ((first, 1_000), (second, 700)):
        by_hand(books, books.pay(shillings, slip(bill), names=("ACHIENG", "", "")), bill.pay_account_number)
    books.pay(900, third.pay_account_number)
    strict = propose(books, correct_slips=False)
    with transaction(books.as_role("api")) as session:
        told = policies.backtest(session, strict, by=CLERK)
    assert {name: told[name] for name in ("confirmed", "matched", "right", "wrong", "new", "lost", "changed")} == {
        "confirmed": 4,  # three as they came, one once more without its number
        "matched": 1,
        "right": 1,
        "wrong": 0,
        "new": 0,
        "lost": 2,
        "changed": 0,
    }
    assert (told["precision"], told["recall"], told["beside_precision"], told["beside_recall"]) == (
        10_000,
        2_500,
        10_000,
        7_500,
    )
    assert told["lost_right"] == 2
    assert books.rows("SELECT policy_digest, beside_digest, (figures->>'lost')::int FROM policy_trial") == [
        (strict, Policy().digest(), 2)
    ]
    assert (books.left(first), books.left(third)) == (0, 0)  # a trial moves nothing
    assert proves(books)


def test_a_match_taken_back_is_no_history(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, slip(bill))
    by_hand(books, paid, bill.pay_account_number)
    with transaction(books.as_role("worker")) as session:
        running.reverse(session, paid, reason="the desk erred", by=CLERK)
    with transaction(books.as_role("api")) as session:
        assert policies.backtest(session, propose(books), by=CLERK)["confirmed"] == 0


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"speed": 1}, "speed"),
        ({"correct_slips": "no"}, "correct_slips"),
        ({"correct_slips": 1}, "correct_slips"),
        ({"suggestions": -1}, "suggestions"),
        ({"suggestions": True}, "suggestions"),
        ({"prefixes": "BSA"}, "prefixes"),
        ({"currency": "USD"}, "currency"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        policies.policy_of(settings)
    assert refused.value.facts["field"] == field


def test_a_policy_survives_being_kept(books: Books) -> None:
    digest = propose(books, prefixes=["ZIWA"], suggestions=3)
    with transaction(books.as_role("api")) as session:
        assert policies.proposed(session, digest[:8])[1] == Policy(prefixes=("ZIWA",), suggestions=3)
        with pytest.raises(NotFound):
            policies.proposed(session, "")
