"""What a table of columns declares: figures, days, and tables that are broken or stand in each other's way."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from adapters.statements.rows import Moment, Number
from adapters.statements.tables import Table, TableReader, conflicts, load_tables, reader
from adapters.statements.tables.cells import Days, Figures
from adapters.statements.tables.layout import HERE as SHIPPED
from adapters.statements.tables.layout import Amounts
from revenue_engine.errors import ConfigurationError
from revenue_engine.ports.statements import StatementFault, StatementLine, StatementRefused, proved

# --- figures and days ---


@pytest.mark.parametrize(
    ("declared", "text", "role", "minor"),
    [
        ({}, "1250", "credit", 125000),
        ({}, "1250.5", "credit", 125050),
        ({}, "0.00", "debit", 0),
        ({}, "1250.00", "debit", -125000),
        ({"debit_sign": "minus"}, "-1250.00", "debit", -125000),
        ({"thousands": ","}, "1,250.00", "amount", 125000),
        ({"thousands": ","}, " 1,234,567.89 ", "amount", 123456789),
        ({"thousands": ","}, "-1,250.00", "balance", -125000),
        ({"decimal": ",", "thousands": "."}, "+1.250,05", "amount", 125005),
        ({"decimal": ",", "thousands": " "}, "1 250,05", "amount", 125005),
        ({"brackets": True}, "(12.50)", "balance", -1250),
        ({"suffix_on": ("balance",)}, "12.50DR", "balance", -1250),
        ({"suffix_on": ("balance",)}, "12.50 CR", "balance", 1250),
        ({"suffix_on": ("balance",)}, "0.00", "balance", 0),
        ({"suffix_on": ("amount",), "credit_word": "C", "debit_word": "D"}, "12.50 D", "amount", -1250),
        ({"decimal": ",", "thousands": "."}, Number("-1250.5"), "amount", -125050),
        ({}, "", "amount", None),
        ({}, "  ", "amount", None),
    ],
)
def test_figures(declared: dict[str, Any], text: str, role: Any, minor: int | None) -> None:
    assert Figures(Amounts(**declared)).read(text, role, 1, "x") == minor


@pytest.mark.parametrize(
    ("declared", "text", "role"),
    [
        ({}, "1,250.00", "credit"),
        ({}, "1250,00", "credit"),
        ({}, "1.250.00", "credit"),
        ({}, "1250.", "credit"),
        ({}, ".50", "credit"),
        ({}, "1e3", "credit"),
        ({}, "\u0661\u0662", "credit"),
        ({}, "KES 12.00", "credit"),
        ({}, "--1", "amount"),
        ({}, "12.50 DR", "amount"),
        ({}, "(12.50)", "amount"),
        ({}, Number("12.505"), "amount"),
        ({}, Moment("2026-09-01"), "amount"),
        ({"thousands": ","}, "1,25.00", "credit"),
        ({"thousands": ","}, ",250.00", "credit"),
        ({"thousands": " "}, "1\u00a0 250.00", "credit"),
        ({"thousands": ","}, "1\u00a0250,000.00", "credit"),
        ({"thousands": ","}, "1\u00a025.00", "credit"),
        ({"thousands": "'"}, "1'25.00", "credit"),
        ({}, "12.50-", "amount"),
        ({"minus_behind": True}, "-12.50-", "amount"),
        ({}, "KES 12.50", "amount"),
        ({"currency_beside": ("KES",)}, "USD 12.50", "amount"),
        ({"currency_beside": ("KES",)}, "KES KES 12.50", "amount"),
        ({}, "--1.00", "amount"),
        ({"brackets": True}, "(-12.50)", "amount"),
        ({"brackets": True}, "12.50)", "amount"),
        ({"suffix_on": ("balance",)}, "-12.50 DR", "balance"),
        ({"suffix_on": ("balance",)}, Number("12.5"), "balance"),
        ({"debit_sign": "minus"}, "12.50", "debit"),
    ],
)
def test_no_figure(declared: dict[str, Any], text: str, role: Any) -> None:
    with pytest.raises(StatementRefused) as caught:
        Figures(Amounts(**declared)).read(text, role, 7, "Money")
    assert caught.value.fault in {StatementFault.BAD_AMOUNT, StatementFault.BAD_SIGN}
    assert (caught.value.line, caught.value.column) == (7, "Money")


@pytest.mark.parametrize(
    ("declared", "text", "role", "minor"),
    [
        ({"thousands": " "}, "1\u00a0250.00", "credit", 125000),
        ({"thousands": " ", "decimal": ","}, "1\u202f250\u202f000,50", "credit", 125000050),
        ({"thousands": "'"}, "1\u2019250.00", "credit", 125000),
        ({"minus_behind": True}, "1250.00-", "amount", -125000),
        ({}, "\u22121250.00", "amount", -125000),
        ({"currency_beside": ("KES", "KSh"), "thousands": ","}, "KSh. 1,250.00", "credit", 125000),
        ({"currency_beside": ("KES", "KSh"), "thousands": ","}, "1,250.00 kes", "credit", 125000),
        ({"suffix_on": ("balance",)}, "1250.00 Cr", "balance", 125000),
        ({"suffix_on": ("balance",)}, "1250.00Dr.", "balance", -125000),
        ({}, "-", "credit", None),
        ({"nothing": ("nil",)}, "nil", "debit", None),
    ],
)
def test_figures_as_banks_write_them(declared: dict[str, Any], text: str, role: Any, minor: int | None) -> None:
    assert Figures(Amounts(**declared)).read(text, role, 7, "Money") == minor


@pytest.mark.parametrize(
    ("formats", "text", "day"),
    [
        (("dd-MON-yy",), "15-SEP-26", "2026-09-15"),
        (("dd MON yyyy",), "15 September 2026", "2026-09-15"),
        (("d/m/yyyy",), "5/9/2026", "2026-09-05"),
        (("dd/mm/yy H:MM AM",), "15/09/26 1:30 PM", "2026-09-15"),
        (("dd/mm/yyyy",), "01/09/2026", "2026-09-01"),
        (("dd-MON-yyyy",), "01-sep-2026", "2026-09-01"),
        (("dd/mm/yyyy HH:MM:SS",), "01/09/2026 23:59:59", "2026-09-01"),
        (("dd/mm/yyyy", "yyyy-mm-dd"), "2026-09-01", "2026-09-01"),
        (("dd/mm/yyyy", "mm/dd/yyyy"), "09/09/2026", "2026-09-09"),
        (("dd/mm/yyyy", "mm/dd/yyyy"), "13/09/2026", "2026-09-13"),
        (("excel",), "46266", "2026-09-01"),
        (("excel",), Number("46266.99999"), "2026-09-01"),
        (("dd/mm/yyyy",), Moment("2026-09-01"), "2026-09-01"),
        (("dd/mm/yyyy",), Moment("2026-09-01 08:00:00"), "2026-09-01"),
    ],
)
def test_days(formats: tuple[str, ...], text: str, day: str) -> None:
    assert Days(formats).read(text, 1, "x")[0].isoformat() == day


@pytest.mark.parametrize(
    ("formats", "text"),
    [
        (("dd/mm/yyyy", "mm/dd/yyyy"), "01/09/2026"),
        (("dd/mm/yyyy",), "1/9/2026"),
        (("dd/mm/yyyy",), "01/09/26"),
        (("dd/mm/yyyy",), "31/09/2026"),
        (("dd/mm/yyyy",), "01-09-2026"),
        (("dd/mm/yyyy",), "46266"),
        (("dd/mm/yyyy",), Number("46266")),
        (("excel",), "260901"),
        (("dd-MON-yyyy",), "01-SPT-2026"),
        (("dd/mm/yyyy",), ""),
    ],
)
def test_no_day(formats: tuple[str, ...], text: str) -> None:
    days = Days(formats)
    assert not days.reads(text)
    with pytest.raises(StatementRefused) as caught:
        days.read(text, 3, "Date")
    assert caught.value.fault is (StatementFault.BAD_DATE if text else StatementFault.MISSING_FIELD)


# --- the tables themselves ---


def test_no_two_tables_know_one_header() -> None:
    assert conflicts(load_tables()) == []


def described(**changes: Any) -> Table:
    one: dict[str, Any] = {
        "name": "one",
        "title": "one",
        "status": "sample",
        "source": "a test",
        "dates": ["dd/mm/yyyy"],
        "currency": "KES",
        "columns": {"booked": "Date", "text": ["Text"], "amount": "Amount", "balance": "Balance"},
    }
    return Table.model_validate({**one, **changes})


def test_tables_that_could_know_one_header_are_found() -> None:
    columns = {"booked": "Date", "text": ["Text"], "amount": "Amount", "balance": "Balance"}
    one = described()
    assert conflicts((one, described(name="two"))) == [("one", "two")]
    assert conflicts((one, described(name="two", optional=["Branch"]))) == [("one", "two")]
    assert conflicts((one, described(name="two", columns={**columns, "balance": "Saldo"}))) == []
    assert conflicts((one, described(name="two", others=["Branch"]))) == []
    assert conflicts((described(optional=["Branch"]), described(name="two", others=["Branch"]))) == [("one", "two")]
    assert conflicts((one, described(columns={**columns, "balance": "Saldo"}))) == [("one", "one")]


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'name = "own"\ntitle = "ours"\nstatus = "sample"\nsource = "a test"\ndates = ["dd.mm.yyyy"]\ncurrency = "KES"\n'
        'optional = ["Branch"]\n[columns]\nbooked = "Day"\ntext = ["What", "More"]\namount = "Sum"\nbalance = "Left"\n'
    )
    own = TableReader(tmp_path)
    content = b"Day,What,More,Sum,Left,Branch\n01.09.2026,a,b,1.00,2.00,x\n02.09.2026,c,,-1.00,1.00,\n"
    assert own.sniff(content, "x.csv")
    assert not reader.sniff(content, "x.csv")
    lines = [one for one in proved(own.read(io.BytesIO(content))) if isinstance(one, StatementLine)]
    assert [(line.text, line.amount_minor) for line in lines] == [("a b", 100), ("c", -100)]


SHAPE = 'name = "x"\ntitle = "x"\nstatus = "sample"\nsource = "x"\ndates = ["dd/mm/yyyy"]\n'
IN_SHILLINGS = SHAPE + 'currency = "KES"\n'
COLUMNS = '[columns]\nbooked = "D"\ntext = ["T"]\namount = "A"\n'


@pytest.mark.parametrize(
    "body",
    [
        "name = ",
        'name = "x"',
        SHAPE + COLUMNS,
        IN_SHILLINGS.replace("dd/mm/yyyy", "d/m/y") + COLUMNS,
        IN_SHILLINGS.replace("KES", "Ksh") + COLUMNS,
        IN_SHILLINGS + COLUMNS + 'credit = "C"\ndebit = "B"\n',
        IN_SHILLINGS + COLUMNS.replace("amount", "indicator"),
        IN_SHILLINGS + 'narrations = ["(?P<who>.*)"]\n' + COLUMNS,
        IN_SHILLINGS + 'narrations = ["("]\n' + COLUMNS,
        IN_SHILLINGS + COLUMNS + '[amounts]\ndecimal = ","\nthousands = ","\n',
        IN_SHILLINGS + COLUMNS + 'amounts = "plain"\n',
    ],
)
def test_a_broken_table_is_a_fault_of_configuration(tmp_path: Path, body: str) -> None:
    (tmp_path / "broken.toml").write_text(body)
    with pytest.raises(ConfigurationError, match=r"broken\.toml"):
        load_tables(tmp_path)


def test_a_directory_without_tables_or_with_twins_is_a_fault_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no table"):
        load_tables(tmp_path)
    twins = tmp_path / "twins"
    twins.mkdir()
    for name in ("a", "b"):
        text = (SHIPPED / "kcb.toml").read_text("utf-8").replace('name = "kcb"', f'name = "{name}"')
        (twins / f"{name}.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match="same headings"):
        load_tables(twins)
