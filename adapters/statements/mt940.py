"""MT940 and MT942 (SWIFT customer statements): end of day with balances, and within the day without.

A tokenizer of our own, because every library at hand is wrong about money: the mark ``RC`` takes money away, a dot is
a decimal sign, an amount has up to fifteen characters, and 30 February is no day. Fields and marks: SWIFT user
handbook, category 9. Each deviation of a bank is a test in ``tests/adapters/statements``.

What belongs to no field (lines before :20:, between statements) is passed over. A line that begins with a tag nobody
knows continues the :86: before it: narratives wrap anywhere, and no tag of money is unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import BinaryIO, Final

from adapters.statements import swift_entries
from adapters.statements.day_proofs import hold_between
from adapters.statements.swift_entries import refuse
from adapters.statements.swift_text import encoding_of, texts
from adapters.statements.tally import Tally
from revenue_engine.money import wire
from revenue_engine.ports.statements import StatementEvent, StatementFault, StatementOpened, StatementRefused

_LONGEST_NARRATIVE: Final = 1_000
"""Lines; the format has six."""
_MOST_NOTES: Final = 20

_SNIFF: Final = re.compile(rb"(?:^|[\r\n]|\{4:)(?:[ \t\x01>|]|\xc2?\xa0|\xef\xbb\xbf)*:(?:20|6[012][FM]?):")
_LAST_CURRENCY: Final = re.compile(r"[\d\s/]([A-Z]{3})$")
_FURNITURE: Final = "\x01\x02\x03\x1a\ufeff\u200b"
"""Bytes that frame a transmission and say nothing."""
_MARGIN: Final = _FURNITURE + " \t\xa0>|"
"""What stands before a line that was copied out of a mail or a page."""
_INDENTED: Final = re.compile(
    r":(?P<money>61:(?=\s*(?:\d{4}|$))|6[02][FM]:(?=\s*[CD]\s*\d{6}))|:(?P<other>20|21|25P?|28C?|64|65|86|90[CD]|13D?|34F|NS):"
)
"""A tag behind a margin. One of money is always one; another only where the tags around it have a margin too."""
_SWALLOWED: Final = re.compile(r":61:\s*\d{6}(?:\d{4})?\s*(?:R[CD]|E[CD]|[CD])\s*[A-Z]?\s*-?\d", re.ASCII)
_COLON_LOST: Final = re.compile(
    r"\W{0,5}6[1IlA][A-Z]?\W{0,3}\d{6}(?:\d{4})?\s*(?:R[CD]|E[CD]|[CD])\s*[A-Z]?\s*-?\d{1,15}[,.]\d{0,2}", re.ASCII
)
"""An entry where none is expected: its line break or a colon was lost on the way, or a sign was changed."""
_WITHOUT_TAG: Final = re.compile(r"\W{0,5}\d{6}(?:\d{4})?R?[CD][A-Z]?\d{1,15},\d{0,2}[NSF][A-Z0-9]{3}\S", re.ASCII)
"""An entry whose tag stands on the line above, or nowhere."""
_EMPTY: Final = re.compile(r":6[012][FM]?:(?:[CD]\d{0,6}|[CD]\d{6}\s?[A-Z]{1,3})?")
"""A tag of money whose value, or the amount in it, stands on the next line."""
_PIECE: Final = re.compile(r":(?:\d{0,2}[A-Z]?)?")
"""The beginning of a tag that a line break cut."""
_ACCOUNT_GOES_ON: Final = re.compile(r"\d{3,20}(?: ?[A-Z]{3})?", re.ASCII)
"""What a line break cut off an account."""
_FRAMES: Final = ("{1:", "{2:", "{4:", "-}")
"""What a line of the SWIFT envelope begins with."""


class SwiftReader:
    """Reads MT940 and MT942; which of the two a statement is, its own fields tell."""

    name: str = "mt940"

    def sniff(self, head: bytes, filename: str) -> bool:  # noqa: ARG002
        """Whether a line of the head is a reference, a balance or an entry of a SWIFT statement."""
        return not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and _SNIFF.search(head) is not None

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:  # noqa: ARG002
        """Stream the statements of a file. Raises StatementRefused with the line and the tag."""
        codec, note = encoding_of(stream)
        reading = _Reading(note)
        for text in texts(stream, codec):
            reading.take(text)
            yield from reading.out
            reading.out.clear()
        reading.end_of_file()
        yield from reading.out


reader = SwiftReader()


class _Statement:
    """One statement while it is read."""

    def __init__(self, line: int, reference: str) -> None:
        self.line = line
        self.reference = reference
        self.account = ""
        self.number = ""
        self.currency = ""
        self.interim = False
        """Whether a field of MT942 was seen."""
        self.unnamed = False
        """Whether it was begun by another field than :20:."""
        self.closing: int | None = None
        self.tally: Tally | None = None
        """None until the statement is opened: by its opening balance, in MT942 by its first entry or its end."""
        self.balanced = False
        self.days: list[date] = []
        """The days of the balances, in their order."""
        self.sums: dict[str, tuple[int, int | None, int | None, str]] = {}
        self.turned: list[tuple[int, int]] = []
        """Lines and effects of the entries whose minus sign only the balances prove."""
        self.notes: list[str] = []
        self.marks: set[str] = set()
        self.counted = {"C": 0, "D": 0}
        self.summed = {"C": 0, "D": 0}

    def note(self, text: str) -> None:
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(text)


class _Reading:
    """The state between lines. ``out`` is what was read and not yet answered."""

    def __init__(self, note: str) -> None:
        self.out: list[StatementEvent] = []
        self._note = note
        self._number = 0
        self._now: _Statement | None = None
        self._interim = False
        self._seen = False
        self._head = ""
        """The :61: that waits for its :86:; empty when none does."""
        self._head_line = 0
        self._supplement: list[str] = []
        self._info: list[str] = []
        self._into: list[str] | None = None
        """Where a line without a tag belongs."""
        self._piece = ""
        """The beginning of a tag that ended its line."""
        self._margin = False
        """Whether the last tag stood behind a margin."""
        self._amount_tag = ""
        """The tag above, where it ends with an amount."""
        self._broken_account: _Statement | None = None
        """The statement whose account is the field above."""
        self._acts: dict[str, Callable[[str], None]] = {
            "20": self._reference,
            "21": self._pass,
            "25": self._account,
            "25P": self._account,
            "28": self._sequence,
            "28C": self._sequence,
            "60F": self._opening,
            "60M": self._opening,
            "62F": self._closing,
            "62M": self._closing,
            "64": self._pass,
            "65": self._pass,
            "34F": self._floor,
            "13": self._interim_field,
            "13D": self._interim_field,
            "90C": self._sum_of_credits,
            "90D": self._sum_of_debits,
            "940": self._pass,
            "942": self._pass,
            "NS": self._information,
        }

    def take(self, text: str) -> None:
        """Read some whole lines. Raises StatementRefused."""
        at, size = 0, len(text)
        # An entry inside a line would be swallowed as words: then every line is looked at.
        tags = text.count("\n:61:") + text.startswith(":61:")
        usual = text.count(":61:") == tags and "\n61:" not in text and text.count("\n:61") == text.count("\n:61:")
        while at < size:
            if usual and text.startswith(":61:", at):
                if self._head:
                    self._flush()
                now = self._now
                if now is not None and now.tally is not None and now.balanced and now.closing is None:
                    # Entries of the usual shape are read at one go; the first that is not is read line by line.
                    at, after = swift_entries.movements(text, at, self._number + 1, now.tally, self.out)
                    self._number = after - 1
            end = text.find("\n", at)
            self._number += 1
            self._take_line(text[at:end])
            at = end + 1

    def _take_line(self, line: str) -> None:
        if self._piece:
            line, self._piece = self._joined(line), ""
        if line[:1] == ":":
            self._margin = False
            if len(line) < 24 and _EMPTY.fullmatch(line.rstrip()):
                self._piece = line.rstrip()
                return
            if self._tagged(line):
                return
            if len(line) <= 4 and _PIECE.fullmatch(line.rstrip()):
                self._piece = line.rstrip()
                return
        if line:
            self._other(line)

    def _tagged(self, line: str) -> bool:
        """Read a line that begins with a tag; False where nobody knows the tag."""
        if line.find(":61:", 1) > 0 and _SWALLOWED.search(line, 1):
            raise self._swallowed(line)
        end = line.find(":", 1)
        tag = line[1:end]
        self._amount_tag, self._broken_account = "", None
        if tag == "61":
            self._entry(line[4:])
            return True
        if tag == "86":
            self._information(line[4:])
            return True
        act = self._acts.get(tag) or self._acts.get(tag.upper())
        if act is None:
            return False
        act(line[end + 1 :].rstrip())
        self._amount_tag = tag if tag[:1] in {"6", "9"} else ""
        return True

    def _joined(self, line: str) -> str:
        """A line with the piece of a tag above it, where the two make a tag; else the piece is text of its own."""
        if _EMPTY.fullmatch(self._piece) and (line[:1] == ":" or line.strip() == "-"):
            self._tagged(self._piece)
            return line
        whole = self._piece + line.lstrip()
        end = whole.find(":", 1)
        if end > 0 and (whole[1:end] in self._acts or whole[1:end] in {"61", "86"}):
            return whole
        self._other(self._piece)
        return line

    def _swallowed(self, line: str) -> StatementRefused:
        return refuse(
            StatementFault.BAD_VALUE,
            f"an entry stands inside another line ({line.strip()[:40]!r}): its line break or a colon was lost, and it"
            " would be taken for words. Ask the bank for the file as it sends it, and do not copy it from a mail",
            self._number,
            "61",
        )

    def end_of_file(self) -> None:
        """Close the last statement. Raises StatementRefused where there was none, or it has no end."""
        if self._piece and not self._tagged(self._piece):
            self._other(self._piece)
        self._end()
        if not self._seen:
            raise StatementRefused(
                StatementFault.NOT_A_STATEMENT,
                "no statement is in the file: one begins with :20: and :60F: and ends with :62F:",
                line=1,
            )

    # --- what the lines are ---

    def _other(self, line: str) -> None:
        """A line without a tag: the envelope, the end of a message, or the rest of the field above."""
        plain = line.strip(_MARGIN)
        if not plain.isascii():
            plain = unicodedata.normalize("NFKC", plain)  # a colon of double width is a colon
        amount_tag, self._amount_tag = self._amount_tag, ""
        if plain[:1] == ":" and line[:1] != ":":
            found = _INDENTED.match(plain)
            if found and (found["money"] or self._margin or self._into is None or found["other"] in {"20", "25"}):
                self._margin = True
                self._tagged(plain)
                return
        if ("61:" in plain and _SWALLOWED.search(plain)) or _COLON_LOST.match(plain) or _WITHOUT_TAG.match(plain):
            raise self._swallowed(plain)
        if self._broken_account is not None and _ACCOUNT_GOES_ON.fullmatch(plain):
            self._broken_account.account += plain
            self._broken_account = None
            return
        if amount_tag and plain[:1] in set("0123456789,."):
            raise refuse(
                StatementFault.BAD_AMOUNT,
                f"the field above ends inside its amount and goes on here with {plain[:16]!r}. Join the two lines as"
                " the bank sent them",
                self._number,
                amount_tag,
            )
        if plain.startswith(_FRAMES):
            self._envelope(plain)
            return
        # A lone hyphen ends a message, but a narrative may hold one: it ends nothing before the closing balance.
        if plain == "-" and (self._now is None or self._now.closing is not None or self._is_interim()):
            self._end()
            return
        if self._into is not None:
            if len(self._into) >= _LONGEST_NARRATIVE:
                raise refuse(
                    StatementFault.TOO_LARGE, f"one field has more than {_LONGEST_NARRATIVE} lines", self._number, "86"
                )
            self._into.append(line)

    def _envelope(self, plain: str) -> None:
        if plain.startswith("-}"):
            self._end()
        at = plain.find("{2:")
        if at >= 0:
            self._end()
            self._interim = plain[at + 4 : at + 7] == "942"
        at = plain.find("{4:")
        if at >= 0 and plain[at + 3 :].startswith(":20:"):
            self._reference(plain[at + 7 :])

    def _pass(self, value: str) -> None:  # noqa: ARG002
        self._into = None

    def _reference(self, value: str) -> None:
        now = self._now
        if now is not None and now.unnamed and now.tally is None:  # the account stands before :20:
            now.reference, now.unnamed = value.strip(), False
            return
        self._end()
        self._now = _Statement(self._number, value.strip())
        self._now.interim = self._interim
        if self._note:
            self._now.note(self._note)
        self._into = None

    def _account(self, value: str) -> None:
        if self._now is not None and self._now.closing is not None:
            self._end()
        now = self._unnamed()
        now.account = value.strip()
        self._broken_account = now if now.tally is None else None
        self._into = None

    def _unnamed(self) -> _Statement:
        """The statement that is open. Some banks leave :20: out, and :25: too: behind the end of a message, what
        stands before an opening balance begins one."""
        if self._now is None:
            self._reference("")
            self._begun("20").unnamed = True
        return self._begun("20")

    def _sequence(self, value: str) -> None:
        self._unnamed().number = value.strip()
        self._into = None

    def _interim_field(self, value: str) -> None:  # noqa: ARG002
        self._begun("13D").interim = True
        self._into = None

    def _floor(self, value: str) -> None:
        now = self._unnamed()
        now.interim = True
        now.currency = value.strip()[:3]
        self._into = None

    def _opening(self, value: str) -> None:
        now = self._unnamed()
        if now.closing is not None:  # pages of one statement under one :20:, each opened by the balance of the last
            account, number, reference = now.account, now.number, now.reference
            self._end()
            now = self._unnamed()
            now.account, now.number, now.reference = account, number, reference
        if now.tally is not None and now.unnamed:
            raise refuse(
                StatementFault.NOT_A_STATEMENT,
                "the statement that begins here has no :20: and no end; ask the bank for the whole file",
                now.line,
                "60F",
            )
        if now.tally is not None:
            raise refuse(
                StatementFault.BAD_VALUE,
                "an opening balance stands where one statement has opened already; a :20: begins the next one",
                self._number,
                "60F",
            )
        amount, currency = swift_entries.balance(value, line=self._number, tag="60F")
        self._note_day(now, value)
        if not currency:
            found = _LAST_CURRENCY.search(now.account)
            if found is None:
                raise refuse(
                    StatementFault.BAD_CURRENCY,
                    "the opening balance names no currency, nor does the account; ask the bank to write it",
                    self._number,
                    "60F",
                )
            currency = found[1]
            now.note(f"line {self._number}: the opening balance names no currency; {currency} is the account's")
        now.currency = currency
        now.balanced = True
        self._open(now, amount)

    def _note_day(self, now: _Statement, value: str) -> None:
        day = swift_entries.balance_day(value)
        if day is not None:
            now.days.append(day)
        else:
            now.note(f"line {self._number}: the balance bears no day of the calendar; nothing is booked by it")

    def _open(self, now: _Statement, opening: int | None) -> None:
        if not now.currency and (found := _LAST_CURRENCY.search(now.account)):
            now.currency = found[1]
        if re.fullmatch("[A-Z]{3}", now.currency) is None:
            raise refuse(
                StatementFault.BAD_CURRENCY,
                "no field names the currency; :34F: or a balance does",
                self._number,
                "34F",
            )
        if not now.account:
            now.note("the statement names no account (:25:)")
        opened = StatementOpened(
            format="mt940" if now.balanced else "mt942",
            account=now.account,
            currency=now.currency,
            opening_minor=opening,
            reference=now.reference,
            number=now.number,
        )
        now.tally = Tally(opened)
        self._seen = True
        self._into = None
        self.out.append(opened)

    def _closing(self, value: str) -> None:
        now = self._begun("62F")
        if self._head:
            self._flush()
        if now.tally is None or not now.balanced:
            raise refuse(
                StatementFault.NOT_A_STATEMENT,
                "a closing balance without an opening one (:60F:) before it; ask the bank for the whole statement",
                self._number,
                "62F",
            )
        if now.closing is not None:
            raise refuse(StatementFault.BAD_VALUE, "a second closing balance in one statement", self._number, "62F")
        amount, currency = swift_entries.balance(value, line=self._number, tag="62F")
        self._note_day(now, value)
        if not currency:
            now.note(f"line {self._number}: the closing balance names no currency; {now.currency} is the opening one's")
        elif currency != now.currency:
            raise refuse(
                StatementFault.BAD_CURRENCY,
                f"the statement opens in {now.currency} and closes in {currency}; ask the bank for one currency",
                self._number,
                "62F",
            )
        now.closing = amount
        self._into = None

    def _entry(self, head: str) -> None:
        now = self._begun("61")
        if self._head:
            self._flush()
        if now.tally is None and now.interim:
            self._open(now, None)
        if now.tally is None or now.closing is not None:
            raise refuse(
                StatementFault.NOT_A_STATEMENT,
                "an entry stands outside a statement: before it an opening balance (:60F:) is expected"
                if now.tally is None
                else "an entry stands behind the closing balance; a :20: and a :60F: begin the next statement",
                self._number,
                "61",
            )
        if not head.strip():
            raise refuse(
                StatementFault.BAD_VALUE, "the entry is empty; ask the bank for the file anew", self._number, "61"
            )
        self._head, self._head_line = head, self._number
        self._supplement = []
        self._info = []
        self._into = self._supplement

    def _information(self, value: str) -> None:
        if self._head:
            self._info.append(value)
            self._into = self._info
            return
        self._into = None
        if self._now is not None and value.strip():
            where = "before any entry" if self._now.closing is None else "to the whole statement"
            self._now.note(f"line {self._number}: information {where}: {value.strip()[:80]}")

    def _sum_of_credits(self, value: str) -> None:
        self._sum("C", value)

    def _sum_of_debits(self, value: str) -> None:
        self._sum("D", value)

    def _sum(self, mark: str, value: str) -> None:
        now = self._begun(f"90{mark}")
        if self._head:
            self._flush()
        count, total, currency = swift_entries.movements_sum(value, line=self._number, tag=f"90{mark}")
        now.sums[mark] = (self._number, count, total, currency)
        self._into = None

    # --- what they make ---

    def _begun(self, tag: str) -> _Statement:
        if self._now is None:
            raise refuse(
                StatementFault.NOT_A_STATEMENT,
                f":{tag}: stands outside a statement: one begins with :20:; ask the bank for the whole file",
                self._number,
                tag,
            )
        return self._now

    def _is_interim(self) -> bool:
        return self._now is not None and self._now.interim and not self._now.balanced

    def _flush(self) -> None:
        now = self._now
        if now is None or now.tally is None:
            raise StatementRefused(StatementFault.NOT_A_STATEMENT, "an entry stands outside a statement")
        line = swift_entries.movement(
            self._head,
            self._supplement,
            self._info,
            self._head_line,
            now.tally,
            now.note,
            balanced=now.balanced,
        )
        if swift_entries.is_turned(self._head):
            now.turned.append((self._head_line, line.amount_minor))
        self._head = ""
        self._into = None
        if not now.balanced:
            side = "C" if line.amount_minor >= 0 else "D"
            now.counted[side] += 1
            now.summed[side] += abs(line.amount_minor)
            now.marks.add("R" if line.kind is not None else "")
        self.out.append(line)

    def _end(self) -> None:
        """Close the statement that is open, if one is."""
        now = self._now
        if now is None:
            return
        if self._head:
            self._flush()
        if now.tally is None and now.interim:
            self._open(now, None)
        if now.tally is None:
            raise refuse(
                StatementFault.NOT_A_STATEMENT,
                f"the statement that begins here ({now.reference or 'without a reference'}) has no opening balance"
                " (:60F:); ask the bank for the whole statement",
                now.line,
                "60F",
            )
        if now.balanced and now.closing is None:
            raise refuse(
                StatementFault.MISSING_FIELD,
                "the statement has no closing balance (:62F:): the file was cut; ask the bank for the whole of it",
                self._number,
                "62F",
            )
        self._prove_sums(now)
        if now.turned and not sum(effect for _, effect in now.turned):
            raise refuse(
                StatementFault.BAD_SIGN,
                "amounts with a minus sign come to nothing together, so no balance proves which way each of them went;"
                " ask the bank for the entries with C, D, RC or RD",
                now.turned[0][0],
                "61",
            )
        closed = now.tally.close(now.closing)
        if len(now.days) == 2 and closed.first_day is not None and closed.last_day is not None:
            days, balances = (closed.first_day, closed.last_day), (now.days[0], now.days[1])
            if told := hold_between(days, balances, now.line, "61"):
                now.note(told)
        self.out.append(replace(closed, notes=tuple(now.notes)))
        self._now = None
        self._into = None
        self._head = ""

    def _prove_sums(self, now: _Statement) -> None:
        """:90C: and :90D: against the entries. Banks do not agree on which side a reversal counts, so it is not judged
        where there is one."""
        for mark, (line, _, _, currency) in now.sums.items():
            if currency not in {"", now.currency}:
                raise refuse(
                    StatementFault.BAD_CURRENCY,
                    f"the sum is in {currency} and the statement in {now.currency}; ask the bank for one currency",
                    line,
                    f"90{mark}",
                )
        if "R" in now.marks or now.balanced:
            return
        for mark, (line, count, total, _) in now.sums.items():
            if (total is not None and total != now.summed[mark]) or (count is not None and count != now.counted[mark]):
                raise refuse(
                    StatementFault.DOES_NOT_ADD_UP,
                    f":90{mark}: tells of {'?' if count is None else count} movements and"
                    f" {'?' if total is None else wire(total)}, and the file holds {now.counted[mark]}"
                    f" and {wire(now.summed[mark])}; ask for the file anew",
                    line,
                    f"90{mark}",
                )
