"""A book in plain Python: the postings one by one, in the order of their journals, by the pure rules of rounding."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from revenue_engine.secondary_ledgers.allocation import Leg, allocate, take_back


@dataclass
class Origin:
    """Money that came in: what is left of it, and what stands of it in the book by leg."""

    left: int
    version: int
    day: date
    standing: dict[int, int]


@dataclass
class Oracle:
    """A book of one stream; versions are (first day, legs), the later in the list is the newer."""

    versions: list[tuple[date, list[Leg]]]
    totals: dict[tuple[date, int], int] = field(default_factory=lambda: defaultdict(int))
    """(day, leg): cents"""
    families: dict[int, list[Origin]] = field(default_factory=lambda: defaultdict(list))

    def version(self, day: date) -> int:
        """The version in force on a day."""
        known = [(start, number) for number, (start, _) in enumerate(self.versions) if start <= day]
        return max(known)[1]

    def receive(self, family: int, cents: int, day: date) -> None:
        """Money comes in."""
        version = self.version(day)
        found = allocate(cents, self.versions[version][1])
        self.families[family].append(Origin(cents, version, day, dict(found)))
        for leg, part in found.items():
            self.totals[day, leg] += part

    def give_back(self, family: int, cents: int, day: date) -> None:
        """Money is taken back: the oldest first."""
        for origin in self.families[family]:
            step = min(cents, origin.left)
            if not step:
                continue
            stands = [(leg, part) for leg, part in sorted(origin.standing.items()) if part]
            for leg, part in take_back(step, stands, whole=origin.left).items():
                origin.standing[leg] -= part
                self.totals[day, leg] -= part
            origin.left -= step
            cents -= step
        assert not cents

    def remap(self, first: date, last: date, on: date) -> None:
        """What stands of these days is derived by the version in force."""
        for origins in self.families.values():
            for origin in origins:
                version = self.version(origin.day)
                if not first <= origin.day <= last or not origin.left or version == origin.version:
                    continue
                for leg, part in origin.standing.items():
                    self.totals[on, leg] -= part
                origin.standing, origin.version = dict(allocate(origin.left, self.versions[version][1])), version
                for leg, part in origin.standing.items():
                    self.totals[on, leg] += part
