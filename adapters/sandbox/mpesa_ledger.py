"""The simulated M-PESA's own books: what truly happened on its short codes, whatever anybody was told.

Whole cents, aware instants. Balances are of the utility account of a short code and begin at zero. Thread-safe.
"""

from __future__ import annotations

import hashlib
import random
import threading
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Final, Literal

from adapters.sandbox import mpesa_bodies as bodies
from adapters.sandbox import mpesa_slips as slips
from adapters.sandbox.mpesa import Plan
from revenue_engine.errors import NotFound
from revenue_engine.periods import NAIROBI, nairobi_date

What = Literal["payment", "reversal", "sweep"]
State = Literal["Completed", "Failed", "Cancelled"]

TARIFF: Final = (
    (100_00, 0), (500_00, 5_00), (1_000_00, 10_00), (1_500_00, 15_00), (2_500_00, 20_00), (3_500_00, 25_00),
    (5_000_00, 34_00), (7_500_00, 42_00), (10_000_00, 48_00), (15_000_00, 57_00), (20_000_00, 62_00),
    (25_000_00, 67_00), (30_000_00, 72_00), (35_000_00, 83_00), (40_000_00, 99_00), (45_000_00, 103_00),
    (250_000_00, 108_00),
)  # fmt: skip
"""What a pay bill pays for a payment up to so many cents, where the business bears the whole fee (2024/25, sample)."""

SWEEP_AT: Final = time(0, 5, tzinfo=NAIROBI)
"""When a planned day's money goes to the bank: the balance at midnight, five minutes into the next day."""


def charge(amount_minor: int) -> int:
    """The provider's charge for a payment, in cents."""
    return next((fee for limit, fee in TARIFF if amount_minor <= limit), TARIFF[-1][1])


@dataclass(frozen=True, slots=True)
class Movement:
    """One receipt on a short code. ``amount_minor`` is above zero whichever way it went."""

    reference: str
    what: What
    amount_minor: int
    occurred_at: datetime
    shortcode: str
    typed: str = ""
    phone: str = ""
    name: str = ""
    pushed: bool = False
    """Whether it answers a push; ``request_id`` names it."""
    request_id: str = ""
    reverses: str = ""
    state: State = "Completed"
    told: bool = True
    """Whether any callback tells of it."""

    @property
    def charge_minor(self) -> int:
        """What the provider took for it."""
        return charge(self.amount_minor) if self.what == "payment" and self.state == "Completed" else 0

    @property
    def effect_minor(self) -> int:
        """What it changed in the balance, charge included."""
        if self.state != "Completed":
            return 0
        return self.amount_minor - self.charge_minor if self.what == "payment" else -self.amount_minor


@dataclass
class Books:
    """Every movement of every short code, in the order of their instants."""

    rng: random.Random
    movements: list[Movement] = field(default_factory=list)
    by_reference: dict[str, Movement] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def receipt(self, day: date) -> str:
        """A receipt of the day that was never used."""
        with self._lock:
            while (code := bodies.receipt_code(self.rng, day)) in self.by_reference:
                pass
            return code

    def add(self, movement: Movement) -> Movement:
        """Keep a movement."""
        with self._lock:
            insort(self.movements, movement, key=lambda one: one.occurred_at)
            self.by_reference[movement.reference] = movement
            return movement

    def find(self, reference: str) -> Movement | None:
        """A movement by its receipt, in any case."""
        return self.by_reference.get(reference.upper())

    def tell(self, reference: str) -> Movement:
        """Remember that a callback about it was sent."""
        with self._lock:
            old = self.by_reference[reference]
            new = replace(old, told=True)
            self.by_reference[reference] = new
            self.movements[self.movements.index(old)] = new
            return new

    def withheld(self) -> tuple[Movement, ...]:
        """The completed payments that no callback tells of, in order of time."""
        with self._lock:
            return tuple(
                one for one in self.movements if one.what == "payment" and one.state == "Completed" and not one.told
            )

    def between(self, shortcode: str, since: datetime, until: datetime) -> list[Movement]:
        """The movements of a short code in the window, both ends in it."""
        with self._lock:
            return [one for one in self.movements if one.shortcode == shortcode and since <= one.occurred_at <= until]

    def balance(self, shortcode: str, before: datetime) -> int:
        """The balance of a short code just before an instant."""
        with self._lock:
            return sum(
                one.effect_minor for one in self.movements if one.shortcode == shortcode and one.occurred_at < before
            )

    def sweep(self, shortcode: str, at: datetime, amount_minor: int | None = None) -> Movement | None:
        """Send money to the bank: all there is when no amount is given. None when there is nothing to send."""
        with self._lock:
            amount = self.balance(shortcode, at) if amount_minor is None else amount_minor
            if amount <= 0:
                return None
            return self.add(Movement(self.receipt(nairobi_date(at)), "sweep", amount, at, shortcode))

    def reverse(self, reference: str, at: datetime, *, told: bool = True) -> Movement:
        """Take a payment back, whole. Raises NotFound where there is none that still stands."""
        with self._lock:
            paid = self.find(reference)
            if paid is None or paid.what != "payment" or paid.state != "Completed" or self.reversal_of(reference):
                raise NotFound(f"no payment {reference} stands", reference=reference)
            return self.add(
                Movement(
                    self.receipt(nairobi_date(at)),
                    "reversal",
                    paid.amount_minor,
                    at,
                    paid.shortcode,
                    phone=paid.phone,
                    name=paid.name,
                    reverses=paid.reference,
                    told=told,
                )
            )

    def reversal_of(self, reference: str) -> Movement | None:
        """The reversal that took a payment back, if one did."""
        wanted = reference.upper()
        return next((one for one in self.movements if one.reverses == wanted), None)

    def load(self, plan: Plan) -> None:
        """Take over what happened in a plan, and add what a statement shows beside it: a failed payment a day, and
        every day's money swept to the bank. A payer has one made-up number and name, drawn from the receipt."""
        answers = {credit.bills[0]: credit.reference for credit in plan.truth.credits if credit.channel == "push"}
        requests = {answers[push.bill]: push.request_id for push in plan.pushes if push.bill in answers}
        loaded = []
        for credit in plan.truth.credits:
            phone, name = payer(credit.reference)
            request = requests.get(credit.reference, "")
            loaded.append(
                Movement(
                    credit.reference,
                    "payment",
                    credit.amount_minor,
                    credit.occurred_at,
                    credit.shortcode,
                    typed=credit.typed,
                    phone=phone,
                    name=name,
                    pushed=credit.channel == "push",
                    request_id=request,
                    told=credit.delivered,
                )
            )
        codes = {credit.reference: credit.shortcode for credit in plan.truth.credits}
        for back in plan.truth.reversals:
            phone, name = payer(back.reverses)
            loaded.append(
                Movement(
                    back.reference,
                    "reversal",
                    back.amount_minor,
                    back.occurred_at,
                    codes[back.reverses],
                    phone=phone,
                    name=name,
                    reverses=back.reverses,
                )
            )
        with self._lock:
            self.movements = sorted([*self.movements, *loaded], key=lambda one: one.occurred_at)
            self.by_reference |= {one.reference: one for one in loaded}
            self._add_days(plan, sorted({one.shortcode for one in loaded}))

    def _add_days(self, plan: Plan, shortcodes: Iterable[str]) -> None:
        for shortcode in shortcodes:
            for number in range(plan.days):
                day = plan.first + timedelta(days=number)
                noon = datetime.combine(day, time(12, 0, 30, tzinfo=NAIROBI))
                code = self.receipt(day)
                phone, name = payer(code)
                self.add(
                    Movement(
                        code, "payment", 700_00, noon, shortcode, "FAILED", phone, name, state="Failed", told=False
                    )
                )
                midnight = datetime.combine(day + timedelta(days=1), time(tzinfo=NAIROBI))
                swept = datetime.combine(day + timedelta(days=1), SWEEP_AT)
                if (amount := self.balance(shortcode, midnight)) > 0:
                    self.sweep(shortcode, swept, amount)


def payer(reference: str) -> tuple[str, str]:
    """A made-up number and name for a receipt, always the same."""
    drawn = hashlib.sha256(reference.encode()).digest()[0] % 100
    return f"2547000001{drawn:02d}", slips.GIVEN_NAMES[drawn % len(slips.GIVEN_NAMES)]
