"""Whether a county's facts agree with each other: references, periods, and names that a payer could mean two ways."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from revenue_engine import identifiers
from revenue_engine.county.files import CountyFiles, Problem, Row


def cross_check(files: CountyFiles) -> list[Problem]:
    """Every disagreement between rows. Cells that could not be read are missing and are not complained about again."""
    return [
        *_twice("streams.csv", files.streams, ("code",)),
        *_twice("stations.csv", files.stations, ("code",)),
        *_twice("tariffs.csv", files.tariffs, ("item_code", "effective_from")),
        *_twice("holidays.csv", files.holidays, ("day",)),
        *_twice("channel_accounts.toml", files.channel_accounts, ("adapter", "identifier", "mode")),
        *_streams_known(files),
        *_wards_known(files),
        *_names_mean_one_thing(files),
        *_periods(files),
    ]


def _twice(file: str, rows: list[Row], columns: tuple[str, ...]) -> Iterator[Problem]:
    seen: dict[tuple[Any, ...], int] = {}
    for row in rows:
        if any(column not in row.values for column in columns):
            continue
        key = tuple(row[column] for column in columns)
        if key in seen:
            said = " ".join(str(part) for part in key)
            yield Problem(file, row.at(columns[0]), columns[0], f"{said} stands in line {seen[key]} already")
        seen.setdefault(key, row.at(columns[0]))


def _streams_known(files: CountyFiles) -> Iterator[Problem]:
    streams = {row["code"]: row for row in files.streams if "code" in row.values}
    for file, rows in (("stations.csv", files.stations), ("tariffs.csv", files.tariffs)):
        for row in rows:
            code = row.values.get("stream_code")
            if code is not None and code not in streams:
                yield Problem(file, row.line, "stream_code", f"streams.csv has no stream {code}")
            elif code is not None and row.values.get("spot") and streams[code].values.get("billing") == "bill":
                yield Problem(file, row.line, "spot", f"stream {code} is billed first: its items are not spot")


def _wards_known(files: CountyFiles) -> Iterator[Problem]:
    places = files.county.values.get("sub_counties")
    if places is None:
        return
    for row in files.stations:
        sub_county, ward = row.values.get("sub_county"), row.values.get("ward")
        if sub_county is not None and sub_county not in places:
            yield Problem("stations.csv", row.line, "sub_county", f"county.toml has no sub-county {sub_county!r}")
        elif sub_county is not None and ward is not None and ward not in places[sub_county]:
            yield Problem("stations.csv", row.line, "ward", f"{sub_county} has no ward {ward!r}")


def _names_mean_one_thing(files: CountyFiles) -> Iterator[Problem]:
    """Payers type a station's code or name and a stream's prefix: none may be another's."""
    prefixes: dict[str, str] = {}
    for row in files.streams:
        for prefix in row.values.get("prefixes", ()):
            if prefix in prefixes:
                message = f"{prefix} is a prefix of {prefixes[prefix]} already"
                yield Problem("streams.csv", row.line, "prefixes", message)
            prefixes.setdefault(prefix, row.values.get("code", "another stream"))
    keys: dict[str, int] = {}
    for row in files.stations:
        for column in ("code", "name"):
            key = identifiers.key(row.values.get(column, ""))
            if key and keys.setdefault(key, row.line) != row.line:
                message = f"a payer who types {key} could also mean the station of line {keys[key]}"
                yield Problem("stations.csv", row.line, column, message)
            if key in prefixes:
                message = f"{key} is a prefix of stream {prefixes[key]}: a payer could mean either"
                yield Problem("stations.csv", row.line, column, message)


def _periods(files: CountyFiles) -> Iterator[Problem]:
    """Each version of an item ends after it begins and before the next begins, and stays what it was."""
    items: dict[str, list[Row]] = {}
    for row in files.tariffs:
        if {"item_code", "effective_from", "effective_to"} <= row.values.keys():
            items.setdefault(row["item_code"], []).append(row)
    for item, versions in items.items():
        versions.sort(key=lambda row: row["effective_from"])
        for row in versions:
            if row["effective_to"] is not None and row["effective_to"] <= row["effective_from"]:
                yield Problem("tariffs.csv", row.line, "effective_to", "a line ends after the day it begins")
        for earlier, later in pairwise(versions):
            if earlier["effective_to"] is None or earlier["effective_to"] > later["effective_from"]:
                message = f"{item} of line {earlier.line} is still in force on {later['effective_from']}"
                yield Problem("tariffs.csv", later.line, "effective_from", message)
            for column in ("stream_code", "unit", "spot"):
                if {column} <= earlier.values.keys() & later.values.keys() and earlier[column] != later[column]:
                    yield Problem("tariffs.csv", later.line, column, f"{item} had another in line {earlier.line}")
