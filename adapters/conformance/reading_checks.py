"""Checks of what is read: exactly what the fixtures say, the same however the body is spelled, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

from adapters.conformance.subject import ACCOUNT, Subject, leaves, put, reordered, skip, write
from revenue_engine.channels import (
    Answer,
    AskingAdapter,
    CallbackAdapter,
    Ignored,
    Paid,
    Party,
    Purpose,
    Reversed,
    Unknown,
    as_wire,
)
from revenue_engine.strict_json import loads


def port_is_kept(subject: Subject) -> None:
    """The adapter has every member of the port, and a name that fits a channel account."""
    assert isinstance(subject.adapter, CallbackAdapter), "a member of the callback port is missing"
    assert re.fullmatch(r"[a-z][a-z0-9_]{1,19}", subject.adapter.name), f"{subject.adapter.name!r} is no adapter name"


def fixtures_are_there(subject: Subject) -> None:
    """There are fixtures, and one of them is a payment."""
    assert subject.cases, f"no NAME.json in {subject.fixtures}"
    assert any(True for _ in subject.paid), "no fixture is read as a payment"


def golden(subject: Subject) -> None:
    """Each fixture is read as its golden file says; a reason may go on where the golden one ends."""
    for case in subject.cases:
        found = dict(as_wire(subject.adapter.interpret(case.body, purpose=case.purpose)))
        expected = dict(case.expected)
        reason, wanted = found.pop("reason"), expected.pop("reason", None)
        assert found == expected, f"{case.name}: read {found}, expected {expected}"
        fits = reason is None if wanted is None else reason is not None and reason.startswith(wanted)
        assert fits, f"{case.name}: the reason is {reason!r}, expected {wanted!r}"


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
            found = subject.replaced(path, f"{minor // 100}.{minor % 100:02d}")
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
        None,
        True,
        [],
        {},
        -5,
        0,
    )
    for path in subject.amount_paths:
        for value in values:
            found = subject.replaced(path, value)
            assert not isinstance(found, Paid), f"the amount {value!r} is read as a payment"


def fractions_of_a_cent_are_refused(subject: Subject) -> None:
    """A third decimal that is not zero is never rounded away."""
    for path in subject.amount_paths:
        for value in ("1.005", "10.001", "0.009"):
            assert not isinstance(subject.replaced(path, value), Paid), f"{value} was rounded"


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


def same_body_same_identity(subject: Subject) -> None:
    """The same body read twice is one movement of money."""
    for case in subject.cases:
        first = subject.adapter.interpret(case.body, purpose=case.purpose)
        assert first == subject.adapter.interpret(case.body, purpose=case.purpose), f"{case.name} is read in two ways"


_Wanted = tuple[Paid, Purpose | None]


def _documents(subject: Subject) -> list[tuple[str, dict[str, object], _Wanted]]:
    found: list[tuple[str, dict[str, object], _Wanted]] = []
    for case, paid in subject.paid:
        doc = loads(case.body) if case.body.lstrip(b" \r\n\t\xef\xbb\xbf").startswith(b"{") else None
        if isinstance(doc, dict):
            found.append((case.name, doc, (paid, case.purpose)))
    return found or skip("the bodies of this provider are no JSON objects")


def _same(subject: Subject, body: bytes, name: str, wanted: _Wanted, what: str) -> None:
    paid, purpose = wanted
    found = subject.adapter.interpret(body, purpose=purpose)
    assert found == paid, f"{name} {what} is read as {as_wire(found)}"


def key_order_is_free(subject: Subject) -> None:
    """Keys in another order mean the same."""
    for name, doc, wanted in _documents(subject):
        _same(subject, write(reordered(doc)), name, wanted, "with its keys reordered")


def extra_fields_are_free(subject: Subject) -> None:
    """Fields nobody knows change nothing."""
    for name, doc, wanted in _documents(subject):
        _same(subject, write({"zz_new": {"a": [1]}, **doc, "zz_last": None}), name, wanted, "with extra fields")


def layout_is_free(subject: Subject) -> None:
    """Blanks and line ends between the fields, or none, mean the same."""
    for name, doc, wanted in _documents(subject):
        _same(subject, write(doc), name, wanted, "without layout")
        _same(subject, write(doc, indent=4).replace(b"\n", b"\r\n"), name, wanted, "with line ends")


def party_may_be_masked_or_absent(subject: Subject) -> None:
    """Masked, hashed or missing names and phones never stop a payment."""
    paid = subject.read_example()
    theirs = {paid.party.name, paid.party.msisdn} - {""}
    paths = [path for path, value in leaves(subject.example) if isinstance(value, str) and value in theirs]
    if not paths:
        skip("the example names nobody")
    for value in ("", None, "2547*****126", "2547 ***** 126", "a" * 64, "254700000101", "Ngũgĩ 'O' \u0000 \ud83d"):
        doc = subject.example
        for path in paths:
            doc = put(doc, path, value)
        found = subject.adapter.interpret(write(doc))
        assert isinstance(found, Paid), f"a party of {value!r} stops the payment: {found}"
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


def questions_are_answered(subject: Subject) -> None:
    """A provider that asks is asked back nothing: questions are read, move no money, and refusals differ."""
    adapter = subject.adapter
    if not isinstance(adapter, AskingAdapter):
        skip("this provider does not ask before it takes money")
    asking = [case for case in subject.cases if case.purpose is Purpose.VALIDATION]
    if not asking:
        skip("no fixture has the purpose validation")
    for case in asking:
        assert not isinstance(adapter.interpret(case.body, purpose=Purpose.VALIDATION), Paid), f"{case.name} pays"
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
