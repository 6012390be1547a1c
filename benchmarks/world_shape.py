"""The shape of ``bench world``: how many payments of which stream fall into which month, and what payers do wrong.

The shares of a year are medians of seventy-two real months of a county; permits and advertising peak in March. Pure:
the same number of payments gives the same plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

OPENED = date(2024, 12, 1)
"""The first day of the books; two whole years follow."""
MONTHS = 24
CHUNK = 5_000
BUSINESSES, PLOTS, STALLS, PLATES, PERSONS = 12_000, 20_000, 1_500, 3_000, 8_000
WHOLE_FROM = 100_000
"""Worlds of fewer payments have fewer businesses and plots, in proportion."""

# per cent of a year, July to June
_SBP = (3.7, 2.9, 2.8, 1.7, 1.4, 0.6, 10.0, 16.9, 33.8, 11.2, 8.4, 6.7)
_ADVERT = (3.2, 1.3, 1.0, 1.4, 1.4, 1.5, 9.4, 15.1, 42.2, 9.9, 8.8, 4.9)
_LAND = (5.6, 5.8, 9.4, 5.3, 6.5, 3.1, 10.3, 11.0, 14.4, 10.4, 8.1, 9.9)
_CESS = (6.7, 6.4, 9.4, 8.2, 8.5, 7.1, 9.4, 9.0, 10.7, 7.4, 7.9, 9.3)
_MARKET = (9.0, 7.9, 10.0, 9.9, 7.9, 8.1, 9.3, 8.5, 7.7, 6.3, 8.1, 7.3)
_BUSPARK = (5.1, 6.9, 7.8, 7.6, 7.0, 9.6, 12.2, 10.4, 8.9, 7.5, 10.0, 6.9)
_PARKING = (7.1, 6.4, 7.6, 6.4, 6.8, 6.8, 13.0, 12.8, 11.8, 7.7, 7.1, 6.4)
_FLAT = (100 / 12,) * 12

YEARLY = {"SBP": (_SBP, 0.80), "LANDRATE": (_LAND, 0.75)}
"""Streams billed once a year, in January: how their payments spread, and the share of bills that is ever paid."""
STREAMS: dict[str, tuple[float, tuple[float, ...]]] = {
    "HOSPITAL": (30.0, _FLAT),
    "MARKET": (25.0, _MARKET),
    "BUSPARK": (14.0, _BUSPARK),
    "CESS": (9.0, _CESS),
    "TRAILER": (8.0, _FLAT),
    "PARKING": (6.0, _PARKING),
    "HOUSING": (3.0, _FLAT),
    "BODA": (1.5, _FLAT),
    "HEALTH": (1.0, _SBP),
    "LIVESTOCK": (1.0, _MARKET),
    "SLAUGHTER": (0.7, _FLAT),
    "ADVERT": (0.5, _ADVERT),
    "LIQUOR": (0.3, _SBP),
}
"""Every other stream: its share of the payments that are left, and how they spread over a year."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is written in one transaction: so many payments of each stream within one month."""

    number: int
    first: date
    days: int
    payments: dict[str, int]
    before: int
    """Payments of all chunks before this one."""
    yearly_before: dict[str, int]
    """Yearly bills of this calendar year that were paid before, by stream."""

    @property
    def count(self) -> int:
        """Payments of this chunk."""
        return sum(self.payments.values())


def scaled(number: int, payments: int) -> int:
    """How many of a register's things a world of so many payments has."""
    return max(1, min(number, number * payments // WHOLE_FROM))


def months() -> list[date]:
    """The first days of the months."""
    return [OPENED + relativedelta(months=number) for number in range(MONTHS)]


def plan(payments: int) -> list[Chunk]:
    """The chunks of a world, in the order in which they are written; together exactly so many payments."""
    things = {"SBP": scaled(BUSINESSES, payments), "LANDRATE": scaled(PLOTS, payments)}
    wanted: list[tuple[date, str, float]] = []
    for first in months():
        wanted += [
            (first, stream, things[stream] * paid * shape[first.month - 7] / 100)
            for stream, (shape, paid) in YEARLY.items()
            if first.year > OPENED.year
        ]
    left = payments - sum(number for _, _, number in wanted)
    whole = sum(share * sum(shape) for share, shape in STREAMS.values()) * MONTHS / 12
    for first in months():
        wanted += [
            (first, stream, left * share * shape[first.month - 7] / whole) for stream, (share, shape) in STREAMS.items()
        ]
    wanted.sort(key=lambda one: one[0])
    counted: dict[date, dict[str, int]] = {}
    running, given = 0.0, 0
    for first, stream, number in wanted:
        running += number
        counted.setdefault(first, {})[stream] = round(running) - given
        given = round(running)
    return list(_chunks(counted))


def _chunks(counted: dict[date, dict[str, int]]) -> Iterator[Chunk]:
    number, before = 0, 0
    yearly: dict[tuple[int, str], int] = {}
    for first, streams in counted.items():
        parts = max(1, -(-sum(streams.values()) // CHUNK))
        days = (first + relativedelta(months=1) - first).days
        for part in range(parts):
            payments = {
                stream: count * (part + 1) // parts - count * part // parts for stream, count in streams.items()
            }
            start = first + timedelta(days=days * part // parts)
            span = max(1, days * (part + 1) // parts - days * part // parts)
            paid = {stream: yearly.get((first.year, stream), 0) for stream in YEARLY}
            yield Chunk(number, start, span, payments, before, paid)
            for stream in YEARLY:
                yearly[first.year, stream] = paid[stream] + payments.get(stream, 0)
            number += 1
            before += sum(payments.values())
