"""Files and notices that troubled other people: each is read right, or refused with the true reason.

The inputs lie beside the repository and are not part of it. What a family of them has in common is tested from files
of our own in the tests of each reader.
"""

from __future__ import annotations

import io
import os
from datetime import date
from pathlib import Path

import pytest

from adapters.mpesa import adapter as mpesa
from adapters.signed_json import coop, jenga
from adapters.statements.tables import drafting
from adapters.statements.tables import reader as tables
from revenue_engine import bootstrap
from revenue_engine.money import wire
from revenue_engine.ports.callbacks import AckOutcome, CallbackAdapter, as_wire
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementRefused,
    one_by_one,
    proved,
)

CASES = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[3] / "shared")) / "cases"
TODAY = date(2026, 11, 30)
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside the repository")


def case(name: str) -> tuple[str, bytes]:
    """The name and bytes of an input; a case is named by its number and the input by its own name."""
    found = next(CASES.glob(f"channels-{name}"), None)
    if found is None:
        pytest.skip("this case is not among the shared ones")
    return found.name, found.read_bytes()


def events(name: str) -> list[StatementEvent]:
    filename, content = case(name)
    stream = io.BytesIO(content)
    reader = bootstrap.statement_reader(stream, filename)
    return list(proved(reader.read(stream, filename=filename), today=TODAY))


def told(name: str) -> list[list[object]]:
    """Of each statement: account, opening, closing, signed amounts with their days, and how many are only shown."""
    found: list[list[object]] = []
    lines: list[str] = []
    for event in events(name):
        if isinstance(event, StatementOpened):
            found.append([event.account, None if event.opening_minor is None else wire(event.opening_minor)])
            lines = []
        elif isinstance(event, StatementLine):
            if event.counts:
                lines.append(f"{event.booked_on} {wire(event.amount_minor)}")
        else:
            assert isinstance(event, StatementClosed)
            assert event.adds_up is not False
            found[-1] += [None if event.closing_minor is None else wire(event.closing_minor), lines, event.shown]
    return found


READ = {
    "02-*/p22b*.csv": [["", "1000.00", "3500.00", ["2026-08-12 1500.00", "2026-09-05 700.00", "2026-09-07 300.00"], 0]],
    "02-*/p22c*.csv": [["", "1000.00", "3500.00", ["2026-08-12 1500.00", "2026-09-05 700.00", "2026-09-07 300.00"], 0]],
    "03-*/*.csv": [["", "0.00", "3000.00", ["2026-09-15 2500.00", "2026-09-15 500.00"], 0]],
    "05-*/p03*.csv": [["", "5000.00", "6000.00", ["2026-09-15 500.00", "2026-09-15 500.00"], 0]],
    "05-*/p04*.csv": [["", "5000.00", "6000.00", ["2026-09-15 500.00", "2026-09-15 500.00"], 0]],
    "14-*/*.xml": [["01134248358600", "5644.00", "7670.00", ["2026-09-17 2026.00"], 0]],
    "16-*/*.xml": [["01134248358600", "2000.00", "3974.00", ["2026-09-15 1974.00"], 0]],
    "18-*/k05_*.xml": [["KE1100100", "100.00", "200.00", ["2026-09-15 100.00"], 1]],
    "18-*/k05b*.xml": [["KE1100100", None, None, ["2026-09-15 100.00"], 1]],
    "20-*/*.xml": [
        ["KE1100100", "1000.00", "1040.00", ["2026-09-15 40.00", "2026-09-15 -25.00", "2026-09-15 25.00"], 0]
    ],
    "23-*/*.xml": [
        ["1100100", "0.00", "100.00", ["2026-09-15 100.00"], 0],
        ["2200200", "50.00", "80.00", ["2026-09-15 30.00"], 0],
    ],
    "24-*/*.sta": [
        ["1100100", "1000.00", "1500.00", ["2026-09-15 500.00"], 0],
        ["2200200", "50.00", "80.00", ["2026-09-15 30.00"], 0],
    ],
    "25-*/s15_*.sta": [["KE/1100100", "1000.00", "1001.00", ["2026-09-15 1.00"], 0]],
    "25-*/s15c*.sta": [
        ["KE/1100100", "1000.00", "1001.00", ["2026-09-15 1.00", "2026-09-15 5.00", "2026-09-15 -5.00"], 0]
    ],
    "27-*/s30*.sta": [["KE/1100100", "1000.00", "1045.00", ["2026-09-15 45.00"], 0]],
    "27-*/s31*.sta": [["KE/1100100", "1000.00", "1045.00", ["2026-09-15 45.00"], 0]],
    "29-*/s06_*.sta": [["KE/1100100", "1000.00", "1050.00", ["2026-09-15 50.00"], 0]],
    "29-*/s06e*.sta": [["KE/1100100", "1000.00", "1050.00", ["2026-09-15 50.00"], 0]],
    "31-*/*.sta": [["KE/1100100", "2310.00", "1000.00", ["2026-09-15 -1310.00"], 0]],
    "32-*/s07b*.sta": [["KE/1100100", "1000.00", "900.00", ["2026-09-15 -100.00"], 0]],
    "32-*/s07d*.sta": [["KE/1100100", "1000.00", "900.00", ["2026-09-15 -100.00"], 0]],
    "32-*/s07e*.sta": [["KE/1100100", "1000.00", "900.00", ["2026-09-15 -100.00"], 0]],
    "33-*/s08_*.sta": [["KE/1100100", "1200.00", "1192.50", ["2026-03-02 -7.50"], 0]],
    "33-*/s08b*.sta": [["KE/1100100", "1200.00", "1192.50", ["2026-02-28 -7.50"], 0]],
    "35-*/*.sta": [["KE1100100", "1000.00", "1500.00", ["2026-09-15 500.00"], 0]],
    "37-*/s02_*.sta": [["KE/1100100", "1000.00", "1208.24", ["2026-08-15 208.24"], 0]],
    "37-*/s02b*.sta": [["KE/1100100", "1000.00", "791.76", ["2026-08-15 -208.24"], 0]],
    "22-*/*.zip": [
        ["KE1100100", "0.00", "100.00", ["2026-09-14 100.00"], 0],
        ["KE1100100", "100.00", "130.00", ["2026-09-15 30.00"], 0],
    ],
    "42-*/x02_nbsp.csv": [["1100100", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "42-*/x02_nbsp_cp1252.csv": [["1100100", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "44-*/*.xls": [["1100100", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "45-*/*.xls": [["", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "46-*/x29b*.csv": [["1100100", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "46-*/y2*.csv": [["1100100", "1000.00", "2500.00", ["2026-09-15 1500.00"], 1]],
    "47-*/*.csv": [["1100100", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "48-*/x05*.csv": [["1100100", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "48-*/x07*.csv": [["1100100", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "48-*/x40*.csv": [["1100100", "1000.00", "2300.00", ["2026-09-15 1500.00", "2026-09-16 -200.00"], 0]],
    "38-*/*.sta": [["KE/1100100", None, None, ["2026-09-15 30.00"], 0]],
}


@pytest.mark.parametrize("name", sorted(READ))
def test_read(name: str) -> None:
    assert told(name) == READ[name]


REFUSED = {
    "39-*/*.xlsx": (StatementFault.BAD_DATE, "holds date cells from line 5 on and text here"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_with_the_true_reason(name: str) -> None:
    fault, why = REFUSED[name]
    with pytest.raises(StatementRefused, match=why) as caught:
        events(name)
    assert caught.value.fault is fault
    assert caught.value.line is not None
    assert caught.value.column


def test_48_a_layout_nobody_described_is_refused_and_a_table_of_its_own_reads_it(tmp_path: Path) -> None:
    with pytest.raises(StatementRefused, match="statement table new FILE") as caught:
        events("48-*/y1*.csv")
    assert caught.value.fault is StatementFault.UNKNOWN_COLUMNS
    filename, content = case("48-*/y1*.csv")
    (tmp_path / "own.toml").write_text(drafting.draft(io.BytesIO(content), filename, "own").text)
    own = tables.beside(tmp_path)
    lines = [one for one in proved(own.read(io.BytesIO(content))) if isinstance(one, StatementLine)]
    assert [(str(one.booked_on), one.amount_minor) for one in lines] == [
        ("2026-02-05", 1500000),
        ("2026-02-06", -20000),
    ]


def test_03_what_the_payers_typed_is_read() -> None:
    typed = [one.account_reference for one in events("03-*/*.csv") if isinstance(one, StatementLine)]
    assert typed == ["482915363", "508060611"]


def test_27_the_fields_behind_a_broken_tag_are_read() -> None:
    (line,) = [one for one in events("27-*/s31*.sta") if isinstance(one, StatementLine)]
    assert (line.account_reference, line.code) == ("482915363", "N062")


def test_29_the_type_behind_a_blank_is_read() -> None:
    for name in ("29-*/s06_*.sta", "29-*/s06e*.sta"):
        (line,) = [one for one in events(name) if isinstance(one, StatementLine)]
        assert line.code == "NTRF"


def test_14_and_16_what_stands_inside_an_entry_is_told_apart() -> None:
    for name, parts in (
        ("14-*/*.xml", [(2600, None, "743265721"), (200000, None, "562597067")]),
        ("16-*/*.xml", [(200000, None, "743265721"), (-2600, "charge", "")]),
    ):
        lines = [one for one in one_by_one(iter(events(name))) if isinstance(one, StatementLine)]
        assert [(one.amount_minor, one.kind, one.account_reference) for one in lines] == parts


_MOVED_NOTHING: dict[str, str | None] = {"verdict": "ignored", "amount": None}
NOTICES: dict[str, tuple[CallbackAdapter, dict[str, str | None]]] = {
    "01-*/*.json": (
        mpesa,
        {
            "verdict": "paid",
            "kind": "payment",
            "reference": "UIF0000021",
            "amount": "300.00",
            "occurred_at": "2026-09-15T11:15:02+03:00",
            "channel_account": "600310",
        },
    ),
    "06-*/c05*.json": (
        mpesa,
        {
            "verdict": "paid",
            "kind": "payment",
            "reference": "UIF0000025",
            "amount": "83.00",
            "occurred_at": "2026-09-15T00:00:00+03:00",
            "account_reference": "482915363",
        },
    ),
    "06-*/c04*.json": (mpesa, _MOVED_NOTHING),
    "07-*/c22*.json": (mpesa, _MOVED_NOTHING),
    "07-*/c23*.json": (mpesa, _MOVED_NOTHING),
    "08-*/*.json": (mpesa, {"verdict": "paid", "reference": "UIF0000047", "amount": "800.00"}),
    "09-*/*.json": (
        mpesa,
        {
            "verdict": "paid",
            "kind": "payout",
            "reference": "UIF0000022",
            "amount": "10.00",
            "occurred_at": "2026-09-15T11:45:50+03:00",
        },
    ),
    "10-*/*.json": (
        jenga,
        {"verdict": "paid", "reference": "UIF0000034", "amount": "20.00", "channel_account": None},
    ),
    "12-*/b01h.json": (
        coop,
        {"verdict": "paid", "amount": "22450.00", "occurred_at": "2026-06-30T00:00:00+03:00", "reason": None},
    ),
    "12-*/b02*.json": (
        coop,
        {"verdict": "paid", "amount": "750.00", "occurred_at": "2026-09-15T00:00:00+03:00", "reason": None},
    ),
}


@pytest.mark.parametrize("name", sorted(NOTICES))
def test_notice(name: str) -> None:
    adapter, expected = NOTICES[name]
    facts = as_wire(adapter.interpret(case(name)[1]))
    assert {key: facts[key] for key in expected} == expected


def test_08_bill_manager_hears_what_it_looks_for() -> None:
    body = case("08-*/*.json")[1]
    assert mpesa.ack_for(AckOutcome.KEPT, body) == b'{"resmsg":"Success","rescode":"200"}'
    assert mpesa.ack_for(AckOutcome.KEPT, b'{"TransID":"UIF0000047"}') == mpesa.ack(AckOutcome.KEPT)
