"""The languages of the desk: English as the pages have it, Kiswahili by a catalogue; and days as people say them.

A word that no catalogue knows is shown in English: the engine's own refusals are.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files

from babel import Locale, dates, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from fastapi import Request

from revenue_engine import periods

COOKIE = "language"
LANGUAGES = (("en", "English"), ("sw", "Kiswahili"))
"""Code and own name of each, the first where nothing else is asked for."""
KINDS = {
    "bank_account": "a bank account of the county",
    "bill_cancel": "an unpaid bill is cancelled",
    "book": "a secondary ledger is opened",
    "book_remap": "days of a secondary ledger are mapped anew",
    "book_rule": "a rule of a secondary ledger",
    "channel_add": "a live channel account and its addresses",
    "channel_disable": "the end of a live account",
    "channel_open": "a callback address of a live account",
    "channel_revoke": "the end of one callback address",
    "channel_rotate": "a callback address in place of another",
    "channel_set": "the settings of a live account",
    "county_set": "the limits of the county",
    "deposit_return": "a deposit that the bank took back is named",
    "fund_fact": "money of a secondary ledger is issued, committed or spent",
    "link": "words mean a payer",
    "match": "money in suspense pays a bill",
    "match_reversal": "a match is taken back",
    "match_set": "suspense pays the bill that the engine proposed",
    "move_money": "money of a payment moves to another bill",
    "person_add": "a new person",
    "person_reset": "a new password and second factor",
    "policy": "runs use a matching policy",
    "remittance": "money is sent to the County Revenue Fund",
    "role_end": "the end of a role",
    "role_grant": "a role",
    "scope_grant": "what a service may do",
    "statement_drop": "where a bank puts its statement files",
}
"""What each kind of request is, in a few words."""
WORDS = (
    *KINDS.values(),
    # States of bills and payments, standings of requests and closes, which pages show by their name
    *("unpaid", "part-paid", "paid", "overdue", "cancelled", "expired", "matched", "in suspense", "held as credit"),
    *(
        "reversed",
        "payout",
        "charge",
        "waiting",
        "agreed",
        "refused",
        "done",
        "void",
        "set",
        "open",
        "prepared",
        "closed",
    ),
    # Titles that a page is given
    *("Approvals", "Approval", "Search", "Bill", "New bill", "Today", "Close a day", "Nothing was done", "Sign in"),
    *("Is this paper ours?", "What is owed?", "Payment", "Payments", "Bills", "Statements", "Unreconciled item"),
    *("Agree to a list", "Send it again", "Unreconciled", "The newest first", "Bills of these words"),
    # What the desk refuses by itself
    "nobody is signed in here",
    "no page is at this address: begin at the search",
    "this form is of another session: open the page again; nothing was done",
    "this form lost its key: open the page again",
    "give the six figures of your authenticator, to agree",
    "this code is wrong or was used already: wait for the next one",
    "the books cannot be reached now: wait a moment, then send it again",
    "the login, the password or the code is wrong",
)
"""Words that pages show and no template holds."""


@dataclass(frozen=True)
class Language:
    """One language: its code, the words of it, and how it says days."""

    code: str
    translations: gettext.NullTranslations
    day_of: Callable[[date | str], str]
    when: Callable[[datetime | str | None], str]


@cache
def language(code: str) -> Language:
    """A language by its code."""
    locale = Locale(code)

    def day_of(day: date | str) -> str:
        return dates.format_date(date.fromisoformat(day) if isinstance(day, str) else day, "d MMM y", locale)

    def when(moment: datetime | str | None) -> str:
        if moment is None or moment == "":
            return ""
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return dates.format_datetime(at.astimezone(periods.NAIROBI), "d MMM y, HH:mm", None, locale)

    return Language(code, _translations(code), day_of, when)


def _translations(code: str) -> gettext.NullTranslations:
    if code == LANGUAGES[0][0]:
        return gettext.NullTranslations()
    text = files("revenue_engine.desk").joinpath("languages", f"{code}.po").read_bytes()
    made = io.BytesIO()
    write_mo(made, read_po(io.BytesIO(text), locale=code))
    made.seek(0)
    return gettext.GNUTranslations(made)


def of(request: Request) -> Language:
    """The language that this browser chose, or the first of ours that it asks for."""
    codes = [code for code, _ in LANGUAGES]
    chosen = request.cookies.get(COOKIE)
    if chosen not in codes:
        asked = [part.partition(";")[0].strip() for part in request.headers.get("accept-language", "").split(",")]
        chosen = negotiate_locale([one.replace("-", "_")[:10] for one in asked[:10]], codes)
    return language(chosen or codes[0])
