"""Connected offices: what was measured, what a supplier owes by its formula, what was claimed, what lapsed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine.db import transaction
from revenue_engine.departments.ict import availability, links, service_credits
from revenue_engine.departments.ict.availability import Availability, Probe
from revenue_engine.errors import InvalidValue, NotAllowed, Rejected
from revenue_engine.periods import NAIROBI
from tests.conftest import Database
from tests.support import people
from tests.support.books import Books
from tests.support.commands import command

BEGIN = datetime(2026, 7, 1, tzinfo=NAIROBI)
BANDS = {"kind": "bands", "bands": [[999_000, 2], [990_000, 3], [950_000, 5]]}
JULY, AUGUST = date(2026, 7, 1), date(2026, 8, 1)


def looks(pattern: str, *, minutes: int = 5, begin: datetime = BEGIN) -> list[Probe]:
    """Looks one after another: ``u`` answered, ``d`` did not."""
    return [Probe(begin + timedelta(minutes=minutes * n), minutes, c == "u") for n, c in enumerate(pattern)]


@pytest.mark.parametrize(
    ("pattern", "away"),
    [
        ("u" * 40, 0),
        ("u" * 10 + "d" * 9 + "u" * 21, 0),  # nine in a row are no outage
        ("u" * 10 + "d" * 10 + "u" * 20, 50),
        ("d" * 40, 200),
        ("u" * 10 + "d" * 10 + "u" * 9 + "d" + "u" * 20, 100),  # nine that answered end no outage
        ("ud" * 20, 0),
    ],
)
def test_an_outage_is_ten_lost_in_a_row_until_ten_that_answered(pattern: str, away: int) -> None:
    assert availability.of(looks(pattern)) == Availability(5 * len(pattern), away)


def test_agreed_maintenance_is_neither_up_nor_away() -> None:
    probes = looks("u" * 10 + "d" * 20 + "u" * 20)
    span = (BEGIN + timedelta(minutes=50), BEGIN + timedelta(minutes=150))
    assert availability.of(probes, [span]) == Availability(150, 0)


@given(pattern=st.text("ud", max_size=80), seed=st.randoms())
def test_the_order_of_looks_does_not_matter_and_never_more_is_away_than_measured(pattern: str, seed: Any) -> None:
    probes = looks(pattern)
    found = availability.of(probes)
    seed.shuffle(probes)
    assert availability.of(probes) == found
    assert 0 <= found.away <= found.measured


DAY = 24 * 60


@pytest.mark.parametrize(
    ("formula", "measured", "expected"),
    [
        ({"kind": "per_day", "numerator": 1, "denominator": 30, "cap_days": 7}, Availability(31 * DAY, DAY + 1), 2000),
        ({"kind": "per_day", "numerator": 1, "denominator": 30, "cap_days": 7}, Availability(31 * DAY, 9 * DAY), 7000),
        (
            {"kind": "per_step", "step_ppm": 1000, "percent": 1},
            Availability(100_000, 1_001),
            3000,
        ),  # 98.999 %: ten steps begun
        (BANDS, Availability(100_000, 100), 0),  # 99.9 % is the target
        (BANDS, Availability(100_000, 101), 600),
        (BANDS, Availability(100_000, 1_001), 900),
        (BANDS, Availability(100_000, 5_001), 1500),
        ({"kind": "flat", "percent": 25}, Availability(100_000, 101), 7500),
        ({"kind": "flat", "percent": 60, "cap_percent": 50}, Availability(100_000, 101), 15_000),
        (BANDS, Availability(0, 0), 0),
    ],
)
def test_the_four_formulas_of_contracts(formula: dict[str, Any], measured: Availability, expected: int) -> None:
    assert service_credits.due(30_000, 999_000, measured, formula) == expected


@pytest.mark.parametrize(
    "formula",
    [
        {"kind": "goodwill"},
        {"kind": "flat"},
        {"kind": "flat", "percent": "25"},
        {"kind": "flat", "percent": 25, "colour": 1},
        {"kind": "per_day", "numerator": 1, "denominator": 0, "cap_days": 7},
        {"kind": "bands", "bands": [999_000]},
    ],
)
def test_a_formula_that_cannot_be_read_is_refused(formula: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        service_credits.check(formula)


def terms(office: str, **more: Any) -> dict[str, Any]:
    """The terms of an office's link."""
    return {
        "office": office,
        "name": f"Office {office}",
        "sub_county": "Matayos",
        "supplier": "Fibre Ltd",
        "circuit": f"C-{office}",
        "link_kind": "fibre",
        "mbps": 20,
        "monthly_charge_minor": 3_000_000,
        "target_ppm": 999_000,
        "formula": BANDS,
        "claim_days": 30,
        "contract": "ICT/12/2026",
        "effective_from": JULY,
    } | more


@pytest.fixture
def county(database: Database) -> Iterator[Books]:
    """A county with three connected offices and two months of looks: one met, one missed, one missed both."""
    books = Books(database.url)
    officer = people.somebody(books.url, "ict.officer", "ict")
    with officer.acts(), transaction(books.as_role("api")) as session:
        for office in ("HQ", "MALABA", "FUNYULA"):
            links.keep_terms(session, terms(office))
        for month in (BEGIN, datetime(2026, 8, 1, tzinfo=NAIROBI)):
            for office, pattern in (
                ("HQ", "u" * 500),
                ("MALABA", "u" * 100 + "d" * 20 + "u" * 380 if month == BEGIN else "u" * 500),
                ("FUNYULA", "u" * 100 + "d" * 200 + "u" * 200),
            ):
                links.keep_probes(session, [(office, one) for one in looks(pattern, begin=month)])
    yield books
    books.close()


def officer(books: Books) -> people.Someone:
    return people.somebody(books.url, "ict.officer", "ict")


def test_who_missed_what_was_claimed_and_what_lapsed(county: Books) -> None:
    # When one credit is claimed on the last day of its window, and credited in part
    with officer(county).acts(), transaction(county.as_role("api")) as session:
        found = links.claim(session, "MALABA", JULY, ticket="T-1", raised_on=date(2026, 8, 30))
        assert (found.state, found.claimed_minor) == ("claimed", 90_000)  # 96 %: below 99 %, 3 % of 30,000
        links.credited(session, "MALABA", JULY, amount_minor=90_000, reference="CN-1", on=date(2026, 9, 2))
    # Then in September: July of Funyula is lost, August may still be claimed
    with transaction(county.as_role("report")) as session:
        found_all = links.months(session, first=JULY, last=AUGUST, today=date(2026, 9, 10))
    stands = {(one.office, one.month.month): (one.state, one.due_minor, one.lost_minor) for one in found_all}
    assert stands == {
        ("HQ", 7): ("met", 0, 0),
        ("HQ", 8): ("met", 0, 0),
        ("MALABA", 7): ("credited", 90_000, 0),
        ("MALABA", 8): ("met", 0, 0),
        ("FUNYULA", 7): ("lapsed", 150_000, 150_000),
        ("FUNYULA", 8): ("to_claim", 150_000, 0),
    }


@pytest.mark.parametrize(
    ("office", "month", "on", "said"),
    [
        ("FUNYULA", JULY, date(2026, 8, 31), "lapsed on 2026-08-30: the contract ICT/12/2026 gives 30 days"),
        ("FUNYULA", AUGUST, date(2026, 8, 30), "has not ended"),
        ("HQ", JULY, date(2026, 8, 2), "nothing is due"),
        ("NOWHERE", JULY, date(2026, 8, 2), "no connected office"),
    ],
)
def test_a_claim_that_may_not_be_raised_is_refused_with_the_reason(
    county: Books, office: str, month: date, on: date, said: str
) -> None:
    with officer(county).acts(), pytest.raises(Rejected, match=said), transaction(county.as_role("api")) as session:
        links.claim(session, office, month, ticket="T-1", raised_on=on)


def test_the_database_keeps_who_the_window_and_once(county: Books) -> None:
    insert = (
        "INSERT INTO ict_claim (link_id, month, credit_minor, availability_ppm, ticket, raised_on, kept_by)"
        " SELECT id, %s, %s, 1, 'T', %s, 'somebody else' FROM ict_link WHERE office = 'FUNYULA'"
    )

    def said(*values: Any, who: people.Someone) -> str:
        with psycopg.connect(county.url) as connection:
            connection.execute("SET ROLE revenue_api")
            connection.execute("SELECT set_config('revenue.session', %s, false)", (who.secret,))
            try:
                connection.execute(insert, values)
            except psycopg.Error as error:
                return str(error)
            return "kept"

    mine = officer(county)
    assert "lapsed" in said(JULY, 1, date(2026, 9, 1), who=mine)
    assert "above the month's charge" in said(JULY, 3_000_001, date(2026, 8, 2), who=mine)
    stranger = people.somebody(county.url, "collector.one", "collector")
    assert "you may not keep the registers" in said(JULY, 1, date(2026, 8, 2), who=stranger)
    assert said(JULY, 1, date(2026, 8, 2), who=mine) == "kept"
    assert "duplicate key" in said(JULY, 1, date(2026, 8, 2), who=mine)
    assert county.rows("SELECT kept_by FROM ict_claim") == [("ict.officer",)]


def test_who_may_not_keep_a_register_is_refused(county: Books) -> None:
    with county.treasurer.acts(), pytest.raises(NotAllowed), transaction(county.as_role("api")) as session:
        links.keep_terms(session, terms("OTHER"))


def test_an_interval_is_looked_at_once(county: Books) -> None:
    with officer(county).acts(), pytest.raises(Rejected, match="once"), transaction(county.as_role("api")) as session:
        links.keep_probes(session, [("HQ", Probe(BEGIN, 5, False))])


def test_one_command_answers_who_missed_and_what_lapsed(county: Books, tmp_path: Path) -> None:
    env = {"REVENUE_DATABASE_URL": county.url, **officer(county).signed_in(tmp_path)}
    # A sheet with a bad row: nothing is kept until it is accepted, and the bad row is named
    sheet = tmp_path / "probes.csv"
    sheet.write_text("office,at,minutes,up\nHQ,2026-09-01T00:00,5,yes\nHQ,tomorrow,5,yes\nHQ,2026-09-01T00:05,0,no\n")
    shown = command("ict", "probes", str(sheet), "--json", env=env)
    assert shown.returncode == 3
    told = json.loads(shown.stdout)
    assert (told["good"], told["kept"], [one["row"] for one in told["bad"]]) == (1, 0, [3, 4])
    assert command("ict", "probes", str(sheet), "--accept", "--json", env=env).returncode == 3
    assert county.rows("SELECT count(*) FROM ict_probe WHERE at >= '2026-09-01 00:00+03'") == [(1,)]
    # The answer
    answer = command("ict", "sla", "--from", "2026-07", "--to", "2026-08", "--missed", "--json", env=env)
    assert answer.returncode == 0, answer.stderr
    missed = json.loads(answer.stdout)
    assert [(one["month"], one["office"], one["due"]) for one in missed] == [
        ("2026-07", "FUNYULA", "1500.00"),
        ("2026-07", "MALABA", "900.00"),
        ("2026-08", "FUNYULA", "1500.00"),
    ]
    assert missed[0]["state"] == "lapsed"
    refused = command("ict", "claim", "FUNYULA", "2026-07", "--ticket", "T-9", env=env)
    assert refused.returncode == 1
    assert "lapsed" in refused.stderr
