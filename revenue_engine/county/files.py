"""A county's facts as files: read strictly, every problem reported at once with its file, line and column.

Nothing is guessed, trimmed or defaulted: a file that is not exactly right is refused. No database here.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from revenue_engine.billing.tariffs import UNITS
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.money import LARGEST_MINOR, parse_wire

HERE = Path(__file__).parents[1] / "counties"

_COUNTY = re.compile(r"[a-z][a-z-]{1,29}", re.ASCII)
_CODE = re.compile(r"[A-Z][A-Z0-9]{2,11}", re.ASCII)
_ITEM = re.compile(r"[A-Z][A-Z0-9]{2,11}(\.[A-Z0-9]{1,12}){1,3}", re.ASCII)
_PREFIX = re.compile(r"[A-Z]{2,8}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong: in which file, in which line (1 is the first), in which column or key."""

    file: str
    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.column + ': ' if self.column else ''}{self.message}"


class CountyRefused(InvalidValue):
    """A county's files were refused; ``problems`` names everything that is wrong, in the order of the files."""

    code = "county_refused"

    def __init__(self, county: str, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"the files of county {county!r} are refused:\n{lines}", county=county)

    def as_dict(self) -> dict[str, Any]:
        """The error as plain data, one entry a problem."""
        return {
            **super().as_dict(),
            "problems": [
                {"file": one.file, "line": one.line, "column": one.column, "message": one.message}
                for one in self.problems
            ],
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file and the line it begins in."""

    line: int
    values: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where the record takes several lines: the line of each key."""

    def at(self, column: str) -> int:
        """The line in which a column or key stands."""
        return self.lines.get(column, self.line)

    def __getitem__(self, column: str) -> Any:
        return self.values[column]


@dataclass(slots=True)
class CountyFiles:
    """Everything a county's files say; amounts are cents, days are dates."""

    code: str
    county: Row
    streams: list[Row] = field(default_factory=list)
    stations: list[Row] = field(default_factory=list)
    tariffs: list[Row] = field(default_factory=list)
    holidays: list[Row] = field(default_factory=list)
    channel_accounts: list[Row] = field(default_factory=list)


# --- what a cell may hold --------------------------------------------------------------------------------------------


def _text(cell: str) -> str:
    if not 1 <= len(cell) <= 200:
        raise InvalidValue("write 1 to 200 characters")
    return cell


def _like(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if not pattern.fullmatch(cell):
            raise InvalidValue(f"write {what}, not {cell!r}")
        return cell

    return read


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if cell not in allowed:
            raise InvalidValue(f"write one of {', '.join(allowed)}, not {cell!r}")
        return cell

    return read


def _note(cell: str) -> int:
    if cell not in {str(note) for note in range(1, 17)}:
        raise InvalidValue(f"a reporting note is a number from 1 to 16, not {cell!r}")
    return int(cell)


def _prefixes(cell: str) -> list[str]:
    prefixes = cell.split("|") if cell else []
    for prefix in prefixes:
        if not _PREFIX.fullmatch(prefix):
            raise InvalidValue(f"prefixes are 2 to 8 capital letters with | between them, not {prefix!r}")
    return prefixes


def _amount(cell: str) -> int:
    amount = parse_wire(cell)
    if not 0 < amount < LARGEST_MINOR:
        raise InvalidValue("an amount is above nothing and below ten billion shillings")
    return amount


def _day(cell: str) -> date:
    if not _DAY.fullmatch(cell):
        raise InvalidValue(f"write a day as 2026-07-01, not {cell!r}")
    try:
        return date.fromisoformat(cell)
    except ValueError as error:
        raise InvalidValue(f"{cell} is not in the calendar") from error


def _day_or_none(cell: str) -> date | None:
    return _day(cell) if cell else None


def _yes(cell: str) -> bool:
    return _one_of("yes", "no")(cell) == "yes"


Columns = dict[str, Callable[[str], Any]]

_a_code = _like(_CODE, "3 to 12 capital letters and digits")
STREAMS: Columns = {
    "code": _a_code,
    "name": _text,
    "note": _note,
    "billing": _one_of("bill", "spot"),
    "retained_by": _one_of("county", "facility", "concession"),
    "law": _text,
    "prefixes": _prefixes,
}
STATIONS: Columns = {"code": _a_code, "name": _text, "stream_code": _a_code, "sub_county": _text, "ward": _text}
TARIFFS: Columns = {
    "item_code": _like(_ITEM, "an item code such as SBP.SHOP"),
    "stream_code": _a_code,
    "name": _text,
    "unit": _one_of(*sorted(UNITS)),
    "amount": _amount,
    "law": _text,
    "effective_from": _day,
    "effective_to": _day_or_none,
    "status": _one_of("draft", "sample", "active", "suspended", "repealed"),
    "spot": _yes,
}
HOLIDAYS: Columns = {"day": _day, "name": _text, "source": _text}


# --- reading ---------------------------------------------------------------------------------------------------------


def read(code: str, *, directory: Path | None = None) -> tuple[CountyFiles, list[Problem]]:
    """Read a county's files and list every cell that is wrong; ``directory`` instead of the ones of the engine.

    With a problem the files are not whole: use them for nothing but finding more problems. Raises NotFound for an
    unknown county, InvalidValue for a code that cannot be one.
    """
    if not _COUNTY.fullmatch(code):
        raise InvalidValue("a county's code is small letters, such as busia", field="county")
    folder = directory or HERE / code
    if not folder.is_dir():
        known = sorted(one.name for one in HERE.iterdir() if one.is_dir() and _COUNTY.fullmatch(one.name))
        raise NotFound(f"no files of county {code!r}; there are: {', '.join(known)}", county=code)
    problems: list[Problem] = []
    county = _county(folder / "county.toml", code, problems)
    files = CountyFiles(
        code,
        county,
        _table(folder / "streams.csv", STREAMS, problems),
        _table(folder / "stations.csv", STATIONS, problems),
        _table(folder / "tariffs.csv", TARIFFS, problems),
        _table(folder / "holidays.csv", HOLIDAYS, problems),
        _channel_accounts(folder / "channel_accounts.toml", problems),
    )
    return files, problems


def _content(path: Path, problems: list[Problem]) -> str | None:
    try:
        content = path.read_bytes()
    except OSError:
        problems.append(Problem(path.name, 1, "", "the file is missing or cannot be read"))
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.append(Problem(path.name, line, "", f"byte {error.start} is not UTF-8 text"))
        return None


def _table(path: Path, columns: Columns, problems: list[Problem]) -> list[Row]:
    """The records of a CSV file whose header is exactly ``columns``. A cell that is wrong is missing from its row."""
    content = _content(path, problems)
    if content is None:
        return []
    rows: list[Row] = []
    names = list(columns)
    for line, cells in _records(path.name, content, problems):
        if line == 1:
            if cells != names:
                problems.append(Problem(path.name, 1, "", f"the header must be exactly {','.join(names)}"))
                return []
        elif len(cells) != len(names):
            problems.append(Problem(path.name, line, "", f"{len(cells)} cells where {len(names)} belong"))
        else:
            values: dict[str, Any] = {}
            for column, cell in zip(names, cells, strict=True):
                try:
                    values[column] = columns[column](_tidy(cell))
                except InvalidValue as error:
                    problems.append(Problem(path.name, line, column, error.message))
            rows.append(Row(line, values))
    if not rows:
        problems.append(Problem(path.name, 1, "", "the file holds no rows"))
    return rows


def _tidy(cell: str) -> str:
    if cell != cell.strip() or any(ord(letter) < 32 for letter in cell):
        raise InvalidValue("take away blanks around the cell and line ends in it")
    return cell


def _records(name: str, content: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins in; a quote out of place ends the reading."""
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(Problem(name, reader.line_num, "", f"this is not CSV: {error}"))
            return
        yield line, cells


def _toml(path: Path, problems: list[Problem]) -> tuple[dict[str, Any], str] | None:
    content = _content(path, problems)
    if content is None:
        return None
    try:
        return tomllib.loads(content), content
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else content.count("\n") + 1
        problems.append(Problem(path.name, line, "", f"this is not TOML: {error}"))
        return None


def _line_of(content: str, key: str, *, begin: int = 1, end: int | None = None) -> int:
    """The line in which a key of a TOML file is set, or ``begin`` where it is not."""
    wanted = re.compile(rf'\s*"?{re.escape(key)}"?\s*=')
    for number, line in enumerate(content.split("\n")[:end], 1):
        if number >= begin and wanted.match(line):
            return number
    return begin


_COUNTY_KEYS: dict[str, type] = {
    "code": str,
    "name": str,
    "books_open_from": date,
    "refuse_unknown_accounts": bool,
    "confirm_limit": str,
    "sub_counties": dict,
}


def _county(path: Path, code: str, problems: list[Problem]) -> Row:
    found = _toml(path, problems)
    if found is None:
        return Row(1, {})
    data, content = found

    def wrong(key: str, message: str) -> None:
        problems.append(Problem(path.name, _line_of(content, key), key, message))

    values = _typed(data, _COUNTY_KEYS, wrong)
    if values.get("code", code) != code:
        wrong("code", f"these files are of county {values['code']!r}, and {code!r} was asked for")
    if "name" in values and not values["name"].strip():
        wrong("name", "write the county's name")
    if "confirm_limit" in values:
        try:
            values["confirm_limit"] = _amount(values["confirm_limit"])
        except InvalidValue as error:
            wrong("confirm_limit", error.message)
    for sub_county, wards in values.get("sub_counties", {}).items():
        if not isinstance(wards, list) or not wards or not all(isinstance(ward, str) for ward in wards):
            wrong(sub_county, "write the wards of a sub-county as a list of text")
            values.pop("sub_counties", None)
    return Row(1, values, {key: _line_of(content, key) for key in values})


_ACCOUNT_KEYS: dict[str, type] = {
    "adapter": str,
    "identifier": str,
    "mode": str,
    "status": str,
    "name": str,
    "settings": dict,
}


def _channel_accounts(path: Path, problems: list[Problem]) -> list[Row]:
    found = _toml(path, problems)
    if found is None:
        return []
    data, content = found
    lines = content.split("\n")
    begins = [number for number, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*channel_account\s*\]\]", line)]
    problems += [
        Problem(path.name, _line_of(content, key), key, "only channel_account tables belong here")
        for key in data.keys() - {"channel_account"}
    ]
    tables = data.get("channel_account", [])
    if not isinstance(tables, list) or len(tables) != len(begins):
        problems.append(Problem(path.name, 1, "channel_account", "write each account as a [[channel_account]] table"))
        return []
    rows = []
    for table, begin, end in zip(tables, begins, [*begins, len(lines) + 1][1:], strict=True):

        def wrong(key: str, message: str, begin: int = begin, end: int = end) -> None:
            problems.append(Problem(path.name, _line_of(content, key, begin=begin, end=end - 1), key, message))

        values = _typed(table, _ACCOUNT_KEYS, wrong)
        for key, allowed in (("mode", ("test", "live")), ("status", ("sample", "active"))):
            if key in values and values[key] not in allowed:
                wrong(key, f"write {' or '.join(allowed)}, not {values.pop(key)!r}")
        where = {key: _line_of(content, key, begin=begin, end=end - 1) for key in values}
        rows.append(Row(begin, values, where))
    return rows


def _typed(data: dict[str, Any], keys: dict[str, type], wrong: Callable[[str, str], None]) -> dict[str, Any]:
    """The keys of a table that are there and of the right type; every other key is a problem."""
    for key in data.keys() - keys.keys():
        wrong(key, "this key is not known")
    values = {}
    for key, kind in keys.items():
        if key not in data:
            wrong(key, "this key is missing")
        elif type(data[key]) is not kind:
            wrong(key, f"write {_KIND_WORDS[kind]}")
        else:
            values[key] = data[key]
    return values


_KIND_WORDS: dict[type, str] = {
    str: "text in quotes (money too)",
    date: "a day, such as 2026-07-01",
    bool: "true or false",
    dict: "a table",
}
