"""The conformance kit on every installed adapter, and the kit itself on adapters that are wrong in one way each."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from adapters import conformance
from adapters.conformance.skeleton import BodyKind, write_skeleton
from adapters.conformance.subject import Subject
from adapters.kcb import KcbAdapter
from adapters.kcb import adapter as kcb
from adapters.mpesa import adapter as mpesa
from adapters.signed_json import coop, creditbank, equity, jenga, ncba
from revenue_engine.errors import Conflict, InvalidValue
from revenue_engine.ports.callbacks import AckOutcome, Interpretation, Paid, Purpose, Unknown, Verdict

FIXTURES = Path(__file__).parent / "adapters"

TestMpesa = conformance.suite(mpesa, FIXTURES / "mpesa")
TestKcb = conformance.suite(kcb, FIXTURES / "kcb")
TestNcba = conformance.suite(ncba, FIXTURES / "signed_json" / "ncba")
TestCoop = conformance.suite(coop, FIXTURES / "signed_json" / "coop")
TestEquity = conformance.suite(equity, FIXTURES / "signed_json" / "equity")
TestJenga = conformance.suite(jenga, FIXTURES / "signed_json" / "jenga")
TestCreditbank = conformance.suite(creditbank, FIXTURES / "signed_json" / "creditbank")


# --- the kit finds what is wrong -------------------------------------------------------------------------------------


class _Faulty(KcbAdapter):
    """KCB with one fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        if self.fault == "believes everybody":
            return Verdict(accepted=True)
        if self.fault == "compares the header alone":
            return Verdict(accepted="signature" in headers, reason="the header Signature is missing")
        judged = super().verify(headers, body, peer, settings)
        if self.fault == "tells what was sent" and not judged.accepted:
            return Verdict(accepted=False, reason=f"the header Signature {headers.get('signature', '')} is wrong")
        return judged

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        if self.fault == "raises" and len(body) > 100_000:
            raise RuntimeError("too much")
        if self.fault == "takes the last of two keys":
            try:
                body = json.dumps(json.loads(body)).encode()
            except ValueError:
                return Unknown("no JSON")
        found = super().interpret(body, purpose=purpose)
        if not isinstance(found, Paid):
            return found
        if self.fault == "rounds":
            return replace(found, amount_minor=found.amount_minor // 100 * 100)
        if self.fault == "forgets the zone" and found.occurred_at is not None:
            return replace(found, occurred_at=found.occurred_at.replace(tzinfo=None))
        if self.fault == "small letters":
            return replace(found, reference=found.reference.lower())
        if self.fault == "depends on the order of keys":
            return replace(found, account_reference=next(iter(json.loads(body))))
        return found

    def ack_for(self, outcome: AckOutcome, body: bytes) -> bytes:
        if self.fault == "acknowledges in its own words":
            return b'{"ok":true}'
        if self.fault == "repeats ids as they came":
            found = super().interpret(body)
            name = found.account_reference if isinstance(found, Paid) else ""
            return f'{{"transactionID":"{name}","statusCode":"0"}}'.encode("utf-8", "replace")
        return super().ack_for(outcome, body)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("believes everybody", "missing_proof_is_refused"),
        ("believes everybody", "mutations_never_pay"),
        ("compares the header alone", "foreign_proof_is_refused"),
        ("compares the header alone", "old_proof_is_refused"),
        ("compares the header alone", "replaced_key_is_refused"),
        ("tells what was sent", "foreign_proof_is_refused"),
        ("raises", "one_megabyte"),
        ("takes the last of two keys", "duplicate_keys"),
        ("repeats ids as they came", "echoes_are_escaped"),
        ("rounds", "every_cent_counts"),
        ("forgets the zone", "times_are_aware"),
        ("small letters", "references_are_stable"),
        ("depends on the order of keys", "key_order_is_free"),
        ("acknowledges in its own words", "ack_is_documented"),
        ("acknowledges in its own words", "refusal_is_documented"),
    ],
)
def test_the_kit_finds(fault: str, check: str) -> None:
    subject = Subject(_Faulty(fault), FIXTURES / "kcb")
    (wanted,) = [one for one in conformance.CHECKS if one.__name__ == check]
    assert conformance.tried(wanted, subject).outcome == "failed"


def test_a_faulty_adapter_ends_in_a_report_and_not_in_an_error() -> None:
    report = conformance.run(_Faulty("raises"), FIXTURES / "nowhere")
    failed = {one.check: one.detail for one in report.results if one.outcome == "failed"}
    assert not report.ok
    assert failed["fixtures_are_there"].startswith("no NAME.json")
    assert failed["one_megabyte"] == "raised RuntimeError"


# --- a new adapter ---------------------------------------------------------------------------------------------------

READ = """    return Paid(
        reference=readings.reference(doc.get("id"), "id"),
        amount_minor=readings.cents(doc.get("amount"), "amount"),
        occurred_at=readings.moment(doc.get("time"), ("iso",), "time"),
        currency=readings.currency(doc.get("currency"), "currency"),
        channel_account=readings.account(doc.get("account"), "account"),
        account_reference=readings.typed(doc.get("bill"), "bill"),
        message="notice",
        party=Party(readings.lenient(doc.get("name")), readings.lenient(doc.get("phone"))),
    )
"""
PROVE = """    secret, previous = settings.secret.get_secret_value(), settings.previous_secret.get_secret_value()
    return proofs.hmac_sha256(headers, body, header=HEADER, secret=secret, encoding="hex", previous=previous)
"""


def filled_in(module: Path) -> None:
    """Write read() and prove() into a new adapter, as its author would."""
    text = module.read_text()
    text = text.replace('    return Unknown("read() of the adapter villagebank is not filled in")\n', READ)
    start = text.index('    return Verdict(accepted=False, reason="prove()')
    module.write_text(text[:start] + PROVE + text[text.index("\n", start) + 1 :])


def loaded(module: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The adapter of a package that is installed nowhere."""
    monkeypatch.syspath_prepend(str(module.parents[1]))
    spec = importlib.util.spec_from_file_location(module.parent.name, module)
    assert spec is not None
    assert spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, code)
    spec.loader.exec_module(code)
    return code.adapter


def test_a_new_adapter_passes_once_its_two_functions_are_filled(tmp_path: Path) -> None:
    package, site = tmp_path / "package", tmp_path / "site"
    write_skeleton("villagebank", package)
    filled_in(package / "revenue_adapter_villagebank" / "__init__.py")
    words = ["-m", "uv", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([sys.executable, *words, str(package)], check=True, timeout=120)
    done = subprocess.run(
        [sys.executable, "-m", "revenue_engine.cli", "adapter", "test", "villagebank", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=Path(__file__).parents[1],
    )
    report = json.loads(done.stdout)
    assert [one for one in report["checks"] if one["outcome"] in ("failed", "waiting")] == []
    assert (done.returncode, report["ok"]) == (0, True)
    assert report["passed"] >= 48


@pytest.mark.parametrize("body", ["form", "text", "xml"])
def test_a_new_adapter_of_another_format_passes_the_same_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: BodyKind
) -> None:
    package = tmp_path / "package" / "revenue_adapter_villagebank"
    write_skeleton("villagebank", package.parent, body)
    filled_in(package / "__init__.py")
    report = conformance.run(loaded(package / "__init__.py", monkeypatch), package / "fixtures")
    assert [one for one in report.results if one.outcome in ("failed", "waiting")] == []
    tried = {one.check for one in report.results if one.outcome == "passed"}
    assert tried >= {one.__name__ for one in conformance.CHECKS} - {
        "reversals_name_their_payment",
        "questions_are_answered",
        "stale_proof_is_refused",
        "echoes_are_escaped",
        "direction_words_mean_what_is_said",
        *(set() if body == "xml" else {"xml_declares_nothing"}),
    }


@pytest.mark.parametrize("body", ["json", "form", "text", "xml"])
def test_a_new_adapter_is_told_of_its_two_functions_and_of_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: BodyKind
) -> None:
    package = tmp_path / "package" / "revenue_adapter_villagebank"
    write_skeleton("villagebank", package.parent, body)
    report = conformance.run(loaded(package / "__init__.py", monkeypatch), package / "fixtures")
    assert not report.ok
    failed = {one.check: one.detail for one in report.results if one.outcome == "failed"}
    assert failed.keys() == {"example_is_a_payment", "rehearsal_is_proved"}
    assert failed["example_is_a_payment"].startswith("not filled in yet: read() of the adapter villagebank")
    assert "prove() of the adapter villagebank is not filled in" in failed["rehearsal_is_proved"]
    waiting = {one.check: one.detail.removeprefix("waits for ") for one in report.results if one.outcome == "waiting"}
    assert set(waiting.values()) <= failed.keys()
    assert len(waiting) >= 25


def test_a_skeleton_overwrites_nothing_and_wants_a_name(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(Conflict):
        write_skeleton("villagebank", tmp_path)
    for name in ("", "A", "../x", "village bank", "x" * 30):
        with pytest.raises(InvalidValue):
            write_skeleton(name, tmp_path / "new")
