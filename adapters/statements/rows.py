"""Rows of a statement file, whatever holds them: comma, semicolon or tab separated text, or a workbook.

Text streams: memory does not grow with the file. A workbook is read in a process of its own (`workbook`), for values
only; one with macros is refused unread. Every row comes with the line of the file (or the row of the sheet) where
it begins. Cells are text. A cell of a workbook that held a number or a date comes as `Number` or `Moment`, written in
one exact way, so that no reader ever sees a float or ``1.23E+10``.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from tempfile import TemporaryFile
from typing import Any, BinaryIO, TypeAlias, cast

from adapters.statements import markup, workbook
from revenue_engine.ports.statements import LEFT_OUT, StatementFault, StatementRefused

LARGEST_TEXT = 512 * 2**20
LARGEST_WORKBOOK = 64 * 2**20
LARGEST_UNPACKED = 256 * 2**20
"""Bytes. A workbook is held in memory while it is read, text is not."""
MOST_INFLATED = 200
LEAST_INFLATED = 16 * 2**20
"""A part of a workbook that is larger than so many bytes, and so many times what it is when packed, is no statement:
the rows of a real one are packed ten to sixty times."""

HEADER_WITHIN = 60
"""The header row stands among the first rows of a file, or the file is none of ours."""

HEAD = 64 * 1024
DELIMITERS = (",", ";", "\t")
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_VBA_IN_OLE = "_VBA_PROJECT".encode("utf-16-le")
_MACRO_SUFFIXES = (".xlsm", ".xltm", ".xlam", ".xla", ".xlm")

_recent = threading.local()

Cells: TypeAlias = list[str]
IsHeader: TypeAlias = Callable[[Sequence[str]], bool]


class Number(str):
    """The text of a numeric cell: plain digits, a dot, no exponent, at most 15 significant digits as Excel keeps."""

    __slots__ = ()


class Moment(str):
    """The text of a date cell, ISO 8601: ``2026-02-01``, or ``2026-02-01 08:01:05`` where it has a time of day."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """A file whose header row was found. `read` starts anew at every call."""

    header: tuple[str, ...]
    header_line: int
    preamble: tuple[tuple[int, Cells], ...]
    """Every row above the header that is not blank, with its line."""
    notes: tuple[str, ...]
    _everything: Callable[[], Iterator[tuple[int, Cells]]]

    def read(self) -> Iterator[tuple[int, Cells]]:
        """The rows under the header with their lines, blank ones left out, cells as they stand.

        Raises StatementRefused where the text cannot be split or a number cannot be kept exactly.
        """
        after = self.header_line
        for line, cells in self._everything():
            if line > after and any(cells):
                yield line, cells


def find_rows(stream: BinaryIO, filename: str, is_header: IsHeader) -> Rows | None:
    """Open a file and find its header row; None when it has none. Raises StatementRefused for what may not be read."""
    stream.seek(0)
    head = stream.read(HEAD)
    if not head:
        raise StatementRefused(StatementFault.EMPTY, "the file is empty")
    if head.startswith((_ZIP, _OLE)):
        return _find_in_workbook(stream, filename, is_header)
    if filename.lower().endswith(_MACRO_SUFFIXES):
        raise _macros()
    if kind := markup.kind_of(head):
        return _find_in_markup(stream, kind, is_header)
    return _find_in_text(stream, head, is_header)


def find_in_head(head: bytes, is_header: IsHeader) -> bool:
    """Whether text that begins with ``head`` has the header row; False for a workbook, which a head cannot show."""
    if head.startswith((_ZIP, _OLE)):
        return False
    text = _decoded_head(head)
    return any(_header_of(io.StringIO(text, newline=""), delimiter, is_header) for delimiter in _candidates(text))


# --- separated text ---


def _find_in_text(stream: BinaryIO, head: bytes, is_header: IsHeader) -> Rows | None:
    start = _decoded_head(head)
    if not any(_header_of(io.StringIO(start, newline=""), mark, is_header) for mark in _candidates(start)):
        return None
    encoding, notes = _encoding(stream)
    for delimiter in _candidates(start):
        stream.seek(0)
        found = _header_of(_text(stream, encoding), delimiter, is_header)
        if found is None:
            continue
        line, header, preamble = found
        return Rows(
            header=tuple(header),
            header_line=line,
            preamble=tuple(preamble),
            notes=notes,
            _everything=lambda mark=delimiter: _split(_rewound(stream, encoding), mark),  # type: ignore[misc]
        )
    return None


def _candidates(start: str) -> tuple[str, ...]:
    first = start.split("\n", 1)[0].strip().lstrip("\ufeff")
    named = _SEPARATOR.fullmatch(first) or _SEPARATOR.fullmatch(first.rstrip(",;\t"))
    return (named[1],) if named else DELIMITERS


def _header_of(
    lines: Iterator[str], delimiter: str, is_header: IsHeader
) -> tuple[int, Cells, list[tuple[int, Cells]]] | None:
    preamble: list[tuple[int, Cells]] = []
    try:
        for count, (line, cells) in enumerate(_split(lines, delimiter)):
            if is_header(cells):
                return line, [cell.strip() for cell in cells], preamble
            if count >= HEADER_WITHIN:
                break
            if any(cells):
                preamble.append((line, cells))
    except StatementRefused:
        return None  # what cannot be split before a header is no table; what comes after it is refused by its line
    return None


def _split(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, Cells]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, [] if line == 1 and cells and cells[0].lower().startswith("sep=") else cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise StatementRefused(
            StatementFault.UNREADABLE,
            f"the text cannot be split into cells ({error}); a quotation mark is open or stands inside a cell. "
            "Export the file anew and do not edit it by hand",
            line=line,
        ) from None
    finally:
        if isinstance(lines, io.TextIOWrapper):
            lines.detach()  # else the file would be closed with the wrapper around it


def _encoding_of_head(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _decoded_head(head: bytes) -> str:
    """The head as text, its last character perhaps cut in two."""
    encoding = _encoding_of_head(head)
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeError:
        return head.decode("cp1252", errors="replace")


def _encoding(stream: BinaryIO) -> tuple[str, tuple[str, ...]]:
    """The encoding of the whole text: it is decoded once, in pieces, before any of it is believed."""
    stream.seek(0)
    encoding = _encoding_of_head(stream.read(4))
    notes: tuple[str, ...] = ("the text is UTF-16",) if encoding == "utf-16" else ()
    if not _decodes(stream, encoding):
        if encoding == "utf-16" or not _decodes(stream, "cp1252"):
            raise StatementRefused(
                StatementFault.UNREADABLE, "the text is neither UTF-8 nor Windows-1252. Export it as CSV UTF-8"
            )
        encoding, notes = "cp1252", ("the text is not UTF-8 and was read as Windows-1252",)
    return encoding, notes


def _decodes(stream: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    stream.seek(0)
    size = 0
    try:
        while piece := stream.read(2**20):
            size += len(piece)
            if size > LARGEST_TEXT:
                raise StatementRefused(StatementFault.TOO_LARGE, f"the file is larger than {LARGEST_TEXT >> 20} MiB")
            if "\0" in decoder.decode(piece):
                raise StatementRefused(StatementFault.UNREADABLE, "the file holds zero bytes: it is no text")
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _rewound(stream: BinaryIO, encoding: str) -> io.TextIOWrapper:
    stream.seek(0)
    return _text(stream, encoding)


def _text(stream: BinaryIO, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding=encoding, newline="")


# --- pages and workbooks of XML ---


def _find_in_markup(stream: BinaryIO, kind: str, is_header: IsHeader) -> Rows | None:
    found: list[Rows] = []
    for sheet, hidden in markup.sheets(stream, kind):
        cells = [(line, [_typed(text, what) for text, what in row]) for line, row in sheet]
        rows = _header_in_sheet(lambda cells=cells: iter(cells), is_header)  # type: ignore[misc]
        if rows is not None:
            found.append(replace(rows, notes=_left_out(hidden)))
    if len(found) > 1:
        raise StatementRefused(
            StatementFault.UNKNOWN_COLUMNS,
            f"{len(found)} tables of the file hold a statement. Save each as its own file",
        )
    if not found:
        return None
    name = "a web page" if kind == "page" else "XML of a spreadsheet"
    read = f"the file is {name}, whatever its name says; only its values were read"
    return replace(found[0], notes=(read, *found[0].notes))


def _typed(text: str, what: str) -> str:
    """A cell of such a file as `Rows` has it: numbers and dates are what they are in any workbook."""
    if what == "number":
        try:
            value = Decimal(text.strip())
        except InvalidOperation:
            return text
        if not value.is_finite() or abs(value) >= 10**15:
            return text
        figure = format(Decimal(format(value, ".15g")), "f")
        return Number((figure.rstrip("0").rstrip(".") if "." in figure else figure) or "0")
    if what == "date":
        try:
            written = workbook.cell(datetime.fromisoformat(text))
        except ValueError:
            return text
        return Moment(written[0])
    return text


# --- workbooks ---


def _find_in_workbook(stream: BinaryIO, filename: str, is_header: IsHeader) -> Rows | None:
    if not _may_open(stream, filename):
        return None
    written = _written(stream)
    found: list[tuple[str, Rows]] = []
    for name, hidden, everything in _sheets(written):
        rows = _header_in_sheet(everything, is_header)
        if rows is not None:
            found.append((name, replace(rows, notes=(*rows.notes, *_left_out(hidden)))))
    if len(found) > 1:
        raise StatementRefused(
            StatementFault.UNKNOWN_COLUMNS,
            f"the sheets {', '.join(repr(name) for name, _ in found)} all hold a statement. Save each as its own file",
        )
    return found[0][1] if found else None


class _Written:
    """A temporary file that is closed with the last source of rows that reads it."""

    def __init__(self) -> None:
        self.file = TemporaryFile()  # noqa: SIM115 - it outlives this call

    def __del__(self) -> None:
        self.file.close()


def _written(stream: BinaryIO) -> _Written:
    """What the process for workbooks wrote of this one. Raises StatementRefused when it died or may not go on.

    Each thread remembers its last: a file is asked about by every reader before one of them reads it.
    """
    stream.seek(0)
    content = stream.read()
    digest = hashlib.sha256(content).digest()
    if getattr(_recent, "digest", b"") == digest:
        return cast("_Written", _recent.written)
    written = _Written()
    try:
        done = subprocess.run(
            [sys.executable, "-I", workbook.__file__],
            input=content,
            stdout=written.file,
            stderr=subprocess.PIPE,
            timeout=2 * workbook.SECONDS,
            check=False,
        )
        code, said = done.returncode, done.stderr[:300].decode("utf-8", errors="replace").strip()
    except subprocess.TimeoutExpired:
        code, said = -1, ""
    if code == workbook.MACROS:
        raise _macros()
    if code:
        said = said if code == workbook.CANNOT_READ else ""
        raise StatementRefused(
            StatementFault.UNREADABLE,
            f"the workbook cannot be opened ({said or 'its reader did not survive it'}). Save it anew as .xlsx or .csv",
        )
    _recent.digest, _recent.written = digest, written
    return written


def _left_out(hidden: Sequence[int]) -> tuple[str, ...]:
    """What to say of rows that hold something and that nobody sees: they are no rows of the statement."""
    if not hidden:
        return ()
    rows = ", ".join(map(str, hidden[:5])) + (" and others" if len(hidden) > 5 else "")
    return (f"{LEFT_OUT} hidden rows ({rows}): where they belong to the statement, show them and save the file anew",)


def _sheets(written: _Written) -> Iterator[tuple[str, list[int], Callable[[], Iterator[tuple[int, Cells]]]]]:
    starts: list[tuple[str, list[int], int]] = []
    written.file.seek(0)
    while line := written.file.readline():
        if line.startswith(b'["sheet"'):
            _, name, hidden = json.loads(line)
            starts.append((name, hidden, written.file.tell()))
    for name, hidden, at in starts:
        yield name, hidden, lambda at=at: _sheet_rows(written, at)  # type: ignore[misc]


def _sheet_rows(written: _Written, at: int) -> Iterator[tuple[int, Cells]]:
    while True:
        written.file.seek(at)  # another reading of this file may have moved it
        line = written.file.readline()
        at = written.file.tell()
        if not line or line.startswith(b'["sheet"'):
            return
        number, *cells = json.loads(line)
        yield number, [cell if type(cell) is str else _exact(cell, number, at) for at, cell in enumerate(cells)]


def _may_open(stream: BinaryIO, filename: str) -> bool:
    """Refuse macros and bombs before anything is opened; False when the container is no workbook at all."""
    size = stream.seek(0, io.SEEK_END)
    if size > LARGEST_WORKBOOK:
        raise StatementRefused(
            StatementFault.TOO_LARGE, f"the workbook is larger than {LARGEST_WORKBOOK >> 20} MiB. Save it as .csv"
        )
    if filename.lower().endswith(_MACRO_SUFFIXES):
        raise _macros()
    stream.seek(0)
    if stream.read(len(_OLE)) == _OLE:
        stream.seek(0)
        if _VBA_IN_OLE in stream.read():
            raise _macros()
        return True
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as package:
            inside = package.infolist()
            names = [one.filename.lower() for one in inside]
            if not any(name.startswith("xl/") for name in names):
                return False
            kinds = b""
            if "[Content_Types].xml" in package.namelist():
                with package.open("[Content_Types].xml") as part:
                    kinds = part.read(2**20)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        if not filename.lower().endswith(".xlsx"):
            return False
        raise StatementRefused(
            StatementFault.UNREADABLE, f"the workbook is damaged ({error}). Download it anew"
        ) from None
    if b"macroEnabled" in kinds or any("vbaproject" in name or "macrosheets/" in name for name in names):
        raise _macros()
    _bounded(stream, inside)
    return True


def _bounded(stream: BinaryIO, inside: list[zipfile.ZipInfo]) -> None:
    """Refuse a package that unpacks to more than a statement can be.

    What its head says of sizes is not believed: each part is unpacked once, piece by piece, and nothing is kept.
    """
    total = 0
    for one in inside:
        most = min(LARGEST_UNPACKED - total, max(LEAST_INFLATED, MOST_INFLATED * one.compress_size))
        size = one.file_size if one.file_size > most else _unpacked(stream, one, most)
        if size > most:
            raise StatementRefused(
                StatementFault.TOO_LARGE,
                f"the workbook's part {one.filename[:60]!r} unpacks to more than a statement can be. Save it as .csv,"
                " or export fewer days",
            )
        total += size


def _unpacked(stream: BinaryIO, part: zipfile.ZipInfo, most: int) -> int:
    """The bytes of a part of a package, counted no further than behind ``most``."""
    if part.compress_type == zipfile.ZIP_STORED:
        return part.compress_size
    if part.compress_type != zipfile.ZIP_DEFLATED:
        raise StatementRefused(StatementFault.UNREADABLE, "the workbook is packed in an unknown way. Save it as .csv")
    stream.seek(part.header_offset + 26)
    beginning = stream.read(4)
    name, extra = struct.unpack("<HH", beginning) if len(beginning) == 4 else (0, 0)
    stream.seek(name + extra, io.SEEK_CUR)
    inflate, left, size = zlib.decompressobj(-zlib.MAX_WBITS), part.compress_size, 0
    try:
        while left > 0 and size <= most and not inflate.eof and (piece := stream.read(min(left, 2**16))):
            left -= len(piece)
            while piece and size <= most:
                size += len(inflate.decompress(piece, 2**20))
                piece = inflate.unconsumed_tail
    except zlib.error as error:
        raise StatementRefused(
            StatementFault.UNREADABLE, f"the workbook is damaged ({error}). Download it anew"
        ) from None
    return size


def _macros() -> StatementRefused:
    return StatementRefused(
        StatementFault.FORBIDDEN, "the workbook holds macros, and such a file is not opened. Save it as .xlsx or .csv"
    )


def _header_in_sheet(everything: Callable[[], Iterator[tuple[int, Cells]]], is_header: IsHeader) -> Rows | None:
    preamble: list[tuple[int, Cells]] = []
    for count, (line, cells) in enumerate(everything()):
        if is_header(cells):
            header = [cell.strip() for cell in cells]
            return Rows(tuple(header), line, tuple(preamble), (), everything)
        if count >= HEADER_WITHIN:
            break
        preamble.append((line, cells))
    return None


def _exact(cell: list[Any], line: int, column: int) -> str:
    if not cell:
        raise StatementRefused(
            StatementFault.BAD_VALUE,
            "a number of more than 15 digits has lost its last ones in the workbook. Format the column as text "
            "before the export, or take the .csv",
            line=line,
            column=column_letters(column),
        )
    return Moment(cell[0]) if len(cell) > 1 else Number(cell[0])


def column_letters(index: int) -> str:
    """The letters of a sheet's column: 0 is ``A``, 26 is ``AA``."""
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(65 + digit) + letters
    return letters
