"""Checks of what is read: exactly what the fixtures say, the same however the body is spelled, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import TypeGuard

from adapters.conformance.spelling import Path as Field
from adapters.conformance.spelling import Spelled
from adapters.conformance.subject import ACCOUNT, NOT_FILLED, OTHER_AMOUNT, Case, Subject, skip
from revenue_engine.money import wire
from revenue_engine.ports.callbacks import (
    Answer,
    AskingAdapter,
    CallbackAdapter,
    Ignored,
    Interpretation,
    Paid,
    Party,
    Purpose,
    RehearsingAdapter,
    Reversed,
    Unknown,
    as_wire,
)


def port_is_kept(subject: Subject) -> None:
    """The adapter has every member of the port, and a name that fits a channel account."""
    assert isinstance(subject.adapter, CallbackAdapter), "a member of the callback port is missing"
    assert re.fullmatch(r"[a-z][a-z0-9_]{1,19}", subject.adapter.name), f"{subject.adapter.name!r} is no adapter name"


def example_is_a_payment(subject: Subject) -> None:
    """The adapter can play its provider, and reads the example of its rehearsal as a payment."""
    adapter = subject.adapter
    assert isinstance(adapter, RehearsingAdapter), "the adapter has no rehearse(): its proof cannot be tried without"
    meaning = adapter.interpret(subject.signed.body)
    if isinstance(meaning, Unknown) and NOT_FILLED in meaning.reason:
        raise AssertionError(f"not filled in yet: {meaning.reason}; every check that needs a payment waits for it")
    assert isinstance(meaning, Paid), (
        f"the example of the rehearsal is read as {type(meaning).__name__}: {said(meaning)}"
    )


def said(meaning: Interpretation) -> str:
    """Why a meaning is no payment, for a message."""
    return meaning.reason if isinstance(meaning, Ignored | Unknown) else meaning.reference


def bodies_can_be_written(subject: Subject) -> None:
    """The kit can write bodies of this provider: the example spelled anew is the same payment."""
    paid, form = subject.read_example(), subject.rehearsal.body
    example = subject.spelled(subject.signed.body)
    if example is None:
        wrong = "the example is no JSON object" if form is None else "body.fields() cannot read the example"
        raise AssertionError(
            f"{wrong}: give the Rehearsal a body= (adapters.bodies.FORM for forms, a BodyFormat of your own for any"
            " other format; docs/adapters/how-to.md), or no check can send other values"
        )
    again = subject.adapter.interpret(example.layouts()[0])
    assert again == paid, f"the example's own fields, encoded again, are read as {said(again)}"
    plain = len(example.layouts()[0])
    for name, body in example.twice():
        assert len(body) > plain, f"body.encode() does not write {name} twice when it is told to"
    text = subject.rehearsal.write_amount(OTHER_AMOUNT)
    assert subject.sets_amount(example), (
        f"no field of the example sets the amount to {OTHER_AMOUNT} cents when it holds {text!r}: where the provider"
        " writes amounts otherwise, give the Rehearsal a write_amount="
    )


def fixtures_are_there(subject: Subject) -> None:
    """There are fixtures, each with its golden file, and one of them is a payment."""
    where = f"no NAME.json, NAME.body or the like in {subject.fixtures}"
    assert subject.found, f"{where}: save bodies as they were posted, with NAME.expected.json beside each"
    subject.filled_in()
    meanings = [subject.adapter.interpret(case.body, purpose=case.purpose) for case in subject.found]
    assert any(isinstance(meaning, Paid) for meaning in meanings), "no fixture is read as a payment"


def golden(subject: Subject) -> None:
    """Each fixture is read as its golden file says; a reason may go on where the golden one ends."""
    assert subject.found, f"there is nothing to compare in {subject.fixtures}"
    subject.filled_in()
    wrong = []
    for case in subject.cases:
        found = dict(as_wire(subject.adapter.interpret(case.body, purpose=case.purpose)))
        expected = dict(case.expected)
        reason, wanted = found.pop("reason"), expected.pop("reason", None)
        for key in (*found, *(key for key in expected if key not in found)):
            if key not in expected:
                wrong.append(f"{case.name}.{key}: the golden file has no such key; read {_shown(found[key])}")
            elif key not in found:
                wrong.append(f"{case.name}.{key}: is no key of an answer; there are {', '.join((*found, 'reason'))}")
            elif found[key] != expected[key]:
                wrong.append(f"{case.name}.{key}: read {_shown(found[key])}, expected {_shown(expected[key])}")
        fits = reason is None if wanted is None else reason is not None and reason.startswith(wanted)
        if not fits:
            wrong.append(f"{case.name}.reason: read {_shown(reason)}, expected {_shown(wanted)}")
    assert not wrong, "; ".join(wrong)


def _shown(value: object) -> str:
    """A value as a golden file writes it."""
    return json.dumps(value, ensure_ascii=False)


def amounts_are_exact(subject: Subject) -> None:
    """Amounts are whole cents above zero as int, in a currency of three letters."""
    for case, paid in subject.paid:
        assert type(paid.amount_minor) is int, f"{case.name}: the amount is a {type(paid.amount_minor).__name__}"
        assert 0 < paid.amount_minor < 10**12, f"{case.name}: the amount is out of range"
        assert re.fullmatch("[A-Z]{3}", paid.currency), f"{case.name}: {paid.currency!r} is no currency"


def every_cent_counts(subject: Subject) -> None:
    """Amounts of one cent, of many digits and with every ending are read to the cent."""
    for minor in (1, 10, 99, 100, 101, 150_050, 99_999_999, 123_456_789_01):
        for path in subject.amount_paths:
            found = subject.replaced(path, subject.rehearsal.write_amount(minor))
            assert isinstance(found, Paid), f"{minor} cents are read as {found}"
            assert found.amount_minor == minor, f"{minor} cents are read as {found.amount_minor}"


def bad_amounts_never_pay(subject: Subject) -> None:
    """Negative, zero, not finite, hexadecimal, badly grouped or empty amounts are no payment."""
    values: tuple[object, ...] = (
        "-1.00",
        "0",
        "0.00",
        "",
        "ten",
        "0x10",
        "1e3",
        "12,34.00",
        "1.500,00",
        "1 000",
        "NaN",
        "Infinity",
        "+5",
        "١٠",
        "10.",
        ".5",
        " ",
        *subject.example.odd,
        -5,
        0,
    )
    amounts = _ways_to_write(subject)
    for path, own in _amounts(subject):
        signs = (f"-{own}", f"{own}-", f"({own})", f"+{own}", f"\u2212{own}", f"{own} DR", f"{own},00", f"{own}\r\n7")
        for value in (*values, *signs):
            if value in (7, "7") or (isinstance(value, str) and value in amounts):
                continue  # an amount like another here
            found = subject.replaced(path, value)
            assert not isinstance(found, Paid), (
                f"the amount {value!r} is read as a payment of {found.amount_minor} cents"
            )


def _amounts(subject: Subject) -> list[tuple[Field, str]]:
    """Where the amount stands, and the text that stands there."""
    texts = dict(subject.example.leaves())
    return [(path, str(texts[path])) for path in subject.amount_paths]


def _ways_to_write(subject: Subject) -> set[str]:
    """What this provider may write for the amounts a check holds to be wrong elsewhere: 1.500,00 may be its style."""
    write = subject.rehearsal.write_amount
    return set() if write is wire else {write(minor) for minor in (1, 5, 10, 100, 500, 1_000, 100_000, 150_000)}


def fractions_of_a_cent_are_refused(subject: Subject) -> None:
    """A third decimal that is not zero is never rounded away or cut off."""
    for path, own in _amounts(subject):
        longer = (f"{own}5", f"{own}4", f"{own}001") if re.search(r"\.\d\d$", own) else ()
        for value in ("1.005", "10.001", "0.009", "1.0000001", *longer):
            found = subject.replaced(path, value)
            assert not isinstance(found, Paid), f"{value} was read as {found.amount_minor} cents"


_AGAINST = ("D", "DR", "DB", "DEBIT", "Debit", "debit", "OUT", "REVERSAL", "Reversal", "FAILED", "Failed", "failed")
"""Words by which providers say that no money came."""


def only_known_words_pay(subject: Subject) -> None:
    """Where a word says that no money came, a word nobody knows is no payment: money is never what is left over."""
    subject.read_example()
    against: set[str] = set(_AGAINST)
    for case in subject.cases:
        if not isinstance(subject.adapter.interpret(case.body, purpose=case.purpose), Paid):
            other = subject.spelled(case.body)
            against |= {value for _, value in other.leaves() if _is_word(value)} if other is not None else set()
    declared = subject.rehearsal.direction
    named = {".".join(path): path for path, _ in subject.example.leaves()}
    assert not declared or declared in named, f"the Rehearsal's direction {declared!r} is no field of its example"
    for path, value in subject.example.leaves():
        where = ".".join(path)
        stops = [word for word in sorted(against) if not isinstance(subject.replaced(path, word), Paid)]
        for word in stops if _is_word(value) else ():
            nonsense = re.sub("[a-z]", "z", re.sub("[A-Z]", "Z", word))
            found = subject.replaced(path, nonsense)
            assert not isinstance(found, Paid), f"{where} {word!r} is no payment, and the unknown {nonsense!r} is one"
        if where == declared:
            for wrong in ("", " ", "?", "ZZ", f"{value}Z", f"Z{value}", *subject.example.odd):
                found = subject.replaced(path, wrong)
                assert not isinstance(found, Paid), f"the direction {where} is {wrong!r}, and it is read as a payment"
            gone = subject.adapter.interpret(subject.example.without(path))
            assert not isinstance(gone, Paid), f"without its direction {where} it is read as a payment"


def _is_word(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.isascii() and value.isalpha() and len(value) <= 20


def another_currency_is_told(subject: Subject) -> None:
    """A notice in another currency never says shillings: the primary book takes KES alone."""
    paid = subject.read_example()
    fields = [path for path, value in subject.example.leaves() if str(value).strip().upper() == paid.currency]
    if not fields:
        skip("the example names no currency")
    found = subject.adapter.interpret(subject.example.put(fields, _OTHER_CURRENCY))
    told = not isinstance(found, Paid) or found.currency != paid.currency
    assert told, f"the currency says {_OTHER_CURRENCY} and the notice is read as {paid.currency}"


_OTHER_CURRENCY = "UGX"


def times_are_aware(subject: Subject) -> None:
    """Instants carry their zone; a payment without one says why."""
    for case, paid in subject.paid:
        if paid.occurred_at is None:
            assert paid.doubt, f"{case.name}: a payment without a time must say so"
        else:
            assert paid.occurred_at.utcoffset() is not None, f"{case.name}: the time has no zone"


def references_are_stable(subject: Subject) -> None:
    """References are upper case, without blanks around them, and not those of the account or the payer."""
    for case, paid in subject.paid:
        assert paid.reference == paid.reference.upper().strip(), f"{case.name}: {paid.reference!r}"
        assert paid.reference, f"{case.name}: no reference"
        assert paid.reference != paid.party.msisdn or not paid.party.msisdn, f"{case.name}: the reference is a phone"
        assert paid.reference not in paid.also_known_as, f"{case.name}: the reference is its own other name"
    paid = subject.read_example()
    assert paid.reference != paid.account_reference.upper(), (
        "the example's reference is the bill that was typed: two payments of one bill would be one payment"
    )


def same_body_same_identity(subject: Subject) -> None:
    """The same body read twice is one movement of money."""
    for case in subject.cases:
        first = subject.adapter.interpret(case.body, purpose=case.purpose)
        assert first == subject.adapter.interpret(case.body, purpose=case.purpose), f"{case.name} is read in two ways"


_Wanted = tuple[Paid, Purpose | None]


def _documents(subject: Subject) -> list[tuple[str, Spelled, _Wanted]]:
    subject.filled_in()
    found = []
    for case, paid in subject.paid:
        spelled = subject.spelled(case.body)
        if spelled is not None:
            found.append((case.name, spelled, (paid, case.purpose)))
    assert found or not subject.example.leaves(), "no payment of the fixtures has the format of the rehearsal's example"
    return found


def _same(subject: Subject, body: bytes, name: str, wanted: _Wanted, what: str) -> None:
    paid, purpose = wanted
    found = subject.adapter.interpret(body, purpose=purpose)
    assert found == paid, f"{name} {what} is read as {as_wire(found)}"


def key_order_is_free(subject: Subject) -> None:
    """Fields in another order mean the same."""
    for name, doc, wanted in _documents(subject):
        body = doc.reordered()
        if body is None:
            skip("the place of a field is its meaning in this format (BodyFormat.free_order)")
        _same(subject, body, name, wanted, "with its fields reordered")


def extra_fields_are_free(subject: Subject) -> None:
    """Fields nobody knows change nothing."""
    for name, doc, wanted in _documents(subject):
        body = doc.extended()
        if body is None:
            skip("this format has room for no other fields (BodyFormat.free_fields)")
        _same(subject, body, name, wanted, "with extra fields")


def layout_is_free(subject: Subject) -> None:
    """Other spellings of the same fields (blanks, line ends, escapes) mean the same."""
    for name, doc, wanted in _documents(subject):
        for number, body in enumerate(doc.layouts()):
            _same(subject, body, name, wanted, f"in spelling {number + 1} ({body[:60]!r}...)")


def party_may_be_masked_or_absent(subject: Subject) -> None:
    """Masked, hashed or missing names and phones never stop a payment."""
    paid = subject.read_example()
    theirs = {paid.party.name, paid.party.msisdn} - {""}
    paths = [path for path, value in subject.example.leaves() if isinstance(value, str) and value in theirs]
    if not paths:
        skip("the example names nobody")
    names = ["", None, "2547*****126", "2547 ***** 126", "a" * 64, "254700000101", "Ngũgĩ 'O' & Wa = 100% + 1; <b>"]
    if subject.rehearsal.body is None:
        names.append("Ngũgĩ 'O' \u0000 \ud83d")
    for value in names:
        found = subject.adapter.interpret(subject.example.put(paths, value))
        assert isinstance(found, Paid), f"a party of {value!r} stops the payment: {said(found)}"
        assert replace(found, party=Party()) == replace(paid, party=Party()), f"a party of {value!r} changes the money"


def reversals_name_their_payment(subject: Subject) -> None:
    """A reversal names the payment it takes back, and is not itself that payment."""
    found = [
        (case, meaning)
        for case in subject.cases
        if isinstance(meaning := subject.adapter.interpret(case.body, purpose=case.purpose), Reversed)
    ]
    if not found:
        skip("no fixture is a reversal: this provider tells of none in its notices")
    for case, meaning in found:
        assert meaning.reverses == meaning.reverses.upper().strip() != "", f"{case.name} names no payment"
        assert meaning.reverses != meaning.reference, f"{case.name} reverses itself"
        assert meaning.amount_minor is None or meaning.amount_minor > 0, f"{case.name}: {meaning.amount_minor}"


def no_money_has_a_reason(subject: Subject) -> None:
    """What is ignored or not understood says why, without names or phones."""
    for case in subject.cases:
        meaning = subject.adapter.interpret(case.body, purpose=case.purpose)
        if isinstance(meaning, Ignored | Unknown):
            assert meaning.reason.strip(), f"{case.name}: no reason"
            assert not re.search(r"\b2547\d{8}\b", meaning.reason), f"{case.name}: the reason holds a phone number"


def wire_form_is_whole(subject: Subject) -> None:
    """Every answer has the same eleven keys as plain data, and no personal data in them."""
    for case in subject.cases:
        meaning = subject.adapter.interpret(case.body, purpose=case.purpose)
        text = json.dumps(as_wire(meaning))
        assert len(json.loads(text)) == 11, f"{case.name}: not eleven keys"
        if isinstance(meaning, Paid):
            for word in (meaning.party.name, meaning.party.msisdn):
                private = len(word) > 4 and word not in meaning.account_reference
                assert not private or word not in text, f"{case.name}: the wire form holds personal data"


def _meant(adapter: CallbackAdapter, case: Case) -> Interpretation:
    return adapter.interpret(case.body, purpose=case.purpose)


def questions_are_answered(subject: Subject) -> None:
    """A provider that asks is asked back nothing: questions are read, move no money, and refusals differ."""
    adapter = subject.adapter
    if not isinstance(adapter, AskingAdapter):
        skip("this provider does not ask before it takes money")
    # A confirmation that came to the address of questions is a payment and says so: it is no question
    asking = [
        case
        for case in subject.cases
        if case.purpose is Purpose.VALIDATION and not getattr(_meant(adapter, case), "wrong_address", False)
    ]
    if not asking:
        skip("no fixture has the purpose validation")
    for case in asking:
        assert not isinstance(_meant(adapter, case), Paid), f"{case.name} pays"
        assert adapter.asked(case.body) is not None, f"{case.name} cannot be read as a question"
    assert adapter.answer(Answer.ACCEPT) != adapter.answer(Answer.UNKNOWN_ACCOUNT), "a refusal looks like a yes"


_FORBIDDEN = (
    "sqlalchemy",
    "psycopg",
    "redis",
    "dramatiq",
    "fastapi",
    "httpx2",
    "httpx",
    "requests",
    "aiohttp",
    "urllib.request",
    "smtplib",
    "revenue_engine.db",
    "revenue_engine.config",
    "revenue_engine.bootstrap",
)


def adapter_is_pure(subject: Subject) -> None:
    """Importing the adapter brings in no database and no network."""
    module = type(subject.adapter).__module__
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}; import {module}; "
        f"print(' '.join(name for name in {_FORBIDDEN!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{module} cannot be imported by itself: {done.stderr.strip()[-200:]}"
    assert not done.stdout.strip(), f"{module} brings in {done.stdout.strip()}"


def account_is_named(subject: Subject) -> None:
    """The example names the account it was made for, or no account at all."""
    named = subject.read_example().channel_account
    assert named in ("", ACCOUNT), f"the example for {ACCOUNT} names {named}"
