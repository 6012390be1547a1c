"""What a line charges and which line an amount buys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from revenue_engine.billing import tariffs
from revenue_engine.billing.tariffs import COUNTABLE_UNITS, Charge, SpotMatch, TariffLine, spot_match
from revenue_engine.db import make_engine, transaction
from revenue_engine.errors import Conflict, IntegrityFault, InvalidValue, NotFound
from tests.support import books

DAY = date(2026, 11, 20)


def line(amount: int, unit: str = "trip", *, spot: bool = True) -> TariffLine:
    return TariffLine(item_code=f"X.{amount}{unit}", amount_minor=amount, unit=unit, spot=spot)


# --- which line an amount buys ---------------------------------------------------------------------------------------

TRAILERS = [line(30_000, "night"), line(40_000, "night"), line(50_000, "night")]
CESS = [line(5_000, "bag"), line(7_000, "bag"), line(30_000), line(65_000)]


@pytest.mark.parametrize(
    ("lines", "amount", "unit_amount", "quantity"),
    [
        (TRAILERS, 30_000, 30_000, 1),
        (TRAILERS, 50_000, 50_000, 1),
        (TRAILERS, 60_000, 30_000, 2),
        (CESS, 15_000, 5_000, 3),
        (CESS, 21_000, 7_000, 3),
        (CESS, 30_000, 30_000, 1),  # not six bags: the line of the exact amount is preferred
        (CESS, 65_000, 65_000, 1),
        (CESS, 100_000, 5_000, 20),
    ],
)
def test_an_amount_buys_one_line(lines: list[TariffLine], amount: int, unit_amount: int, quantity: int) -> None:
    found = spot_match(lines, amount)
    assert found is not None
    assert (found.line.amount_minor, found.quantity) == (unit_amount, quantity)


@pytest.mark.parametrize(
    ("lines", "amount"),
    [
        ([], 5_000),
        (TRAILERS, 35_000),
        (TRAILERS, 120_000),  # four of 300 or three of 400
        (CESS, 35_000),  # seven of 50 or five of 70
        (CESS, 60_100),
        (CESS, 105_000),  # fifteen of 70 or twenty-one of 50: one line only within twenty, yet
        (CESS, 2_500),
        ([line(5_000)], 10_000),  # a trip is bought one at a time
        ([line(5_000, "bag")], 105_000),  # twenty-one bags
        ([line(5_000), line(5_000, "day")], 5_000),  # the same price twice
        ([line(5_000, spot=False)], 5_000),
    ],
)
def test_what_is_not_certain_is_not_matched(lines: list[TariffLine], amount: int) -> None:
    if amount == 105_000 and lines is CESS:
        assert spot_match(lines, amount) == SpotMatch(lines[1], 15)
    else:
        assert spot_match(lines, amount) is None


units = st.sampled_from(sorted(tariffs.UNITS))
some_lines = st.lists(st.builds(line, st.integers(1, 400), units, spot=st.booleans()), max_size=6)


@given(some_lines, st.integers(1, 10_000))
def test_a_match_pays_the_amount_exactly_and_does_not_depend_on_order(lines: list[TariffLine], amount: int) -> None:
    found = spot_match(lines, amount)
    assert spot_match(list(reversed(lines)), amount) == found
    if found is not None:
        assert found.line.spot
        assert found.quantity * found.line.amount_minor == amount
        assert found.quantity == 1 or (found.line.unit in COUNTABLE_UNITS and found.quantity <= 20)


def test_countable_units_are_units() -> None:
    assert COUNTABLE_UNITS < tariffs.UNITS


# --- what a line charges ---------------------------------------------------------------------------------------------


@pytest.fixture
def connection(database: Any) -> Iterator[psycopg.Connection[Any]]:
    books.county(database.url, "lineland", mode="test")
    with database.connect() as made:
        yield made


@pytest.fixture
def engine(connection: psycopg.Connection[Any], database: Any) -> Iterator[Engine]:
    made = make_engine(database.url, role="worker", pool_size=0)
    yield made
    made.dispose()


@pytest.mark.parametrize(
    ("on", "amount"),
    [("2024-07-01", 4_000), ("2025-06-30", 4_000), ("2025-07-01", 5_000), ("2030-01-01", 5_000)],
)
def test_the_line_of_the_day_charges(engine: Engine, on: str, amount: int) -> None:
    with transaction(engine) as session:
        charged = tariffs.assess(session, item_code="BUS.TRIP", quantity=3, on=date.fromisoformat(on))
    assert (charged.unit_amount_minor, charged.amount_minor) == (amount, 3 * amount)
    assert (charged.stream_code, charged.component) == ("BUS", "principal")


@pytest.mark.parametrize(
    ("item", "on", "says"),
    [
        ("BUS.TRIP", date(2024, 6, 30), "in force"),
        ("BUS.NEW", DAY, "draft"),
        ("BUS.GONE", DAY, "suspended"),
        ("BUS.NONE", DAY, "BUS.NONE"),
    ],
)
def test_what_is_not_in_force_charges_nothing_and_says_why(engine: Engine, item: str, on: date, says: str) -> None:
    with transaction(engine) as session, pytest.raises(NotFound, match=says):
        tariffs.assess(session, item_code=item, quantity=1, on=on)


def test_a_live_county_does_not_charge_by_a_sample(engine: Engine, connection: psycopg.Connection[Any]) -> None:
    with transaction(engine) as session:
        assert tariffs.assess(session, item_code="SBP.TRY", quantity=1, on=DAY).amount_minor == 9_000
        assert [one.item_code for one in tariffs.in_force(session, on=DAY)] == ["BUS.TRIP", "SBP.TRY"]
    connection.execute("UPDATE county SET mode = 'live'")
    connection.commit()
    with transaction(engine) as session:
        with pytest.raises(Conflict, match="sample"):
            tariffs.assess(session, item_code="SBP.TRY", quantity=1, on=DAY)
        assert [one.item_code for one in tariffs.in_force(session, on=DAY)] == ["BUS.TRIP"]


def test_without_a_county_no_sample_is_charged(engine: Engine, connection: psycopg.Connection[Any]) -> None:
    connection.execute("DELETE FROM county")
    connection.commit()
    with transaction(engine) as session, pytest.raises(Conflict, match="sample"):
        tariffs.assess(session, item_code="SBP.TRY", quantity=1, on=DAY)


def test_two_lines_in_force_at_once_are_a_fault_and_not_a_choice(
    engine: Engine, connection: psycopg.Connection[Any]
) -> None:
    connection.execute(
        "INSERT INTO tariff_line (item_code, stream_code, name, unit, amount_minor, law, effective_from, status)"
        " VALUES ('BUS.TRIP', 'BUS', 'Again', 'trip', 7000, 'Act', '2026-01-01', 'active')"
    )
    connection.commit()
    with transaction(engine) as session, pytest.raises(IntegrityFault, match="2 tariff lines"):
        tariffs.assess(session, item_code="BUS.TRIP", quantity=1, on=DAY)


@pytest.mark.parametrize(
    ("quantity", "component"), [(0, "principal"), (-1, "principal"), (True, "principal"), (1, "tax")]
)
def test_a_wrong_charge_is_refused(engine: Engine, quantity: int, component: str) -> None:
    with transaction(engine) as session, pytest.raises(InvalidValue):
        tariffs.assess(session, item_code="BUS.TRIP", quantity=quantity, on=DAY, component=component)


def test_many_charges_are_answered_in_the_order_asked(engine: Engine) -> None:
    wanted = [
        (Charge("SBP.TRY"), DAY),
        (Charge("BUS.TRIP", 2, "arrears"), date(2025, 1, 1)),
        (Charge("BUS.TRIP"), DAY),
    ]
    with transaction(engine) as session:
        charged = tariffs.assess_many(session, wanted)
        assert tariffs.assess_many(session, []) == []
    assert [(one.amount_minor, one.component) for one in charged] == [
        (9_000, "principal"),
        (8_000, "arrears"),
        (5_000, "principal"),
    ]


def test_spot_lines_and_prefixes(engine: Engine) -> None:
    with transaction(engine) as session:
        assert [one.item_code for one in tariffs.spot_lines(session, on=DAY)] == ["BUS.TRIP"]
        assert tariffs.spot_lines(session, on=DAY, stream_code="SBP") == []
        assert tariffs.prefixes(session) == {"BSP", "MAT"}
