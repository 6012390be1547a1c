"""What a body means by the description of its bank: its form, its fields, and why it may tell of no money."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from adapters import readings
from adapters.receipts import receipt_day
from adapters.signed_json import mapping
from adapters.signed_json.mapping import Bank, Form, Source
from revenue_engine.errors import InvalidValue
from revenue_engine.periods import nairobi_date
from revenue_engine.ports.callbacks import Ignored, Interpretation, Paid, Party, Unknown
from revenue_engine.ports.strict_json import loads

Doc = Mapping[str, object]


def hashed_parts(proof: mapping.SaltedProof, doc: Doc) -> list[str] | None:
    """The texts a salted hash covers, in its order; None where one is no text (a number has no one spelling)."""
    parts = []
    for path in proof.parts:
        value = readings.at(doc, path)
        if value is not None and type(value) is not str:
            return None
        parts.append(value or "")
    return [*parts, proof.suffix]


def read_object(body: bytes) -> dict[str, object]:
    """The object a body holds; empty where it holds none that can be read."""
    try:
        doc = loads(body)
    except InvalidValue:
        return {}
    return doc if isinstance(doc, dict) else {}


def _has(doc: Doc, path: str) -> bool:
    above, _, last = path.rpartition(".")
    holder = readings.at(doc, above) if above else doc
    return isinstance(holder, dict) and last in holder


def form_of(bank: Bank, doc: Doc) -> Form | None:
    """The form a body fits, the first of the file's order; None when it fits none."""
    return next((form for form in bank.forms if _fits(form, doc)), None)


def _fits(form: Form, doc: Doc) -> bool:
    if not all(_has(doc, path) for path in form.marks) or any(_has(doc, path) for path in form.lacks):
        return False
    return all(_word(readings.at(doc, path)) in {word.lower() for word in words} for path, words in form.when.items())


def _word(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def text_of(source: Source | None, doc: Doc) -> str:
    """The text a source names, untouched but for the cut it asks for; empty where there is none."""
    if source is None:
        return ""
    if source.join:
        text = "".join(readings.typed(readings.at(doc, path), path) for path in source.join)
    else:
        text = next((found for path in source.paths if (found := readings.typed(readings.at(doc, path), path))), "")
    if not source.split:
        return text
    parts = text.split(source.split)
    if len(parts) == 1 and source.whole:
        return text
    return parts[source.part - 1] if 1 < len(parts) >= source.part else ""


def payment(form: Form, doc: Doc) -> Interpretation:
    """A payment, or why the body tells of none: a failed one, or money that went out."""
    assert form.reference and form.amount and form.occurred  # noqa: S101, PT018 - the model made sure
    if form.status is not None:
        word = _word(readings.at(doc, form.status.path))
        if word in _lower(form.status.no):
            return Ignored(f"{form.name}: {form.status.path} is {word!r}, no money has moved")
        if word not in _lower(form.status.yes) and (word or not form.status.optional):
            return Unknown(f"{form.name}: {form.status.path} is {readings.shown(word)}: the outcome is not known")
    amount_path = form.amount.path
    amount = readings.signed_cents(readings.at(doc, amount_path), amount_path, grouped=form.amount.grouped)
    if _goes_out(form, doc, amount):
        return Ignored(f"{form.name}: a debit of the account is no payment; the bank's statement books it")
    if amount <= 0:
        raise InvalidValue(f"{amount_path} must be above zero, found {readings.shown(readings.at(doc, amount_path))}")
    receipts, doubt = _receipts(form, doc)
    reference = readings.reference(text_of(form.reference, doc), _where(form.reference))
    occurred, untimed = _occurred(form.occurred, doc, receipts)
    return Paid(
        reference=reference,
        amount_minor=amount,
        occurred_at=occurred,
        currency=readings.currency(readings.at(doc, form.currency) if form.currency else None, form.currency or ""),
        channel_account=readings.account(text_of(form.account, doc), _where(form.account)),
        account_reference=text_of(form.bill, doc),
        strength=form.strength,
        message=form.name,
        party=Party(readings.lenient(text_of(form.party_name, doc)), readings.lenient(text_of(form.party_phone, doc))),
        also_known_as=tuple(one for one in receipts if one != reference),
        doubt="; ".join(one for one in (untimed, doubt) if one),
        time_in_doubt=bool(untimed),
    )


def _lower(words: tuple[str, ...]) -> set[str]:
    return {word.lower() for word in words}


def _where(source: Source | None) -> str:
    return "" if source is None else (source.join or source.paths)[0]


def _goes_out(form: Form, doc: Doc, amount: int) -> bool:
    """Whether a notice tells of a debit. A word nobody listed is refused: a sign is never guessed."""
    if amount < 0 and form.amount is not None and form.amount.signed:
        return True
    if form.direction is None:
        return False
    word = _word(readings.at(doc, form.direction.path))
    if word in _lower(form.direction.no):
        return True
    if word in _lower(form.direction.yes) or (not word and form.direction.optional):
        return False
    raise InvalidValue(f"{form.direction.path} must say credit or debit, found {readings.shown(word)}")


def _receipts(form: Form, doc: Doc) -> tuple[tuple[str, ...], str]:
    """The mobile receipt beside the bank's reference, or none and the doubt where its copies differ."""
    found: dict[str, None] = {}
    for source in form.receipts:
        text = text_of(source, doc)
        for one in readings.receipts_inside(text.upper()) if source.inside else (readings.mobile_receipt(text),):
            if one:
                found[one] = None
    if len(found) > 1:
        return (), f"its copies of the mobile receipt differ: {', '.join(list(found)[:3])}"
    return tuple(found), ""


def _occurred(source: mapping.Moment, doc: Doc, receipts: Collection[str]) -> tuple[datetime | None, str]:
    """The instant, or none, and the doubt: a bad time never stops the money it stands beside.

    The time that is told comes first, then the days of booking and of value. Where they contradict each other, a mobile
    receipt decides; without one nothing is certain. What contradicts all of them is of another payment, or no receipt.
    """
    found, unread = _told(source, doc)
    given = {one: day for one in receipts if _DIGIT.search(one) and (day := receipt_day(one)) is not None}
    if not found:
        return None, f"{unread} cannot be read for certain: booked at the time it was received"
    fitting = [(where, at) for where, at in found if all(_near(at, day) for day in given.values())]
    days = [nairobi_date(at) for _, at in found]
    if len(fitting) == len(found) and max(days) - min(days) <= _LATE:
        return found[0][1], f"{unread} cannot be read: booked on the day of {found[0][0]}" if unread else ""
    said = [f"{where} is of {nairobi_date(at):%d %b %Y}" for where, at in found]
    said += [f"the receipt {receipt} was given on {day:%d %b %Y}" for receipt, day in given.items()]
    if given and (fitting or max(days) - min(days) <= _LATE):
        where, at = (fitting or found)[0]
        return at, f"{', '.join(said)}: booked on the day of {where}"
    return None, f"{', '.join(said)}: booked at the time it was received"


_DIGIT: Final = re.compile("[0-9]")
"""Receipts nearly always have one, and words written in capitals have none: DEPARTMENT."""
_LATE: Final = timedelta(days=14)
"""A bank may book money so long after it was sent."""


def _near(at: datetime, given: date) -> bool:
    return timedelta(days=-1) <= nairobi_date(at) - given <= _LATE


def _told(source: mapping.Moment, doc: Doc) -> tuple[list[tuple[str, datetime]], str]:
    """The time and the days that a notice tells and that can be read, by their fields; and its time as it stands where
    that time cannot be read though the body holds one, or where nothing can."""
    found: list[tuple[str, datetime]] = []
    unread = ""
    for path in (*source.paths, *source.days):
        value = readings.at(doc, path)
        if value in (None, "") or (path in source.paths and (found or unread)):
            continue
        try:
            at = readings.moment(value, source.formats, path)
        except InvalidValue:
            unread = unread or (f"{path} ({readings.shown(value)})" if path in source.paths else "")
        else:
            found.append((path, at))
    if not found and not unread:
        unread = f"{source.paths[0]} ({readings.shown(readings.at(doc, source.paths[0]))})"
    return found, unread
