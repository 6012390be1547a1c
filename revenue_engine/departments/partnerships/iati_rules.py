"""The official rules of IATI 2.03 that a publisher may not break, checked offline with activity, field and rule.

Each check bears the number that the standard's rule file gives to the rule. Where the official rule looks at one
vocabulary alone, such as that percentages of sectors make 100, all vocabularies are looked at here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from revenue_engine.errors import InvalidValue

LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is looked at."""
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_HUNDRED = Decimal(100)
_MONEY = ("value", "forecast", "loan-status")
_BUDGETS = ("total-budget", "recipient-org-budget", "recipient-region-budget", "recipient-country-budget")
_NUMBERS = frozenset("1234")
"""Measures of an indicator that have values: all but the qualitative one."""


class Finding(NamedTuple):
    """A broken rule: its official number, the row (the identifier of the activity), the field and why."""

    rule: str
    row: str
    field: str
    why: str


Broken = Iterator[tuple[str, str, str]]
"""(rule, field, why) of one activity or organisation."""


def check(document: bytes, *, now: datetime) -> list[Finding]:
    """What is broken in a file of activities or organisations, in the order of the file. Raises InvalidValue for what
    is no such file."""
    if len(document) > LARGEST:
        raise InvalidValue(f"the file has more than {LARGEST:,} bytes", field="file")
    try:
        root = fromstring(document)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InvalidValue(f"the file is no XML that is read here: {error}", field="file") from None
    kinds: dict[str, tuple[str, str, tuple[_Rule, ...]]] = {
        "iati-activities": ("iati-activity", "iati-identifier", _ACTIVITY),
        "iati-organisations": ("iati-organisation", "organisation-identifier", _ORGANISATION),
    }
    if root.tag not in kinds:
        raise InvalidValue(f"{root.tag!r} begins no IATI file", field="file")
    tag, identifier, rules = kinds[root.tag]
    found = []
    for number, one in enumerate(root.findall(tag), start=1):
        row = (one.findtext(identifier) or "").strip() or f"{tag} {number}"
        found += [Finding(rule, row, field, why) for each in rules for rule, field, why in each(one, now)]
    return found


# --- what the rules read ---------------------------------------------------------------------------------------------


def _each(parent: Element, path: str, at: str = "") -> Iterator[tuple[str, Element]]:
    """(where, element) of every element of a path; where counts those of one name, such as ``transaction[2]/value``."""
    first, _, rest = path.partition("/")
    found = parent.findall(first)
    for number, child in enumerate(found, start=1):
        where = f"{at}{first}" + (f"[{number}]" if len(found) > 1 else "")
        if rest:
            yield from _each(child, rest, f"{where}/")
        else:
            yield where, child


def _under(parent: Element, tags: tuple[str, ...], at: str = "") -> Iterator[tuple[str, Element]]:
    """(where, element) of every element of some names, at any depth."""
    seen: dict[str, int] = defaultdict(int)
    many = {child.tag: len(parent.findall(child.tag)) for child in parent}
    for child in parent:
        seen[child.tag] += 1
        where = f"{at}{child.tag}" + (f"[{seen[child.tag]}]" if many[child.tag] > 1 else "")
        if child.tag in tags:
            yield where, child
        yield from _under(child, tags, f"{where}/")


def _day(text: str | None) -> date | None:
    """The day of an XML date or time, zone or not; None for none and for what is none (the schema says that)."""
    try:
        return date.fromisoformat((text or "").strip()[:10])
    except ValueError:
        return None


def _number(text: str | None) -> Decimal | None:
    try:
        found = Decimal((text or "").strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _said(element: Element) -> bool:
    """Whether an element has a narrative with words."""
    return any((each.text or "").strip() for each in element.findall("narrative"))


def _vocabulary(element: Element) -> str:
    return element.get("vocabulary") or "1"


# --- the rules of an activity ----------------------------------------------------------------------------------------


def _identity(one: Element, now: datetime) -> Broken:
    identifier = (one.findtext("iati-identifier") or "").strip()
    for where, org in _each(one, "reporting-org"):
        if identifier and org.get("ref") == identifier:
            yield "1.1.3", where, "the identifier of the activity is that of the organisation"
    last = _day(one.get("last-updated-datetime"))
    if last and last > now.date():
        yield "11.1.1", "@last-updated-datetime", f"{last} has not come"


def _narratives(one: Element, now: datetime) -> Broken:
    del now
    language = "4.1.1" if one.tag == "iati-activity" else "4.5.1"
    if not one.get(_LANG):
        for where, each in _under(one, ("narrative",)):
            if not each.get(_LANG):
                yield language, where, "no language is said, here or for all"
    for tag, rule in (("title", "4.3.1"), ("description", "4.4.1")):
        for where, each in _under(one, (tag,)):
            if not _said(each):
                yield rule, where, f"a {tag} has a narrative with words"


def _currencies(one: Element, now: datetime) -> Broken:
    del now
    rule = "7.8.1" if one.tag == "iati-activity" else "7.8.2"
    if not one.get("default-currency"):
        for where, each in _under(one, _MONEY):
            if not each.get("currency"):
                yield rule, where, "no currency is said, here or for all"


def _activity_dates(one: Element, now: datetime) -> Broken:
    days: dict[str, list[tuple[str, date]]] = defaultdict(list)
    for where, each in _each(one, "activity-date"):
        if day := _day(each.get("iso-date")):
            days[each.get("type", "")].append((where, day))
    if not any(each.get("type") in {"1", "2"} for _, each in _each(one, "activity-date")):
        yield "6.11.1", "activity-date", "an activity has a planned or an actual start"
    for rule, start, end, kind in (("11.1.2", "1", "3", "planned"), ("11.1.3", "2", "4", "actual")):
        for where, began in days[start]:
            if any(began > ended for _, ended in days[end]):
                yield rule, where, f"the {kind} start {began} is after the {kind} end"
    for rule, kind, name in (("11.1.4", "2", "start"), ("11.1.5", "4", "end")):
        yield from (
            (rule, where, f"the actual {name} {day} has not come") for where, day in days[kind] if day > now.date()
        )


def _transaction_dates(one: Element, now: datetime) -> Broken:
    for rule, path, name in (
        ("11.2.1", "transaction/transaction-date", "iso-date"),
        ("11.2.2", "transaction/value", "value-date"),
    ):
        for where, each in _each(one, path):
            day = _day(each.get(name))
            if day and day > now.date():
                yield rule, f"{where}/@{name}", f"{day} has not come: no transaction is of a day to come"


def _sectors(one: Element, now: datetime) -> Broken:
    del now
    at_activity, transactions = list(_each(one, "sector")), one.findall("transaction")
    with_sector = [each for each in transactions if each.find("sector") is not None]
    if not at_activity and not with_sector:
        yield "6.2.2", "sector", "an activity says its sector, or each transaction does"
    if with_sector and len(with_sector) < len(transactions):
        yield "6.7.2", "transaction/sector", "some transactions say a sector: all do, or none"
    if at_activity and with_sector:
        yield "6.6.2", "transaction/sector", "sectors stand at the activity or at all transactions, not at both"
    by: dict[str, list[tuple[str, Element]]] = defaultdict(list)
    for where, each in at_activity:
        by[_vocabulary(each)].append((where, each))
        if _vocabulary(each) in {"98", "99"} and each.find("narrative") is None:
            yield "2.2.1", where, "a sector of the organisation's own list has a narrative"
    for vocabulary, each_of in by.items():
        yield from _parts(each_of, ("2.1.1", "2.1.2", "2.1.4"), f"sectors of vocabulary {vocabulary}")
    yield from _within(one, "sector", "12.3.1")


def _places(one: Element, now: datetime) -> Broken:
    del now
    countries, regions = list(_each(one, "recipient-country")), one.findall("recipient-region")
    moved = one.findall("transaction")
    told = [t for t in moved if t.find("recipient-country") is not None or t.find("recipient-region") is not None]
    if (countries or regions) and told:
        yield "3.6.2", "transaction", "a place stands at the activity or at all transactions, not at both"
    if not countries and not regions:
        if not told:
            yield "3.7.1", "recipient-country", "an activity says its country or region, or each transaction does"
        if len(told) < len(moved):
            yield "3.7.2", "transaction", "some transactions say a place: all do, or none"
    if not regions:
        yield from _parts(countries, ("3.1.1", "3.1.2", "3.1.4"), "countries")
    yield from _within(one, "recipient-country", "12.1.1")
    yield from _within(one, "recipient-region", "12.1.1")
    yield from _within(one, "capital-spend", "12.2.1")
    yield from _within(one, "country-budget-items/budget-item", "12.2.1")


def _parts(each_of: list[tuple[str, Element]], rules: tuple[str, str, str], what: str) -> Broken:
    """Several of one list each have a percentage and make 100; a single one has none, or 100."""
    each_has, sum_to, alone = rules
    told = [(where, each.get("percentage")) for where, each in each_of]
    if len(told) == 1 and told[0][1] is not None and _number(told[0][1]) != _HUNDRED:
        yield alone, told[0][0], f"a single one has no percentage, or 100: {told[0][1]}"
    if len(told) < 2:
        return
    yield from ((each_has, where, f"each of several {what} has a percentage") for where, text in told if text is None)
    total = sum((_number(text) or Decimal(0) for _, text in told if text is not None), Decimal(0))
    if sum(text is not None for _, text in told) > 1 and total != _HUNDRED:
        yield sum_to, told[0][0], f"the percentages of {what} make {total} and not 100"


def _within(one: Element, path: str, rule: str) -> Broken:
    for where, each in _each(one, path):
        text = each.get("percentage")
        part = _number(text)
        if text is not None and (part is None or not 0 <= part <= _HUNDRED):
            yield rule, f"{where}/@percentage", f"{text!r} is no percentage from 0 to 100"


def _organisations(one: Element, now: datetime) -> Broken:
    del now
    for rule, path in (
        *(("6.8.1", "other-identifier/owner-org"), ("6.10.1", "participating-org")),
        *(("6.9.1", "transaction/provider-org"), ("6.9.1", "planned-disbursement/provider-org")),
        *(("6.9.2", "transaction/receiver-org"), ("6.9.2", "planned-disbursement/receiver-org")),
    ):
        for where, each in _each(one, path):
            if each.get("ref") is None and each.find("narrative") is None:
                yield rule, where, "an organisation has an identifier or a name"
    for where, each in _each(one, "policy-marker"):
        if _vocabulary(each) == "1" and each.get("significance") is None:
            yield "6.14.1", where, "a policy marker says its significance"
        if _vocabulary(each) == "99" and each.find("narrative") is None:
            yield "6.13.1", where, "a policy marker of the organisation's own has a narrative"


def _results(one: Element, now: datetime) -> Broken:
    del now
    for at, result in _each(one, "result"):
        for where, indicator in _each(result, "indicator", f"{at}/"):
            if indicator.find("reference") is not None and result.find("reference") is not None:
                yield "8.11.1", f"{where}/reference", "a reference stands at the result or at its indicators"
            for period_at, period in _each(indicator, "period", f"{where}/"):
                yield from _order(period, period_at, "8.6.1")
            if indicator.get("measure") not in _NUMBERS:
                continue
            for rule, path in (("8.8.1", "baseline"), ("8.9.1", "period/target"), ("8.10.1", "period/actual")):
                for valued_at, valued in _each(indicator, path, f"{where}/"):
                    if valued.get("value") is None:
                        yield rule, f"{valued_at}/@value", "what is measured in numbers has a value"


# --- periods, and the rules of an organisation -----------------------------------------------------------------------


def _period(one: Element) -> tuple[date | None, date | None]:
    ends = [one.find(tag) for tag in ("period-start", "period-end")]
    start, end = (None if each is None else _day(each.get("iso-date")) for each in ends)
    return start, end


def _year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:  # 29 February, or the last year there is
        return date.max if day.year == date.max.year else date(day.year + 1, 3, 1)


def _order(one: Element, where: str, rule: str) -> Broken:
    start, end = _period(one)
    if start and end and start > end:
        yield rule, where, f"the period begins on {start}, after its end"


def _budgets(one: Element, now: datetime) -> Broken:
    del now
    yearly = ("budget",) if one.tag == "iati-activity" else (*_BUDGETS, "total-expenditure")
    also = ("planned-disbursement",) if one.tag == "iati-activity" else ()
    for path in (*yearly, *also):
        for where, each in _each(one, path):
            yield from _order(each, where, "8.6.3")
            start, end = _period(each)
            if path in yearly and start and end and end > _year_after(start):
                yield "7.5.3", where, f"a budget is of a year at most: {start} to {end}"
            if path == "recipient-country-budget":
                for line_at, value in _each(each, "budget-line/value", f"{where}/"):
                    day = _day(value.get("value-date"))
                    if day and start and end and not start <= day <= end:
                        yield "11.3.1", line_at, f"{day} is outside the period of the budget"


def _organisation(one: Element, now: datetime) -> Broken:
    last = _day(one.get("last-updated-datetime"))
    if last and last > now.date():
        yield "11.4.1", "@last-updated-datetime", f"{last} has not come"


_Rule = Callable[[Element, datetime], Broken]
_ACTIVITY: tuple[_Rule, ...] = (
    *(_identity, _narratives, _currencies, _activity_dates, _transaction_dates, _sectors, _places, _organisations),
    *(_budgets, _results),
)
_ORGANISATION: tuple[_Rule, ...] = (_organisation, _narratives, _currencies, _budgets)
