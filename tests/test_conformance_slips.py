"""The kit on slips that leave every example right: each is planted in a bank, and the check that is for it fails."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from adapters import bodies, conformance, readings
from adapters.conformance.skeleton import write_skeleton
from adapters.conformance.subject import Subject
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import (
    BodyFormat,
    Interpretation,
    Paid,
    Party,
    Purpose,
    Rehearsal,
    Reversed,
    Unknown,
    Verdict,
)
from tests.support.form_bank import HEADER, PROOF, FormBank, Settings, signature
from tests.test_conformance import PROVE, READ, loaded

FIXTURES = Path(__file__).parent / "adapters" / "form_bank"
PAGE = Path(__file__).parents[1] / "docs" / "adapters" / "how-to.md"


def outcome(bank: FormBank, check: str, folder: Path = FIXTURES) -> conformance.Result:
    (wanted,) = [one for one in conformance.CHECKS if one.__name__ == check]
    return conformance.tried(wanted, Subject(bank, folder))


class Judging(FormBank):
    """A bank whose own comparison is wrong."""

    def fits(self, given: str, keys: list[str], at: str, body: bytes) -> bool:
        raise NotImplementedError

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        found = re.fullmatch(r"t=([0-9]{1,12}),v1=([0-9a-f]{1,64})", headers.get(HEADER.lower(), ""))
        if found is None or not isinstance(settings, Settings):
            return Verdict(accepted=False, reason=f"the header {HEADER} is not t=SECONDS,v1=HEX")
        keys = [key.get_secret_value() for key in (settings.secret, settings.previous_secret)]
        if not self.fits(found[2], keys, found[1], body):
            return Verdict(accepted=False, reason=f"the header {HEADER} does not fit the body")
        return Verdict(accepted=True)


class EightDigits(Judging):
    def fits(self, given: str, keys: list[str], at: str, body: bytes) -> bool:
        return any(signature(key, at, body)[:8] == given[:8] for key in keys if key)


class HalfIsEnough(Judging):
    def fits(self, given: str, keys: list[str], at: str, body: bytes) -> bool:
        return len(given) >= 8 and any(signature(key, at, body).startswith(given) for key in keys if key)


class EmptyKey(Judging):
    def fits(self, given: str, keys: list[str], at: str, body: bytes) -> bool:
        return any(signature(key, at, body) == given for key in keys)


class Stripped(Judging):
    def fits(self, given: str, keys: list[str], at: str, body: bytes) -> bool:
        return any(signature(key, at, body.strip()) == given for key in keys if key)


class Talkative(FormBank):
    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        found = super().interpret(body, purpose=purpose)
        if isinstance(found, Unknown):
            text = body.decode("utf-8", "replace")
            return Unknown(f"{found.reason}: {bodies.FORM.fields(body) if '%' not in text else text}"[:400])
        return found


class MonthFirstToo(FormBank):
    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        found = super().interpret(body, purpose=purpose)
        try:
            when = dict(bodies.form(body)).get("when", "")
            both = ("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S")
            if not isinstance(found, Unknown) or "when" not in found.reason:
                return found
            doc = bodies.form(body)
            return Paid(
                reference=readings.reference(doc["txn"], "txn"),
                amount_minor=self.amount(doc["amt"]),
                occurred_at=readings.moment(when, both, "when"),
                account_reference=doc["ref"],
                message="credit",
            )
        except (InvalidValue, KeyError):
            return found


class Latin(FormBank):
    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        found = super().interpret(body, purpose=purpose)
        if not isinstance(found, Paid):
            return found
        wrong = found.party.name.encode().decode("latin-1")
        return replace(found, party=Party(wrong, found.party.msisdn))


class TypedIsReference(FormBank):
    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        found = super().interpret(body, purpose=purpose)
        if not isinstance(found, Paid):
            return found
        return replace(found, reference=found.account_reference.strip().upper() or "NONE")


class ReversalPays(FormBank):
    def came(self, word: str) -> bool | None:
        return {"CR": True, "DR": False, "RV": True}.get(word)

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        return replace(super().rehearse(identifier, secrets), takes_back={"RV"})


class ReversalIgnored(ReversalPays):
    def came(self, word: str) -> bool | None:
        return {"CR": True, "DR": False, "RV": False}.get(word)


class Unsaid(FormBank):
    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        return replace(super().rehearse(identifier, secrets), pays=())


class WrongType(FormBank):
    content_type = "application/json"


class NoType(FormBank):
    content_type = "text/plain\r\nx-evil: 1"


@pytest.mark.parametrize(
    ("slip", "check", "said"),
    [
        (EightDigits, "cut_proofs_are_refused", "a proof of"),
        (HalfIsEnough, "cut_proofs_are_refused", "with its end cut off"),
        (EmptyKey, "empty_keys_prove_nothing", "empty key"),
        (Stripped, "signed_bytes_are_the_bytes", "body.strip()"),
        (Talkative, "reasons_hold_no_person", "repeats the payer"),
        (Talkative, "mutations_never_pay", "repeats the payer"),
        (MonthFirstToo, "dates_have_one_order", "impossible date '12/31/2026"),
        (Latin, "names_are_read_as_utf8", "is read as"),
        (TypedIsReference, "references_are_stable", "two payments of one bill"),
        (ReversalPays, "direction_words_mean_what_is_said", "'RV' takes back, and is read otherwise"),
        (ReversalIgnored, "direction_words_mean_what_is_said", "'RV' takes back, and is read otherwise"),
        (Unsaid, "direction_words_mean_what_is_said", "say which words pay"),
        (WrongType, "answers_are_what_they_say", "is no JSON and is sent as application/json"),
        (NoType, "answers_are_what_they_say", "content_type"),
    ],
)
def test_the_kit_finds_the_slip(slip: type[FormBank], check: str, said: str) -> None:
    assert outcome(FormBank(), check).outcome == "passed"
    found = outcome(slip(), check)
    assert (found.outcome, said in found.detail) == ("failed", True), found


def test_words_that_are_said_are_held() -> None:
    class Whole(ReversalPays):
        def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
            doc = bodies.form(body) if body else {}
            if doc.get("cr_dr") == "RV":
                return Reversed(reference="RV1", reverses=doc["txn"], amount_minor=1, occurred_at=None)
            return super().interpret(body, purpose=purpose)

        def came(self, word: str) -> bool | None:
            return {"CR": True, "DR": False}.get(word)

    assert outcome(Whole(), "direction_words_mean_what_is_said").outcome == "passed"
    assert PROOF.pattern


# --- XML -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slip", ["the library's own parser", "document types allowed"])
def test_xml_that_takes_entities_is_found(slip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package" / "revenue_adapter_villagebank"
    write_skeleton("villagebank", package.parent, "xml")
    module = package / "__init__.py"
    text = module.read_text()
    text = text.replace('    return Unknown("read() of the adapter villagebank is not filled in")\n', READ)
    start = text.index('    return Verdict(accepted=False, reason="prove()')
    text = text[:start] + PROVE + text[text.index("\n", start) + 1 :]
    if slip == "the library's own parser":
        text = text.replace("from defusedxml.ElementTree import", "from xml.etree.ElementTree import")
        text = text.replace(", forbid_dtd=True", "")
    else:
        text = text.replace("forbid_dtd=True", "forbid_dtd=False, forbid_entities=False")
    module.write_text(text)
    found = outcome(loaded(module, monkeypatch), "xml_declares_nothing", package / "fixtures")
    assert (found.outcome, "is read as money" in found.detail) == ("failed", True), found
    assert ElementTree.fromstring("<a/>").tag == "a"


def test_the_xml_skeleton_brings_what_it_needs(tmp_path: Path) -> None:
    write_skeleton("villagebank", tmp_path / "p", "xml")
    assert "defusedxml" in (tmp_path / "p" / "pyproject.toml").read_text()
    write_skeleton("villagebank", tmp_path / "q", "json")
    assert "defusedxml" not in (tmp_path / "q" / "pyproject.toml").read_text()


# --- golden files ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in FIXTURES.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_every_difference_of_every_fixture_is_told_at_once(folder: Path) -> None:
    goldens = sorted(file for file in folder.glob("*.expected.json") if '"paid"' in file.read_text())
    for file in goldens:
        file.write_text(re.sub(r'"account_reference": .*?(,?)\n', r'"account_reference": ""\1\n', file.read_text()))
        file.write_text(re.sub(r'"currency": "KES"', '"currency": "UGX"', file.read_text()))
    detail = outcome(FormBank(), "golden", folder).detail
    for file in goldens:
        name = file.name.removesuffix(".expected.json")
        assert f'{name}.currency: read "KES", expected "UGX"' in detail
        assert f"{name}.account_reference: read " in detail


def test_golden_files_the_adapter_wrote_are_pointed_out(folder: Path) -> None:
    import json

    from revenue_engine.ports.callbacks import as_wire

    assert conformance.run(FormBank(), folder).warnings == ()
    case = next(one for one in Subject(FormBank(), folder).found if one.purpose is None)
    golden = folder / f"{case.name}.expected.json"
    golden.write_text(json.dumps(as_wire(FormBank().interpret(case.body)), indent=2, ensure_ascii=False) + "\n")
    os.utime(golden, (time.time() + 60, time.time() + 60))
    report = conformance.run(FormBank(), folder)
    assert report.ok
    assert len(report.warnings) == 1
    assert case.name in report.warnings[0]
    assert report.as_dict()["warnings"] == list(report.warnings)


# --- the page --------------------------------------------------------------------------------------------------------


def test_an_adapter_made_by_the_page_passes_the_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`adapter new --body xml`, the page's block in place of the skeleton's, and its two functions: nothing else."""
    text = PAGE.read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3, "a block of the page that no test runs"
    package = tmp_path / "package" / "revenue_adapter_villagebank"
    write_skeleton("villagebank", package.parent, "xml")
    module = package / "__init__.py"
    code = module.read_text()
    read, prove, xml = blocks
    page: dict[str, Any] = {}
    exec(xml, page)
    assert isinstance(page["FORMAT"], BodyFormat)
    code = re.sub(r"^def read\(.*?(?=^def prove)", lambda _: read + "\n\n", code, flags=re.MULTILINE | re.DOTALL)
    code = re.sub(r"^def prove\(.*?(?=^class Adapter)", lambda _: prove + "\n\n", code, flags=re.MULTILINE | re.DOTALL)
    module.write_text(code.replace("adapter = Adapter()\n", f"{xml}\n\nadapter = Adapter()\n"))
    report = conformance.run(loaded(module, monkeypatch), package / "fixtures")
    assert [one for one in report.results if one.outcome in ("failed", "waiting")] == []
    assert report.warnings == ()


def test_the_page_counts_the_checks() -> None:
    assert f"{len(conformance.CHECKS)} checks; `adapter test` prints them" in PAGE.read_text("utf-8")
