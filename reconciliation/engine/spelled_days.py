"""Days and times as offices spell them, read by one order for a whole column; two orders that both fit are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from revenue_engine.periods import NAIROBI


class DayOrder(StrEnum):
    """The order in which the parts of a day stand."""

    DMY = "dmy"
    MDY = "mdy"
    YMD = "ymd"


_CLOCK = r"(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,6})?)?\s*([AP]\.?M\.?)?\s*(Z|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_CLOCK}", re.IGNORECASE)
_NUMBERS = re.compile(rf"(\d{{1,2}})[-/. ](\d{{1,2}})[-/. ](\d{{4}}|\d{{2}}){_CLOCK}", re.IGNORECASE)
_NAMED = re.compile(rf"(\d{{1,2}})[-/. ]+([A-Z]{{3,9}})[-/., ]+(\d{{4}}|\d{{2}}){_CLOCK}", re.IGNORECASE)
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_HOW = "write it like 2026-03-30 06:00 or 30/03/2026 06:00"


class Days:
    """A column of days. ``fault`` says why it cannot be read as a whole, at ``fault_row``; empty when it can."""

    def __init__(self, texts: Iterable[str], order: DayOrder | None) -> None:
        self.fault, self.fault_row, self.how = "", 0, _HOW
        self.without_zone = False
        self._order = order or self._seen(list(texts))

    def _seen(self, texts: list[str]) -> DayOrder:
        """The one order that every day of the column allows."""
        first_big = second_big = -1
        unsure = -1
        for row, text in enumerate(texts):
            found = _NUMBERS.fullmatch(text)
            if found is None:
                continue
            first, second = int(found[1]), int(found[2])
            if first > 12:
                first_big = row
            elif second > 12:
                second_big = row
            elif first != second and unsure < 0:
                unsure = row
        if first_big >= 0 and second_big >= 0:
            self.fault_row = max(first_big, second_big)
            self.fault = (
                f"{texts[self.fault_row]!r}, and {texts[min(first_big, second_big)]!r} stands in the same column: one"
                " has the day first, the other the month. Write them alike"
            )
        elif unsure >= 0 and first_big < 0 and second_big < 0:
            self.fault_row = unsure
            self.fault = (
                f"{texts[unsure]!r}, which may be two days, and no other row says which: say --date-order dmy (day"
                " first) or --date-order mdy (month first)"
            )
        return DayOrder.MDY if second_big >= 0 else DayOrder.DMY

    def read(self, text: str) -> datetime | None:
        """The instant of a text, midnight in Nairobi where there is no time; None for what is no day."""
        try:
            return self._read(text.strip())
        except ValueError:  # the 31st of April, the 25th hour
            return None

    def _read(self, text: str) -> datetime | None:
        if found := _ISO.fullmatch(text):
            year, month, day = int(found[1]), int(found[2]), int(found[3])
        elif found := _NAMED.fullmatch(text):
            names = [at for at, name in enumerate(_MONTHS, 1) if name.startswith(found[2].casefold())]
            if len(names) != 1:
                return None
            year, month, day = _year(found[3]), names[0], int(found[1])
        elif (found := _NUMBERS.fullmatch(text)) and self._order is not DayOrder.YMD:
            first, second = int(found[1]), int(found[2])
            day, month = (first, second) if self._order is DayOrder.DMY else (second, first)
            year = _year(found[3])
        else:
            return None
        hour, minute, second_, half, zone = found.groups()[-5:]
        hours = int(hour or 0)
        if half:
            if not 1 <= hours <= 12:
                return None
            hours = hours % 12 + (12 if half[0] in "Pp" else 0)
        moment = datetime(year, month, day, hours, int(minute or 0), int(second_ or 0), tzinfo=NAIROBI)
        if zone is None:
            self.without_zone = True
            return moment
        return datetime.fromisoformat(f"{moment:%Y-%m-%dT%H:%M:%S}{'+00:00' if zone in 'Zz' else zone}")


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)
