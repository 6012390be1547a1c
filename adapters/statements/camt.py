"""camt.052, 053 and 054 (ISO 20022 bank to customer messages): reports, statements and notices of an account.

Read by local names, so that every version and every prefix is one shape. Only what ``camt_entries`` asks for is kept,
and nothing longer than the entry it stands in, so a file of any length needs the memory of one entry. A document type
or an entity is refused before anything of it is read (defusedxml).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from adapters.statements import camt_entries
from adapters.statements.camt_entries import Fields, Here, refuse
from adapters.statements.tally import Tally
from revenue_engine.ports.statements import StatementEvent, StatementFault, StatementOpened, StatementRefused

LARGEST_BYTES: Final = 512 * 1024 * 1024
"""A hundred thousand entries with all their parties are 100 to 250 MB."""
_CHUNK: Final = 64 * 1024
_DEEPEST: Final = 64
_MOST_NAMES: Final = 20_000
"""Different paths of elements in one file; a real one has some hundreds."""
_LONGEST_VALUE: Final = 64 * 1024
_MOST_DETAILS: Final = 100_000
"""Payments inside one batched entry."""
_LARGEST_TOKEN: Final = 1024 * 1024
"""Bytes of one tag, comment or text."""
_MOST_BALANCES: Final = 16
"""Of one type."""

_STATEMENTS: Final = {"Stmt": "camt.053", "Rpt": "camt.052", "Ntfctn": "camt.054"}
_MESSAGES: Final = ("BkToCstmrStmt", "BkToCstmrAcctRpt", "BkToCstmrDbtCdtNtfctn")
_REVERSAL: Final = re.compile(rb"RvslInd\s*>\s*(?:true|1)")
_MARKS: Final = (b"BkToCstmr", b"camt.052", b"camt.053", b"camt.054")


class CamtReader:
    """Reads camt.052, camt.053 and camt.054 of any version."""

    name: str = "camt"

    def sniff(self, head: bytes, filename: str) -> bool:  # noqa: ARG002
        """Whether the head is XML that names one of the messages."""
        plain = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        return plain.startswith(b"<") and any(mark in plain for mark in _MARKS)

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:  # noqa: ARG002
        """Stream the statements of a file. Raises StatementRefused with the line and the element."""
        reading = _Reading(_turned(stream))
        size = 0
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > LARGEST_BYTES:
                raise StatementRefused(
                    StatementFault.TOO_LARGE,
                    f"the file is larger than {LARGEST_BYTES >> 20} MB: ask for shorter periods",
                )
            reading.feed(chunk, size)
            yield from reading.out
            reading.out.clear()
        if not size:
            raise StatementRefused(StatementFault.EMPTY, "the file is empty")
        reading.close()
        yield from reading.out


reader = CamtReader()


def _turned(stream: BinaryIO) -> frozenset[int]:
    """Which statements of a file (counted from 1) write the side of the original beside each reversal.

    ISO 20022 writes the side on which the reversal itself is booked, and that is what is read where it adds up. Only a
    file that holds a reversal is read twice for this; the stream is left where it was.
    """
    start, held, last = stream.tell(), False, b""
    while not held and (chunk := stream.read(_CHUNK)):
        held = _REVERSAL.search(last + chunk) is not None
        last = chunk[-64:]
    stream.seek(start)
    survey = _Reading(frozenset())
    size = 0
    try:
        while held and (chunk := stream.read(_CHUNK)) and size <= LARGEST_BYTES:
            size += len(chunk)
            survey.feed(chunk, size)
            survey.out.clear()
    except StatementRefused:
        return frozenset()  # the reading comes to it too, and says where it is
    finally:
        stream.seek(start)
    return frozenset(survey.turned)


_AMOUNTS: Final = frozenset({"Amt", "TtlChrgsAndTaxAmt"})
"""Elements whose currency is kept."""


class _Node(dict[str, "_Node"]):
    """One path of elements, made when it is first met. ``key`` is the path inside the nearest scope."""

    __slots__ = ("closes", "depth", "key", "local", "names", "opens")

    def __init__(self, local: str, key: str, depth: int, names: list[int]) -> None:
        super().__init__()
        self.local = local
        self.key = key
        self.depth = depth
        self.names = names
        self.opens = ""
        """The scope that begins here: statement, balance, entry, detail."""

    def __missing__(self, name: str) -> _Node:
        """The child of this name. Raises StatementRefused where there are too many or they stand too deep."""
        self.names[0] += 1
        if self.names[0] > _MOST_NAMES or self.depth >= _DEEPEST:
            raise StatementRefused(
                StatementFault.FORBIDDEN,
                f"elements stand deeper than {_DEEPEST}, or have more than {_MOST_NAMES} names",
            )
        local = name.rpartition("}")[2]
        node = _Node(local, f"{self.key}/{local}" if self.key else local, self.depth + 1, self.names)
        if local in _STATEMENTS and self.local.startswith(_MESSAGES):
            node.opens, node.key = "statement", ""
        elif local.startswith(_MESSAGES):
            node.key = ""
        elif self.opens == "statement" and local in {"Bal", "Ntry"}:
            node.opens, node.key = ("balance" if local == "Bal" else "entry"), ""
        elif local == "TxDtls" and self.key == "NtryDtls":
            node.opens, node.key = "detail", ""
        self[name] = node
        return node


class _Reading:
    """The state between chunks. ``out`` is what was read and not yet answered."""

    def __init__(self, turned: frozenset[int]) -> None:
        self.out: list[StatementEvent] = []
        self.turned: set[int] = set()
        """Statements that add up only where a reversal moves money against the side it is written with."""
        self._turned = turned
        self._parser = DefusedXMLParser(target=object(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
        # The safe parser builds no tree here: its own expat parser calls us, with text gathered and names as uri}local.
        self._expat: Any = self._parser.parser
        self._expat.ordered_attributes = True
        self._expat.buffer_text = True
        self._node = _Node("", "", 0, [0])
        self._above: list[_Node] = []
        self._scopes: list[Fields] = []
        self._values: Fields = {}
        self._header: Fields = self._values
        self._entry: Fields = {}
        self._text: list[str] = []
        self._leaf = False
        self._details: list[Fields] = []
        self._entries = 0
        self._entry_line = 0
        self._is_message = False
        self._statements = 0
        self._now: _Statement | None = None
        self._expat.StartElementHandler = self._started()
        self._expat.EndElementHandler = self._ended()
        self._expat.CharacterDataHandler = self._text.append

    def feed(self, chunk: bytes, size: int) -> None:
        """Read some bytes; ``size`` is how many were read with them. Raises StatementRefused."""
        self._safely(lambda: self._parser.feed(chunk))
        if size - self._expat.CurrentByteIndex > _LARGEST_TOKEN + _CHUNK or sum(map(len, self._text)) > _LARGEST_TOKEN:
            raise StatementRefused(
                StatementFault.TOO_LARGE, "one tag, comment or text is longer than a megabyte", line=self._line
            )

    def close(self) -> None:
        """The end of the file. Raises StatementRefused where it is cut, or holds no statement."""
        self._safely(self._parser.close)
        if self._statements:
            return
        if self._is_message:
            raise StatementRefused(
                StatementFault.EMPTY, "the message holds no statement: ask the bank for one that does"
            )
        raise StatementRefused(
            StatementFault.NOT_A_STATEMENT,
            "the document is no bank to customer message (camt.052, camt.053 or camt.054)",
            line=1,
        )

    @property
    def _line(self) -> int:
        return int(self._expat.CurrentLineNumber)

    def _safely(self, act: Callable[[], object]) -> None:
        try:
            act()
        except DefusedXmlException as error:
            raise StatementRefused(
                StatementFault.FORBIDDEN,
                "the document declares a document type or an entity; no statement does, so it is not opened."
                " Ask the bank for the file anew",
                line=self._line,
            ) from error
        except (ParseError, LookupError, UnicodeError, ValueError) as error:
            raise StatementRefused(
                StatementFault.UNREADABLE,
                f"the XML is broken here ({str(error)[:120]}): the file was cut or changed; ask the bank for it anew",
                line=self._line,
            ) from error

    # --- elements ---

    def _started(self) -> Callable[[str, list[str]], None]:
        """The handler of a start tag. Values it uses for each of a million tags are kept close."""
        above, text = self._above, self._text

        def started(name: str, attributes: list[str]) -> None:
            if text:
                if "".join(text).strip():
                    raise self._mixed()
                text.clear()
            node = self._node
            above.append(node)
            node = self._node = node[name]
            self._leaf = True
            if attributes and node.local in _AMOUNTS:
                for at in range(0, len(attributes), 2):
                    if attributes[at].rpartition("}")[2] == "Ccy":
                        self._keep(node.key + "@", attributes[at + 1])
            if node.opens:
                self._open(node)
            elif node.depth <= 3 and node.local.startswith(_MESSAGES):
                self._is_message = True

        return started

    def _ended(self) -> Callable[[str], None]:
        """The handler of an end tag."""
        above, text = self._above, self._text

        def ended(name: str) -> None:  # noqa: ARG001
            node = self._node
            if text:
                value = "".join(text).strip()
                text.clear()
                if value:
                    if not self._leaf:
                        raise self._mixed()
                    self._keep(node.key, value)
            self._leaf = False
            if node.opens:
                self._close(node)
            self._node = above.pop()

        return ended

    def _keep(self, key: str, value: str) -> None:
        """A value of the scope. A second one of the same path stands on a line of its own, so that no amount, sign or
        day can be one of two."""
        if "\n" in value or len(value) > _LONGEST_VALUE:
            value = " ".join(value.split())
        before = self._values.get(key)
        if before is not None:
            value = f"{before}\n{value}"
        if len(value) > _LONGEST_VALUE:
            raise refuse(StatementFault.TOO_LARGE, f"it is longer than {_LONGEST_VALUE} letters", self._line, key)
        self._values[key] = value

    def _mixed(self) -> StatementRefused:
        return refuse(
            StatementFault.UNREADABLE,
            "text stands beside elements; ask the bank for the file anew",
            self._line,
            self._node.local,
        )

    # --- scopes ---

    def _open(self, node: _Node) -> None:
        self._scopes.append(self._values)
        self._values = {}
        if node.opens == "statement":
            if self._now is not None:
                raise refuse(StatementFault.UNREADABLE, "a statement stands inside a statement", self._line, node.local)
            turned = self._statements + 1 in self._turned
            self._now = _Statement(_STATEMENTS[node.local], self._values, self._header, turned=turned)
        elif node.opens == "entry":
            self._entries += 1
            self._entry_line = self._line
            self._entry = self._values
            self._details = []

    def _close(self, node: _Node) -> None:
        values, self._values = self._values, self._scopes.pop()
        now = self._now
        if now is None:
            return
        if node.opens == "detail":
            if len(self._details) >= _MOST_DETAILS:
                raise refuse(
                    StatementFault.TOO_LARGE, f"an entry has more than {_MOST_DETAILS} payments", self._line, "TxDtls"
                )
            self._details.append(values)
        elif node.opens == "entry":
            here = Here(self._entry_line, f"Ntry[{self._entries}]")
            opened = now.open(self.out, camt_entries.currency_of(values, here), self._line)
            line = camt_entries.movement(values, self._details, here, self._entries, now.frame(opened.currency))
            if line is None:
                now.left_out()
            else:
                self.out.append(line)
                if line.counts and camt_entries.is_reversal(values, here):
                    now.reversed_minor += line.amount_minor
        elif node.opens == "balance":
            now.balance(values, self._line)
        else:
            self._statements += 1
            now.close(self.out, self._line)
            if now.turns:
                self.turned.add(self._statements)
            self._now = None


class _Statement:
    """One Stmt, Rpt or Ntfctn while it is read."""

    def __init__(self, form: str, values: Fields, header: Fields, *, turned: bool) -> None:
        self._form = form
        self._values = values
        self._header = header
        self._balances: dict[str, list[int]] = {"OPBD": [], "PRCD": [], "CLBD": [], "ITBD": []}
        self._currencies: set[str] = set()
        self._opened: StatementOpened | None = None
        self._tally: Tally | None = None
        self._notes: list[str] = []
        self._turned = turned
        self._frame: camt_entries.Frame | None = None
        self._left_out = 0
        self.reversed_minor = 0
        """What its reversals come to, in cents."""
        self.turns = False
        """Whether it adds up only with its reversals the other way; known once it is closed."""

    def frame(self, currency: str) -> camt_entries.Frame:
        """What an entry is told of its statement."""
        if self._frame is None:
            made = self._values.get("CreDtTm") or self._header.get("GrpHdr/CreDtTm")
            until = self._values.get("FrToDt/ToDtTm") or self._values.get("FrToDt/ToDt")
            day = camt_entries.day_or_none(made) or camt_entries.day_or_none(until)
            self._frame = camt_entries.Frame(currency, self.running(), self._turned, day)
        return self._frame

    def left_out(self) -> None:
        """Count an entry that is only shown and has no day."""
        self._left_out += 1

    def running(self) -> Tally:
        """The counts of the statement, once it is open."""
        if self._tally is None:
            raise StatementRefused(StatementFault.NOT_A_STATEMENT, "an entry stands outside a statement")
        return self._tally

    def balance(self, values: Fields, line: int) -> None:
        """Keep a balance that proves something; one of what is available, or of a type of the bank's own, does not.

        What opens the statement may not come behind its entries.
        """
        kind = camt_entries.balance_kind(values)
        held = self._balances.get(kind)
        if held is None or (kind == "ITBD" and self._form != "camt.053"):
            return
        amount, currency = camt_entries.balance(values, Here(line, "Bal"))
        if self._opened is not None:
            if kind in {"OPBD", "PRCD"}:
                raise refuse(
                    StatementFault.BAD_VALUE, f"the balance {kind} stands behind the entries it opens", line, "Bal"
                )
            if currency != self._opened.currency:
                raise refuse(
                    StatementFault.BAD_CURRENCY,
                    f"the balance {kind} is in {currency}, and the statement in {self._opened.currency}",
                    line,
                    "Bal/Amt",
                )
        self._currencies.add(currency)
        if len(held) >= _MOST_BALANCES:
            raise refuse(
                StatementFault.TOO_LARGE, f"a statement has more than {_MOST_BALANCES} balances {kind}", line, "Bal"
            )
        held.append(amount)

    def open(self, out: list[StatementEvent], currency: str, line: int) -> StatementOpened:
        """The head, answered before the first entry or at the end."""
        if self._opened is not None:
            return self._opened
        get = self._values.get
        copied = get("CpyDplctInd", "")
        if copied in {"COPY", "DUPL"}:
            raise refuse(
                StatementFault.REPEATED,
                f"the bank marks this statement as sent before ({copied}): import the first one",
                line,
                "CpyDplctInd",
            )
        if copied:
            self._notes.append(f"the bank marks the statement as {copied}")
        known = [get("Acct/Ccy", ""), *self._currencies, currency]
        named = sorted({one for one in known if one})
        if len(named) != 1:
            raise refuse(
                StatementFault.BAD_CURRENCY,
                f"the statement is in {' and '.join(named)}" if named else "no element names the currency",
                line,
                "Acct/Ccy",
            )
        opening, _ = self._ends(line)
        account, note = camt_entries.account(self._values)
        if note:
            self._notes.append(note)
        self._opened = StatementOpened(
            format=self._form,
            account=account,
            currency=camt_entries.currency(named[0], Here(line, "Acct/Ccy")),
            opening_minor=opening,
            reference=get("Id", ""),
            number=get("ElctrncSeqNb", "") or get("LglSeqNb", ""),
            from_day=camt_entries.day_or_none(get("FrToDt/FrDtTm") or get("FrToDt/FrDt")),
            to_day=camt_entries.day_or_none(get("FrToDt/ToDtTm") or get("FrToDt/ToDt")),
        )
        self._tally = Tally(self._opened)
        out.append(self._opened)
        return self._opened

    def close(self, out: list[StatementEvent], line: int) -> None:
        """The foot."""
        opened = self.open(out, "", line)
        _, closing = self._ends(line)
        page, last = self._values.get("StmtPgntn/PgNb", ""), self._values.get("StmtPgntn/LastPgInd", "")
        if not last:
            page, last = self._header.get(_PAGE, ""), self._header.get(_LAST, "")
        more = last in {"false", "0"}
        missing = "next" if more and closing is None else ""
        if opened.opening_minor is None and page.strip("0") not in {"", "1"}:
            missing = "previous"
        if missing and self._form == "camt.053":
            raise refuse(
                StatementFault.SKIPPED,
                f"this is page {page or '?'} of a statement, and a balance that proves it stands on the {missing} one:"
                " ask the bank for the statement as one file",
                line,
                "LastPgInd",
            )
        if missing:
            self._notes.append(f"this is page {page or '?'}, and the {missing} one is needed for the whole")
        elif self._form == "camt.053" and (opened.opening_minor is None or closing is None):
            self._notes.append("the statement has no opening or no closing balance: nothing proves its sums")
        if self._turned:
            self._notes.append(
                "reversals are written with the side of what they take back; read the other way the statement adds up"
            )
        if self._left_out:
            self._notes.append(f"entries without any day, only shown and left out: {self._left_out}")
        if self._frame is not None and self._frame.apart:
            apart = self._frame.apart
            self._notes.append(
                f"entries whose parts do not come to their amounts, booked whole: {len(apart)},"
                f" the first {apart[0][:40]!r}"
            )
        closed = self.running().close(closing, notes=tuple(self._notes))
        if closed.adds_up is False and closing is not None and opened.opening_minor is not None:
            sums = opened.opening_minor + closed.credits_minor - closed.debits_minor
            self.turns = bool(self.reversed_minor) and sums - 2 * self.reversed_minor == closing
        out.append(closed)

    def _ends(self, line: int) -> tuple[int | None, int | None]:
        """Opening and closing balance. Interim ones (ITBD) open and close the pages of a statement."""
        interim = self._balances["ITBD"]
        opening, closing = self._one("OPBD", line), self._one("CLBD", line)
        if opening is None:
            opening = self._one("PRCD", line)
        if opening is None and interim and (closing is not None or len(interim) > 1):
            opening = interim[0]
            interim = interim[1:]
        if closing is None and interim:
            closing = interim[-1]
        return opening, closing

    def _one(self, kind: str, line: int) -> int | None:
        amounts = set(self._balances[kind])
        if len(amounts) > 1:
            raise refuse(StatementFault.BAD_VALUE, f"two balances {kind} contradict each other", line, "Bal")
        return next(iter(amounts), None)


_PAGE: Final = "GrpHdr/MsgPgntn/PgNb"
_LAST: Final = "GrpHdr/MsgPgntn/LastPgInd"
