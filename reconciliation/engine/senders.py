"""Who sent a payment, and whether that agrees with the payer of a bill. Pure.

A provider shows a masked phone and a first name, a bank a name as it was cut. Each is weak alone; the ladder says how
much of it a rung needs.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

PHONE_DIGITS = 9
"""A Kenyan number without its prefix: 0712 345 678, 254712345678 and 712345678 are the same phone."""
LEAST_TAIL = 3
"""Fewer visible digits than this at the end of a masked phone say nothing."""
LEAST_CUT = 3
"""A bank cuts names; fewer letters than this are no cut name but an initial or another's."""

_NOT_PHONE = re.compile(r"[^0-9*]")
_APOSTROPHES = re.compile("['’‘`´]")
_WORDS = re.compile(r"[A-Z]+")


class Agreement(enum.IntEnum):
    """How far a fact about the sender agrees with the payer of a bill."""

    DIFFERS = -1
    UNKNOWN = 0
    PARTLY = 1
    FULLY = 2


@lru_cache(maxsize=65536)
def phone_pattern(text: str) -> str:
    """The last nine places of a phone, ``*`` where the provider masked one; empty when nothing is visible."""
    if text.isdigit():
        return text[-PHONE_DIGITS:] if len(text) >= PHONE_DIGITS else ""
    if not text:
        return ""
    pattern = _NOT_PHONE.sub("", text.replace("x", "*").replace("X", "*"))[-PHONE_DIGITS:]
    tail = pattern.rpartition("*")[2]
    return pattern if len(tail) >= LEAST_TAIL else ""


def phones_agree(pattern: str, phone: str) -> Agreement:
    """Compare a possibly masked phone with a payer's. A tail is PARTLY: some families share it, by chance others do."""
    if not pattern or not phone:
        return Agreement.UNKNOWN
    if "*" not in pattern and len(pattern) == PHONE_DIGITS:
        return Agreement.FULLY if pattern == phone else Agreement.DIFFERS
    if pattern[-1:] not in ("*", phone[-1:]):
        return Agreement.DIFFERS
    for seen, real in zip(reversed(pattern), reversed(phone), strict=False):
        if seen not in ("*", real):
            return Agreement.DIFFERS
    return Agreement.PARTLY


@lru_cache(maxsize=65536)
def name_words(text: str) -> tuple[str, ...]:
    """The words of a name: upper case, no accents, ``Ng'ang'a`` in one piece."""
    if text.isascii():
        return tuple(_WORDS.findall(_APOSTROPHES.sub("", text).upper()))
    plain = _APOSTROPHES.sub("", unicodedata.normalize("NFKD", text)).upper()
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return tuple(_WORDS.findall(plain))


def names_agree(sender: tuple[str, ...], payer: tuple[str, ...]) -> Agreement:
    """Compare names. FULLY needs two words of which one is whole; a lone first name is PARTLY; order is free."""
    if not sender or not payer:
        return Agreement.UNKNOWN
    if len(sender) == 1:
        return _lone_name_agrees(sender[0], payer)
    left, whole, initials = list(payer), 0, 0
    for word in sorted(sender, key=len, reverse=True):
        if word in left:
            left.remove(word)
            whole += len(word) > 1
            initials += len(word) == 1
            continue
        short = next((one for one in left if len(word) == 1 and one.startswith(word)), None)
        cut = next((one for one in left if len(word) >= LEAST_CUT and one.startswith(word)), None)
        if short is None and cut is None:
            return Agreement.DIFFERS
        left.remove(short or cut or "")
        initials += 1
    if whole and whole + initials > 1:
        return Agreement.FULLY
    return Agreement.PARTLY if whole else Agreement.UNKNOWN


def _lone_name_agrees(word: str, payer: tuple[str, ...]) -> Agreement:
    """One word, as M-PESA shows: whole it is PARTLY, an initial or a cut word says nothing."""
    if word in payer:
        return Agreement.PARTLY if len(word) > 1 else Agreement.UNKNOWN
    for one in payer:
        if (len(one) == 1 and word.startswith(one)) or (len(word) >= LEAST_CUT and one.startswith(word)):
            return Agreement.UNKNOWN
    return Agreement.DIFFERS


class Sender(NamedTuple):
    """What a channel shows of who paid."""

    phone: str
    """Pattern of :func:`phone_pattern`."""
    name: tuple[str, ...]


class Proof(NamedTuple):
    """How a sender compares with the payer of one bill."""

    phone: Agreement
    name: Agreement

    @property
    def agrees(self) -> bool:
        """Enough to trust a slip: the phone; or the full name; or a first name where no phone is shown.

        The end of a phone beside another name is chance as often as not.
        """
        if self.phone is Agreement.FULLY or self.name is Agreement.FULLY:
            return True
        if self.phone is Agreement.PARTLY:
            return self.name is not Agreement.DIFFERS
        return self.phone is Agreement.UNKNOWN and self.name is Agreement.PARTLY

    @property
    def undisputed(self) -> bool:
        """Whether it agrees, and no phone that is shown is another's: a namesake's name agrees too."""
        return self.agrees and self.phone is not Agreement.DIFFERS

    @property
    def doubtful(self) -> bool:
        """Whether something that is shown is not the payer's, and what agrees is not enough against it."""
        return not self.agrees and Agreement.DIFFERS in (self.phone, self.name)

    @property
    def contradicts(self) -> bool:
        """Whether what is shown is somebody else's: nothing agrees and something differs."""
        return self.phone <= 0 and self.name <= 0 and Agreement.DIFFERS in (self.phone, self.name)

    def words(self) -> str:
        """What agrees and what does not, for a reader."""
        phone = {
            Agreement.FULLY: "the sender's phone is the payer's",
            Agreement.PARTLY: "the sender's phone ends like the payer's",
        }.get(self.phone)
        name = {
            Agreement.FULLY: "the sender's name is the payer's",
            Agreement.PARTLY: "the sender's first name is the payer's",
        }.get(self.name)
        only = "" if self.agrees else "only "
        if phone and name:
            return f"{phone} and {name}"
        if phone:
            return f"{only}{phone}" + (", not the name" if self.name is Agreement.DIFFERS else "")
        if name:
            return f"{only}{name}" + (", not the phone" if self.phone is Agreement.DIFFERS else "")
        if self.contradicts:
            return "the sender is somebody else"
        return "nothing is known of the sender"


def compare(sender: Sender, *, phone: str, name: tuple[str, ...]) -> Proof:
    """A sender against the payer of a bill: ``phone`` nine digits or empty, ``name`` words."""
    return Proof(phones_agree(sender.phone, phone), names_agree(sender.name, name))
