"""A simulated M-PESA: days of callbacks for a population of bills, vehicles and stations, and the truth behind them.

A plan is a function of its arguments and its seed. It holds what is sent (``Hit``) and, apart from it, what happened
(``Truth``): every credit, every reversal, and where the money belongs by the county's own rules. Whoever receives the
hits in any order, some of them twice, must arrive at the figures of the truth.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final, Literal

from adapters.sandbox import mpesa_bodies as bodies
from adapters.sandbox import mpesa_slips as slips
from adapters.sandbox.mpesa_people import Bill, Population, Spot
from revenue_engine.errors import InvalidValue
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Purpose

# Shares are parts of a thousand: whole numbers, as all that stands near money.
BAD_REFERENCE: Final = 40
DUPLICATE: Final = 3
REVERSED: Final = 2
OTHER_AMOUNT: Final = 5
SECOND: Final = 3
ON_CANCELLED: Final = 1
TWO_NUMBERS: Final = 1
LATE: Final = 10
PUSHED: Final = 250
ON_BILLS: Final = 150
"""Of all payments: answered pushes, and payments that name a bill by themselves. The rest pays before service."""
VALIDATED: Final = 200
"""Of the confirmations, how many were asked about first."""
PUSH_FAILED: Final = 40
STRANGE: Final = 2
"""Bodies, of all payments, that cannot be read or that name a shortcode of somebody else."""

LARGEST_MINOR: Final = 249_999_00
"""M-PESA moves at most 250,000 shillings at once, and a county may ask for a second evidence from there on."""

Dirt = Literal[
    "", "spacing", "lookalike", "wrong_prefix", "name_or_phone", "old_invoice",
    "over", "under", "second", "cancelled", "two_numbers",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Credit:
    """Money that reached a shortcode: one M-PESA receipt, whatever number of messages tells of it."""

    reference: str
    amount_minor: int
    occurred_at: datetime
    shortcode: str
    channel: Literal["c2b", "push"]
    typed: str
    bills: tuple[str, ...] = ()
    """Keys of the bills it names for certain; empty where it names none."""
    spot: Spot | None = None
    """What it buys before service, where that is certain."""
    dirt: Dirt = ""
    delivered: bool = True
    """Whether any callback tells of it. What is withheld can only be found in a statement."""

    @property
    def certain(self) -> bool:
        """Whether the rules of the county place it by what was typed alone."""
        return bool(self.bills) or self.spot is not None


@dataclass(frozen=True, slots=True)
class Reversal:
    """A credit taken back by the provider, whole."""

    reference: str
    reverses: str
    amount_minor: int
    occurred_at: datetime
    before_payment: bool
    """Whether it is told before the payment that it takes back."""


@dataclass(frozen=True, slots=True)
class Push:
    """A prompt that the county asked the provider to show; to be remembered before its result can come."""

    request_id: str
    bill: str
    amount_minor: int
    shortcode: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One callback: its bytes, the endpoint they go to, and when they are sent."""

    sent_at: datetime
    day: int
    """0 for the first day; a late callback of the last day has the number of days."""
    purpose: Purpose
    shortcode: str
    """Whose endpoint receives it, which is not always the shortcode in the body."""
    body: bytes = field(repr=False)
    about: str
    """The reference or request it tells of, for a person who looks; empty for what cannot be read."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Whole cents: what was delivered, kept back and taken back, and where what remains belongs."""

    delivered_minor: int
    withheld_minor: int
    reversed_minor: int
    applied_minor: int
    suspense_minor: int
    unapplied_minor: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What happened, whatever was told of it."""

    credits: tuple[Credit, ...]
    reversals: tuple[Reversal, ...]

    @property
    def delivered(self) -> dict[str, Credit]:
        """The credits that callbacks tell of, by reference."""
        return {credit.reference: credit for credit in self.credits if credit.delivered}

    @property
    def withheld(self) -> tuple[Credit, ...]:
        """The credits no callback tells of: what a pull, a query or a statement must find."""
        return tuple(credit for credit in self.credits if not credit.delivered)

    @property
    def standing(self) -> dict[str, Credit]:
        """The delivered credits that were not taken back, by reference."""
        gone = {reversal.reverses for reversal in self.reversals}
        return {reference: credit for reference, credit in self.delivered.items() if reference not in gone}

    def on_bills(self, population: Population) -> dict[str, int]:
        """Cents that stand applied to each bill, by its key: what named it, up to what it asks."""
        named: dict[str, int] = {}
        applied: dict[str, int] = {}
        by_key = population.by_key
        for credit in self.standing.values():
            if len(credit.bills) > 1:
                applied |= {key: by_key[key].amount_minor for key in credit.bills}
            for key in credit.bills if len(credit.bills) == 1 else ():
                named[key] = named.get(key, 0) + credit.amount_minor
        for key, amount in named.items():
            bill = by_key[key]
            applied[key] = 0 if bill.cancelled else min(bill.amount_minor, amount)
        return {key: amount for key, amount in applied.items() if amount}

    def figures(self, population: Population) -> Figures:
        """Where the money belongs: bills take what they ask, their payers keep the rest, the unknown is suspense."""
        on_bills = self.on_bills(population)
        by_key = population.by_key
        excess = dict.fromkeys(("suspense", "unapplied"), 0)
        spot = unknown = 0
        paid: dict[str, int] = {}
        for credit in self.standing.values():
            if credit.spot is not None:
                spot += credit.amount_minor
            elif not credit.bills:
                unknown += credit.amount_minor
            elif len(credit.bills) == 1:
                paid[credit.bills[0]] = paid.get(credit.bills[0], 0) + credit.amount_minor
        for key, amount in paid.items():
            excess["unapplied" if by_key[key].has_payer else "suspense"] += amount - on_bills.get(key, 0)
        return Figures(
            delivered_minor=sum(credit.amount_minor for credit in self.delivered.values()),
            withheld_minor=sum(credit.amount_minor for credit in self.credits if not credit.delivered),
            reversed_minor=sum(reversal.amount_minor for reversal in self.reversals),
            applied_minor=sum(on_bills.values()) + spot,
            suspense_minor=excess["suspense"] + unknown,
            unapplied_minor=excess["unapplied"],
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent, in order, with what the county must know before; and the truth behind it."""

    first: date
    days: int
    hits: tuple[Hit, ...]
    pushes: tuple[Push, ...]
    truth: Truth


def plan(
    population: Population,
    *,
    first: date,
    days: int,
    payments: int,
    seed: int,
    shortcodes: Mapping[str, str],
    withheld: int = 0,
) -> Plan:
    """Plan ``payments`` credits over ``days`` days from ``first``, and every callback about them.

    ``shortcodes`` says which shortcode takes the money of a stream; the key ``""`` is for all others. ``withheld`` is
    how many of a thousand credits no callback tells of. Raises InvalidValue when the population is too small.
    """
    if days < 1 or payments < 10 or not 0 <= withheld < 1000:
        raise InvalidValue("a plan needs a day, ten payments and less than all of them withheld")
    maker = _Maker(random.Random(seed), population, first, days, shortcodes)  # noqa: S311 - repeatable on purpose
    maker.make_credits(payments)
    maker.reverse(_share(payments, REVERSED))
    maker.withhold(withheld)
    maker.tell()
    maker.disturb(payments)
    hits = sorted(maker.hits, key=lambda hit: hit.sent_at)
    return Plan(first, days, tuple(hits), tuple(maker.pushes), Truth(tuple(maker.credits), tuple(maker.reversals)))


def bills_needed(payments: int) -> dict[str, int]:
    """How many bills a population needs for so many payments: ``payer`` with a payer, ``open`` in all, ``cancelled``.

    A plan pays a bill at most once in full, so that what is paid twice is paid twice on purpose.
    """
    on_bills = (
        payments * (PUSHED + ON_BILLS) // 1000 + 1 + _share(payments, BAD_REFERENCE) + 2 * _share(payments, TWO_NUMBERS)
    )
    failed = _share(payments, PUSH_FAILED)
    return {"open": on_bills + failed + 10, "cancelled": _share(payments, ON_CANCELLED)}


def _share(payments: int, part: int) -> int:
    """A part of all payments as a count; at least one, so that a small plan holds one of everything."""
    return max(1, (payments * part + 500) // 1000)


class _Maker:
    """Draws one plan. Every draw is from one generator, in one order, so that a seed makes one plan."""

    def __init__(
        self, rng: random.Random, population: Population, first: date, days: int, shortcodes: Mapping[str, str]
    ) -> None:
        self.rng = rng
        self.population = population
        self.first = first
        self.days = days
        self.shortcodes = shortcodes
        self.free = [bill for bill in population.bills if not bill.cancelled]
        rng.shuffle(self.free)
        self.cancelled = [bill for bill in population.bills if bill.cancelled]
        self.paid: list[Bill] = []
        """Bills paid in full by their own number, for those who pay again."""
        self.credits: list[Credit] = []
        self.reversals: list[Reversal] = []
        self.hits: list[Hit] = []
        self.pushes: list[Push] = []
        self.request_of: dict[str, Push] = {}
        self.early: set[str] = set()
        """References whose reversal is told before them."""
        self.codes: set[str] = set()
        self.balance: dict[str, int] = {}

    # --- what happened ------------------------------------------------------------------------------------------

    def make_credits(self, payments: int) -> None:
        """Draw every credit: first what each is, in a shuffled order, then when."""
        kinds = self._kinds(payments)
        moments = sorted(self._moment() for _ in kinds)
        for kind, at in zip(kinds, moments, strict=True):
            credit = self._credit(kind, at)
            self.credits.append(credit)
            bill = self.population.by_key[credit.bills[0]] if len(credit.bills) == 1 else None
            # Only what an exact number named, so that whichever message comes first the same money remains.
            if bill is not None and credit.dirt == "" and credit.typed == bill.pay_account:
                self.paid.append(bill)

    def _kinds(self, payments: int) -> list[str]:
        bad = _share(payments, BAD_REFERENCE)
        shares = (("spacing", 400), ("lookalike", 200), ("wrong_prefix", 150), ("name_or_phone", 150))
        slips_made = [name for name, part in shares for _ in range(_share(bad, part))]
        kinds = ["push"] * (payments * PUSHED // 1000)
        kinds += [*slips_made, *["old_invoice"] * max(1, bad - len(slips_made))]
        for name, part in (("two_numbers", TWO_NUMBERS), ("cancelled", ON_CANCELLED), ("second", SECOND)):
            kinds += [name] * _share(payments, part)
        different = _share(payments, OTHER_AMOUNT)
        kinds += ["over"] * (different - different // 2) + ["under"] * (different // 2)
        kinds += ["bill"] * max(0, payments * ON_BILLS // 1000 - 2 * different)
        kinds = kinds[:payments] + ["spot"] * (payments - len(kinds))
        self.rng.shuffle(kinds)
        # What refers to an earlier payment cannot be the first one.
        needs = {"second", "old_invoice"}
        plain = kinds.index("push")  # always by the number itself
        head = [kind for kind in kinds[:plain] if kind not in needs]
        moved = [kind for kind in kinds[:plain] if kind in needs]
        return [*head, kinds[plain], *moved, *kinds[plain + 1 :]]

    def _moment(self) -> datetime:
        """A second of some day: markets and barriers are busy in the morning, and a few pay just before midnight."""
        start = datetime.combine(self.first, datetime.min.time(), NAIROBI)
        day = self.rng.randrange(self.days)
        if self._chance(10):
            second = 86_399 - self.rng.randrange(600)
        else:
            second = round(self.rng.triangular(5 * 3600, 22 * 3600, 34_200))
        return start + timedelta(days=day, seconds=second)

    def _credit(self, kind: str, at: datetime) -> Credit:
        if kind == "push":
            return self._pushed(at)
        if kind == "spot":
            return self._spot(at, "")
        if kind in {"spacing", "wrong_prefix"} and self._chance(600):
            return self._spot(at, kind)
        if kind == "name_or_phone":
            return self._nobody(at)
        if kind == "two_numbers":
            return self._two(at)
        if kind in {"second", "old_invoice"}:
            return self._again(at, kind)
        if kind == "cancelled":
            return self._on(self.rng.choice(self.cancelled), at, "cancelled")
        return self._on(self._take(), at, "" if kind == "bill" else kind)

    def _take(self) -> Bill:
        if not self.free:
            raise InvalidValue("the population has too few open bills for so many payments", field="population")
        return self.free.pop()

    def _on(self, bill: Bill, at: datetime, dirt: str) -> Credit:
        typed = bill.pay_account
        amount = bill.amount_minor
        if dirt == "spacing":
            typed = slips.spaced_number(self.rng, typed)
        elif dirt == "lookalike":
            typed = slips.lookalike(typed)
        elif dirt == "wrong_prefix":
            typed = slips.prefixed(self.rng, typed)
        elif dirt == "" and bill.also and self._chance(500):
            typed = self.rng.choice(bill.also)
        if dirt == "over":
            amount = min(LARGEST_MINOR, amount + 100 * self.rng.choice((50, 100, 500)))
        elif dirt == "under":
            amount = max(100, amount // 200 * 100)
        return self._new(at, bill.stream, amount, typed, bills=(bill.key,), dirt=dirt)

    def _pushed(self, at: datetime) -> Credit:
        bill = self._take()
        credit = self._new(at, bill.stream, bill.amount_minor, bill.pay_account, bills=(bill.key,), channel="push")
        self.request_of[credit.reference] = self._ask(bill, at)
        return credit

    def _ask(self, bill: Bill, at: datetime) -> Push:
        request = f"ws_CO_{at:%d%m%Y%H%M%S}{len(self.pushes):06d}"
        push = Push(request, bill.key, bill.amount_minor, self._shortcode(bill.stream))
        self.pushes.append(push)
        return push

    def _spot(self, at: datetime, dirt: str) -> Credit:
        spot = self._any_spot()
        typed = self.rng.choice(spot.typed)
        if dirt == "spacing":
            typed = slips.spaced_name(self.rng, typed)
        elif dirt == "wrong_prefix":
            typed = slips.prefixed(self.rng, typed)
        return self._new(at, spot.stream, spot.amount_minor, typed, spot=spot, dirt=dirt)

    def _any_spot(self) -> Spot:
        return self.rng.choices(self.population.spots, cum_weights=self.population.spot_weights)[0]

    def _nobody(self, at: datetime) -> Credit:
        """Who typed a name or a phone number: nothing certain can be read out of it."""
        spot = self._any_spot()
        return self._new(at, spot.stream, spot.amount_minor, slips.name_or_phone(self.rng), dirt="name_or_phone")

    def _two(self, at: datetime) -> Credit:
        """Two numbers in one payment: bills that nobody else pays, because only their exact sum says what to do."""
        one = self._take()
        at_same = [b for b in self.free if self._shortcode(b.stream) == self._shortcode(one.stream)]
        small = [b for b in at_same if b.amount_minor + one.amount_minor <= LARGEST_MINOR]
        if not small:
            raise InvalidValue("the population has too few open bills for so many payments", field="population")
        other = small[-1]
        self.free.remove(other)
        amount, typed = one.amount_minor + other.amount_minor, f"{one.pay_account} {other.pay_account}"
        return self._new(at, one.stream, amount, typed, bills=(one.key, other.key), dirt="two_numbers")

    def _again(self, at: datetime, kind: str) -> Credit:
        """A bill that was paid before: by mistake once more, or its number typed for a newer bill."""
        paid = self.rng.choice(self.paid)
        if kind == "second":
            return self._on(paid, at, "second")
        amount = self.rng.choice(self.population.bills).amount_minor
        return self._new(at, paid.stream, amount, paid.pay_account, bills=(paid.key,), dirt="old_invoice")

    def _new(
        self,
        at: datetime,
        stream: str,
        amount_minor: int,
        typed: str,
        *,
        bills: tuple[str, ...] = (),
        spot: Spot | None = None,
        dirt: str = "",
        channel: Literal["c2b", "push"] = "c2b",
    ) -> Credit:
        return Credit(
            reference=self._code(at.date()),
            amount_minor=amount_minor,
            occurred_at=at,
            shortcode=self._shortcode(stream),
            channel=channel,
            typed=typed,
            bills=bills,
            spot=spot,
            dirt=dirt,  # type: ignore[arg-type]
        )

    def _shortcode(self, stream: str) -> str:
        return self.shortcodes.get(stream, self.shortcodes[""])

    def _code(self, day: date) -> str:
        while (code := bodies.receipt_code(self.rng, day)) in self.codes:
            pass
        self.codes.add(code)
        return code

    def reverse(self, count: int) -> None:
        """Take some credits back within the hour, every other one told before its payment.

        One that another credit shares its bill with is among them: then the other one pays the bill.
        """
        shared: dict[str, int] = {}
        for credit in self.credits:
            for key in credit.bills:
                shared[key] = shared.get(key, 0) + 1
        plain = [c for c in self.credits if c.dirt == "" and all(shared[key] == 1 for key in c.bills)]
        twice = [c for c in self.credits if c.dirt == "" and c.bills and shared[c.bills[0]] == 2]
        chosen = self.rng.sample(plain, min(count, len(plain)))
        if twice and count > 1:
            chosen[-1] = self.rng.choice(twice)
        for number, credit in enumerate(chosen):
            midnight = credit.occurred_at.replace(hour=23, minute=59, second=59)
            at = min(midnight, credit.occurred_at + timedelta(minutes=self.rng.randint(5, 50)))
            early = number % 2 == 0
            if early:
                self.early.add(credit.reference)
            self.reversals.append(
                Reversal(self._code(at.date()), credit.reference, credit.amount_minor, at, before_payment=early)
            )

    def withhold(self, part: int) -> None:
        """Let some credits go untold. What is reversed is always told: a reversal is about a payment we know."""
        if not part:
            return
        reversed_ = {reversal.reverses for reversal in self.reversals}
        may = [index for index, credit in enumerate(self.credits) if credit.reference not in reversed_]
        for index in self.rng.sample(may, min(len(may), len(self.credits) * part // 1000)):
            credit = self.credits[index]
            self.credits[index] = replace(credit, delivered=False)

    # --- what is told -------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Write the callbacks about every credit and reversal: late, in any order, some of them again."""
        told = [credit for credit in self.credits if credit.delivered]
        late = set(self.rng.sample([c.reference for c in told], _share(len(told), LATE)))
        for credit in told:
            delay = self._delay()
            if credit.reference in late:
                delay += timedelta(days=1)
            if credit.reference in self.early:
                delay += timedelta(hours=2)
            self._tell_credit(credit, delay)
        for reversal in self.reversals:
            self._tell_reversal(reversal)
        paid = [hit for hit in self.hits if hit.purpose in {Purpose.CONFIRMATION, Purpose.PUSH_RESULT}]
        for number, hit in enumerate(self.rng.sample(paid, _share(len(told), DUPLICATE))):
            copies, wait = (9, 0) if number % 5 == 0 else (1, self.rng.randint(0, 900))
            for _ in range(copies):
                self._send(hit.sent_at + timedelta(seconds=wait), hit.purpose, hit.shortcode, hit.body, hit.about)

    def _delay(self) -> timedelta:
        """Most callbacks take a second or two; some take minutes, and overtake each other."""
        return timedelta(
            milliseconds=self.rng.randint(200, 3_000) if self._chance(900) else self.rng.randint(3_000, 900_000)
        )

    def _chance(self, part: int) -> bool:
        """Whether something happens that happens ``part`` times in a thousand."""
        return self.rng.randrange(1000) < part

    def _tell_credit(self, credit: Credit, delay: timedelta) -> None:
        sent_at = credit.occurred_at + delay
        number = self.rng.randrange(100)
        phone = f"2547000001{number:02d}"
        name = slips.GIVEN_NAMES[number % len(slips.GIVEN_NAMES)] if self._chance(900) else ""
        form: bodies.Msisdn = "masked" if self._chance(800) else "hashed"
        names = (name, "", "")
        asked = self._chance(VALIDATED)
        balance = self.balance[credit.shortcode] = self.balance.get(credit.shortcode, 0) + credit.amount_minor
        body = bodies.c2b_confirmation(
            receipt=credit.reference,
            at=credit.occurred_at,
            amount_minor=credit.amount_minor,
            shortcode=credit.shortcode,
            account=credit.typed,
            msisdn=phone,
            names=names,
            form=form,
            balance_minor=balance,
        )
        if asked and credit.channel == "c2b":
            asking = bodies.c2b_validation(
                receipt=credit.reference,
                at=credit.occurred_at,
                amount_minor=credit.amount_minor,
                shortcode=credit.shortcode,
                account=credit.typed,
                msisdn=phone,
                names=names,
                form=form,
            )
            self._send(credit.occurred_at, Purpose.VALIDATION, credit.shortcode, asking, credit.reference)
        self._send(sent_at, Purpose.CONFIRMATION, credit.shortcode, body, credit.reference)
        if credit.channel == "push":
            result = bodies.stk_success(
                merchant_request=f"29115-{self.request_of[credit.reference].request_id[-6:]}-1",
                checkout_request=self.request_of[credit.reference].request_id,
                receipt=credit.reference,
                at=credit.occurred_at,
                amount_minor=credit.amount_minor,
                msisdn=phone,
            )
            twin = timedelta(milliseconds=self.rng.randint(-2_000, 2_000))
            self._send(sent_at + twin, Purpose.PUSH_RESULT, credit.shortcode, result, credit.reference)

    def _tell_reversal(self, reversal: Reversal) -> None:
        credit = next(credit for credit in self.credits if credit.reference == reversal.reverses)
        number = len(self.hits)
        body = bodies.reversal_result(
            conversation=f"AG_{reversal.occurred_at:%Y%m%d}_{number:012d}",
            originator_conversation=f"10819-{number:07d}-1",
            receipt=reversal.reference,
            reverses=reversal.reverses,
            at=reversal.occurred_at,
            amount_minor=reversal.amount_minor,
            shortcode=credit.shortcode,
            organisation="County",
            payer="2547000001** - Payer",
        )
        sent_at = reversal.occurred_at + timedelta(seconds=5)
        self._send(sent_at, Purpose.RESULT, credit.shortcode, body, reversal.reference)

    def disturb(self, payments: int) -> None:
        """Send what moves no money of ours: failed prompts, bodies nobody can read, another organisation's notices."""
        for _ in range(_share(payments, PUSH_FAILED)):
            at = self._moment()
            push = self._ask(self._take(), at)
            body = bodies.stk_failure(
                merchant_request=f"29115-{push.request_id[-6:]}-1",
                checkout_request=push.request_id,
                code=self.rng.choices((1032, 1037, 1), weights=(5, 3, 2))[0],
            )
            sent_at = at + timedelta(seconds=self.rng.randint(5, 60))
            self._send(sent_at, Purpose.PUSH_RESULT, push.shortcode, body, push.request_id)
        home = self.shortcodes[""]
        for number in range(_share(payments, STRANGE)):
            at = self._moment()
            foreign = bodies.c2b_confirmation(
                receipt=self._code(at.date()),
                at=at,
                amount_minor=50_000,
                shortcode="600999",
                account="RENT",
                msisdn="254700000199",
                balance_minor=1_000_000,
            )
            body = slips.broken(number, foreign)
            self._send(at, Purpose.CONFIRMATION, home, body, "")

    def _send(self, at: datetime, purpose: Purpose, shortcode: str, body: bytes, about: str) -> None:
        start = datetime.combine(self.first, datetime.min.time(), NAIROBI)
        # The first callback may not come before the first day, nor any after the day that follows the last.
        day = min(max((at - start) // timedelta(days=1), 0), self.days)
        self.hits.append(Hit(at, day, purpose, shortcode, body, about))


def days_of(planned: Plan) -> Sequence[tuple[date, Sequence[Hit]]]:
    """The hits of each day, in the order they are sent; the last entry holds what came a day late."""
    found: list[list[Hit]] = [[] for _ in range(planned.days + 1)]
    for hit in planned.hits:
        found[hit.day].append(hit)
    return [(planned.first + timedelta(days=day), hits) for day, hits in enumerate(found)]
