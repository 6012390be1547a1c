"""Policies as data: no policy is used that was not tried on confirmed history, or by one person alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciliation.engine.policy import Policy
from reconciliation.runs import policies
from revenue_engine.db import transaction
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed, NotFound
from tests.conftest import Database
from tests.matching.test_runs import by_hand, payer, proves, run, slip, take_back
from tests.support import people
from tests.support.books import Books


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    kept = Books(testland.url)
    yield kept
    kept.close()


def propose(books: Books, **settings: object) -> str:
    with transaction(books.as_role("api")) as session:
        return policies.propose(session, settings, by="clerk")


def try_out(books: Books, digest: str) -> int:
    with transaction(books.as_role("api")) as session:
        return int(policies.backtest(session, digest, by="clerk")["trial"])


def activate(books: Books, digest: str) -> None:
    assert books.judged(lambda session: policies.ask_activation(session, digest, reason="it finds more")) is None


def test_a_policy_is_activated_only_after_its_own_trial_and_by_two_persons(books: Books) -> None:
    strict, other = propose(books, correct_slips=False), propose(books, trust_payer=False)
    with pytest.raises(Conflict, match="not tried"):
        activate(books, strict)
    try_out(books, other)
    with pytest.raises(Conflict, match="not tried"):
        activate(books, strict)  # the trial of another policy is none
    try_out(books, strict[:12])
    with books.treasurer.acts(), transaction(books.as_role("api")) as session:
        public = policies.ask_activation(session, strict, reason="it finds more")
    with pytest.raises(NotAllowed, match="another person"):
        people.agree(books.as_role("api"), public, who=books.treasurer)
    with transaction(books.as_role("api")) as session:
        assert policies.active(session) == Policy()
    activate(books, strict[:12])
    with transaction(books.as_role("api")) as session:
        assert policies.active(session) == Policy(correct_slips=False)


def test_the_database_refuses_it_too(books: Books) -> None:
    strict, other = propose(books, correct_slips=False), propose(books, trust_payer=False)
    trial = try_out(books, other)
    statement = "INSERT INTO policy_activation (policy_digest, trial_id, activated_by) VALUES (%s, %s, %s)"
    with pytest.raises(Exception, match="not tried"):
        books.execute(statement, strict, trial, "the treasurer")
    with pytest.raises(Exception, match="another person agreed"):
        books.execute(statement, other, trial, "the treasurer")


def test_a_policy_tried_again_meanwhile_is_another_question(books: Books) -> None:
    strict = propose(books, correct_slips=False)
    try_out(books, strict)
    with books.clerk.acts(), transaction(books.as_role("api")) as session:
        public = policies.ask_activation(session, strict, reason="it finds more")
    try_out(books, strict)
    with pytest.raises(Conflict, match="has changed since it was asked for"):
        people.agree(books.as_role("api"), public, who=books.treasurer)


def test_runs_use_the_active_policy_and_name_it(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    books.pay(1_000, slip(bill), names=("ACHIENG", "", ""))
    strict = propose(books, correct_slips=False, trust_payer=False)
    try_out(books, strict)
    activate(books, strict)
    assert run(books).matched == []
    assert books.rows("SELECT policy_digest FROM matching_run") == [(strict,)]
    again = propose(books)
    try_out(books, again)
    activate(books, again)
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
        told = policies.backtest(session, strict, by="clerk")
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
    take_back(books, paid)
    with transaction(books.as_role("api")) as session:
        assert policies.backtest(session, propose(books), by="clerk")["confirmed"] == 0


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
