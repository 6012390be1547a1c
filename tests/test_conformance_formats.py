"""The kit on bodies that are no JSON, and on what an author forgets: a form bank, and copies wrong in one way each."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydantic import BaseModel

from adapters import bodies, conformance
from adapters.conformance.subject import Subject
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import (
    AckOutcome,
    BodyFormat,
    Freshness,
    Paid,
    Pairs,
    Rehearsal,
    Signed,
    Unknown,
    Verdict,
)
from revenue_engine.ports.strict_json import loads
from tests.support.form_bank import HEADER, SECONDS, FormBank

FIXTURES = Path(__file__).parent / "adapters" / "form_bank"
TestFormBank = conformance.suite(FormBank(), FIXTURES)


def result(adapter: FormBank, check: str, fixtures: Path = FIXTURES) -> conformance.Result:
    (wanted,) = [one for one in conformance.CHECKS if one.__name__ == check]
    return conformance.tried(wanted, Subject(adapter, fixtures))


def test_every_check_is_tried_on_a_form_but_those_of_what_the_bank_does_not_do() -> None:
    report = conformance.run(FormBank(), FIXTURES)
    assert {one.check for one in report.results if one.outcome != "passed"} == {
        "reversals_name_their_payment",
        "questions_are_answered",
        "xml_declares_nothing",
    }
    assert report.ok


# --- mistakes that cost money ----------------------------------------------------------------------------------------


class TakesAFieldTwice(FormBank):
    def decode(self, body: bytes) -> dict[str, str]:
        super().decode(bodies.FORM.encode(tuple(dict(parse_qsl(body.decode("latin-1"))).items())))
        return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))


class ForgetsTheAgeOfAProof(FormBank):
    def is_fresh(self, at: int, when: int) -> bool:
        return True


class LooksAtOneSideOfTheAge(FormBank):
    def is_fresh(self, at: int, when: int) -> bool:
        return at - when <= SECONDS


class CutsTheThirdDecimal(FormBank):
    def amount(self, text: str) -> int:
        whole, dot, cents = text.partition(".")
        return super().amount(f"{whole}{dot}{cents[:2] if cents.isdigit() else cents}")


class DropsTheMinusSign(FormBank):
    def amount(self, text: str) -> int:
        return super().amount(text.removeprefix("-"))


class DropsTheMinusBehind(FormBank):
    def amount(self, text: str) -> int:
        return super().amount(text.removesuffix("-"))


class TakesAnyOtherWordForACredit(FormBank):
    def came(self, word: str) -> bool | None:
        return word != "DR"


class TakesNoWordForACredit(FormBank):
    def came(self, word: str) -> bool | None:
        return super().came(word or "CR")


class TakesEveryCurrencyForShillings(FormBank):
    def currency(self, text: str) -> str:
        return "KES"


class RepeatsIdsAsTheyCame(FormBank):
    def id_in(self, body: bytes) -> str:
        try:
            return self.decode(body).get("txn", "")
        except InvalidValue:
            return ""


class RefusesWhatItCannotRead(FormBank):
    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        if self.time_of(body) is None:
            return Verdict(accepted=False, reason=f"the header {HEADER} cannot be compared with the body")
        return super().verify(headers, body, peer, settings)


class AddsUpFields(FormBank):
    def decode(self, body: bytes) -> dict[str, str]:
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True)
        return {name: "".join(text for other, text in pairs if other == name) for name, _ in pairs}


MISTAKES = [
    (TakesAFieldTwice, "duplicate_keys", "with txn twice is read as money"),
    (AddsUpFields, "duplicate_keys", "twice is read as money"),
    (ForgetsTheAgeOfAProof, "stale_proof_is_refused", "a proof made 601 seconds after the body's time is accepted"),
    (LooksAtOneSideOfTheAge, "stale_proof_is_refused", "a proof made -601 seconds after"),
    (CutsTheThirdDecimal, "fractions_of_a_cent_are_refused", "1.005 was read as 100 cents"),
    (DropsTheMinusSign, "bad_amounts_never_pay", "'-1.00' is read as a payment of 100 cents"),
    (DropsTheMinusBehind, "bad_amounts_never_pay", "'1,250.00-' is read as a payment"),
    (TakesAnyOtherWordForACredit, "only_known_words_pay", "cr_dr 'DR' is no payment, and the unknown 'ZZ' is one"),
    (TakesNoWordForACredit, "only_known_words_pay", "the direction cr_dr is '', and it is read as a payment"),
    (TakesEveryCurrencyForShillings, "another_currency_is_told", "says UGX and the notice is read as KES"),
    (RepeatsIdsAsTheyCame, "echoes_are_escaped", r"changes the form of the answer: b'OK \r\nREFUSED'"),
]


@pytest.mark.parametrize(("mistake", "check", "said"), MISTAKES, ids=lambda one: getattr(one, "__name__", None))
def test_the_kit_finds_the_mistake(mistake: type[FormBank], check: str, said: str) -> None:
    found = result(mistake(), check)
    assert (found.outcome, said in found.detail) == ("failed", True), found


class PostsJson(FormBank):
    """The same bank, had it posted JSON: the kit finds the same mistakes without a format."""

    def decode(self, body: bytes) -> dict[str, str]:
        found = loads(body)
        if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
            raise InvalidValue("the body is no JSON object of texts")
        return found

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        made = super().rehearse(identifier, secrets)
        return replace(made, example=json.dumps(dict(bodies.FORM.fields(made.example))).encode(), body=None)


@pytest.mark.parametrize(
    ("mistake", "check", "said"),
    [one for one in MISTAKES if "Field" not in one[0].__name__],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_the_kit_finds_the_mistake_in_json_too(folder: Path, mistake: type[FormBank], check: str, said: str) -> None:
    for file in (*folder.glob("*.body"), *folder.glob("*.txt")):
        file.write_bytes(json.dumps(dict(parse_qsl(file.read_text(), keep_blank_values=True))).encode())
    wrong: type[FormBank] = type("Wrong", (mistake, PostsJson), {})
    assert result(PostsJson(), check, folder).outcome == "passed"
    found = result(wrong(), check, folder)
    assert (found.outcome, said in found.detail) == ("failed", True), found


def test_a_guessed_direction_is_found_though_nobody_named_its_field() -> None:
    class Unnamed(TakesAnyOtherWordForACredit):
        def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
            return replace(super().rehearse(identifier, secrets), direction="")

    assert result(Unnamed(), "only_known_words_pay").outcome == "failed"


def test_a_right_proof_over_what_nobody_can_read_must_be_accepted() -> None:
    found = result(RefusesWhatItCannotRead(), "unreadable_bodies_are_kept")
    assert found.outcome == "failed"
    assert found.detail.startswith("the right proof over b'\\xff\\xfe not a notice' is refused: the header")


# --- what an author forgets to say -----------------------------------------------------------------------------------


class Forgetful(FormBank):
    """The bank with a rehearsal that lacks or garbles something."""

    def __init__(self, **changed: object) -> None:
        self.changed = changed

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        return replace(super().rehearse(identifier, secrets), **self.changed)  # type: ignore[arg-type]


def test_a_format_nobody_described_fails_one_check_and_the_others_wait_for_it() -> None:
    report = conformance.run(Forgetful(body=None), FIXTURES)
    outcomes = {one.check: (one.outcome, one.detail) for one in report.results}
    assert [check for check, (outcome, _) in outcomes.items() if outcome == "failed"] == ["bodies_can_be_written"]
    assert "give the Rehearsal a body= (adapters.bodies.FORM for forms" in outcomes["bodies_can_be_written"][1]
    assert outcomes["duplicate_keys"] == ("waiting", "waits for bodies_can_be_written")
    assert not report.ok
    assert report.as_dict()["waiting"] == sum(outcome == "waiting" for outcome, _ in outcomes.values()) >= 10


def test_a_proof_that_carries_a_time_must_say_how_old_it_may_be() -> None:
    found = result(Forgetful(freshness=None), "stale_proof_is_refused")
    assert found.outcome == "failed"
    assert "the header x-bank-signature carries a time" in found.detail


def test_a_proof_of_any_age_still_covers_its_time() -> None:
    class Ageless(ForgetsTheAgeOfAProof):
        def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
            made = super().rehearse(identifier, secrets)
            assert made.freshness is not None
            return replace(made, freshness=Freshness(made.freshness.sign, None))

    assert result(Ageless(), "stale_proof_is_refused").outcome == "passed"


def test_a_rotation_that_accepts_the_new_key_alone_is_found() -> None:
    found = result(Forgetful(both_valid=lambda old: {**old, "account": "600100"}), "rotation_keeps_both_keys")
    assert (found.outcome, found.detail) == ("failed", "the new key is refused while both are valid")
    assert result(Forgetful(both_valid=None), "rotation_keeps_both_keys").outcome == "not applicable"


def test_a_writer_that_writes_a_field_once_when_told_twice_proves_nothing() -> None:
    def once(pairs: Pairs) -> bytes:
        return bodies.FORM.encode(tuple(dict(pairs).items()))

    found = result(Forgetful(body=BodyFormat(bodies.FORM.fields, once)), "bodies_can_be_written")
    assert found.outcome == "failed"
    assert "does not write txn twice" in found.detail


def test_an_amount_written_in_another_way_is_asked_for() -> None:
    found = result(Forgetful(write_amount=str), "bodies_can_be_written")
    assert "no field of the example sets the amount to 9876543 cents when it holds '9876543'" in found.detail


def test_sign_names_headers_as_verify_is_given_them() -> None:
    found = result(Forgetful(sign=lambda body: Signed(body, {"X-Bank-Signature": ""})), "proof_headers_are_kept")
    assert found.outcome == "failed"
    assert "in lower case" in found.detail


def test_a_direction_that_is_no_field_is_said() -> None:
    found = result(Forgetful(direction="drcr"), "only_known_words_pay")
    assert found.detail == "the Rehearsal's direction 'drcr' is no field of its example"


# --- amounts in the bank's own style ---------------------------------------------------------------------------------


class InCents(FormBank):
    """A bank that writes whole cents."""

    def amount(self, text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) == 0:
            raise InvalidValue("amt is no number of cents")
        return int(text)

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        made = super().rehearse(identifier, secrets)
        example = made.example.replace(b"1%2C250.00", b"125000")
        return replace(made, example=example, write_amount=str)


def test_a_bank_that_writes_thousands_with_commas_may_say_so() -> None:
    class WithCommas(FormBank):
        def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
            made = super().rehearse(identifier, secrets)
            return replace(made, write_amount=lambda minor: f"{minor // 100:,}.{minor % 100:02}")

    assert result(WithCommas(), "amount_mutations_never_pay").outcome == "passed"


@pytest.mark.parametrize(
    "check",
    [
        "bodies_can_be_written",
        "every_cent_counts",
        "bad_amounts_never_pay",
        "fractions_of_a_cent_are_refused",
        "amount_mutations_never_pay",
        "old_proof_is_refused",
    ],
)
def test_a_bank_that_writes_cents_is_judged_in_cents(check: str) -> None:
    assert result(InCents(), check).outcome == "passed"


# --- fixtures and acknowledgements -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES, tmp_path / "fixtures"))


def test_golden_fails_where_there_is_nothing_to_compare(tmp_path: Path) -> None:
    for check in ("fixtures_are_there", "golden"):
        assert result(FormBank(), check, tmp_path).outcome == "failed"
    assert result(FormBank(), "same_body_same_identity", tmp_path).outcome == "waiting"


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("more.body", "more.body has no more.expected.json beside it"),
        ("credit.txt", "credit.body and credit.txt share one name"),
        ("gone.expected.json", "gone.expected.json has no body gone.* beside it"),
    ],
)
def test_a_fixture_that_stands_alone_is_named(folder: Path, added: str, said: str) -> None:
    (folder / added).write_text("{}")
    found = result(FormBank(), "fixtures_are_there", folder)
    assert (found.outcome, found.detail) == ("failed", said)


@pytest.mark.parametrize(
    ("acks", "said"),
    [
        ({"kept": "OK", "refused": "REFUSED"}, "acks.expected.json: kept is b'OK', ack(KEPT) answers b'OK '"),
        ({"kept": "OK ", "refused": "REFUSED"}, "ack_for() repeats ids (b'OK ZB26K0000123')"),
        ({"kept": "OK ", "refused": "REFUSED", "kpet:credit": "OK"}, "'kpet:credit' is no key of it"),
        (
            {"kept": "OK ", "refused": "REFUSED", "kept:credit": "OK ZB1"},
            "kept:credit is b'OK ZB1', ack_for(KEPT, credit) answers b'OK ZB26K0000123'",
        ),
        ({"kept": "OK ", "refused": "REFUSED", "kept:none": "OK"}, "there is no fixture of that name"),
        ({"kept": {"status": "0"}, "refused": "REFUSED"}, "kept is no text"),
        ({"refused": "REFUSED"}, "kept is missing"),
    ],
)
def test_a_wrong_acknowledgement_is_told_with_what_was_expected_and_found(
    folder: Path, acks: Mapping[str, object], said: str
) -> None:
    (folder / "acks.expected.json").write_text(json.dumps(acks))
    found = result(FormBank(), "ack_is_documented", folder)
    assert (found.outcome, said in found.detail) == ("failed", True), found


def test_a_body_cut_in_the_payers_words_is_the_same_money() -> None:
    bank = FormBank()
    body = bank.rehearse("600100").example
    short = bank.interpret(body[:-4])
    assert isinstance(short, Paid)
    assert short.party.msisdn == "25470000"
    assert result(bank, "cut_bodies").outcome == "passed"

    class AmountLast(FormBank):
        def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
            made = super().rehearse(identifier, secrets)
            pairs = [pair for pair in bodies.FORM.fields(made.example) if pair[0] != "amt"]
            return replace(made, example=bodies.FORM.encode([*pairs, ("amt", "1250.00")]), covers_body=False)

        def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
            return Verdict(accepted=True)

    found = result(AmountLast(), "cut_bodies")
    assert (found.outcome, "read as other money" in found.detail) == ("failed", True)


# --- the XML of the how-to page ---------------------------------------------------------------------------------------


class XmlBank(FormBank):
    """The bank, had it posted what the page shows."""

    def __init__(self, page: Mapping[str, Any]) -> None:
        self.page = page

    def decode(self, body: bytes) -> dict[str, str]:
        found: dict[str, str] = self.page["decode"](body)
        return found

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        made = super().rehearse(identifier, secrets)
        form: BodyFormat = self.page["FORMAT"]
        return replace(made, example=form.encode(bodies.FORM.fields(made.example)), body=form)


def test_the_xml_of_the_page_is_held_to_every_check(folder: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "adapters" / "how-to.md").read_text("utf-8")
    code = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    page: dict[str, Any] = {}
    exec(code[-1], page)
    for file in (*folder.glob("*.body"), *folder.glob("*.txt")):
        file.with_suffix(".xml").write_bytes(page["encode"](bodies.FORM.fields(file.read_bytes())))
        file.unlink()
    report = conformance.run(XmlBank(page), folder)
    assert [one for one in report.results if one.outcome in ("failed", "waiting")] == []
    assert report.as_dict()["not_applicable"] == 2


def test_fixtures_of_another_format_than_the_example_are_said(folder: Path) -> None:
    class TwoFormats(FormBank):
        def decode(self, body: bytes) -> dict[str, str]:
            return dict(json.loads(body)) if body.startswith(b"{") else super().decode(body)

    for file in (*folder.glob("*.body"), *folder.glob("*.txt")):
        file.write_bytes(json.dumps(bodies.form(file.read_bytes().replace(b"&amt=900.00", b""))).encode())
    found = result(TwoFormats(), "key_order_is_free", folder)
    assert found.outcome == "failed"
    assert found.detail == "no payment of the fixtures has the format of the rehearsal's example"


def test_the_call_to_paste_is_of_the_banks_own_format() -> None:
    from revenue_engine.cli import onboarding  # here, so that importing the bank brings in no settings
    from revenue_engine.config import Settings

    words = shlex.split(onboarding.curl(Settings(), "token", FormBank().rehearse("600100")))
    assert "content-type: application/x-www-form-urlencoded" in words
    assert words[-1].startswith("txn=ZB26K0000123&acct=600100&")


# --- forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"a", b"a=1&a=1", b"a=1&a=2", b"a=1&&b=2", b"a=%G1", b"a=%", b"a=\xc3\xa9", b"a=%FF", b'{"a":1}', b"a=1\n"],
)
def test_a_form_has_one_meaning_or_none(body: bytes) -> None:
    with pytest.raises(InvalidValue):
        bodies.form(body)


def test_a_form_is_read_as_it_was_written() -> None:
    pairs = [("a b", "x&y=z+1 100%"), ("c", ""), ("ä", "€ é\r\n")]
    for body in (bodies.FORM.encode(pairs), *(bodies.FORM.layouts or tuple)(pairs)):
        assert bodies.form(body) == dict(pairs)
    assert bodies.FORM.fields(bodies.FORM.encode([*pairs, ("c", "2")])) == [*pairs, ("c", "2")]
    assert bodies.form(b"a=x%00") == {"a": "x\ufffd"}
    with pytest.raises(InvalidValue):
        bodies.form("&".join(f"f{number}=1" for number in range(bodies.MOST_FIELDS + 1)).encode())
    with pytest.raises(InvalidValue):
        bodies.form(b"a=" + b"1" * 300_000)


def test_the_answers_of_the_bank_hold_no_strangers_lines() -> None:
    bank = FormBank()
    assert bank.ack_for(AckOutcome.KEPT, b"txn=%0D%0AOK+ZB1&x=1") == b"OK "
    assert isinstance(bank.interpret(b"txn=1"), Unknown)
