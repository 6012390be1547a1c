"""Checks of slips that leave every example right: half a proof compared, an empty key, an encoding guessed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from xml.parsers import expat

from adapters.conformance.spelling import Path as Field
from adapters.conformance.subject import ACCOUNT, Subject, skip
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import (
    AckOutcome,
    Ignored,
    Interpretation,
    Paid,
    RehearsingAdapter,
    Reversed,
    Signed,
    Unknown,
)

# --- proofs ----------------------------------------------------------------------------------------------------------


def cut_proofs_are_refused(subject: Subject) -> None:
    """A right proof of which a character is changed or the end is missing is refused: all of it is compared."""
    subject.proved()
    tried = 0
    for where, proof, sent in _damaged(subject):
        tried += 1
        verdict = subject.verify(sent)
        assert not verdict.accepted, f"{where}: a proof of {len(proof)} characters is accepted {_how(proof)}"
    if not tried:
        skip("the proof stands in no header and no field")


_KEEP = "\x00"


def _how(proof: str) -> str:
    return "with its end cut off" if _KEEP not in proof else "with a character changed"


def _damaged(subject: Subject) -> Iterator[tuple[str, str, Signed]]:
    """The signed example with each of its proofs damaged in turn: where, the damaged proof (marked), what is sent."""
    sent = subject.signed
    for name, given in sent.headers.items():
        for damaged, shown in _damage(given):
            yield f"the header {name}", shown, replace(sent, headers={**sent.headers, name: damaged})
    unsigned = subject.spelled(subject.rehearsal.example)
    before = dict(unsigned.leaves()) if unsigned is not None else {}
    for path, value in subject.example.leaves():
        if isinstance(value, str) and before.get(path) != value and len(value) >= 8:
            for damaged, shown in _damage(value):
                yield f"the field {'.'.join(path)}", shown, replace(sent, body=subject.example.put([path], damaged))


def _damage(value: str) -> Iterator[tuple[str, str]]:
    """A proof with one character changed in its middle and near its end, cut to its half and to eight characters.

    Not the last characters: in base64 they may hold bits that mean nothing.
    """
    if len(value) < 8:
        return
    for at in {len(value) // 2, len(value) - 6}:
        letter = value[at]
        other = "1" if letter == "0" else "0" if letter.isdigit() else "a" if letter != "a" else "b"
        other = other.upper() if letter.isupper() else other
        if letter.isalnum():
            yield value[:at] + other + value[at + 1 :], _KEEP * len(value)
    for length in {len(value) // 2, 8} if len(value) > 16 else set():
        yield value[:length], value[:length]


def empty_keys_prove_nothing(subject: Subject) -> None:
    """What is signed with an empty key is refused: a previous key that is not set is no key."""
    subject.proved()
    adapter = subject.adapter
    assert isinstance(adapter, RehearsingAdapter)
    if not subject.rehearsal.secrets:
        skip("the proof holds no secret")
    try:
        sent = adapter.rehearse(ACCOUNT, dict.fromkeys(subject.rehearsal.secrets, "")).sign(subject.rehearsal.example)
    except Exception:  # noqa: BLE001 - a private key cannot be empty, and then nobody can sign with it
        skip("nobody can sign with an empty key of this kind")
    verdict = subject.verify(sent)
    assert not verdict.accepted, "what anybody can sign with an empty key is accepted: leave keys out that are empty"


def signed_bytes_are_the_bytes(subject: Subject) -> None:
    """A proof over the raw body fails when a blank or a line end is added to that body."""
    subject.proved()
    body = subject.rehearsal.example
    if not subject.rehearsal.covers_body or not subject.signed.headers:
        skip("no header proves the bytes of the body")
    sent = subject.signed
    for changed in (sent.body + b" ", sent.body + b"\n", b" " + sent.body, sent.body + b"\r\n"):
        if dict(subject.rehearsal.sign(body + b" ").headers) == dict(sent.headers):
            skip("the proof is over fields, and a blank is none")
        assert not subject.verify(replace(sent, body=changed)).accepted, (
            "a blank added to a signed body is accepted: the proof is over the raw bytes, not over body.strip()"
        )


# --- persons ---------------------------------------------------------------------------------------------------------


def person_in(subject: Subject, meaning: Interpretation) -> str:
    """The payer's name or phone where a reason repeats the example's; empty where none does."""
    if not isinstance(meaning, Ignored | Unknown):
        return ""
    party = subject.read_example().party
    return next((word for word in (party.name, party.msisdn) if len(word) > 4 and word in meaning.reason), "")


def reasons_hold_no_person(subject: Subject) -> None:
    """Whatever is wrong with a notice, the reason why it is no payment repeats neither the payer's name nor phone."""
    for path, _ in subject.example.leaves():
        bodies = [subject.example.put([path], value) for value in subject.example.odd]
        for body in (*bodies, subject.example.without(path)):
            meaning = subject.adapter.interpret(body)
            assert not person_in(subject, meaning), f"with {'.'.join(path)} wrong, the reason repeats the payer"


# --- spellings -------------------------------------------------------------------------------------------------------

_NAME = "Ngũgĩ Ñandú"


def names_are_read_as_utf8(subject: Subject) -> None:
    """A payer's name with letters of two bytes comes back as it was written."""
    paid = subject.read_example()
    content_type = "" if subject.rehearsal.body is None else subject.rehearsal.body.content_type
    for path, value in subject.example.leaves():
        if not isinstance(value, str) or not value or value not in paid.party.name:
            continue
        other = subject.replaced(path, "ZZNAMEZZ")
        if not isinstance(other, Paid) or other.party.name == paid.party.name:
            continue  # a piece of the name that stands in another field as well
        if "urlencoded" in content_type:
            body = subject.example.put([path], _NAME)
        else:  # the bytes themselves, for an encoder may escape what a provider does not
            body = subject.example.put([path], "ZZNAMEZZ").replace(b"ZZNAMEZZ", _NAME.encode())
        found = subject.adapter.interpret(body)
        assert isinstance(found, Paid), f"a name in {'.'.join(path)} with letters of two bytes stops the payment"
        same = _NAME.casefold() in found.party.name.casefold()
        assert same, f"the name {_NAME!r} in UTF-8 is read as {found.party.name!r}"
        return
    skip("the example names nobody")


def dates_have_one_order(subject: Subject) -> None:
    """A day and a month that are exchanged are no date: 31/12 is not read as 12/31 is."""
    at = subject.read_example().occurred_at
    if at is None:
        skip("the example has no time")
    found = list(_exchanged(subject, at))
    if not found:
        skip("the example writes no day beside a month")
    tried = 0
    for where, right, wrong, text in found:
        if _day(subject.adapter.interpret(right)) != (31, 12):
            continue  # another day, or the other reading of two equal figures
        tried += 1
        assert not _has_time(subject.adapter.interpret(wrong)), f"{where}: the impossible date {text!r} is read as one"
    if not tried:
        skip("no field of the example is the day of the payment")


def _day(meaning: Interpretation) -> tuple[int, int] | None:
    at = meaning.occurred_at if isinstance(meaning, Paid) else None
    return None if at is None else (at.astimezone(NAIROBI).day, at.astimezone(NAIROBI).month)


def _has_time(meaning: Interpretation) -> bool:
    return isinstance(meaning, Paid) and meaning.occurred_at is not None


def _exchanged(subject: Subject, at: datetime) -> Iterator[tuple[str, bytes, bytes, str]]:
    for here in {(at.day, at.month), (at.astimezone(NAIROBI).day, at.astimezone(NAIROBI).month)}:
        day, month = (f"{number:02d}" for number in here)
        for path, value in subject.example.leaves():
            text = str(value)
            for first, second, right in ((day, month, ("31", "12")), (month, day, ("12", "31"))):
                spot = re.search(rf"{first}([/. -]?){second}", text)
                if spot is not None:
                    written = [
                        f"{text[: spot.start()]}{a}{spot[1]}{b}{text[spot.end() :]}" for a, b in (right, right[::-1])
                    ]
                    bodies = [_written(subject, path, one) for one in written]
                    yield ".".join(path), bodies[0], bodies[1], written[1]


def _written(subject: Subject, path: Field, text: str) -> bytes:
    return subject.example.put([path], text)


_LEVELS = 7


def xml_declares_nothing(subject: Subject) -> None:
    """XML with a document type is refused: an entity is another text than was signed, and nested ones fill a memory."""
    form = subject.rehearsal.body
    if form is None or "xml" not in form.content_type:
        skip("bodies are not XML")
    path = subject.amount_paths[0]
    body = subject.example.put([path], "ZZENTITYZZ").replace(b"ZZENTITYZZ", b"&a;")
    bomb = "".join(f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, _LEVELS))
    plain = subject.example.layouts()[0]
    named = re.sub(rb"^\s*<\?xml[^>]*\?>", b"", plain)
    root = re.search(rb"<([A-Za-z_][\w.:-]*)", named)
    name = root[1].decode() if root is not None else "notice"
    for what, declared, rest in (
        ("an entity in the amount", '<!ENTITY a "1500.00">', body),
        ("nested entities", f'<!ENTITY b0 "lol">{bomb}<!ENTITY a "&b{_LEVELS - 1};">', body),
        ("a document type", "", plain),
    ):
        sent = f"<!DOCTYPE {name} [{declared}]>".encode() + re.sub(rb"^\s*<\?xml[^>]*\?>", b"", rest)
        started = time.monotonic_ns()
        meaning = subject.adapter.interpret(sent)
        assert not isinstance(meaning, Paid | Reversed), f"{what} is read as money: use defusedxml with forbid_dtd=True"
        assert time.monotonic_ns() - started < 1_000_000_000, f"{what} took more than a second"


# --- words -----------------------------------------------------------------------------------------------------------

_STRANGE = ("TRANSFER", "PENDING", "FAILED", "UNKNOWN", "XX", "")


def direction_words_mean_what_is_said(subject: Subject) -> None:
    """The words the rehearsal says pay do, those that take back take back, and no other word is either."""
    rehearsal = subject.rehearsal
    if not rehearsal.direction:
        words = (*rehearsal.pays, *rehearsal.takes_back)
        assert not words, "the Rehearsal names words and no direction= field"
        skip("no field says whether money came or went (Rehearsal.direction)")
    named = {".".join(path): path for path, _ in subject.example.leaves()}
    assert rehearsal.direction in named, f"the Rehearsal's direction {rehearsal.direction!r} is no field of its example"
    path = named[rehearsal.direction]
    assert rehearsal.pays, (
        'say which words pay and which take back: Rehearsal(direction="cr_dr", pays={"CR"}, takes_back={"REVERSAL"})'
    )
    both = set(rehearsal.pays) & set(rehearsal.takes_back)
    assert not both, f"{sorted(both)} cannot both pay and take back"
    for word in sorted(rehearsal.pays):
        assert isinstance(subject.replaced(path, word), Paid), (
            f"{rehearsal.direction} {word!r} pays, and is not read so"
        )
    for word in sorted(rehearsal.takes_back):
        found = subject.replaced(path, word)
        assert not isinstance(found, Paid | Ignored), (
            f"{rehearsal.direction} {word!r} takes back, and is read otherwise"
        )
    spoken = {word.upper() for word in (*rehearsal.pays, *rehearsal.takes_back)}
    for word in _STRANGE:
        if word not in spoken:
            found = subject.replaced(path, word)
            assert not isinstance(found, Paid | Reversed), (
                f"{rehearsal.direction} {word!r} is money, and nobody said so"
            )


# --- answers ---------------------------------------------------------------------------------------------------------


_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?[a-z0-9-]+=[A-Za-z0-9._-]+)*", re.ASCII)


def answers_are_what_they_say(subject: Subject) -> None:
    """Answers are of the adapter's content_type, which is JSON where the adapter names none."""
    kind = getattr(subject.adapter, "content_type", "application/json")
    fits = isinstance(kind, str) and _CONTENT_TYPE.fullmatch(kind) is not None
    assert fits, f"content_type {kind!r} is none: write such as 'application/xml' or 'text/plain; charset=utf-8'"
    for outcome in AckOutcome:
        answer = subject.adapter.ack(outcome)
        if "json" in kind:
            try:
                json.loads(answer)
            except ValueError:
                raise AssertionError(
                    f"ack({outcome.name}) is no JSON and is sent as {kind}: give the adapter a content_type"
                ) from None
        elif "xml" in kind:
            try:
                expat.ParserCreate().Parse(answer, True)
            except expat.ExpatError:
                raise AssertionError(f"ack({outcome.name}) is no XML and is sent as {kind}") from None
