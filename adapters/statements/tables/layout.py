"""What one bank's export looks like, as data: its headings, signs, dates and words.

A file ``NAME.toml`` is one `Table`. The headings it names must be exactly those of the file, in any order, so that a
changed export is refused and never half understood. Two tables that could both know one header are a fault of
configuration.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from revenue_engine.errors import ConfigurationError, in_plain_words

HERE = Path(__file__).parent
_GROUPS = {"receipt", "reference", "account", "msisdn", "name"}
_FORMAT_WORDS = re.compile(r"excel|(?:yyyy|yy|MON|dd?|mm?|HH?|MM|SS|AM|[ /:.,\-T])+")

Heading = Annotated[str, Field(min_length=1)]
Words = tuple[Heading, ...]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Columns(_Part):
    """The heading of each field, as the file writes it. Money is a credit and a debit column, or one amount."""

    booked: Heading
    text: Words
    value: str = ""
    reference: str = ""
    credit: str = ""
    debit: str = ""
    amount: str = ""
    indicator: str = ""
    """The column that says whether ``amount`` is a credit or a debit."""
    balance: str = ""
    account: str = ""
    currency: str = ""

    @model_validator(mode="after")
    def _one_way_to_write_money(self) -> Columns:
        if bool(self.credit) != bool(self.debit) or bool(self.credit) == bool(self.amount):
            raise ValueError("name a credit and a debit column, or one amount column")
        if self.indicator and not self.amount:
            raise ValueError("an indicator column belongs to an amount column")
        return self


class Amounts(_Part):
    """How figures are written. Nothing that is not declared here is accepted in a figure."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    """A blank stands for every blank there is, and ``'`` for every apostrophe: spreadsheets write others than keys."""
    debit_sign: Literal["none", "minus"] = "none"
    """Whether the figures of the debit column carry a minus sign."""
    brackets: bool = False
    """``(1,250.00)`` is below zero."""
    suffix_on: tuple[Literal["amount", "balance"], ...] = ()
    """Columns whose figures end in the word for credit or debit: ``1,250.00 DR`` is below zero."""
    credit_word: str = "CR"
    debit_word: str = "DR"
    """The words of suffixes and of the indicator column, in large or small letters, with or without a dot behind."""
    nothing: Words = ("nil", "none", "n/a")
    """What stands where there is no figure, in large or small letters, beside an empty cell and dashes."""
    minus_behind: bool = False
    """``1,250.00-`` is below zero."""
    currency_beside: Words = ()
    """Words for the currency that stand in front of a figure or behind, such as ``KES`` and ``KSh``."""

    @model_validator(mode="after")
    def _two_signs(self) -> Amounts:
        if self.decimal == self.thousands:
            raise ValueError("the decimal sign and the thousands sign are one")
        return self


class Preamble(_Part):
    """Labels above the headings, in a cell of their own before the value or before a colon."""

    account: Words = ()
    opening: Words = ()
    closing: Words = ()


class Marks(_Part):
    """Words of rows that are no movements. A row is one when a cell is exactly the word, whatever its case."""

    opening: Words = ()
    closing: Words = ()
    totals: Words = ()
    skip: Words = ()
    """How page headings and footers begin, which hold no figures."""


class Table(_Part):
    """One layout."""

    name: Annotated[str, Field(pattern=r"[a-z0-9_]+")]
    title: Heading
    status: Literal["seen", "sample"]
    """``seen``: the headings stand in a public file. ``sample``: assumed, to be checked before it is trusted."""
    source: Heading
    """Where the layout was seen, or what was assumed."""
    columns: Columns
    others: Words = ()
    """Headings that must be there and are not read."""
    optional: Words = ()
    """Headings that may be there and are not read."""
    dates: Words
    """Formats of dates: words and what stands between them, or ``excel`` for serial days. ``d`` and ``m`` are days and
    months of one or two digits, ``dd`` and ``mm`` of two, ``MON`` a month's name, ``yyyy`` and ``yy`` years (of this
    century), ``HH`` or ``H`` hours, ``MM`` minutes, ``SS`` seconds, ``AM`` the half of the day."""
    currency: str = ""
    """ISO 4217, where no column says it."""
    order: Literal["oldest_first", "newest_first", "either"] = "either"
    amounts: Amounts = Amounts()
    preamble: Preamble = Preamble()
    marks: Marks = Marks()
    narrations: Words = ()
    """Patterns whose named groups receipt, reference, account, msisdn and name are cut out of the text; first wins."""

    @model_validator(mode="after")
    def _whole(self) -> Table:
        if bool(self.currency) == bool(self.columns.currency):
            raise ValueError("name the currency or its column, one of them")
        if self.currency and not re.fullmatch("[A-Z]{3}", self.currency):
            raise ValueError("a currency is three capital letters")
        for words in self.dates:
            if not _FORMAT_WORDS.fullmatch(words):
                raise ValueError(
                    f"the date format {words!r} has other words than d dd m mm MON yy yyyy H HH MM SS AM or excel"
                )
        for pattern in self.narrations:
            if strange := set(re.compile(pattern).groupindex) - _GROUPS:
                raise ValueError(f"a narration names groups that nobody reads: {', '.join(sorted(strange))}")
        return self

    @property
    def required(self) -> frozenset[str]:
        """Every heading that must be there, plain."""
        columns = self.columns
        named = [
            columns.booked,
            columns.value,
            columns.reference,
            columns.credit,
            columns.debit,
            columns.amount,
            columns.indicator,
            columns.balance,
            columns.account,
            columns.currency,
            *columns.text,
            *self.others,
        ]
        return frozenset(plain(name) for name in named if name)

    @property
    def allowed(self) -> frozenset[str]:
        """Every heading that may be there, plain."""
        return self.required | {plain(name) for name in self.optional}

    def knows(self, headings: frozenset[str]) -> bool:
        """Whether a row with exactly these plain headings is this table's header."""
        return self.required <= headings <= self.allowed


def plain(cell: str) -> str:
    """A heading or label as it is compared: one blank between words, small letters, no colon behind."""
    return " ".join(cell.split()).casefold().rstrip(":").rstrip()


def conflicts(tables: tuple[Table, ...]) -> list[tuple[str, str]]:
    """Every pair of tables that one header could fit, by name."""
    return [
        (one.name, other.name)
        for at, one in enumerate(tables)
        for other in tables[at + 1 :]
        if one.name == other.name or (one.required <= other.allowed and other.required <= one.allowed)
    ]


def _place(steps: tuple[int | str, ...]) -> str:
    return ".".join(str(step + 1) if isinstance(step, int) else step for step in steps) or "the file"


@lru_cache(maxsize=8)
def load_tables(directory: Path = HERE, own: Path | None = None) -> tuple[Table, ...]:
    """The tables of a directory and of a county's own, by name. A table of the county's own that has the name of
    another takes its place. Raises ConfigurationError naming the file and what is wrong in it."""
    tables: list[Table] = []
    ours = sorted(own.glob("*.toml")) if own is not None else []
    replaced = {path.name for path in ours}
    for path in [*(path for path in sorted(directory.glob("*.toml")) if path.name not in replaced), *ours]:
        try:
            tables.append(Table.model_validate(tomllib.loads(path.read_text("utf-8"))))
        except ValidationError as error:
            wrong = [f"{_place(one['loc'])}: {in_plain_words(one)}" for one in error.errors()]
            said = f"{path.name} is no table of columns: {'; '.join(wrong)}"
            raise ConfigurationError(said, file=path.name, problems=wrong) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, re.error) as error:
            raise ConfigurationError(f"{path.name} is no table of columns: {error}", file=path.name) from None
    if not tables:
        raise ConfigurationError(f"there is no table of columns (*.toml) in {directory.name}")
    for one, other in conflicts(tuple(tables)):
        raise ConfigurationError(f"the tables {one} and {other} know the same headings: merge them or drop one")
    return tuple(tables)
