"""How long a link was away in a month, from the looks at it. Pure.

A link is away from the first of ten lost intervals in a row until the first interval of a run of ten that answered (the
sliding window of MEF 10.4, its length being data). Agreed maintenance counts as neither. An interval that nobody looked
at is not counted as lost: a supplier owes for what was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

WINDOW = 10
MILLION = 1_000_000


class Probe(NamedTuple):
    """One look: the interval that begins at ``at`` and lasts ``minutes``, and whether the link answered."""

    at: datetime
    minutes: int
    up: bool


class Availability(NamedTuple):
    """Minutes measured, of which the link was away; without agreed maintenance."""

    measured: int
    away: int

    @property
    def ppm(self) -> int:
        """Availability in millionths, rounded down to the supplier's disfavour by less than one; all where nothing was
        measured."""
        return MILLION if not self.measured else (self.measured - self.away) * MILLION // self.measured


def of(
    probes: Iterable[Probe], maintenance: Sequence[tuple[datetime, datetime]] = (), *, window: int = WINDOW
) -> Availability:
    """The availability over probes in any order; ``maintenance`` are [begin, end) that were agreed before."""
    counted = [probe for probe in sorted(probes) if not any(_inside(probe, span) for span in maintenance)]
    away = False
    run: list[Probe] = []
    lost = 0
    for probe in counted:
        if run and run[-1].up is not probe.up:
            lost += sum(one.minutes for one in run) if away else 0
            run = []
        run.append(probe)
        if len(run) == window and probe.up is away:
            away = not away
    lost += sum(one.minutes for one in run) if away else 0
    return Availability(sum(probe.minutes for probe in counted), lost)


def _inside(probe: Probe, span: tuple[datetime, datetime]) -> bool:
    begin, end = span
    return probe.at < end and probe.at + timedelta(minutes=probe.minutes) > begin
