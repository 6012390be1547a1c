"""Each error of the official rule file: a sample broken by it is refused with row, field and that rule.

The rule file is read where it lies beside the project, and its own paths, evaluated by lxml, say that the sample is
broken and that the unbroken one is not: the oracle is the file and not our reading of it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from revenue_engine.departments.partnerships import iati_rules
from revenue_engine.errors import InvalidValue
from tests.support.commands import command

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "iati"
RULES = CORPUS / "standard.json"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_PERIOD = '<period-start iso-date="2026-01-01"/><period-end iso-date="2026-12-31"/>'
_VALUE = '<value currency="KES" value-date="2026-02-01">10</value>'
_BUDGET = f"{_PERIOD}{_VALUE}"
ACTIVITY = f"""
<iati-activities version="2.03"><iati-activity xml:lang="en" default-currency="KES"
    last-updated-datetime="2026-11-01T00:00:00Z">
  <iati-identifier>KE-COA-999-A</iati-identifier>
  <reporting-org ref="KE-COA-999" type="11"><narrative>County</narrative></reporting-org>
  <title><narrative>Links</narrative></title>
  <description><narrative>Links of offices</narrative></description>
  <participating-org ref="XM-DAC-12" role="1"/>
  <other-identifier ref="X" type="A1"><owner-org ref="XM-DAC-12"/></other-identifier>
  <activity-status code="2"/>
  <activity-date type="1" iso-date="2026-01-01"/><activity-date type="2" iso-date="2026-01-01"/>
  <activity-date type="3" iso-date="2027-01-01"/><activity-date type="4" iso-date="2026-06-01"/>
  <recipient-country code="KE" percentage="100"/>
  <sector vocabulary="1" code="15114" percentage="60"/><sector vocabulary="1" code="22040" percentage="40"/>
  <country-budget-items vocabulary="2"><budget-item code="1" percentage="100"/></country-budget-items>
  <policy-marker vocabulary="1" code="1" significance="1"/>
  <budget>{_BUDGET}</budget>
  <planned-disbursement>{_PERIOD}{_VALUE}<provider-org ref="A"/><receiver-org ref="B"/></planned-disbursement>
  <capital-spend percentage="10"/>
  <transaction><transaction-type code="1"/><transaction-date iso-date="2026-02-01"/>{_VALUE}
    <provider-org ref="A"/><receiver-org ref="B"/></transaction>
  <transaction><transaction-type code="4"/><transaction-date iso-date="2026-02-02"/>{_VALUE}</transaction>
  <result type="1"><title><narrative>R</narrative></title><indicator measure="1">
    <title><narrative>I</narrative></title><reference vocabulary="9" code="4.4.1"/><baseline year="2025" value="1"/>
    <period>{_PERIOD}<target value="2"/><actual value="1"/></period></indicator></result>
</iati-activity></iati-activities>"""
ORGANISATION = f"""
<iati-organisations version="2.03"><iati-organisation xml:lang="en" default-currency="KES"
    last-updated-datetime="2026-11-01T00:00:00Z">
  <organisation-identifier>KE-COA-999</organisation-identifier><name><narrative>County</narrative></name>
  <total-budget>{_BUDGET}</total-budget><recipient-org-budget>{_BUDGET}</recipient-org-budget>
  <recipient-region-budget>{_BUDGET}</recipient-region-budget>
  <recipient-country-budget>{_BUDGET}<budget-line>{_VALUE}</budget-line></recipient-country-budget>
  <total-expenditure>{_BUDGET}</total-expenditure>
</iati-organisation></iati-organisations>"""
_NARRATED_SECTOR = '<sector vocabulary="99" code="9"/>'
_OWN_MARKER = '<policy-marker vocabulary="99" code="9"/>'

Edit = tuple[str, ...]
BREAKS: dict[str, list[Edit]] = {
    "1.1.3": [("set", "reporting-org", "ref", "KE-COA-999-A")],
    "2.1.1": [("set", "sector[2]", "percentage", "")],
    "2.1.2": [("set", "sector[2]", "percentage", "39")],
    "2.1.4": [("drop", "sector[2]")],
    "2.2.1": [("add", ".", _NARRATED_SECTOR)],
    "3.1.1": [("add", ".", '<recipient-country code="UG"/>')],
    "3.1.2": [("add", ".", '<recipient-country code="UG" percentage="1"/>')],
    "3.1.4": [("set", "recipient-country", "percentage", "99")],
    "3.6.2": [("add", "transaction[1]", '<recipient-country code="KE"/>')],
    "3.7.1": [("drop", "recipient-country")],
    "3.7.2": [("drop", "recipient-country"), ("add", "transaction[1]", '<recipient-country code="KE"/>')],
    "4.1.1": [("lang", ".")],
    "4.3.1": [("clear", "title/narrative")],
    "4.4.1": [("clear", "description/narrative")],
    "4.5.1": [("lang", ".")],
    "6.2.2": [("drop", "sector[2]"), ("drop", "sector[1]")],
    "6.6.2": [("add", "transaction", '<sector code="15114"/>')],
    "6.7.2": [("add", "transaction[1]", '<sector code="15114"/>')],
    "6.8.1": [("set", "other-identifier/owner-org", "ref", "")],
    "6.9.1": [("set", "*/provider-org", "ref", "")],
    "6.9.2": [("set", "*/receiver-org", "ref", "")],
    "6.10.1": [("set", "participating-org", "ref", "")],
    "6.11.1": [("drop", "activity-date[@type='1']"), ("drop", "activity-date[@type='2']")],
    "6.13.1": [("add", ".", _OWN_MARKER)],
    "6.14.1": [("set", "policy-marker", "significance", "")],
    "7.5.3": [("set", "*/period-end", "iso-date", "2027-01-02")],
    "7.8.1": [("set", ".", "default-currency", ""), ("set", "transaction[1]/value", "currency", "")],
    "7.8.2": [("set", ".", "default-currency", ""), ("set", "total-budget/value", "currency", "")],
    "8.6.1": [("set", "result/indicator/period/period-end", "iso-date", "2025-12-31")],
    "8.6.3": [("set", "*/period-end", "iso-date", "2025-12-31")],
    "8.8.1": [("set", "result/indicator/baseline", "value", "")],
    "8.9.1": [("set", "result/indicator/period/target", "value", "")],
    "8.10.1": [("set", "result/indicator/period/actual", "value", "")],
    "8.11.1": [("add", "result", '<reference vocabulary="9" code="4.4"/>')],
    "11.1.1": [("set", ".", "last-updated-datetime", "2026-12-01T00:00:00Z")],
    "11.1.2": [("set", "activity-date[@type='3']", "iso-date", "2025-12-31")],
    "11.1.3": [("set", "activity-date[@type='4']", "iso-date", "2025-12-31")],
    "11.1.4": [("set", "activity-date[@type='2']", "iso-date", "2026-12-01")],
    "11.1.5": [("set", "activity-date[@type='4']", "iso-date", "2026-12-01")],
    "11.2.1": [("set", "transaction[1]/transaction-date", "iso-date", "2026-12-01")],
    "11.2.2": [("set", "transaction[1]/value", "value-date", "2026-12-01")],
    "11.3.1": [("set", "recipient-country-budget/budget-line/value", "value-date", "2025-12-31")],
    "11.4.1": [("set", ".", "last-updated-datetime", "2026-12-01T00:00:00Z")],
    "12.1.1": [
        ("set", "recipient-country", "percentage", "100.1"),
        ("add", ".", '<recipient-region code="1" percentage="-1"/>'),
    ],
    "12.2.1": [
        ("set", "capital-spend", "percentage", "101"),
        ("set", "country-budget-items/budget-item", "percentage", "-0.1"),
    ],
    "12.3.1": [("set", "sector[1]", "percentage", "101")],
}
"""How the sample is broken, by the number of the rule: an attribute set or taken away, an element dropped or added."""


def official() -> list[tuple[str, str, dict[str, Any]]]:
    if not RULES.exists():
        return []
    found = []
    for context, rules in json.loads(RULES.read_text("utf-8")).items():
        for kind, rule in rules.items():
            found += [
                (context, kind, case) for case in rule["cases"] if case.get("ruleInfo", {}).get("severity") == "error"
            ]
    return found


def broken(document: str, edits: list[Edit]) -> bytes:
    root = etree.fromstring(document)
    one = root[0]
    for what, path, *rest in edits:
        for element in one.xpath(path):
            if what == "set" and rest[1]:
                element.set(rest[0], rest[1])
            elif what == "set":
                element.attrib.pop(rest[0], None)
            elif what == "drop":
                element.getparent().remove(element)
            elif what == "add":
                element.append(etree.fromstring(rest[0]))
            elif what == "clear":
                element.text = None
            else:
                element.attrib.pop(LANG)
    return etree.tostring(root)


def days(element: Any, path: str) -> list[str]:
    return [NOW.date().isoformat()] if path == "NOW" else [str(day)[:10] for day in element.xpath(path)]


def violates(document: bytes, context: str, kind: str, case: dict[str, Any]) -> bool:
    """Whether a document breaks a case of the rule file, by the file's own paths."""
    root = etree.fromstring(document)
    found = root.xpath(context)
    return any(
        bool(_VIOLATES[kind](one, case)) for one in found if "condition" not in case or one.xpath(case["condition"])
    )


def _all(element: Any, case: dict[str, Any]) -> bool:
    if element.xpath(case["one"]) and case["all"] != "sector":
        return False
    if case["all"] == "lang":
        return any(LANG not in each.attrib for each in element.xpath(".//narrative"))
    if case["all"] == "currency":
        return any("currency" not in each.attrib for each in element.xpath(".//value"))
    with_sector = element.xpath("count(transaction[sector])")
    return bool(0 < with_sector < element.xpath("count(transaction)"))


def _after_a_year(start: str, end: str) -> bool:
    return end > f"{int(start[:4]) + 1}{start[4:]}"


_VIOLATES: dict[str, Any] = {
    "unique": lambda e, c: (
        len(v := [str(x if isinstance(x, str) else x.text) for p in c["paths"] for x in e.xpath(p)]) != len(set(v))
    ),
    "atleast_one": lambda e, c: not any(e.xpath(p) for p in c["paths"]),
    "no_more_than_one": lambda e, c: sum(len(e.xpath(p)) for p in c["paths"]) > 1,
    "one_or_all": _all,
    "date_now": lambda e, c: any(str(d)[:10] > NOW.date().isoformat() for d in e.xpath(c["date"])),
    "date_order": lambda e, c: any(a > b for a in days(e, c["less"]) for b in days(e, c["more"])),
    "between_dates": lambda e, c: any(
        not (days(e, c["start"])[0] <= d <= days(e, c["end"])[0]) for d in days(e, c["date"])
    ),
    "time_limit": lambda e, c: any(_after_a_year(a, b) for a in days(e, c["start"]) for b in days(e, c["end"])),
    "strict_sum": lambda e, c: sum(float(x) for p in c["paths"] for x in e.xpath(p)) != c["sum"],
    "range": lambda e, c: any(not c["min"] <= float(x) <= c["max"] for p in c["paths"] for x in e.xpath(p)),
    "if_then": lambda e, c: bool(e.xpath(c["if"])) and not bool(e.xpath(c["then"])),
}


@pytest.mark.skipif(not RULES.exists(), reason="the official rule file is not beside the project")
def test_the_unbroken_samples_break_no_official_rule_and_none_of_ours() -> None:
    for document in (ACTIVITY, ORGANISATION):
        whole = broken(document, [])
        assert iati_rules.check(whole, now=NOW) == []
        assert [
            case["ruleInfo"]["id"] for context, kind, case in official() if violates(whole, context, kind, case)
        ] == []


@pytest.mark.skipif(not RULES.exists(), reason="the official rule file is not beside the project")
@pytest.mark.parametrize(
    ("context", "kind", "case"),
    official(),
    ids=lambda told: told["ruleInfo"]["id"] if isinstance(told, dict) else str(told).rsplit("/", 1)[-1],
)
def test_a_sample_broken_by_an_official_rule_is_refused_with_row_field_and_rule(
    context: str, kind: str, case: dict[str, Any]
) -> None:
    rule = case["ruleInfo"]["id"]
    of_organisation = "iati-organisation" in context
    document = broken(ORGANISATION if of_organisation else ACTIVITY, BREAKS[rule])
    assert violates(document, context, kind, case), "the sample is not broken by the official rule"
    found = [one for one in iati_rules.check(document, now=NOW) if one.rule == rule]
    assert found, f"rule {rule} is not seen"
    row = "KE-COA-999" if of_organisation else "KE-COA-999-A"
    assert all(one.row == row and one.field and one.why for one in found)
    # And each place that the official case names is a finding of its own
    leaf = context.split("|")[0].strip().rsplit("/", 1)[-1].split("[")[0]
    if kind in {"time_limit", "date_order"} and leaf not in {"iati-activity", "period"}:
        assert any(one.field.split("[")[0] == leaf for one in found), found


@pytest.mark.parametrize("vocabulary", ["2", "7", "8", "99"])
def test_percentages_of_every_vocabulary_make_100_and_not_only_those_of_the_first(vocabulary: str) -> None:
    for part, seen in (("40", False), ("39.99", True)):
        said = f'<sector vocabulary="{vocabulary}" code="1" percentage="60"><narrative>A</narrative></sector>'
        edits: list[Edit] = [("add", ".", said), ("add", ".", said.replace('"60"', f'"{part}"'))]
        found = iati_rules.check(broken(ACTIVITY, edits), now=NOW)
        assert [one.rule for one in found] == (["2.1.2"] if seen else [])


@pytest.mark.parametrize(
    "document",
    [b"", b"<a", b"<html/>", b"\xff\xfe", b'<!DOCTYPE a [<!ENTITY b "c">]><iati-activities>&b;</iati-activities>'],
)
def test_what_is_no_such_file_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidValue):
        iati_rules.check(document, now=NOW)


def test_one_command_checks_a_file(tmp_path: Path) -> None:
    file = tmp_path / "partner.xml"
    file.write_bytes(broken(ACTIVITY, []))
    assert command("partner", "check", str(file)).returncode == 0
    file.write_bytes(broken(ACTIVITY, [("set", "transaction[1]/transaction-date", "iso-date", "2999-12-01")]))
    done = command("partner", "check", str(file), "--json")
    (one,) = json.loads(done.stdout)["broken"]
    assert (done.returncode, one["rule"], one["row"]) == (1, "11.2.1", "KE-COA-999-A")
    assert one["field"] == "transaction[1]/transaction-date/@iso-date"
