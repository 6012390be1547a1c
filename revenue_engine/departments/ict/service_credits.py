"""What a supplier owes for a month, by the formula of the contract. The formula is data; this page reads it. Pure.

The four formulas seen in contracts: a part of the charge a day away, a part a step below the target, bands, and a flat
part. Credits are rounded down to the cent, and no formula gives more than its cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revenue_engine.departments.ict.availability import MILLION, Availability
from revenue_engine.errors import InvalidValue

DAY = 24 * 60
PERCENT = 100


def check(formula: Mapping[str, Any]) -> None:
    """Refuse a formula that could not be read. Raises InvalidValue that names the field."""
    needs = {
        "per_day": {"numerator", "denominator", "cap_days"},
        "per_step": {"step_ppm", "percent"},
        "bands": {"bands"},
        "flat": {"percent"},
    }
    kind = formula.get("kind")
    if kind not in needs:
        raise InvalidValue(f"a formula is of the kind {', '.join(needs)}", kind=kind)
    missing = needs[kind] - set(formula)
    unknown = set(formula) - needs[kind] - {"kind", "cap_percent"}
    if missing or unknown:
        raise InvalidValue(
            f"a formula {kind} has {', '.join(sorted(needs[kind]))}, and may have cap_percent", kind=kind
        )
    numbers = [value for name, value in formula.items() if name not in {"kind", "bands"}]
    bands = formula.get("bands") or []
    if kind == "bands" and not all(isinstance(band, list | tuple) and len(band) == 2 for band in bands):
        raise InvalidValue("bands are pairs: below this many millionths, this percent", kind=kind)
    numbers += [number for band in bands for number in band]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise InvalidValue("the numbers of a formula are whole and not negative", kind=kind)
    if (kind == "per_day" and not formula["denominator"]) or (kind == "per_step" and not formula["step_ppm"]):
        raise InvalidValue("a formula divides by something", kind=kind)


def due(charge_minor: int, target_ppm: int, measured: Availability, formula: Mapping[str, Any]) -> int:
    """The credit of a month in cents: nothing where the target was met. Raises InvalidValue for a bad formula."""
    check(formula)
    if measured.ppm >= target_ppm:
        return 0
    credit = _uncapped(charge_minor, target_ppm, measured, formula)
    cap = charge_minor * formula.get("cap_percent", PERCENT) // PERCENT
    return min(credit, int(cap), charge_minor)


def _uncapped(charge: int, target: int, measured: Availability, formula: Mapping[str, Any]) -> int:
    kind = formula["kind"]
    if kind == "per_day":  # each day begun: a day of outage is a day on which the service was not had
        days = min(-(-measured.away // DAY), formula["cap_days"])
        return int(charge * formula["numerator"] * days // formula["denominator"])
    if kind == "per_step":  # a step or part of a step
        steps = -(-(target - measured.ppm) // formula["step_ppm"])
        return int(charge * formula["percent"] * steps // PERCENT)
    if kind == "bands":  # the lowest band that the availability fell below
        below = [percent for limit, percent in sorted(formula["bands"]) if measured.ppm < min(limit, MILLION)]
        return int(charge * below[0] // PERCENT) if below else 0
    return int(charge * formula["percent"] // PERCENT)
