"""Rows of text and workbooks: lines, encodings, exact cells, and what is never opened."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
import xlsxwriter

from adapters.statements import rows as module
from adapters.statements.rows import Moment, Number, Rows, column_letters, find_in_head, find_rows
from revenue_engine.ports.statements import StatementFault, StatementRefused


def is_header(cells: Sequence[str]) -> bool:
    return [cell.strip() for cell in cells[:2]] == ["A", "B"]


def opened(content: bytes, name: str = "x.csv") -> Rows:
    found = find_rows(io.BytesIO(content), name, is_header)
    assert found is not None
    return found


def read_all(content: bytes, name: str) -> list[tuple[int, list[str]]]:
    found = find_rows(io.BytesIO(content), name, is_header)
    return list(found.read()) if found else []


def refused(content: bytes, name: str = "x.csv") -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        read_all(content, name)
    return caught.value


def workbook(*sheets: list[list[Any]], hidden: int | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, **options})
    day = book.add_format({"num_format": "dd/mm/yyyy"})
    clock = book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"})
    for index, cells in enumerate(sheets):
        sheet = book.add_worksheet()
        if index == hidden:
            sheet.hide()
        for at, row in enumerate(cells):
            for column, value in enumerate(row):
                if isinstance(value, datetime):
                    sheet.write_datetime(at, column, value, clock if value.hour else day)
                elif isinstance(value, str) and value.startswith("="):
                    sheet.write_formula(at, column, value, None, 1500.25)
                elif value is not None:
                    sheet.write(at, column, value)
    book.close()
    return out.getvalue()


def test_lines_are_those_of_the_file() -> None:
    found = opened(b'head\n\nA,B\n1,"two\nlines"\n\n3,4\n')
    assert found.preamble == ((1, ["head"]),)
    assert found.header == ("A", "B")
    assert list(found.read()) == [(4, ["1", "two\nlines"]), (7, ["3", "4"])]
    assert list(found.read()) == list(found.read())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_any_line_end_and_separator(end: str, mark: str) -> None:
    found = opened(end.join([f"A{mark}B", f"1{mark}2", ""]).encode())
    assert list(found.read()) == [(2, ["1", "2"])]


def test_the_separator_may_be_named() -> None:
    found = opened(b"sep=|\nA|B\n1|2\n")
    assert found.preamble == ()
    assert list(found.read()) == [(3, ["1", "2"])]
    assert find_rows(io.BytesIO(b"sep=;\nA,B\n"), "x.csv", is_header) is None


@pytest.mark.parametrize(
    ("encoding", "note"),
    [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", "UTF-16"), ("cp1252", "Windows-1252")],
)
def test_encodings(encoding: str, note: str) -> None:
    found = opened("A,B\n1,Mwangi \u2013 \u00e9\n".encode(encoding))
    assert list(found.read()) == [(2, ["1", "Mwangi \u2013 \u00e9"])]
    assert [note in text for text in found.notes] == ([True] if note else [])


def test_a_late_byte_of_another_encoding_turns_the_whole_text() -> None:
    found = opened(b"A,B\n" + b"1,x\n" * 400_000 + b"2,\xe9\n")
    assert "Windows-1252" in found.notes[0]
    assert sum(1 for _ in found.read()) == 400_001


def test_the_head_shows_text_and_no_workbook() -> None:
    assert find_in_head(b"x\nA;B\n1;2", is_header)
    assert not find_in_head(b"x\nC;D\n", is_header)
    assert not find_in_head(workbook([["A", "B"]]), is_header)
    assert not find_in_head(b"", is_header)


def test_the_header_must_stand_near_the_top() -> None:
    assert find_rows(io.BytesIO(b"x\n" * 100 + b"A,B\n"), "x.csv", is_header) is None


def test_broken_quotes_are_refused_by_their_line() -> None:
    found = refused(b'A,B\n1,2\n3,"four\n')
    assert (found.fault, found.line) == (StatementFault.UNREADABLE, 3)


# --- workbooks ---


def test_cells_of_a_workbook_are_exact() -> None:
    book = workbook(
        [
            [None, None],
            ["A", "B", "C"],
            [1500, 1500.1, 0.1 + 0.2],
            [datetime(2026, 9, 1), datetime(2026, 9, 1, 8, 1, 5), True],  # noqa: DTZ001 - a sheet has no zone
            [100972950094, "100972950094123456", "=1500+0.25"],
            [-0.0, 1e-7, 1234567890.12],
        ]
    )
    found = opened(book, "x.xlsx")
    assert found.header_line == 2
    read = dict(found.read())
    assert read == {
        3: ["1500", "1500.1", "0.3"],
        4: ["2026-09-01", "2026-09-01 08:01:05", "true"],
        5: ["100972950094", "100972950094123456", "1500.25"],
        6: ["0", "0.0000001", "1234567890.12"],
    }
    assert {type(cell) for cell in read[3]} == {Number}
    assert [type(cell) for cell in read[4]] == [Moment, Moment, str]
    assert [type(cell) for cell in read[5]] == [Number, str, Number]


def test_a_number_that_lost_its_digits_is_refused() -> None:
    found = refused(workbook([["A", "B"], ["x", 202609010000123456]]), "x.xlsx")
    assert (found.fault, found.line, found.column) == (StatementFault.BAD_VALUE, 2, "B")


def test_cells_right_of_empty_columns_keep_their_letters() -> None:
    found = refused(workbook([[None, None, "A", "B"], [None, None, "x", 1e15]]), "x.xlsx")
    assert found.column == "D"
    assert [column_letters(index) for index in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


def test_the_one_visible_sheet_with_the_header_is_read() -> None:
    statement = [["A", "B"], ["1", "2"]]
    assert list(opened(workbook([["cover"]], statement), "x.xlsx").read()) == [(2, ["1", "2"])]
    assert list(opened(workbook(statement, statement, hidden=1), "x.xlsx").read()) == [(2, ["1", "2"])]
    found = refused(workbook(statement, statement), "x.xlsx")
    assert found.fault is StatementFault.UNKNOWN_COLUMNS
    assert "Sheet1" in found.reason


def with_part(book: bytes, name: str, body: bytes) -> bytes:
    out = io.BytesIO(book)
    with zipfile.ZipFile(out, "a") as package:
        package.writestr(name, body)
    return out.getvalue()


@pytest.mark.parametrize("part", ["xl/vbaProject.bin", "xl/VBAPROJECT.BIN", "xl/macrosheets/sheet1.xml"])
def test_macros_are_refused_whatever_the_file_is_called(part: str) -> None:
    book = with_part(workbook([["A", "B"]]), part, b"x")
    assert refused(book, "x.xlsx").fault is StatementFault.FORBIDDEN


@pytest.mark.parametrize("name", ["x.xlsm", "X.XLTM", "x.xlam", "x.xla"])
def test_a_name_that_promises_macros_is_refused(name: str) -> None:
    assert refused(workbook([["A", "B"]]), name).fault is StatementFault.FORBIDDEN
    assert refused(b"A,B\n", name).fault is StatementFault.FORBIDDEN


def test_an_old_workbook_with_macros_is_refused() -> None:
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "_VBA_PROJECT".encode("utf-16-le")
    assert refused(old, "x.xls").fault is StatementFault.FORBIDDEN


def test_damaged_and_foreign_containers() -> None:
    book = workbook([["A", "B"]])
    assert refused(book[:-40], "x.xlsx").fault is StatementFault.UNREADABLE
    assert refused(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "x.xls").fault is StatementFault.UNREADABLE
    assert refused(b"").fault is StatementFault.EMPTY
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as package:
        package.writestr("statement.xml", "<Document/>")
    assert find_rows(io.BytesIO(other.getvalue()), "x.zip", is_header) is None


def test_a_workbook_that_ends_its_reader_ends_nothing_else() -> None:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["A", "B"])
    sheet.write(1_048_575, 16_383, "far away")  # every cell between would have to be held
    book.close()
    found = refused(out.getvalue(), "x.xlsx")
    assert found.fault is StatementFault.UNREADABLE
    assert "did not survive" in found.reason
    assert list(opened(workbook([["A", "B"], ["1", "2"]]), "x.xlsx").read()) == [(2, ["1", "2"])]


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    book = workbook([["A", "B"]])
    monkeypatch.setattr(module, "LARGEST_UNPACKED", 1000)
    assert refused(book, "x.xlsx").fault is StatementFault.TOO_LARGE
    monkeypatch.setattr(module, "LARGEST_WORKBOOK", 1000)
    assert refused(book, "x.xlsx").fault is StatementFault.TOO_LARGE
    monkeypatch.setattr(module, "LARGEST_TEXT", 10)
    assert refused(b"A,B\n1,2\n3,4\n").fault is StatementFault.TOO_LARGE
