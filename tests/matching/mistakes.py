"""Mistakes that payers make and no plain corpus holds, each with the truth, and many of them set as traps.

A trap is a text that also reads as somebody else's bill: the neighbour's stall, a plate one letter away, a bank's own
reference that is another's number. Objects stand densely and bear the same fees, so that a careless rung pays the
neighbour. Every kind is one function; those of :data:`UNKNOWABLE` no engine can tell from a plain payment.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.matching.county import County, OneBill, Person, other_digit

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
MONTHS = ("JAN", "FEB", "MARCH", "JUNI", "2026", "JAN 2026", "Q1")
FEES = {"PARKING": (100, 200, 300), "MARKET": (50, 100), "LAND": (1000, 1200, 2400), "SBP": (3000, 5000)}
DIGITS = {
    "arabic": str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"),
    "full": str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10))),
}


@dataclass
class Town(County):
    """A county whose stalls, plots and plates lie close together and cost the same."""

    by_thing: dict[str, list[OneBill]] = field(default_factory=dict)
    by_payer: dict[str, list[OneBill]] = field(default_factory=dict)
    paid_for: dict[str, list[OneBill]] = field(default_factory=dict)
    ready: list[OneBill] = field(default_factory=list)

    def plate(self) -> str:
        pick, number = self.random.choice, self.random.randrange(1000)
        shape = self.random.random()
        if shape < 0.6:
            return f"K{pick('ABCD')}{pick(LETTERS)}{number:03d}{pick(LETTERS)}"
        if shape < 0.75:
            return f"U{pick('AB')}{pick(LETTERS)}{number:03d}{pick(LETTERS)}"
        if shape < 0.9:
            return f"T{number:03d}{pick('ABCDE')}{pick(LETTERS)}{pick(LETTERS)}"
        return f"K{pick(LETTERS)}{pick(LETTERS)}{number:03d}"  # the old series has no last letter

    def one_off(self, text: str) -> str:
        """The same with one character wrong."""
        at = self.random.randrange(1, len(text))
        while not text[at].isalnum():
            at = self.random.randrange(1, len(text))
        others = "0123456789" if text[at].isdigit() else LETTERS
        return text[:at] + self.random.choice([one for one in others if one != text[at]]) + text[at + 1 :]

    def build(self, count: int) -> None:
        for _ in range(max(8, count // 3)):
            self.people.append(self.person())
        plates = [self.plate() for _ in range(count // 8)]
        plates += [self.one_off(plate) for plate in plates]
        for place in range(count):
            stream = self.random.choice(tuple(FEES))
            thing = {
                "PARKING": self.random.choice(plates),
                "MARKET": self.random.choice((f"STALL-{place % 4000}", f"BUSIA MKT/B{place % 900}")),
                "LAND": f"{self.random.choice(('NASEWA', 'AMUKURA'))}/{900 + place % 1800}",
                "SBP": f"SBP/2026/{place:05d}",
            }[stream]
            fee, payer = self.random.choice(FEES[stream]) * 100, self.random.choice(self.people)
            bill = OneBill(self.number(), payer, stream, thing, fee, open=self.random.random() < 0.85)
            self.bills.append(bill)
            self.by_number[bill.number] = bill
            self.by_thing.setdefault(thing, []).append(bill)
            self.by_payer.setdefault(payer.key, []).append(bill)
        self.ready = [bill for bill in self.bills if bill.open]
        self.random.shuffle(self.ready)

    def take(self, stream: str = "") -> OneBill:
        """The next bill that nobody has paid, of a stream if one is named."""
        for at in range(len(self.ready) - 1, -1, -1):
            bill = self.ready[at]
            if not bill.paid and stream in ("", bill.stream):
                return self.ready.pop(at)
        raise LookupError(stream)

    def other(self, bill: OneBill, *, stream: str = "", amount: int = 0) -> OneBill:
        """Somebody else's open bill, of a stream and an amount if they are named: nobody has paid it, nobody will."""
        for at, other in enumerate(self.ready):
            if (
                other.payer.phone != bill.payer.phone
                and not other.paid
                and stream in ("", other.stream)
                and amount in (0, other.due)
            ):
                return self.ready.pop(at)
        raise LookupError(stream)

    def hand(self, bill: OneBill) -> Person:
        """Who pays: mostly the payer, or somebody whom the county does not know."""
        return bill.payer if self.random.random() < 0.75 else self.person()

    def alone(self, bill: OneBill) -> bool:
        """Whether the payer has no second bill of that amount, open or paid in the run."""
        same = [one for one in self.by_payer[bill.payer.key] if one.open and one.due == bill.due]
        return same == [bill]

    def typed(self, kind: str, bill: OneBill, reference: str, *, amount: int = 0, channel: str = "",
              narrative: str = "", who: Person | None = None) -> None:  # fmt: skip
        """A payment that is meant for ``bill``."""
        who = who or self.hand(bill)
        self.pay(kind, bill, reference, amount=amount or bill.left, sender=who, channel=channel, narrative=narrative)

    def lost(self, kind: str, who: Person, reference: str, amount: int, *, channel: str = "",
             narrative: str = "") -> None:  # fmt: skip
        """Money that belongs to no bill: whatever takes it is wrong."""
        self.send(kind, who, reference, amount, [], channel=channel, narrative=narrative)


Kind = Callable[[Town], None]


# ------------------------------------------------------------------------------------------------ numbers
def words_around(town: Town) -> None:
    bill = town.take()
    shape = town.random.choice(
        ("lipa {n}", "kibali {n}", "stall no {n}", "Acc: {n}", "A/C {n}", "inv-{n}", "{n}.", "{n} pls", "{n}-JANE",
         "ada {n}", "{n}  soko", "NO.{n}", "BILL#{n}")
    )  # fmt: skip
    town.typed("words_around", bill, shape.format(n=bill.number))


def month_behind(town: Town) -> None:
    bill = town.take()
    town.typed("month_behind", bill, f"{bill.number} {town.random.choice(MONTHS)}")


def strange_characters(town: Town) -> None:
    bill = town.take()
    number = bill.number
    shapes = (
        number.translate(DIGITS["arabic"]), number.translate(DIGITS["full"]), f"{number[:4]}\u200b{number[4:]}",
        f"\ufeff{number}", f"{number} 🙏", f"🚗{number}", f"{number[:3]}\u00a0{number[3:6]}\u00a0{number[6:]}",
        f"{number[:3]}\u2009{number[3:]}", f"№{number}", f"{number}\u200f",
    )  # fmt: skip
    town.typed("strange_characters", bill, town.random.choice(shapes), channel="MPESA")


def swapped_over_groups(town: Town) -> None:
    bill = town.take()
    n = bill.number
    town.typed("swapped_over_groups", bill, f"{n[:2]}{n[3]} {n[2]}{n[4:6]} {n[6:]}")


def doubled_and_spaced(town: Town) -> None:
    bill = town.take()
    n, at = bill.number, town.random.randrange(9)
    text = n[:at] + n[at] + n[at:]
    town.typed("doubled_and_spaced", bill, f"{text[:4]} {text[4:]}")


def two_slips(town: Town) -> None:
    bill = town.take()
    town.typed("two_slips", bill, other_digit(town, bill.number, 2))


def cut_by_channel(town: Town) -> None:
    bill = town.take()
    words = town.random.choice(("ada ya soko ", "lipa kibali ", "STALL RENT - "))
    town.typed("cut_by_channel", bill, words + bill.number, channel="MPESA")


def glued_prefix(town: Town) -> None:
    bill = town.take()
    town.typed("glued_prefix", bill, town.random.choice(("254", "+254", "0")) + bill.number)


def two_numbers_one_paid(town: Town) -> None:
    bill = town.take()
    old = next((one for one in town.by_payer[bill.payer.key] if not one.open), None)
    first = old.number if old else bill.number
    town.typed("two_numbers_one_paid", bill, town.random.choice((f"{first} {bill.number}", f"{bill.number},{first}")))


def two_numbers_one_meant(town: Town) -> None:
    bill = town.take()
    other = town.other(bill)
    town.typed("two_numbers_one_meant", bill, f"{bill.number} {other.number}")


def anothers_number(town: Town) -> None:
    bill = town.take()
    town.lost("anothers_number", town.hand(bill), town.other(bill).number, bill.due)


def other_system(town: Town) -> None:
    bill = town.take()
    pick = town.random.randrange
    shapes = (f"BSA/2025/{pick(10**5):05d}", f"{pick(10**12, 10**13)}", f"INV-{pick(10**4):04d}",
              f"NBI{pick(10**6):06d}", f"KE{pick(10**7):07d}", f"P-{pick(10**7):07d}")  # fmt: skip
    town.lost("other_system", town.hand(bill), town.random.choice(shapes), bill.due)


def own_papers(town: Town) -> None:
    bill = town.take()
    pick = town.random.randrange
    shapes = (f"{pick(20_000_000, 40_000_000)}", f"ID {pick(20_000_000, 40_000_000)}", f"A{pick(10**8):09d}K",
              "30032026", "30/03/2026", "2026-03-30", "300326")  # fmt: skip
    town.lost("own_papers", town.person(), town.random.choice(shapes), bill.due)


def receipt(town: Town) -> None:
    bill = town.take()
    tail = "".join(town.random.choice("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789") for _ in range(7))
    town.lost("receipt", town.hand(bill), f"T{town.random.choice('ABCDEFGHIJKL')}9{tail}", bill.due)


# ------------------------------------------------------------------------------------------------ objects
def plate_forms(town: Town) -> None:
    bill = town.take("PARKING")
    p = bill.thing
    shapes = (p.lower(), f"{p[:3]} {p[3:]}", f"{p[:3]}-{p[3:6]}-{p[6:]}", f"gari {p}", f"{p} lorry", f"PLATE NO {p}",
              p.replace("0", "O"), p.replace("1", "I"), f"reg. {p[:3]} {p[3:]}", f"BSA{p}", f"{p} parking")  # fmt: skip
    town.typed("plate_forms", bill, town.random.choice(shapes))


def wrong_plate(town: Town) -> None:
    """One character is wrong, and mostly that plate exists too, with the same fee."""
    bill = town.take("PARKING")
    trap = town.other(bill, stream="PARKING", amount=bill.due)
    if len(town.by_thing[bill.thing]) == 1 and town.random.random() < 0.7:
        new = town.one_off(trap.thing)
        if new not in town.by_thing:
            town.by_thing[new] = town.by_thing.pop(bill.thing)
            bill.thing = new
        town.typed("wrong_plate", bill, trap.thing)
        return
    town.typed("wrong_plate", bill, town.one_off(bill.thing))


def stall_forms(town: Town) -> None:
    bill = town.take("MARKET")
    number = bill.thing.rpartition("-")[2].rpartition("B")[2]
    if bill.thing.startswith("STALL"):
        shapes = (f"stall {number}", f"STALL NO {number}", f"Stall{number}", f"stall-{number}", f"stl {number}")
    else:
        shapes = (f"busia mkt B{number}", f"BUSIA MKT B {number}", f"busia mkt/b{number}")
    town.typed("stall_forms", bill, town.random.choice(shapes))


def wrong_stall(town: Town) -> None:
    bill = town.take("MARKET")
    town.typed("wrong_stall", bill, town.one_off(bill.thing))


def wrong_permit(town: Town) -> None:
    bill = town.take("SBP")
    town.typed("wrong_permit", bill, bill.thing[:-1] + town.random.choice("0123456789"))


def amount_behind_stall(town: Town) -> None:
    bill = town.take("MARKET")
    town.typed("amount_behind_stall", bill, f"{bill.thing} {bill.due // 100}")


def amount_behind_ward(town: Town) -> None:
    """The amount behind the name of the ward reads as a plot, whose rate it may be."""
    bill = town.take("LAND")
    town.typed("amount_behind_ward", bill, f"rates {bill.thing.partition('/')[0].lower()} {bill.due // 100}")


def two_plates(town: Town) -> None:
    bill = town.take("PARKING")
    trap = town.other(bill, stream="PARKING", amount=bill.due)
    plates = [bill.thing, trap.thing]
    town.random.shuffle(plates)
    who = town.hand(bill)
    if town.random.random() < 0.5:
        town.typed("two_plates", bill, " ".join(plates), who=who)
        return
    both = [(bill.number, bill.due), (trap.number, trap.due)]
    bill.paid, trap.paid = bill.due, trap.due
    town.send("two_plates", who, " ".join(plates), bill.due + trap.due, both)


def number_and_plate_of_two(town: Town) -> None:
    bill = town.take()
    trap = town.other(bill, stream="PARKING")
    town.typed("number_and_plate_of_two", bill, f"{other_digit(town, bill.number, 1)} {trap.thing}")


def owner_and_driver(town: Town) -> None:
    """The owner pays by the number, the driver once more by the plate."""
    bill = town.take("PARKING")
    town.typed("plain", bill, bill.number, who=bill.payer)
    town.lost("owner_and_driver", town.person(), bill.thing, bill.due)


# ------------------------------------------------------------------------------------------------ payers
def own_phone_forms(town: Town) -> None:
    bill = town.take()
    phone = bill.payer.phone
    grouped = f"0{phone[3:6]} {phone[6:9]} {phone[9:]}"
    shapes = (f"0{phone[3:]}", phone, f"+{phone}", phone[3:], grouped, f"tel 0{phone[3:]}")
    town.typed("own_phone_forms", bill, town.random.choice(shapes))


def anothers_phone(town: Town) -> None:
    """The phone of somebody who owes the same amount."""
    bill = town.take()
    town.typed("anothers_phone", bill, f"0{town.other(bill, amount=bill.due).payer.phone[3:]}")


def anothers_old_number(town: Town) -> None:
    bill = town.take()
    other = town.other(bill, amount=bill.due)
    old = next((one for one in town.by_payer[other.payer.key] if not one.open), None)
    town.typed("anothers_old_number", bill, old.number if old else bill.number)


def paid_again_by_phone(town: Town) -> None:
    """One pays by the number, another the same bill by the payer's phone; the payer may owe that amount twice."""
    bill = town.take()
    town.typed("plain", bill, bill.number, who=bill.payer)
    town.lost("paid_again_by_phone", town.person(), f"0{bill.payer.phone[3:]}", bill.due)


def paid_again_by_name(town: Town) -> None:
    """The payer pays by the number and again by name; a second bill of that amount would be fairly paid by it."""
    bill = town.take()
    while not town.alone(bill):
        bill = town.take()
    town.typed("plain", bill, bill.number, who=bill.payer)
    town.lost("paid_again_by_name", bill.payer, bill.payer.name, bill.due)


def name_forms(town: Town) -> None:
    bill = town.take()
    words = bill.payer.name.upper().split()
    whole = bill.payer.name
    shapes = (" ".join(reversed(words)), f"{words[0]} {words[-1][0]}", f"{words[0][:-1]} {words[-1]}",
              f"{whole} {town.random.choice(MONTHS)}", f"for {whole.lower()}", whole)  # fmt: skip
    town.typed("name_forms", bill, town.random.choice(shapes))


def namesake(town: Town) -> None:
    """A stranger of a payer's name types it, and pays what the payer owes."""
    bill = town.take()
    who = Person("", bill.payer.name, "2547" + f"{town.random.randrange(10**8):08d}")
    while who.phone[-3:] == bill.payer.phone[-3:]:  # the end of a phone is all that tells them apart
        who = Person("", bill.payer.name, "2547" + f"{town.random.randrange(10**8):08d}")
    town.lost("namesake", who, bill.payer.name, bill.due)


def landlord(town: Town) -> None:
    bill = town.take()
    town.typed("landlord", bill, town.other(bill, amount=bill.due).payer.name)


def family(town: Town) -> None:
    bill = town.take()
    second, third = town.other(bill), town.other(bill)
    parts = [(one.number, one.due) for one in (bill, second, third)]
    words = " ".join(one.payer.name.split()[0] for one in (bill, second, third))
    for one in (bill, second, third):
        one.paid = one.due
    town.send("family", town.hand(bill), words, sum(cents for _, cents in parts), parts)


def employer(town: Town) -> None:
    """A company pays for many and names one of them."""
    bill = town.take()
    others = [town.other(bill) for _ in range(3)]
    total = bill.due + sum(one.due for one in others)
    company = Person("", "Wanyonyi Hardware Ltd", "254700000177")
    text = town.random.choice(("STAFF PERMITS", bill.payer.name, f"0{bill.payer.phone[3:]}", bill.thing))
    town.lost("employer", company, text, total, channel="BANK")


# ------------------------------------------------------------------------------------------------ amounts
def rounded_up(town: Town) -> None:
    bill = town.take()
    bill.due -= town.random.choice((100, 200, 300, 700))
    step = town.random.choice((500, 1000, 5000, 10000))
    town.typed("rounded_up", bill, bill.number, amount=-(-bill.due // step) * step)


def with_tariff(town: Town) -> None:
    bill = town.take()
    tariff = town.random.choice((700, 1300, 2300, 3300))
    town.typed("with_tariff", bill, bill.number, amount=bill.due + tariff)


def slip_and_rounded(town: Town) -> None:
    bill = town.take()
    town.typed("slip_and_rounded", bill, other_digit(town, bill.number, 1), amount=bill.due + 700)


def two_halves(town: Town) -> None:
    bill = town.take()
    half = bill.due // 2
    town.typed("two_halves", bill, bill.number, amount=half)
    town.typed("two_halves", bill, f"bal {bill.number}", amount=bill.due - half)


def twice_by_two(town: Town) -> None:
    bill = town.take()
    town.typed("plain", bill, bill.number, channel="MPESA")
    town.lost("twice_by_two", town.person(), bill.number, bill.due, channel="MPESA")


# ------------------------------------------------------------------------------------------------ banks
def cut_narrative(town: Town) -> None:
    bill = town.take()
    who = town.hand(bill)
    whole = f"EFT {who.name.upper()} COUNTY {bill.number}"
    town.typed("cut_narrative", bill, "", channel="BANK", narrative=whole[:35], who=who)


def broken_lines(town: Town) -> None:
    bill = town.take()
    n, at, who = bill.number, town.random.randrange(2, 8), town.hand(bill)
    narrative = f"RTGS/{who.name.upper()}/{n[:at]}\n{n[at:]}/COUNTY REV"
    town.typed("broken_lines", bill, "", channel="BANK", narrative=narrative, who=who)


def bank_reference(town: Town) -> None:
    """The bank's own reference is well formed, and sometimes it is somebody's bill."""
    bill = town.take()
    who = town.hand(bill)
    reference = town.number() if town.random.random() < 0.5 else town.other(bill).number
    shape = town.random.choice(("FT{r} {n} {b}", "FT {r}/{n}/{b}", "{n} REF {b} TRN{r}"))
    narrative = shape.format(r=reference, n=who.name.upper(), b=bill.number)
    town.typed("bank_reference", bill, "", channel="BANK", narrative=narrative, who=who)


def bank_reference_alone(town: Town) -> None:
    bill = town.take()
    trap, who = town.other(bill), town.person()
    amount = town.random.choice([fee * 100 for fees in FEES.values() for fee in fees if fee * 100 != trap.due])
    town.lost("bank_reference_alone", who, "", amount, channel="BANK",
              narrative=f"FT {trap.number} {who.name.upper()} BUSIA")  # fmt: skip


def pieces_make_a_number(town: Town) -> None:
    """A sum and a cheque number stand side by side and make nine digits together: somebody's bill."""
    bill = town.take()
    trap, who = town.other(bill), town.person()
    n, at = trap.number, town.random.randrange(3, 6)
    amount = town.random.choice([fee * 100 for fees in FEES.values() for fee in fees if fee * 100 != trap.due])
    if town.random.random() < 0.5:
        town.lost("pieces_make_a_number", who, f"{n[:at]}-{n[at:]} school", amount, channel="MPESA")
        return
    town.lost("pieces_make_a_number", who, "", amount, channel="BANK",
              narrative=f"CHQ {who.name.upper()} {n[:at]}/{n[at:]} BUSIA BR")  # fmt: skip


KINDS: tuple[Kind, ...] = (
    words_around, month_behind, strange_characters, swapped_over_groups, doubled_and_spaced, two_slips, cut_by_channel,
    glued_prefix, two_numbers_one_paid, two_numbers_one_meant, anothers_number, other_system, own_papers, receipt,
    plate_forms, wrong_plate, stall_forms, wrong_stall, wrong_permit, amount_behind_stall, amount_behind_ward,
    two_plates, number_and_plate_of_two, owner_and_driver, own_phone_forms, anothers_phone, anothers_old_number,
    paid_again_by_phone, paid_again_by_name, name_forms, namesake, landlord, family, employer, rounded_up, with_tariff,
    slip_and_rounded, two_halves, twice_by_two, cut_narrative, broken_lines, bank_reference, bank_reference_alone,
    pieces_make_a_number,
)  # fmt: skip
UNKNOWABLE = frozenset({"anothers_number", "anothers_old_number", "bank_reference_alone"})
"""Another's number, open or paid, given exactly and well formed by somebody who is not seen to be another: what happens
is what happens to any such number."""


def make(seed: int, each: int) -> Town:
    """A town with ``each`` payments of every kind, or pairs of payments; the same seed makes the same town."""
    town = Town(random.Random(seed))
    town.build(each * len(KINDS) * 5)
    for _ in range(each):
        for kind in KINDS:
            kind(town)
    town.finish()
    return town
