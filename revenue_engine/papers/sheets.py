"""A paper as PDF, on A4 and on the 80 mm of a till's printer, with letters that hold ng' and every name of Kenya."""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import font_roboto
import segno
from fontTools import subset
from fpdf import FPDF

from revenue_engine.errors import InvalidValue
from revenue_engine.money import grouped
from revenue_engine.papers import words

SIZES = ("a4", "80mm")
_LATIN = [*range(0x20, 0x250), 0x2BC, *range(0x2010, 0x203B), 0x20AC, 0x2212]
_TEST = {True: "TEST – NOT A RECEIPT", False: "TEST – NOT A CERTIFICATE"}
LARGE = 20
"""Points of the pay bill and account number, side by side."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a bill: what, how many, and cents."""

    what: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Paper:
    """What is printed. Amounts in cents; none is printed without ``amount_label``. ``facts`` are a label and its words;
    ``verify`` is what the QR holds."""

    county: str
    title: str
    number: str
    amount_minor: int
    amount_label: str
    facts: tuple[tuple[str, str], ...]
    items: tuple[Item, ...] = ()
    pay_to: tuple[str, str] | None = None
    """The pay bill and the account number to type, as printed."""
    notes: tuple[str, ...] = ()
    verify: str = ""
    scan: str = "Scan to verify"
    """What the QR is for, in words below it."""
    short: str = ""
    copy: int = 1
    test: bool = False
    cancelled: str = ""
    printed: str = field(default="")
    """By whom and when it was printed."""


def pdf(paper: Paper, *, size: str = "a4") -> bytes:
    """The paper as one PDF. Raises InvalidValue for a size that is none of ``SIZES``."""
    if size not in SIZES:
        raise InvalidValue(f"a paper is printed as {' or '.join(SIZES)}, not {size}", field="size")
    narrow = size == "80mm"
    sheet = _Sheet(format=(80, 250) if narrow else "A4")
    sheet.narrow = narrow
    for style, file in _letters().items():
        sheet.add_font("Roboto", style, file)
    sheet.set_margin(5 if narrow else 20)
    sheet.set_auto_page_break(True, margin=8)
    sheet.set_title(f"{paper.title} {paper.number}")
    sheet.set_lang("en")
    sheet.add_page()
    _stamp(sheet, paper)
    sheet.say(paper.county, 11 if narrow else 16, "B", align="C")
    sheet.say(paper.title, 10 if narrow else 13, "B", align="C")
    sheet.say(paper.number + (f" · COPY {paper.copy}" if paper.copy > 1 else ""), 10 if narrow else 12, align="C")
    sheet.rule()
    if paper.pay_to is not None:
        _pay_to(sheet, *paper.pay_to)
    if paper.amount_label:
        sheet.say(f"{paper.amount_label}: KSh {grouped(paper.amount_minor)}", 12 if narrow else 16, "B")
        sheet.say(words.english(paper.amount_minor), 8 if narrow else 10)
        sheet.say(words.kiswahili(paper.amount_minor), 8 if narrow else 10)
        sheet.rule()
    for label, said in paper.facts:
        sheet.fact(label, said)
    if paper.items:
        sheet.rule()
    for one in paper.items:
        sheet.fact(f"{one.what} × {one.quantity}", f"KSh {grouped(one.amount_minor)}")
    sheet.rule()
    for note in paper.notes:
        sheet.say(note, 7 if narrow else 9)
    _proof(sheet, paper)
    sheet.say(paper.printed, 6 if narrow else 8)
    return bytes(sheet.output())


@lru_cache(maxsize=1)
def _letters() -> dict[str, str]:
    """The letters of Latin alphabets alone, cut out once a process: a paper is made in a tenth of the time."""
    folder = tempfile.mkdtemp(prefix="revenue-letters-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    options = subset.Options(layout_features=[], hinting=False, name_IDs=["*"], notdef_outline=True)
    made = {}
    for style, source in (("", font_roboto.Roboto), ("B", font_roboto.RobotoBold)):
        font = subset.load_font(source, options)
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=_LATIN)
        cutter.subset(font)
        made[style] = str(Path(folder) / f"letters{style}.ttf")
        subset.save_font(font, made[style], options)
    return made


class _Sheet(FPDF):
    narrow = False

    def say(self, text: str, points: int, style: str = "", *, align: str = "L") -> None:
        """A paragraph over the width."""
        if text:
            self.set_font("Roboto", style, points)
            self.multi_cell(0, points / 2, text, align=align, new_x="LMARGIN", new_y="NEXT")

    def rule(self) -> None:
        """A thin line over the width."""
        self.ln(2)
        self.line(self.l_margin, self.get_y(), self.w - self.r_margin, self.get_y())
        self.ln(2)

    def fact(self, label: str, said: str) -> None:
        """A label on the left and its words on the right of one line; below each other where they are long."""
        points = 8 if self.narrow else 10
        self.set_font("Roboto", "", points)
        apart = self.get_string_width(label) + self.get_string_width(said) + 4 > self.epw
        self.multi_cell(0, points / 2, label, new_x="LMARGIN", new_y="NEXT" if apart else "TOP")
        self.set_font("Roboto", "B", points)
        self.multi_cell(0, points / 2, said, align="L" if apart else "R", new_x="LMARGIN", new_y="NEXT")


def _pay_to(sheet: _Sheet, paybill: str, account: str) -> None:
    """What the payer types, side by side and large."""
    half = sheet.epw * (42 if sheet.narrow else 50) / 100
    sheet.set_font("Roboto", "", 8 if sheet.narrow else 10)
    sheet.cell(half, 5, "Pay bill")
    sheet.cell(0, 5, "Account", new_x="LMARGIN", new_y="NEXT")
    sheet.set_font("Roboto", "B", 18 if sheet.narrow else LARGE)
    sheet.cell(half, 10, paybill)
    sheet.cell(0, 10, account, new_x="LMARGIN", new_y="NEXT")


def _proof(sheet: _Sheet, paper: Paper) -> None:
    if paper.verify:
        image = io.BytesIO()
        segno.make(paper.verify, error="m", micro=False).save(image, kind="png", scale=6, border=4)
        side = 42 if sheet.narrow else 45
        if sheet.get_y() + side > sheet.h - 12:
            sheet.add_page()
        sheet.image(image, x=(sheet.w - side) / 2, w=side, alt_text=paper.scan)
        sheet.say(paper.scan, 8, align="C")
    sheet.say(paper.short, 7 if sheet.narrow else 9, align="C")


def _stamp(sheet: _Sheet, paper: Paper) -> None:
    """TEST or CANCELLED across the page, under what is printed."""
    said = "CANCELLED" if paper.cancelled else _TEST[bool(paper.amount_label)] if paper.test else ""
    if not said:
        return
    sheet.set_text_color(205, 205, 205)
    sheet.set_font("Roboto", "B", 20 if sheet.narrow else 44)
    x, y = sheet.w / 2, 80 if sheet.narrow else 150
    with sheet.rotation(35, x, y):
        sheet.text(x - sheet.get_string_width(said) / 2, y, said)
    sheet.set_text_color(0, 0, 0)
    sheet.say(said + (f": {paper.cancelled}" if paper.cancelled else ""), 9 if sheet.narrow else 12, "B", align="C")
