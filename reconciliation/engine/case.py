"""One payment with everything that may say which bill is meant. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciliation import ladder, spelling
from reconciliation.engine.senders import Sender
from reconciliation.ladder import Clues
from reconciliation.spelling import tokens_of

_PAYING = frozenset(
    word
    for words in (
        "PAY PAYMENT PAID BILL INV INVOICE ACC ACCOUNT NO NUMBER REF FEE FEES COUNTY REVENUE REV BUSIA",
        "MALIPO YA WA NA KWA KODI ADA USHURU SOKO KIBANDA LESENI KIWANJA ARDHI MAEGESHO GARI HOSPITALI NYUMBA",
        "PARKING MARKET RENT LAND RATES SBP PERMIT CESS TRAILER HEALTH STALL PLOT LICENCE LICENSE",
        "EFT DEP RTGS BR MPESA MPS USSD",
    )
    for word in words.split()
)
"""Words of paying in English and Kiswahili, and of banks, that name no purpose of their own."""
_COMMON = ladder.NOTHING | _PAYING

_NOBODY, _NO_CLUES = Sender("", ()), Clues()


@dataclass(slots=True)
class Case:
    """One payment that names no open bill by its number alone, with everything that may say which bill is meant."""

    payment: int
    rank: int
    amount_minor: int
    reference: str
    narrative: str
    typed: bool
    """Whether the payer typed anything; else there is at most a bank's narrative."""
    sender: Sender = _NOBODY
    clues: Clues = _NO_CLUES
    paid: Sequence[int] = ()
    """Bills paid before this run whose number was typed."""
    named: Sequence[int] = ()
    """Open bills whose number was typed, where they do not settle the payment."""
    objects: Sequence[int] = ()
    object_words: str = ""
    loosely: bool = False
    near: list[int] = field(default_factory=list)
    """Open bills of this amount whose object is one character away from the one that was typed."""
    rivals: list[int] = field(default_factory=list)
    """Open bills of this amount whose payer may be the sender, where what was typed is somebody else's."""
    doubt: str = ""
    """Why the number in ``named`` may be there by chance; empty where it is believed."""
    longer: Sequence[int] = ()
    """Bills of objects whose name goes on in the text: another object is meant…"""
    moved: Sequence[int] = ()
    """…or whose separators stand elsewhere."""
    others: Sequence[int] = ()
    """Open bills of this amount of others whom the text names beside an object: by a phone, or a full name."""
    slips: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Bills one slip away: the number as typed, and the slip in words."""
    cut: Sequence[int] = ()
    phones: Sequence[int] = ()
    own_phone: Sequence[int] = ()
    of_paid: Sequence[int] = ()
    names: Sequence[int] = ()
    payers_of_name: int = 0
    of_name: Sequence[int] = ()
    """Bills whose payer has the sender's name…"""
    by_sender: Sequence[int] = ()
    """…or first name and end of phone."""
    far: Sequence[int] = ()
    """Bills two slips away, for suggestions."""

    @property
    def text(self) -> str:
        """What was typed, or the bank's narrative."""
        return self.reference if self.typed else self.narrative

    @property
    def said(self) -> str:
        """All that was listened to: what was typed, and the bank's narrative where one is there."""
        return (
            self.text if not (self.typed and self.narrative) else f"{self.reference} {spelling.WALL} {self.narrative}"
        )

    @property
    def believed(self) -> Sequence[int]:
        """The bills in ``named``, where the number is not in doubt…"""
        return () if self.doubt else self.named

    @property
    def doubted(self) -> Sequence[int]:
        """…and where it is."""
        return self.named if self.doubt else ()

    @property
    def says_nothing(self) -> bool:
        """Whether the text names no purpose of its own, so that the sender may speak for it."""
        name = self.sender.name
        if self.clues.receipt or not all(word in _COMMON or word in name for word in self.clues.words):
            return False
        if not self.clues.words and (self.clues.slips or self.clues.phones):
            return True
        tokens = tokens_of(self.text)
        return all(token.isalpha() or token in _COMMON or token in name for token in tokens)

    def rows(self) -> Iterable[int]:
        """Every bill that is looked at for this payment; some come more than once."""
        lists = (self.paid, self.named, self.objects, self.slips, self.cut, self.phones, self.own_phone)
        more = (self.of_paid, self.names, self.far, self.near, self.rivals, self.longer, self.moved, self.others)
        return itertools.chain(*lists, *more)
