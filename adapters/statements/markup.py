"""Spreadsheets that are none: a web page called .xls, and Microsoft's XML of 2003. Rows, read for their values only."""

from __future__ import annotations

import io
import re
from collections.abc import Container, Iterator
from html.parser import HTMLParser
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from revenue_engine.ports.statements import StatementFault, StatementRefused

LARGEST: Final = 64 * 2**20
"""Bytes: such a file is held in memory while it is read."""
_PAGE: Final = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|meta|body|table|div)\b", re.I | re.S)
_WORKBOOK: Final = b"urn:schemas-microsoft-com:office:spreadsheet"
_NAMESPACE: Final = "{urn:schemas-microsoft-com:office:spreadsheet}"
_OPTIONS: Final = "{urn:schemas-microsoft-com:office:excel}"
_CHARSET: Final = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_-]+)", re.I)
_WIDEST: Final = 1024
Cell = tuple[str, str]
"""What a cell holds and what it is: ``text``, ``number`` or ``date``."""
Sheet = list[tuple[int, list[Cell]]]


def kind_of(head: bytes) -> str:
    """``page``, ``workbook`` or nothing, by how a file begins."""
    plain = head.removeprefix(b"\xef\xbb\xbf")
    if _PAGE.match(plain):
        return "page"
    beginning = plain.lstrip()[:4096]
    if beginning.startswith(b"<?xml") and _WORKBOOK in beginning:
        return "workbook"
    if beginning.startswith(b"<?xml") and re.search(rb"<html\b", beginning, re.I):
        return "page"
    return ""


def sheets(stream: BinaryIO, kind: str) -> list[tuple[Sheet, list[int]]]:
    """The tables of a page, or the visible sheets of a workbook: their rows with their numbers, and the numbers of
    hidden rows of a workbook that hold something. Raises StatementRefused."""
    stream.seek(0)
    content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise StatementRefused(
            StatementFault.TOO_LARGE, f"the file is larger than {LARGEST >> 20} MiB. Open it and save it as .csv"
        )
    if kind == "page":
        return [(table, []) for table in _Page(content).tables]  # pages hide what their scripts fill: no word of it
    return list(_worksheets(content))


class _Page(HTMLParser):
    """The tables of a web page; of a table inside another one the inner one is read. What nobody sees is not read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[Sheet] = []
        self._open: list[Sheet] = []
        self._row: list[Cell] | None = None
        self._cell: list[str] | None = None
        self._across = 1
        self._unread = 0
        text = _decoded(content)
        self._hiding_classes = _hiding_classes(text)
        self._around: list[tuple[str, bool]] = []
        """The elements that stand open and may hold rows or words, and whether each hides what it holds."""
        self.feed(text)
        self.close()
        self._end_row()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A table, a row or a cell begins; a line break inside a cell is a blank."""
        if tag in _UNREAD:
            self._unread += 1
            return
        if tag in {"tr", "table"}:
            self._end_row()
        elif tag in {"td", "th"}:
            self._end_cell()
        hidden = self._enter(tag, dict(attrs))
        if tag == "table":
            self._open.append([])
            self.tables.append(self._open[-1])
        elif tag == "tr":
            self._row = None if hidden else []  # nobody saw the row, and no cell of it is read
        elif tag in {"td", "th"} and self._row is not None:
            self._cell = []
            across = dict(attrs).get("colspan") or "1"
            self._across = min(int(across), _WIDEST) if across.isascii() and across.isdigit() else 1
        elif tag == "br" and self._cell is not None:
            self._cell.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """A table, a row or a cell ends."""
        if tag in _UNREAD:
            self._unread = max(0, self._unread - 1)
            return
        if tag in {"td", "th"}:
            self._end_cell()
        elif tag in {"tr", "table"}:
            self._end_row()
            if tag == "table" and self._open:
                self._open.pop()
        self._leave(tag)

    def _enter(self, tag: str, attributes: dict[str, str | None]) -> bool:
        """An element begins; answers whether what it holds is seen by nobody."""
        for inside in _ENDED_BY.get(tag, ()):  # pages leave out the ends of cells, rows and their groups
            self._leave(inside, within="table")
        hidden = self._hidden or self._is_hidden(tag, attributes)
        if tag not in _VOID:
            self._around.append((tag, hidden))
        return hidden

    def _leave(self, tag: str, *, within: str = "") -> None:
        """The innermost open element of a name ends, and what stands open in it; none outside ``within``."""
        for place in range(len(self._around) - 1, -1, -1):
            if self._around[place][0] == tag:
                del self._around[place:]
                return
            if self._around[place][0] == (within or ("" if tag == "table" else "table")):
                return

    @property
    def _hidden(self) -> bool:
        return bool(self._around) and self._around[-1][1]

    def _is_hidden(self, tag: str, attributes: dict[str, str | None]) -> bool:
        classes = set((attributes.get("class") or "").casefold().split())
        style = attributes.get("style") or ""
        flat = tag == "tr" and (_FLAT.fullmatch(attributes.get("height") or "") or _FLAT_STYLE.search(style))
        return (
            bool(flat)
            or "hidden" in attributes
            or _HIDING.search(style) is not None
            or not self._hiding_classes.isdisjoint(classes)
        )

    def handle_data(self, data: str) -> None:
        """Text of a cell."""
        if self._cell is not None and not self._unread and not self._hidden:
            self._cell.append(data)

    def _end_cell(self) -> None:
        if self._cell is not None and self._row is not None:
            self._row.append((" ".join("".join(self._cell).split()), "text"))
            self._row += [("", "text")] * (self._across - 1)  # a cell across several columns stands in the first
        self._cell = None

    def _end_row(self) -> None:
        self._end_cell()
        if self._row and self._open:
            rows = self._open[-1]
            rows.append((len(rows) + 1, self._row))
        self._row = None


_UNREAD: Final = frozenset({"script", "style", "template"})
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_GROUPS: Final = ("thead", "tbody", "tfoot")
_ENDED_BY: Final = {
    **dict.fromkeys(("td", "th"), ("td", "th")),
    "tr": ("tr",),
    **dict.fromkeys(_GROUPS, ("tr", *_GROUPS)),
}
"""Elements that end where another begins, whether the page says so or not."""
_FLAT: Final = re.compile(r"0+(?:px|pt)?", re.ASCII)
_FLAT_STYLE: Final = re.compile(r"(?<![\w-])height\s*:\s*0+(?:px|pt)?\s*(?:;|!|$)", re.I)
_HIDING: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)", re.I)
_STYLES: Final = re.compile(r"<style\b[^>]*>(.*?)</style", re.I | re.S)
_NOISE: Final = re.compile(r"/\*.*?\*/|<!--|-->|@media[^{}]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", re.S)
"""Comments, and rules that hold on paper or on some screens only."""
_RULE: Final = re.compile(r"([^{}]+)\{([^{}]*)\}")
_CLASS: Final = re.compile(r"(?:[A-Za-z]+)?\.([\w-]+)")


def _hiding_classes(page: str) -> set[str]:
    """The classes that a page's own style sheets hide."""
    found: set[str] = set()
    for sheet in _STYLES.findall(page):
        for selectors, rules in _RULE.findall(_NOISE.sub(" ", sheet)):
            if _HIDING.search(rules):
                names = (_CLASS.fullmatch(selector.strip()) for selector in selectors.split(","))
                found |= {name[1].casefold() for name in names if name}
    return found


def _decoded(content: bytes) -> str:
    named = _CHARSET.search(content[:4096])
    encoding = named[1].decode("ascii").lower() if named else "utf-8"
    try:
        return content.decode("utf-8-sig" if encoding in {"utf-8", "utf8"} else encoding)
    except (LookupError, UnicodeDecodeError):
        return content.decode("cp1252", errors="replace")


def _worksheets(content: bytes) -> Iterator[tuple[Sheet, list[int]]]:
    sheet: Sheet = []
    hidden: list[int] = []
    seen, number, column = True, 0, 0
    columns: set[int] = set()
    try:
        for _, element in iterparse(io.BytesIO(content), events=("end",), forbid_dtd=True):
            if element.tag == f"{_NAMESPACE}Column":
                column = _index(element.get(f"{_NAMESPACE}Index"), column + 1, _WIDEST)
                until = min(column + int(element.get(f"{_NAMESPACE}Span") or 0), _WIDEST)
                if _is_hidden(element, "Width"):
                    columns.update(range(column - 1, until))
                column = until
            elif element.tag == f"{_NAMESPACE}Row":
                number = _index(element.get(f"{_NAMESPACE}Index"), number + 1, 2**20)
                cells = _cells(element, columns)
                if not _is_hidden(element, "Height"):
                    sheet.append((number, cells))
                elif any(text for text, _ in cells):
                    hidden.append(number)
                number += int(element.get(f"{_NAMESPACE}Span") or 0)
                element.clear()
            elif element.tag == f"{_OPTIONS}Visible":
                seen = (element.text or "").strip() not in {"SheetHidden", "SheetVeryHidden"}
            elif element.tag == f"{_NAMESPACE}Worksheet":
                if seen:
                    yield sheet, hidden
                sheet, hidden, columns = [], [], set()
                seen, number, column = True, 0, 0
                element.clear()
    except DefusedXmlException as error:
        raise StatementRefused(
            StatementFault.FORBIDDEN, "the workbook declares an entity, and such a file is not opened"
        ) from error
    except (ParseError, ValueError) as error:
        raise StatementRefused(
            StatementFault.UNREADABLE, f"the XML of the workbook is broken ({str(error)[:100]}). Download it anew"
        ) from error


def _is_hidden(element: Element, size: str) -> bool:
    return element.get(f"{_NAMESPACE}Hidden") in {"1", "true"} or element.get(f"{_NAMESPACE}{size}") in {"0", "0.0"}


def _cells(row: Element, hidden: Container[int]) -> list[Cell]:
    cells: list[Cell] = []
    for cell in row.iter(f"{_NAMESPACE}Cell"):
        at = _index(cell.get(f"{_NAMESPACE}Index"), len(cells) + 1, _WIDEST)
        cells += [("", "text")] * (at - 1 - len(cells))
        data = cell.find(f"{_NAMESPACE}Data")
        text = "" if data is None or at - 1 in hidden else "".join(data.itertext())
        kind = "" if data is None else str(data.get(f"{_NAMESPACE}Type"))
        cells.append((text, {"Number": "number", "DateTime": "date"}.get(kind, "text") if text else "text"))
        across = min(int(cell.get(f"{_NAMESPACE}MergeAcross") or 0), _WIDEST)
        cells += [("", "text")] * across  # a cell across several columns stands in the first
    return cells


def _index(written: str | None, following: int, largest: int) -> int:
    at = int(written) if written else following
    if not following <= at <= largest:
        raise ValueError(f"a row or cell has the number {at}")
    return at
