"""A county's bills and the ways its people pay them, with the truth beside every payment.

Made for the engine's own tests: another hand, other words and other mistakes than any corpus it may be judged by.
Every kind of mistake is one function of a bill; the truth is the list of (bill, cents) the money belongs to.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stdnum import damm

from reconciliation.engine.files import INVOICE_COLUMNS, PAYMENT_COLUMNS
from revenue_engine.identifiers import begins_like_a_phone
from revenue_engine.money import wire

NAMES = (
    *("Nang'ole Wycliffe", "Ng'ang'a Peter Kamau", "Mary Anyango Oduya", "John Wesley Imo", "Fatuma Abdi"),
    *("Okwii Stephen", "Auma Roselyne", "Ong'ondo Brian", "Esther Nekesa Wafula", "Juma Barasa", "Hellen Akoth"),
    *("Moses Emojong Ekirapa", "Zipporah Kageha", "D'Souza Agnes", "Musa Juma", "Christine Apio", "Titus Okiring"),
    *("Gladys Nafuna", "Paul Otieno", "Aisha Noor"),
)
WARDS = ("Bunyala", "Amukura", "Burumba", "Matayos", "Nambale", "Elugulu")


@dataclass
class Person:
    key: str
    name: str
    phone: str


@dataclass
class OneBill:
    number: str
    payer: Person
    stream: str
    thing: str
    due: int
    open: bool = True
    paid: int = 0

    @property
    def left(self) -> int:
        return self.due - self.paid


@dataclass
class OnePayment:
    kind: str
    amount: int
    reference: str
    name: str
    phone: str
    channel: str
    narrative: str
    truth: list[tuple[str, int]]
    key: str = ""
    at: datetime = datetime(2026, 4, 1, 5, 0, tzinfo=UTC)


@dataclass
class County:
    """People, bills and payments out of one seed."""

    random: random.Random
    people: list[Person] = field(default_factory=list)
    bills: list[OneBill] = field(default_factory=list)
    payments: list[OnePayment] = field(default_factory=list)
    by_number: dict[str, OneBill] = field(default_factory=dict)

    def number(self) -> str:
        while True:
            body = str(self.random.randrange(10_000_000, 100_000_000))
            number = body + damm.calc_check_digit(body)
            if number not in self.by_number and not begins_like_a_phone(number):
                return number

    def person(self) -> Person:
        words = self.random.choice(NAMES).strip().split()
        if self.random.random() < 0.7:
            words.append(self.random.choice(NAMES).strip().split()[-1])
        phone = "254" + self.random.choice("71") + f"{self.random.randrange(10**8):08d}"
        if self.people and self.random.random() < 0.05:
            phone = self.random.choice(self.people).phone  # a family's one phone
        return Person(f"TP-{len(self.people):06d}", " ".join(words), phone)

    def thing(self, stream: str, place: int) -> str:
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        if stream in ("PARKING", "CESS"):
            pick = self.random.choice
            return f"K{pick(letters)}{pick(letters)} {self.random.randrange(1000):03d}{pick(letters)}"
        ward = self.random.choice(WARDS).upper()
        return {"RENT": f"{ward}/B{place}", "LAND": f"{ward}/{1000 + place}", "SBP": f"BSN-2026-{place:06d}"}[stream]

    def build(self, count: int) -> None:
        for _ in range(max(4, count // 2)):
            self.people.append(self.person())
        for place in range(count):
            stream = self.random.choice(("PARKING", "CESS", "RENT", "LAND", "SBP"))
            due = self.random.choice((50, 100, 150, 300, 800, 1200, 2500, 4000, 12000)) * 100
            bill = OneBill(
                self.number(), self.random.choice(self.people), stream, self.thing(stream, place), due,
                open=self.random.random() < 0.85,
            )  # fmt: skip
            self.bills.append(bill)
            self.by_number[bill.number] = bill

    def pay(
        self, kind: str, bill: OneBill, reference: str, *, amount: int | None = None, sure: bool = True,
        sender: Person | None = None, channel: str = "", narrative: str = "",
    ) -> OnePayment:  # fmt: skip
        """Record a payment of ``bill``; the truth is what is left of the bill, or nothing where not ``sure``."""
        amount = bill.left if amount is None else amount
        taken = min(amount, bill.left) if bill.open and sure else 0
        bill.paid += taken
        truth = [(bill.number, taken)] if taken else []
        return self.send(kind, sender or bill.payer, reference, amount, truth, channel=channel, narrative=narrative)

    def send(
        self, kind: str, who: Person, reference: str, amount: int, truth: list[tuple[str, int]], *,
        channel: str = "", narrative: str = "",
    ) -> OnePayment:  # fmt: skip
        """Record a payment as its channel shows it: a masked phone and a first name, or a bank's narrative."""
        channel = channel or self.random.choices(("MPESA", "AIRTEL", "BANK"), (8, 1, 1))[0]
        words = who.name.split()
        phone, name = f"{who.phone[:4]}*****{who.phone[-3:]}", words[0].upper()
        if channel == "AIRTEL":
            phone, name = "+" + who.phone, who.name
        elif channel == "BANK":
            phone, name = "", who.name
            narrative = narrative or self.random.choice(
                ("EFT {n} {r}", "RTGS/{n}/{r}/BUSIA", "DEP {r} BR 0{b}")
            ).format(n=who.name.upper(), r=reference, b=self.random.randrange(10, 99))
            reference = ""
        payment = OnePayment(kind, amount, reference[:20], name, phone, channel, narrative, truth)
        self.payments.append(payment)
        return payment

    def finish(self) -> None:
        """Give every payment its reference and its moment, in the order in which they were made."""
        for place, payment in enumerate(self.payments):
            tail = "".join(self.random.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(7))
            payment.key = f"UC{self.random.choice('123456789')}{tail}"
            payment.at += timedelta(seconds=37 * place)

    def write(self, folder: Path) -> tuple[Path, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        bills = [
            [
                bill.number, bill.payer.key, bill.payer.name, bill.payer.phone, bill.stream, bill.thing,
                wire(bill.due if bill.open else 0), "2026-03-01T08:00:00+03:00", "2026-04-30",
                "open" if bill.open else "paid",
            ]
            for bill in self.bills
        ]  # fmt: skip
        paid = [
            [
                one.key, one.at.isoformat(), wire(one.amount), one.reference, one.name, one.phone, one.channel,
                one.narrative,
            ]
            for one in self.payments
        ]  # fmt: skip
        self.random.shuffle(bills)
        self.random.shuffle(paid)
        for name, columns, rows in (("bills.csv", INVOICE_COLUMNS, bills), ("paid.csv", PAYMENT_COLUMNS, paid)):
            with (folder / name).open("w", newline="", encoding="utf-8") as handle:
                writer = csv.writer(handle)
                writer.writerow(columns)
                writer.writerows(rows)
        return folder / "bills.csv", folder / "paid.csv"


Kind = Callable[[County, OneBill], object]


def other_digit(county: County, number: str, places: int) -> str:
    chosen = county.random.sample(range(9), places)
    digits = list(number)
    for place in chosen:
        digits[place] = county.random.choice([digit for digit in "0123456789" if digit != digits[place]])
    return "".join(digits)


def split_over_cuts(county: County, bill: OneBill) -> None:
    at = county.random.randrange(3, 7)
    county.pay("split", bill, "", channel="BANK",
               narrative=f"RTGS/{bill.payer.name.upper()}/{bill.number[:at]} {bill.number[at:]}/COUNTY")  # fmt: skip


def cut_short(county: County, bill: OneBill) -> None:
    whole = f"EFT {bill.payer.name.upper()} {bill.number} BUSIA COUNTY"
    county.pay("cut", bill, "", channel="BANK", narrative=whole[: county.random.randrange(20, 36)])


def neighbours_plate(county: County, bill: OneBill) -> None:
    other = county.random.choice([one for one in county.bills if one.stream in ("PARKING", "CESS")])
    county.pay("neighbours_plate", bill, f"{bill.number} {other.thing.replace(' ', '')}")


def wrong_with_plate(county: County, bill: OneBill) -> None:
    other = county.random.choice([one for one in county.bills if one.stream in ("PARKING", "CESS")])
    reference = f"{other_digit(county, bill.number, 1)} {other.thing.replace(' ', '')}"
    county.pay("slip_and_plate", bill, reference)


def initials(county: County, bill: OneBill) -> None:
    words = bill.payer.name.upper().split()
    county.pay("initials", bill, " ".join([words[0], *(word[0] for word in words[1:])]))


def stranger_by_chance(county: County, bill: OneBill) -> None:
    sender = county.person()
    nine = str(county.random.randrange(10**8, 10**9))
    wordy = ("KPLC 4412 889", "school fees form 2", "M-SHWARI", "sadaka", "ZUKU 77120", sender.name)
    typed = county.random.choice((*wordy, county.number(), f"0{sender.phone[3:]}", nine))
    county.pay("stranger", bill, typed, sender=sender, sure=False)


def again(county: County, bill: OneBill) -> None:
    county.pay("plain", bill, bill.number, channel="MPESA")
    county.pay(
        "again", bill, county.random.choice((bill.number, f"inv {bill.number}")), channel="MPESA", amount=bill.due
    )


def off_by_a_fee(county: County, bill: OneBill) -> None:
    county.pay("fee", bill, bill.number, amount=max(100, bill.left + county.random.choice((-3300, -700, 700, 3300))))


def ussd(county: County, bill: OneBill) -> None:
    shapes = (f"*635*{bill.number}#", f"1*3*{bill.number}", f"{bill.number}#")
    county.pay("ussd", bill, county.random.choice(shapes))


def wrong_stream(county: County, bill: OneBill) -> None:
    county.pay("wrong_stream", bill, f"{'cess' if bill.stream == 'RENT' else 'soko'} {bill.number}")


def look_alike(county: County, bill: OneBill) -> None:
    county.pay("look_alike", bill, bill.number.replace("0", "o").replace("1", "l").replace("5", "S"))


def thing(county: County, bill: OneBill) -> None:
    county.pay("thing", bill, county.random.choice((bill.thing, bill.thing.lower(), bill.thing.replace(" ", ""))))


KINDS: dict[str, tuple[int, Kind]] = {
    "plain": (40, lambda c, b: c.pay("plain", b, b.number)),
    "kiswahili": (5, lambda c, b: c.pay("kiswahili", b, f"malipo {b.number}")),
    "ussd": (4, ussd),
    "wrong_stream": (4, wrong_stream),
    "one_wrong": (5, lambda c, b: c.pay("one_wrong", b, other_digit(c, b.number, 1))),
    "two_wrong": (4, lambda c, b: c.pay("two_wrong", b, other_digit(c, b.number, 2))),
    "look_alike": (3, look_alike),
    "split": (3, split_over_cuts),
    "cut": (4, cut_short),
    "neighbours_plate": (2, neighbours_plate),
    "slip_and_plate": (3, wrong_with_plate),
    "initials": (2, initials),
    "thing": (6, thing),
    "phone_plus": (3, lambda c, b: c.pay("phone_plus", b, "+" + b.payer.phone)),
    "full_name": (3, lambda c, b: c.pay("full_name", b, b.payer.name)),
    "receipt": (1, lambda c, b: c.pay("receipt", b, "UC14KX9Q2Z", sure=False)),
    "stranger": (6, stranger_by_chance),
    "again": (2, again),
    "fee": (3, off_by_a_fee),
    "blank": (2, lambda c, b: c.pay("blank", b, c.random.choice(("", "-", "na", "malipo")))),
}
"""Kind to (weight, how it is paid)."""


def make(seed: int, payments: int) -> County:
    """A county with ``payments`` or a few more payments; the same seed makes the same county."""
    county = County(random.Random(seed))
    county.build(payments * 2)
    ready = [bill for bill in county.bills if bill.open]
    county.random.shuffle(ready)
    names, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
    while len(county.payments) < payments:
        KINDS[county.random.choices(names, weights)[0]][1](county, ready.pop())
    county.finish()
    return county
