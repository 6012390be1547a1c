"""Bills and payments as columns, and the indexes that find the few bills a payment may mean.

No payment is ever compared with every bill. Each index is a sorted column of keys, built when it is first asked for;
money is int64 cents, identifiers are strings, and nothing depends on the order of the rows.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reconciliation.engine import columns, senders
from reconciliation.engine.columns import Ints
from reconciliation.engine.senders import Sender, phone_pattern
from reconciliation.spelling import LOOKALIKE_PAIRS, folded
from revenue_engine.identifiers import PAY_ACCOUNT_DIGITS

_WORD_AND_NUMBER = r"^(?P<word>[A-Z]{3,})[^A-Z0-9].*?0*(?P<number>[1-9][0-9]*[A-Z]?)$"
_LATER_WORD_AND_NUMBER = r"[^A-Z0-9](?P<word>[A-Z]{3,})[^A-Z0-9]+0*(?P<number>[1-9][0-9]*[A-Z]?)$"
_TWO_NUMBERS = r"^[A-Z][^0-9]*[^A-Z0-9]0*(?P<word>[1-9][0-9]*)[/.\-]0*(?P<number>[1-9][0-9]*)$"
_THREE_NUMBERS = r"^[A-Z][^0-9]*[^A-Z0-9]0*(?P<word>[1-9][0-9]*[/.\-][1-9][0-9]*)[/.\-]0*(?P<number>[1-9][0-9]*)$"
_PLATE_BEHIND = r"^[A-Z]{2,}[^A-Z0-9]+(?P<word>[A-Z]{1,3}) ?(?P<number>[0-9]{3}[A-Z]{1,3})$"
TELLING = 201
"""A key with this many bills or more says nothing: no more of them are ever fetched, however many a payer has."""
_SPARE_BITS = 4
"""One key in sixteen that is not looked for is looked at all the same."""
_AMOUNT_BITS = 41
"""Room for the largest amount in cents beside another key in one int64."""


def digits_to_int(texts: Any, *, size: int | None = None) -> Ints:
    """Texts of ASCII digits (of exactly ``size``, if given) as int64, anything else as -1."""
    good = pc.ascii_is_decimal(texts)
    if size is not None:
        good = pc.and_(good, pc.equal(pc.binary_length(texts), columns.one(size)))
    numbers = pc.cast(pc.if_else(good, texts, columns.one("-1")), pa.int64())
    return np.asarray(columns.out(numbers), dtype=np.int64)


T = TypeVar("T")


class made_once(functools.cached_property[T]):  # noqa: N801 - stands where cached_property would
    """A column of :class:`Bills`, made when first asked for; who asks meanwhile waits instead of making another."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        """The column, which stands in the instance from then on."""
        if instance is None:
            return self
        with instance.making.setdefault(self.attrname, threading.RLock()):
            return super().__get__(instance, owner)


class IntIndex:
    """Rows by an int64 key; rows whose key is negative are left out.

    Nothing is sorted until a range is asked for: a look-up asks for all its keys at once and reads the column once.
    """

    def __init__(self, keys: Ints) -> None:
        self.keys = keys

    def rows(self, wanted: Sequence[int] | Ints, *, most: int = TELLING) -> list[list[int]]:
        """For each wanted key the rows that have it; of a key with more than ``most`` rows the first ``most``."""
        keys = np.asarray(wanted, dtype=np.int64)
        known = np.unique(keys[keys >= 0])
        if not len(known):
            return [[] for _ in range(len(keys))]
        found = _may_be_among(self.keys, known)
        code = columns.rows_in(columns.ints(self.keys[found]), columns.ints(known))
        found, code = found[code >= 0], code[code >= 0]
        found = found[np.argsort(code, kind="stable")]
        ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(code, minlength=len(known)))])
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        low = ends[place]
        high = np.where(known[place] == keys, np.minimum(ends[place + 1], low + most), low)
        return [found[a:b].tolist() if b > a else [] for a, b in zip(low.tolist(), high.tolist(), strict=True)]

    @functools.cached_property
    def _sorted(self) -> tuple[Ints, Ints]:
        kept = np.flatnonzero(self.keys >= 0)
        order = kept[np.argsort(self.keys[kept], kind="stable")]
        return order, self.keys[order]

    def between(self, low: int, high: int, *, most: int) -> list[int]:
        """Rows whose key lies in ``[low, high)``, or nothing when they are more than ``most``."""
        order, keys = self._sorted
        a, b = np.searchsorted(keys, [low, high])
        return order[a:b].tolist() if b - a <= most else []


def _may_be_among(keys: Ints, known: Ints) -> Ints:
    """Places of ``keys`` that may stand in ``known``: all that do, and few others."""
    bits = max(16, len(known).bit_length() + _SPARE_BITS)
    marks = np.zeros(1 << bits, dtype=bool)
    marks[_spread_out(known, bits)] = True
    return np.flatnonzero(marks[_spread_out(keys, bits)])


def _spread_out(keys: Ints, bits: int) -> Any:
    return (keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits)


class TextIndex:
    """Rows by a text key. Nothing is sorted: a look-up asks for all its keys at once and reads the column once."""

    def __init__(self, keys: Any, rows: Ints | None = None) -> None:
        self.keys = keys
        self.at = rows

    def rows(self, wanted: Sequence[str]) -> list[list[int]]:
        """For each wanted key the rows that have it; an empty key has none."""
        if not wanted:
            return []
        places = dict.fromkeys(wanted)
        places.pop("", None)
        code = columns.rows_in(self.keys, columns.texts(places))
        found = np.flatnonzero(code >= 0)
        code = code[found]
        hits, groups = np.unique(code), IntIndex(code)
        at = found if self.at is None else self.at[found]
        listed = list(places)
        of_key = {listed[hit]: at[group].tolist() for hit, group in zip(hits.tolist(), groups.rows(hits), strict=True)}
        nothing: list[int] = []
        return [of_key.get(key, nothing) for key in wanted]


class BillFacts(NamedTuple):
    """What a decision needs to know of one bill."""

    open_minor: int
    phone: str
    name: tuple[str, ...]
    payer: int
    object_ref: str


class Bills:
    """The invoices of a run, as columns."""

    def __init__(self, table: pa.Table) -> None:
        self.making: dict[str, threading.RLock] = {}
        self.table = table
        self.number = table["invoice_number"].combine_chunks()
        self.number_int = digits_to_int(self.number, size=PAY_ACCOUNT_DIGITS)
        status_open = pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(table["status"])), columns.one("open"))
        due = np.asarray(columns.out(table["amount_minor"]), dtype=np.int64)
        self.open_minor: Ints = np.where(np.asarray(columns.out(status_open), dtype=bool), due, 0)

    def __len__(self) -> int:
        return len(self.number)

    @made_once
    def by_number(self) -> IntIndex:
        """Open bills by their nine digits, for numbers that were cut off."""
        return IntIndex(np.where(self.open_minor > 0, self.number_int, -1))

    def rows_of_numbers(self, wanted: Any) -> Ints:
        """For each text the row of the bill with exactly that number, or -1."""
        return self.with_other_numbers(wanted, self.rows_of_digits(digits_to_int(wanted, size=PAY_ACCOUNT_DIGITS)))

    def with_other_numbers(self, wanted: Any, rows: Ints) -> Ints:
        """``rows`` of texts that are nine digits, and of the others where there are bills not numbered so."""
        if self._others is not None:
            rest = np.flatnonzero(rows < 0)
            rows[rest] = columns.rows_in(wanted.take(columns.ints(rest)), self._others)
        return rows

    @made_once
    def _others(self) -> Any:
        """The numbers of bills where some are not nine digits."""
        return self.number if bool((self.number_int < 0).any()) else None

    def rows_of_digits(self, wanted: Ints) -> Ints:
        """For each number of nine digits, given as a whole number, the row of its bill, or -1; -1 has none."""
        if len(wanted) * 2 > len(self):
            found = columns.rows_in(columns.ints(wanted), columns.ints(self.number_int))
            return np.where(wanted >= 0, found, -1)
        return self._few_rows(wanted)

    def _few_rows(self, wanted: Ints) -> Ints:
        order, numbers = self._in_order_of_number
        rows = np.full(len(wanted), -1, dtype=np.int64)
        if len(numbers):
            place = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
            hits = numbers[place] == wanted
            rows[hits] = order[place[hits]]
        return rows

    def rows_of_near_numbers(self, wanted: Ints) -> Ints:
        """As :meth:`rows_of_digits`, for numbers of which hardly any is a bill's."""
        rows = np.full(len(wanted), -1, dtype=np.int64)
        maybe = np.flatnonzero((wanted >= 0) & self._marks[wanted & (len(self._marks) - 1)])
        rows[maybe] = self._few_rows(wanted[maybe])
        return rows

    @made_once
    def _in_order_of_number(self) -> tuple[Ints, Ints]:
        """The rows of bills with nine digits in the order of their numbers, and these numbers."""
        kept = np.flatnonzero(self.number_int >= 0)
        order = kept[np.argsort(self.number_int[kept], kind="stable")]
        return order, self.number_int[order]

    @made_once
    def _marks(self) -> Any:
        """Where a bill's number may be found, by its last bits: most of what is nobody's is not looked up."""
        marks = np.zeros(1 << max(16, len(self).bit_length() + _SPARE_BITS), dtype=bool)
        marks[self.number_int[self.number_int >= 0] & (len(marks) - 1)] = True
        return marks

    @made_once
    def by_object(self) -> TextIndex:
        """All bills by the folded reference of what they bill."""
        return TextIndex(folded_column(self.table["object_ref"]))

    @made_once
    def by_pair(self) -> TextIndex:
        """All bills by the loose keys of what they bill: a word and the number, numbers without the word, the plate.

        ``NASEWA/1500`` is NASEWA1500, ``BUKHAYO/MUNDIKA/1234`` also MUNDIKA1234, ``SBP/2026/00456`` also 2026/456.
        """
        texts = self.table["object_ref"].combine_chunks()
        gaps = _gaps(texts)
        rows = np.flatnonzero(gaps > 0)  # a pair has something between its word and its number
        several = np.flatnonzero(gaps > 1)
        upper, upper_of_several = (pc.utf8_upper(texts.take(columns.ints(one))) for one in (rows, several))
        made = [
            (_joined_parts(upper, _WORD_AND_NUMBER, ""), rows),
            (_joined_parts(upper, _PLATE_BEHIND, ""), rows),
            (_joined_parts(upper_of_several, _LATER_WORD_AND_NUMBER, ""), several),
            (_joined_parts(upper_of_several, _TWO_NUMBERS, "/"), several),
            (_joined_parts(upper_of_several, _THREE_NUMBERS, "/"), several),
        ]
        kept = [(keys.take(columns.ints(at)), of[at]) for keys, of in made if len(at := _not_empty(keys)) or of is rows]
        return TextIndex(
            pa.chunked_array([keys for keys, _ in kept]).combine_chunks(), np.concatenate([of for _, of in kept])
        )

    @made_once
    def phone_int(self) -> Ints:
        """The last nine digits of each payer's phone, or -1."""
        plain = self.table["msisdn"]
        if not bool(pc.all(pc.ascii_is_decimal(plain)).as_py()):
            plain = pc.replace_substring_regex(plain, r"[^0-9*]+", "")
        return digits_to_int(pc.utf8_slice_codeunits(plain, -senders.PHONE_DIGITS), size=senders.PHONE_DIGITS)

    @made_once
    def by_phone(self) -> IntIndex:
        """All bills by their payer's phone."""
        return IntIndex(self.phone_int)

    @made_once
    def payer(self) -> Ints:
        """A whole number for each payer; bills without one have none in common, so each has its own."""
        encoded = pc.dictionary_encode(self.table["payer_id"].combine_chunks())
        codes = np.asarray(columns.out(encoded.indices), dtype=np.int64)
        nobody = int(columns.rows_in(columns.texts([""]), encoded.dictionary)[0])
        if nobody >= 0:
            codes = np.where(codes == nobody, len(encoded.dictionary) + np.arange(len(codes)), codes)
        return codes

    @made_once
    def _by_payer(self) -> IntIndex:
        return IntIndex(self.payer)

    @made_once
    def names(self) -> tuple[Ints, list[tuple[str, ...]]]:
        """Every bill's code of its payer's name, and the words of each code."""
        encoded = pc.dictionary_encode(self.table["payer_name"]).combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.chunk(0)
        codes = np.asarray(columns.out(encoded.indices), dtype=np.int64)
        return codes, [senders.name_words(text) for text in encoded.dictionary.to_pylist()]

    @made_once
    def by_other_number(self) -> TextIndex:
        """Bills whose number is not nine digits, by that number folded like an alias."""
        keys = pc.if_else(columns.flags(self.number_int < 0), self.number, columns.one(""))
        return TextIndex(folded_column(keys))

    def rows_of_payers(self, codes: Sequence[int], *, most: int = TELLING) -> list[list[int]]:
        """The bills of each payer, by the payer's code: no more than ``most`` of one."""
        return self._by_payer.rows(codes, most=most)

    def prepare(self) -> None:
        """Make the columns that the look-ups will ask for, in the order in which they will; done beside other work."""
        _ = (self.by_object, self.by_pair, self._in_order_of_number, self._marks)
        _ = (self.phone_int, self.payer, self._full_names, self._tails)

    def _coded(self, keys: list[str]) -> tuple[Ints, dict[str, int]]:
        """Every bill's code of a key that is a function of its payer's name; an empty key is -1."""
        codes: dict[str, int] = {}
        of_name = np.array([codes.setdefault(key, len(codes)) if key else -1 for key in keys] or [-1], dtype=np.int64)
        return of_name[self.names[0]], codes

    @made_once
    def _full_names(self) -> tuple[Ints, dict[str, int], Ints]:
        rows, codes = self._coded([name_key(words) for words in self.names[1]])
        named = np.flatnonzero(rows >= 0)
        name = rows[named]
        seen = np.full(int(self.payer.max(initial=0)) + 1, -1, dtype=np.int64)
        seen[self.payer[named]] = name  # a payer mostly has one name, so these pairs are told without sorting
        payers = np.bincount(seen[seen >= 0], minlength=len(codes) + 1)
        again = np.flatnonzero(seen[self.payer[named]] != name)
        others = np.unique((name[again] << 32) | self.payer[named[again]])
        payers += np.bincount(others >> 32, minlength=len(codes) + 1)
        return rows, codes, payers

    @made_once
    def _tails(self) -> tuple[Ints, dict[str, int]]:
        rows, codes = self._coded([words[0] if words else "" for words in self.names[1]])
        tail = self.phone_int % 10**senders.LEAST_TAIL
        group = rows * 10**senders.LEAST_TAIL + tail
        return np.where((rows >= 0) & (self.phone_int >= 0), group, -1), codes

    def rows_of_name(self, asked: Sequence[tuple[str, int]], opened: Ints | None = None) -> list[list[int]]:
        """Bills by (name key, cents), of which that is open; ``opened`` where it is no longer what it was."""
        names, codes, _ = self._full_names
        opened = self.open_minor if opened is None else opened
        keys = np.where((names >= 0) & (opened > 0), (names << _AMOUNT_BITS) | opened, -1)
        wanted = [(codes[key] << _AMOUNT_BITS) | amount if key in codes else -2 for key, amount in asked]
        return IntIndex(keys).rows(wanted)

    def payers_of_name(self, key: str) -> int:
        """How many payers carry a name."""
        _, codes, payers = self._full_names
        return int(payers[codes[key]]) if key in codes else 0

    def count_of_name(self, opened: Ints) -> Ints:
        """How many open bills carry each name of :attr:`names`."""
        codes, words = self.names
        return np.bincount(codes[opened > 0], minlength=len(words))

    def rows_of_sender(self, asked: Sequence[tuple[Sender, int]], opened: Ints) -> list[list[int]]:
        """Bills of which an amount is open and whose payer has the sender's first name and end of phone."""
        group, codes = self._tails
        wanted = []
        for sender, amount in asked:
            tail = sender.phone[-senders.LEAST_TAIL :]
            known = tail.isdigit() and sender.name and sender.name[0] in codes
            wanted.append((codes[sender.name[0]] * 10**senders.LEAST_TAIL + int(tail) if known else -1, amount))
        return _of_both(group, opened, wanted)

    def rows_of_payer(self, asked: Sequence[tuple[int, int]], opened: Ints) -> list[list[int]]:
        """Bills by (payer's code, cents), of which that is open: of a payer with however many."""
        return _of_both(self.payer, opened, asked)

    def rows_of_phone(self, asked: Sequence[tuple[int, int]], opened: Ints) -> list[list[int]]:
        """Bills by (nine digits of the payer's phone, cents), of which that is open."""
        return _of_both(self.phone_int, opened, asked)

    def facts(self, rows: Iterable[int]) -> dict[int, BillFacts]:
        """What decisions need of these rows, fetched in one go."""
        wanted = np.unique(np.fromiter(rows, dtype=np.int64))
        codes, words = self.names
        taken = self.table.select(["msisdn", "object_ref"]).take(columns.ints(wanted))
        listed = map(
            BillFacts,
            self.open_minor[wanted].tolist(),
            [
                phone[-senders.PHONE_DIGITS :] if len(phone) == 12 and phone.isdigit() else phone_pattern(phone)
                for phone in taken["msisdn"].to_pylist()
            ],
            map(words.__getitem__, codes[wanted].tolist()),
            self.payer[wanted].tolist(),
            taken["object_ref"].to_pylist(),
        )
        return dict(zip(wanted.tolist(), listed, strict=True))

    def is_cancelled(self, row: int) -> bool:
        """Whether a bill that takes no money was cancelled, and not paid."""
        return str(self.table["status"][row].as_py()).strip().lower().startswith("cancel")

    def reference_of(self, row: int) -> str:
        """The object of a bill as it is written."""
        return str(self.table["object_ref"][row].as_py())

    def number_of(self, row: int) -> str:
        """A bill's number."""
        return str(self.number[row].as_py())

    def in_order(self, rows: Iterable[int]) -> list[int]:
        """Bills by due date and number: never by their place in a file."""
        listed = list(rows)
        if len(listed) < 2:
            return listed
        due = self.table["due_on"]
        return sorted(listed, key=lambda row: (due[row].as_py(), self.number_of(row)))

    def order_of_numbers(self, rows: Ints) -> Ints:
        """A key that sorts bills by number, whatever their place in the file."""
        numbers = self.number_int[rows]
        if bool((numbers >= 0).all()):
            return numbers
        texts = self.number.take(columns.ints(rows)).to_pylist()
        place = {text: at for at, text in enumerate(sorted(set(texts)))}
        return np.array([place[text] for text in texts], dtype=np.int64)

    def order_of_due(self, rows: Ints) -> Ints:
        """A key that sorts bills by due date."""
        texts = self.table["due_on"].take(columns.ints(rows))
        return columns.rows_in(texts, columns.texts(sorted(pc.unique(texts).to_pylist())))


def _of_both(group: Ints, opened: Ints, asked: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Rows by a group, not below nothing, and the cents that are open; a group of -1 has none."""
    wanted, amounts = np.array(asked or [(-1, 0)], dtype=np.int64)[: len(asked)].T
    keys = np.where((group >= 0) & (opened > 0), _mixed(group, opened), -1)
    found = IntIndex(keys).rows(np.where(wanted >= 0, _mixed(wanted, amounts), -2))
    return [
        [row for row in rows if group[row] == one and opened[row] == cents]  # two may have one mixed key
        for rows, (one, cents) in zip(found, asked, strict=True)
    ]


def _mixed(group: Ints, amount: Ints) -> Ints:
    """One non-negative int64 of two; the caller checks what a rare collision brings."""
    return (group * np.int64(1_000_003) ^ (amount * np.int64(7_919))) & np.int64(2**62 - 1)


def name_key(words: Iterable[str]) -> str:
    """A full name as a key: its words in any order. Empty when there is only one."""
    kept = sorted(word for word in words if len(word) > 1)
    return " ".join(kept) if len(kept) > 1 else ""


_CODE_BYTE = np.array([chr(byte).isalnum() and byte < 128 for byte in range(256)])
_UPPER = np.array([ord(chr(byte).upper()) if byte < 128 else 0 for byte in range(256)], dtype=np.uint8)
_FOLDED = np.array([ord(folded(chr(byte).upper())) if byte < 128 else 0 for byte in range(256)], dtype=np.uint8)
"""Each ASCII byte in upper case with look-alikes as digits."""


def _gaps(texts: Any) -> Ints:
    """How many characters of each text are no ASCII letter or digit."""
    data, starts = columns.data_of(texts)
    odd = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(~_CODE_BYTE[data])])
    return np.asarray(odd[starts[1:]] - odd[starts[:-1]], dtype=np.int64)


def _joined_parts(texts: Any, pattern: str, between: str) -> Any:
    """The word and the number that a pattern finds in each text, joined; empty where it finds none."""
    parts = pc.extract_regex(texts, pattern)
    blank = columns.one("")
    words, numbers = (pc.fill_null(pc.struct_field(parts, name), blank) for name in ("word", "number"))
    joined = pc.binary_join_element_wise(words, numbers, columns.one(between))
    return pc.if_else(pc.equal(pc.binary_length(numbers), columns.one(0)), blank, joined)


def _not_empty(texts: Any) -> Ints:
    return np.flatnonzero(columns.out(pc.binary_length(texts)))


def squeezed_column(texts: Any) -> Any:
    """ASCII letters and digits of texts, in upper case."""
    keys = _mapped(texts, _UPPER)
    return keys if keys is not None else pc.utf8_upper(pc.replace_substring_regex(texts, "[^0-9A-Za-z]+", ""))


def folded_column(texts: Any) -> Any:
    """Texts as :func:`~reconciliation.spelling.folded` keys, without what is no letter or digit."""
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    keys = _mapped(texts, _FOLDED)
    if keys is None:
        keys = pc.replace_substring_regex(pc.utf8_upper(texts), "[^A-Z0-9]+", "")
        for letter, digit in LOOKALIKE_PAIRS:
            keys = pc.replace_substring(keys, letter, digit)
    return keys


def _mapped(texts: Any, table: Any) -> Any:
    """Letters and digits of ASCII texts, each byte by a table; None where a text is not ASCII."""
    data, starts = columns.data_of(texts)
    if bool((data >= 128).any()):
        return None
    kept = _CODE_BYTE[data]
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(kept)])[starts].astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(table[data[kept]])])


class Payments:
    """The payments of a run, as columns."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.amount = np.asarray(columns.out(table["amount_minor"]), dtype=np.int64)
        self.typed = pc.utf8_trim_whitespace(table["account_reference"]).combine_chunks()

    def __len__(self) -> int:
        return len(self.amount)

    @functools.cached_property
    def rank(self) -> Ints:
        """The place of each payment in the order (occurred, reference)."""
        keys = [*_packed(self.table["payment_id"].combine_chunks()), np.asarray(columns.out(self.table["paid_at_us"]))]
        order = np.lexsort(keys)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        return rank


def _packed(texts: Any) -> list[Any]:
    """Sort keys of texts, least significant first: eight bytes at a time as big-endian integers."""
    if not len(texts):
        return []
    words = columns.words_of(texts)
    if words is None:
        longest = pc.max(pc.binary_length(texts)).as_py() or 1
        width = -(-longest // 8) * 8
        fixed = np.array(texts.cast(pa.binary()).to_pylist(), dtype=f"S{width}")
        words = fixed.view(">u8").reshape(len(fixed), -1).astype(np.uint64)
    return [words[:, column] for column in range(words.shape[1])][::-1]
