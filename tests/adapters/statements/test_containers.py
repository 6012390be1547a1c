"""What a file is packed in: pages and XML called .xls, archives of days, and packages that unpack to too much."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from adapters.statements import rows
from revenue_engine import bootstrap
from revenue_engine.money import wire
from revenue_engine.ports import archives
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementRefused,
    proved,
)

HEADINGS = (
    "Transaction Date",
    "Value Date",
    "Transaction Details",
    "Reference",
    "Money Out",
    "Money In",
    "Ledger Balance",
)
ROWS = (
    ("15/09/2026", "15/09/2026", "PAY 482915363 & co", "FT1", "", "1,500.00", "2,500.00"),
    ("16/09/2026", "16/09/2026", "FEE", "FT2", "200.00", "", "2,300.00"),
)  # fmt: skip


def lines_of(content: bytes, name: str) -> list[StatementLine]:
    stream = io.BytesIO(content)
    reader = bootstrap.statement_reader(stream, name)
    return [e for e in proved(reader.read(stream, filename=name)) if isinstance(e, StatementLine)]


def refusal(content: bytes, name: str) -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        lines_of(content, name)
    return caught.value


def page(*rows: tuple[str, ...], before: str = "") -> bytes:
    body = "".join("<tr>" + "".join(f"<td>{cell.replace('&', '&amp;')}</td>" for cell in row) + "</tr>" for row in rows)
    return f"{before}<html><body><table><tr><td>Bank</td></tr></table><table>{body}</table></body></html>".encode()


@pytest.mark.parametrize("before", ["", "\ufeff", "  \n", "<!DOCTYPE html>\n", "<!-- made by a portal -->"])
def test_a_page_called_a_workbook_is_read(before: str) -> None:
    for name in ("a.xls", "a.html", "a.csv"):
        found = lines_of(page(HEADINGS, *ROWS, before=before), name)
        assert [(line.amount_minor, line.text) for line in found] == [(150000, "PAY 482915363 & co"), (-20000, "FEE")]


@pytest.mark.parametrize("hidden", ["hidden", "style='display: none'", 'style="VISIBILITY:hidden"'])
def test_what_nobody_sees_on_a_page_is_not_read(hidden: str) -> None:
    unseen = (
        f"<tr {hidden}>" + "".join(f"<td>{cell}</td>" for cell in ("16/09/2026", "GHOST", "", "5.00", "5.00")) + "</tr>"
    )
    content = page(HEADINGS, *ROWS).replace(b"</table></body>", unseen.encode() + b"</table></body>")
    content = content.replace(b"<td>FEE", b"<td><script>var a = 'GHOST'</script><style>b{}</style>FEE")
    assert [line.text for line in lines_of(content, "a.xls")] == ["PAY 482915363 & co", "FEE"]


_GHOST_CELLS = "".join(f"<td>{cell}</td>" for cell in ("16/09/2026", "16/09/2026", "GHOST", "", "", "5.00", "2,305.00"))
_BACK_CELLS = _GHOST_CELLS.replace("<td></td><td>5.00", "<td>5.00</td><td>").replace("2,305.00", "2,300.00")
_SHEET = "<style>@media print { .paper { display: none } } tr.gone, .no { color: red; display:none }</style>"


def _ghosts(row: str, around: str = "{}") -> bytes:
    rows = around.format(row.format(_GHOST_CELLS) + row.format(_BACK_CELLS))
    content = page(HEADINGS, *ROWS).replace(b"<html>", b"<html>" + _SHEET.encode())
    return content.replace(b"</table></body>", rows.encode() + b"</table></body>")


@pytest.mark.parametrize(
    ("row", "around"),
    [
        ("<tr class='gone'>{}</tr>", "{}"),
        ("<tr class='a NO'>{}</tr>", "{}"),
        ("<tr height=0>{}</tr>", "{}"),
        ("<tr style='mso-height-source:userset;height:0pt'>{}</tr>", "{}"),
        ("<tr>{}</tr>", "<tbody style='display:none'>{}</tbody>"),
        ("<tr>{}", "<tbody hidden>{}"),
        ("<tr>{}</tr>", "</table><div hidden><p>x<table>{}</table></div><table>"),
        ("<tr>{}</tr>", "<!-- {} -->"),
    ],
)
def test_rows_that_nobody_sees_are_no_rows_however_they_are_hidden(row: str, around: str) -> None:
    assert [line.text for line in lines_of(_ghosts(row, around), "a.xls")] == ["PAY 482915363 & co", "FEE"]


@pytest.mark.parametrize(
    "row", ["<tr class='paper'>{}</tr>", "<tr style='line-height:0'>{}</tr>", "<tr class=gone-not>{}</tr>"]
)
def test_rows_that_are_seen_are_rows(row: str) -> None:
    assert [line.text for line in lines_of(_ghosts(row), "a.xls")] == ["PAY 482915363 & co", "FEE", "GHOST", "GHOST"]


def test_words_that_nobody_sees_inside_a_cell_are_not_read() -> None:
    content = page(HEADINGS, *ROWS).replace(b"<td>1,500.00", b"<td><span style='display:none'>9</span>1,500.00")
    assert [line.amount_minor for line in lines_of(content, "a.xls")] == [150000, -20000]


def test_an_mpesa_export_may_be_a_page_too() -> None:
    head = ("Receipt No.", "Completion Time", "Details", "Transaction Status", "Paid In", "Withdrawn", "Balance")
    row = ("UIF0000001", "15/09/2026 10:00:00", "Pay Bill Online", "Completed", "10.00", "", "10.00")
    assert [line.reference for line in lines_of(page(head, row), "a.xls")] == ["UIF0000001"]


def test_two_tables_of_one_page_are_no_one_statement() -> None:
    twice = page(HEADINGS, *ROWS) + page(HEADINGS, *ROWS)
    assert refusal(twice, "a.xls").fault is StatementFault.UNKNOWN_COLUMNS
    assert refusal(page(("a", "b", "c")), "a.xls").fault is StatementFault.NOT_A_STATEMENT


def xml_workbook(*rows: tuple[str, ...], head: str = "") -> bytes:
    def cell(text: str) -> str:
        kind, shown = "String", text.replace("&", "&amp;")
        if text.replace(",", "").replace(".", "", 1).isdigit():
            kind, shown = "Number", text.replace(",", "")
        elif text[2:3] == "/":
            kind, shown = "DateTime", f"{text[6:]}-{text[3:5]}-{text[:2]}T00:00:00.000"
        return f'<Cell><Data ss:Type="{kind}">{shown}</Data></Cell>'

    body = "".join(f"<Row>{''.join(map(cell, row))}</Row>" for row in rows)
    space = "urn:schemas-microsoft-com:office:spreadsheet"
    return (
        f'<?xml version="1.0"?>{head}<Workbook xmlns="{space}" xmlns:ss="{space}"><Worksheet ss:Name="S"><Table>{body}'
        "</Table></Worksheet></Workbook>"
    ).encode()


def test_a_workbook_of_xml_is_read_with_its_numbers_and_dates() -> None:
    found = lines_of(xml_workbook(HEADINGS, *ROWS), "a.xls")
    assert [(line.amount_minor, str(line.booked_on)) for line in found] == [
        (150000, "2026-09-15"),
        (-20000, "2026-09-16"),
    ]


def test_a_workbook_of_xml_with_an_entity_or_a_cut_is_refused() -> None:
    entity = xml_workbook(HEADINGS, *ROWS, head='<!DOCTYPE a [<!ENTITY b "c">]>')
    assert refusal(entity, "a.xls").fault is StatementFault.FORBIDDEN
    assert refusal(xml_workbook(HEADINGS, *ROWS)[:-60], "a.xls").fault is StatementFault.UNREADABLE


GHOST = ("16/09/2026", "16/09/2026", "GHOST", "FT3", "", "5.00", "2,305.00")


def workbook_of(*rows: tuple[str, ...], hide: Callable[[Worksheet], object] = lambda _: None) -> bytes:
    """An .xlsx of text cells in the second sheet; ``hide`` hides what it likes of it."""
    out = io.BytesIO()
    made = xlsxwriter.Workbook(out, {"in_memory": True})
    made.add_worksheet("Cover & more").write(0, 0, "Bank")
    sheet = made.add_worksheet("Lines & more")
    for at, row in enumerate(rows):
        for place, cell in enumerate(row):
            sheet.write_string(at, place, cell)
    hide(sheet)
    made.close()
    return out.getvalue()


HAUNTED = (HEADINGS, ROWS[0], GHOST, ROWS[1])
HIDDEN_ROWS = {
    "xlsx": lambda: workbook_of(*HAUNTED, hide=lambda sheet: sheet.set_row(2, None, None, {"hidden": 1})),
    "flat": lambda: workbook_of(*HAUNTED, hide=lambda sheet: sheet.set_row(2, 0)),
    "xml": lambda: xml_workbook(*HAUNTED).replace(b"<Row><Cell", b"<Row ><Cell", 2).replace(
        b"<Row><Cell", b"<Row ss:Hidden='1'><Cell", 1
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", sorted(HIDDEN_ROWS))
def test_a_hidden_row_of_a_workbook_is_no_row_and_is_named(made: str) -> None:
    content = HIDDEN_ROWS[made]()
    stream = io.BytesIO(content)
    events = list(proved(bootstrap.statement_reader(stream, "a.xlsx").read(stream, filename="a.xlsx")))
    assert [one.text for one in events if isinstance(one, StatementLine)] == ["PAY 482915363 & co", "FEE"]
    (closed,) = [one for one in events if isinstance(one, StatementClosed)]
    assert any(note.startswith("left out: hidden rows (3)") for note in closed.notes)


def test_a_statement_that_needs_its_hidden_row_is_refused_and_told_why() -> None:
    hidden = workbook_of(HEADINGS, *ROWS, hide=lambda sheet: sheet.set_row(1, None, None, {"hidden": True}))
    assert [line.text for line in lines_of(hidden, "a.xlsx")] == ["FEE"]  # what opens it stands in no row
    after = ("17/09/2026", "17/09/2026", "PAY", "FT4", "", "10.00", "2,310.00")
    middle = workbook_of(HEADINGS, *ROWS, after, hide=lambda sheet: sheet.set_row(2, None, None, {"hidden": True}))
    found = refusal(middle, "a.xlsx")
    assert found.fault is StatementFault.DOES_NOT_ADD_UP
    assert "Left out: hidden rows (3): where they belong to the statement, show them" in found.reason


def test_hidden_columns_and_sheets_of_a_workbook_are_not_read() -> None:
    noise = [(*row, "2,300.00") for row in (HEADINGS, *ROWS)]
    assert refusal(workbook_of(*noise), "a.xlsx").fault is StatementFault.UNKNOWN_COLUMNS
    seen = workbook_of(*noise, hide=lambda sheet: sheet.set_column(7, 7, None, None, {"hidden": True}))
    assert len(lines_of(seen, "a.xlsx")) == 2
    xml = xml_workbook(*noise)
    assert refusal(xml, "a.xls").fault is StatementFault.UNKNOWN_COLUMNS
    column = b'<Table><Column ss:Index="8" ss:Hidden="1"/>'
    assert len(lines_of(xml.replace(b"<Table>", column), "a.xls")) == 2
    options = b'<WorksheetOptions xmlns="urn:schemas-microsoft-com:office:excel"><Visible>SheetHidden</Visible>'
    unseen = xml_workbook(HEADINGS, *ROWS).replace(b"</Worksheet>", options + b"</WorksheetOptions></Worksheet>")
    assert refusal(unseen, "a.xls").fault is StatementFault.NOT_A_STATEMENT


def test_a_cell_across_columns_of_a_workbook_of_xml_moves_those_behind_it() -> None:
    wide = xml_workbook(HEADINGS, *ROWS).replace(
        b'<Cell><Data ss:Type="String">FEE</Data></Cell><Cell><Data ss:Type="String">FT2</Data></Cell>',
        b'<Cell ss:MergeAcross="1"><Data ss:Type="String">FEE</Data></Cell>',
    )
    assert [line.amount_minor for line in lines_of(wide, "a.xls")] == [150000, -20000]


# --- archives ---


def day(number: int, opening: int, *paid: int, account: str = "1100100") -> bytes:
    """An MT940 statement of a September day, in cents."""

    def shown(minor: int) -> str:
        return wire(minor).replace(".", ",")

    entries = "".join(f":61:2609{number:02}C{shown(one)},NMSCNONREF//FT{number}{at}\n" for at, one in enumerate(paid))
    entries = entries.replace(",NMSC", "NMSC")
    return (
        f":20:D{number}\n:25:{account}\n:28C:{number}/1\n:60F:C2609{number:02}KES{shown(opening)}\n{entries}"
        f":62F:C2609{number:02}KES{shown(opening + sum(paid))}\n-\n"
    ).encode()


def zipped(*files: tuple[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", how) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return held.getvalue()


def test_the_days_of_an_archive_follow_each_other_whatever_their_names() -> None:
    content = zipped(("z.sta", day(14, 0, 100)), ("a.sta", day(16, 130, 7)), ("m/x.sta", day(15, 100, 30)))
    found = lines_of(content, "days.zip")
    assert [line.amount_minor for line in found] == [100, 30, 7]
    assert len({line.number for line in found}) == 3


def test_parts_of_one_day_are_put_in_the_order_of_their_balances() -> None:
    content = zipped(("1.sta", day(15, 130, 7)), ("2.sta", day(15, 100, 30)), ("3.sta", day(15, 137, 1)))
    assert [line.amount_minor for line in lines_of(content, "a.zip")] == [30, 7, 1]


def test_one_archive_may_hold_several_formats_and_accounts() -> None:
    content = zipped(
        ("a.sta", day(15, 0, 100)), ("b.xls", page(HEADINGS, *ROWS)), ("__MACOSX/b.xls", b"x"), ("d/", b"")
    )
    stream = io.BytesIO(content)
    events = list(proved(bootstrap.statement_reader(stream, "a.zip").read(stream, filename="a.zip")))
    assert [e.format for e in events if isinstance(e, StatementOpened)] == ["mt940", "table:kcb"]


@pytest.mark.parametrize(
    ("files", "fault", "said"),
    [
        ([("a.sta", day(15, 0, 100)), ("list.txt", b"hello")], StatementFault.NOT_A_STATEMENT, "list.txt in the"),
        ([("a.sta", day(15, 0, 100)), ("b.pdf", day(16, 130, 7))], StatementFault.SKIPPED, "opens with 1.30"),
        ([("readme.txt", day(14, 0, 1)), ("b.sta", day(16, 130, 7))], StatementFault.SKIPPED, "opens with 1.30"),
        ([("cover.pdf", b"%PDF-1.7")], StatementFault.NOT_A_STATEMENT, "cover.pdf in the archive: the file is a PDF"),
        ([("a.sta", day(15, 0, 100).replace(b":62F", b":65"))], StatementFault.MISSING_FIELD, "a.sta in the archive"),
        ([("a.sta", day(14, 0, 100)), ("b.sta", day(16, 130, 7))], StatementFault.SKIPPED, "opens with 1.30"),
        ([("a.zip", zipped(("a.sta", day(15, 0, 100))))], StatementFault.FORBIDDEN, "archive inside the archive"),
        ([("__MACOSX/x", b"x")], StatementFault.EMPTY, "no file"),
        ([("a.sta", day(15, 0, 100)), ("b.sta", day(15, 0, 100))], None, ""),
    ],
)
def test_an_archive_that_may_not_be_read_names_the_file(
    files: list[tuple[str, bytes]], fault: StatementFault | None, said: str
) -> None:
    found = refusal(zipped(*files), "a.zip")
    assert fault is None or found.fault is fault
    assert said in found.reason


def test_what_is_no_statement_beside_statements_is_left_out_and_named() -> None:
    content = zipped(
        ("READ ME.txt", b"hello"),
        ("a.sta", day(15, 0, 100)),
        ("docs/cover.PDF", b"%PDF-1.7"),
        ("logo.png", b"\x89PNG\r"),
    )
    stream = io.BytesIO(content)
    events = list(proved(bootstrap.statement_reader(stream, "a.zip").read(stream, filename="a.zip")))
    assert [event.amount_minor for event in events if isinstance(event, StatementLine)] == [100]
    notes = [note for event in events if isinstance(event, StatementClosed) for note in event.notes]
    assert notes == ["left out, since they are no statements: READ ME.txt, docs/cover.PDF, logo.png"]


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_UNPACKED", 10_000)
    assert refusal(zipped(("a.sta", b" " * 20_000)), "a.zip").fault is StatementFault.TOO_LARGE


# --- workbooks that swell ---


def swollen(size: int) -> bytes:
    return zipped(
        ("[Content_Types].xml", b"<Types/>"),
        ("xl/workbook.xml", b"<workbook/>"),
        ("xl/sharedStrings.xml", b"<sst><si><t>" + b"A" * size + b"</t></si></sst>"),
    )


def test_a_workbook_that_unpacks_to_a_thousand_times_itself_is_refused_unopened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows, "_written", lambda _: pytest.fail("it was opened"))
    content = swollen(40 * 2**20)
    assert len(content) < 2**20
    assert refusal(content, "a.xlsx").fault is StatementFault.TOO_LARGE


def test_a_size_that_the_head_of_a_package_denies_is_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_written", lambda _: pytest.fail("it was opened"))
    content, true = swollen(40 * 2**20), 40 * 2**20 + len("<sst><si><t></t></si></sst>")
    lying = content.replace(true.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != content
    assert refusal(lying, "a.xlsx").fault is StatementFault.TOO_LARGE


def test_a_cell_across_several_columns_keeps_the_others_in_their_places() -> None:
    foot = "<tr><td colspan=4>Total</td><td>200.00</td><td>1,500.00</td><td></td></tr>"
    whole = page(HEADINGS, *ROWS).replace(b"</table></body>", foot.encode() + b"</table></body>")
    assert [line.amount_minor for line in lines_of(whole, "a.xls")] == [150000, -20000]
    short = whole.replace(b"<td>FT1</td><td></td>", b"<td colspan='2'>FT1</td>")
    assert [line.reference for line in lines_of(short, "a.xls")] == ["FT1", "FT2"]


def test_an_archive_that_packs_nothing_is_still_an_archive() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(
            "a.sta", ":20:A\n:25:1100100\n:60F:C260914KES0,00\n:61:260915C1,00NTRF\n:62F:C260915KES1,00\n-\n"
        )
    assert [line.amount_minor for line in lines_of(packed.getvalue(), "a.zip")] == [100]


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_a_byte_changed_anywhere_is_refused_or_read_alike(how: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", how) as archive:
        archive.writestr(
            "a.sta", ":20:A\n:25:1100100\n:60F:C260914KES0,00\n:61:260915C1,00NTRF\n:62F:C260915KES1,00\n-\n"
        )
    content = packed.getvalue()
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
        try:
            assert [line.amount_minor for line in lines_of(changed, "a.zip")] == [100]
        except StatementRefused as refused:
            assert refused.reason  # noqa: PT017


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x05\x06" + bytes(18), "holds nothing"),
        (b"PK\x03\x04 and no end", "cut or is damaged"),
        (b"\x1f\x8b\x08 ...", "gzip"),
        (b"7z\xbc\xaf\x27\x1c....", "7z"),
        (b"Rar!\x1a\x07\x00....", "RAR"),
        (b"%PDF-1.4 ....", "PDF"),
        (b"\x89PNG....", "picture"),
    ],
)
def test_what_is_no_statement_is_named_and_says_how_to_mend_it(content: bytes, said: str) -> None:
    refused = refusal(content, "statement.zip")
    assert refused.fault is StatementFault.NOT_A_STATEMENT
    assert said in refused.reason
    assert refused.reason.count(".") >= 1
