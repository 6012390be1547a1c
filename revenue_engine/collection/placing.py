"""Where the money of each payment goes: to the bill it names, to a spot bill it raises, to credit, to suspense.

Nothing is refused and nothing is guessed. Placing plans in memory over locked bills, payment by payment in the order
(occurred, reference), so that the outcome does not depend on the order in which messages came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy.orm import Session

from reconciliation import break_keys, ladder, spelling
from reconciliation.breaks import BreakReason, NewBreak
from reconciliation.ladder import Named, Rung
from reconciliation.matches import Left, Suggested
from reconciliation.spelling import Fit
from revenue_engine import identifiers, periods
from revenue_engine.billing import invoices, open_bills, tariffs
from revenue_engine.billing.open_bills import BilledThing, NamedThing, Open
from revenue_engine.billing.tariffs import TariffLine
from revenue_engine.collection import doubts
from revenue_engine.collection.doubts import Answer, Question
from revenue_engine.identifiers import begins_like_a_phone
from revenue_engine.ledger.postings import Bill, Placed
from revenue_engine.payments import Push, Recorded
from revenue_engine.ports.callbacks import Party


@dataclass(frozen=True, slots=True)
class Incoming:
    """A payment just recorded, with what its payer typed and the push request it answers."""

    payment: Recorded
    typed: str
    received_at: datetime
    push: Push | None = None
    party: Party = field(default_factory=Party)
    by_bank: bool = False
    """Whether the words are a bank's narrative, and nothing was typed as such."""

    @property
    def at(self) -> datetime:
        """When the payment occurred, for the books and the tariff."""
        return periods.booked_as_of(self.payment.occurred_at, known_at=self.received_at)


@dataclass(slots=True)
class Placement:
    """The home of every cent of one payment."""

    incoming: Incoming
    named: Named
    places: list[Placed] = field(default_factory=list)
    parts: list[tuple[int, str, int]] = field(default_factory=list)
    """(invoice id, component, cents) for the applications."""
    breaks: list[NewBreak] = field(default_factory=list)
    rest_minor: int = 0

    @property
    def in_suspense(self) -> bool:
        """Whether none of it is named: then it gets an acknowledgement, not a receipt."""
        return all(place.bill is None and place.payer_id is None for place in self.places)


@dataclass(slots=True)
class _Spot:
    placement: Placement
    line: TariffLine
    quantity: int
    thing: BilledThing | None
    station_code: str | None


def _alone(reading: ladder.Reading, typed: str) -> str:
    """The one number that is all that was typed, beside letters and blanks, and no phone's or chance's; else empty."""
    if reading.exact or reading.weak or len(reading.numbers) != 1 or not typed.isascii():
        return ""
    digits = "".join(filter(str.isdigit, typed))
    return digits if digits == reading.numbers[0] and not begins_like_a_phone(digits) else ""


_BY_NUMBER = (Rung.EXACT, Rung.NORMALISED)
_UNSEEN = ("no_such_number", "nothing_known", "nothing_typed", "receipt")
"""What the engine says where it was shown too few bills to know."""


class Placer:
    """Plans a batch: look-ups once for all, then one payment after another, then the spot bills in one go."""

    def __init__(self, session: Session, incoming: Sequence[Incoming]) -> None:
        self.session = session
        self.incoming = sorted(incoming, key=lambda one: (one.payment.occurred_at, one.payment.identity))
        self.spots: list[_Spot] = []
        self.lines: dict[date, list[TariffLine]] = {}
        self.left: list[Left] = []
        self.suggested: list[Suggested] = []
        """Why payments are left in suspense, and the bills that a person may choose for them."""
        self._look_up()

    def _look_up(self) -> None:
        session = self.session
        self.prefixes = tariffs.prefixes(session)
        readings = [ladder.read(one.typed, prefixes=self.prefixes) for one in self.incoming]
        self.found = open_bills.numbers(session, (number for reading in readings for number in reading.numbers))
        readings = [self._without_weak_standing(reading) for reading in readings]
        unnamed = [not self._is_plain(one, reading) for one, reading in zip(self.incoming, readings, strict=True)]
        keys = {place: self._keys(place, readings[place]) for place, open_ in enumerate(unnamed) if open_}
        things = open_bills.things_named(session, (key for found in keys.values() for key in found))
        stations, self.station_streams = open_bills.stations(session) if any(unnamed) else ({}, {})
        self.objects = {place: self._objects_of(place, found, things) for place, found in keys.items()}
        known = ladder.Known(self.found.bills, self.found.standing, stations)
        self.named = [
            Named(Rung.PUSH, "our own push request named the bill", invoice_ids=(one.push.invoice_id,))
            if one.push
            else ladder.name(reading, known, self._meant(place))
            for place, (one, reading) in enumerate(zip(self.incoming, readings, strict=True))
        ]
        ids = [named.object_id for named in self.named if named.object_id is not None]
        ids += [object_id for found in self.objects.values() for object_id in found]
        self.things = open_bills.objects(session, ids)
        self.of_objects = open_bills.open_of_objects(session, ids)
        self.questions = {
            one.payment.id: question
            for place, (one, reading) in enumerate(zip(self.incoming, readings, strict=True))
            if not one.push and (question := self._question(place, reading)) is not None
        }
        self.wanted_bills = {invoice for named in self.named for invoice in named.invoice_ids}
        self.wanted_bills |= {invoice for invoices in self.of_objects.values() for invoice in invoices}
        self.wanted_bills |= {invoice for question in self.questions.values() for invoice in question.invoices}

    def _without_weak_standing(self, reading: ladder.Reading) -> ladder.Reading:
        """A standing number that came together by chance was not typed; weak numbers of bills the engine doubts."""
        weak = [number for number in reading.weak if number in self.found.standing]
        return replace(reading, numbers=tuple(n for n in reading.numbers if n not in weak)) if weak else reading

    def _is_plain(self, one: Incoming, reading: ladder.Reading) -> bool:
        """Whether a push, or nothing but one number that cannot be a phone, names what is meant."""
        if one.push:
            return True
        return reading.exact and (
            reading.numbers[0] in self.found.standing
            or (reading.numbers[0] in self.found.bills and not begins_like_a_phone(reading.numbers[0]))
        )

    def _keys(self, place: int, reading: ladder.Reading) -> set[str]:
        told = ladder.object_keys(self.incoming[place].typed, prefixes=self.prefixes)
        return {*map(spelling.folded, reading.names), *told}

    def _objects_of(self, place: int, keys: set[str], things: Sequence[NamedThing]) -> dict[int, tuple[str, Fit]]:
        one = self.incoming[place]
        mine = [thing for thing in things if thing.key in keys]
        return doubts.named_in(one.typed, mine, self.prefixes, typed=not one.by_bank) if mine else {}

    def _meant(self, place: int) -> list[int]:
        return [object_id for object_id, (_, fits) in self.objects.get(place, {}).items() if fits > 0]

    def _question(self, place: int, reading: ladder.Reading) -> Question | None:
        """What the engine is asked of a payment: nothing where a number, or a thing without a bill, is plain."""
        one, objects = self.incoming[place], self.objects.get(place, {})
        if self._is_plain(one, reading):
            return None
        numbers = [number for number in reading.numbers if number in self.found.bills]
        meant = {thing: name for thing, (name, fits) in objects.items() if fits > 0}
        shown = meant or {thing: name for thing, (name, _) in objects.items()}
        of_objects = {invoice: name for thing, name in shown.items() for invoice in self.of_objects[thing]}
        if not (numbers or of_objects or len(meant) == 1):
            return None
        if any(number in self.found.standing for number in reading.numbers):
            return None  # a standing number is believed as typed, or is a tie with the bills beside it
        return Question(
            one.payment.id,
            one.typed,
            one.by_bank,
            one.party.name,
            one.party.msisdn,
            one.payment.amount_minor,
            one.payment.occurred_at,
            frozenset({*(self.found.bills[number] for number in numbers), *of_objects}),
            reading.numbers[0] if reading.exact else "",
            frozenset(spelling.folded(identifiers.key(name)) for name in meant.values()),
            any(not self.of_objects[thing] for thing in meant),
            {invoice: name for invoice, name in of_objects.items() if not self._is_reference(invoice, name)},
            alone=_alone(reading, one.typed) if not objects and not one.by_bank else "",
        )

    def _is_reference(self, invoice: int, name: str) -> bool:
        return any(
            invoice in self.of_objects[thing.id] and identifiers.key(thing.reference) == identifiers.key(name)
            for thing in self.things.values()
        )

    def place(self, bills: dict[int, Open]) -> list[Placement]:
        """Plan every payment over the locked ``bills`` (``wanted_bills`` among them) and raise the spot bills."""
        placements = [Placement(one, named) for one, named in zip(self.incoming, self.named, strict=True)]
        answers = doubts.ask(self.session, [q for q in self.questions.values() if q.invoices], bills, self.prefixes)
        unbilled = [
            (self.questions[one.payment.id], self.things[named.object_id])
            for one, named in zip(self.incoming, self.named, strict=True)
            if one.payment.id in self.questions
            and one.payment.id not in answers
            and named.object_id is not None
            # What is paid before the service has no open bill as a rule: at its own price nobody else is meant
            and self._price(one, self.things[named.object_id].stream_code, self.things[named.object_id]) is None
        ]
        answers |= doubts.about_unbilled(self.session, unbilled)
        asked = {invoice: bill.outstanding_minor for invoice, bill in bills.items()}
        for placement in placements:
            placement.rest_minor = placement.incoming.payment.amount_minor
            answer = answers.get(placement.incoming.payment.id)
            if answer is not None:
                self._place_answered(placement, answer, bills, asked)
            elif placement.named.object_id is not None:
                self._place_on_object(placement, bills)
            elif placement.named.invoice_ids:
                self._place_on_bills(placement, [bills[invoice] for invoice in placement.named.invoice_ids])
            elif placement.named.station_code is not None and not placement.named.ambiguous:
                self._place_at_station(placement, placement.named.station_code, None)
            elif placement.named.ambiguous:
                self._suspend(placement, BreakReason.AMBIGUOUS_ACCOUNT, placement.named.why)
            else:
                self._suspend(placement, BreakReason.UNKNOWN_ACCOUNT, placement.named.why)
        self._raise_spot_bills()
        return placements

    def _place_answered(
        self, placement: Placement, answer: Answer, bills: dict[int, Open], asked: dict[int, int]
    ) -> None:
        """The engine's answer: bills it is certain about, unless another payment of the batch took them meanwhile."""
        named, left = placement.named, answer.left
        numbered = [bills[invoice] for invoice in named.invoice_ids]
        if answer.invoice_ids and all(invoice in bills for invoice in answer.invoice_ids):
            chosen = [bills[invoice] for invoice in answer.invoice_ids]
            placement.named = Named(answer.rung, answer.why, invoice_ids=answer.invoice_ids)
            same = all(bill.outstanding_minor == asked[bill.bill.invoice_id] for bill in chosen)
            if same or answer.rung in _BY_NUMBER:
                self._place_on_bills(placement, chosen)
                return
            why = f"{answer.why}; another payment paid that bill meanwhile"
            left = Left(placement.incoming.payment.id, placement.rest_minor, "ambiguous_account", "paid", why, None)
        believed = left is None or left.failed in ("paid_in_run", "no_such_number", "nothing_known", "nothing_typed")
        if named.object_id is not None and (left is None or left.failed == "paid_in_run"):
            self._place_on_object(placement, bills)
            return
        takes_no_money = all(not asked[bill.bill.invoice_id] for bill in numbered)
        if numbered and believed and (takes_no_money or (left is not None and left.failed == "paid_in_run")):
            self._place_on_bills(placement, numbered)  # the bills were paid or cancelled before
            return
        thing = self.things.get(named.object_id or 0)
        if left is None or left.failed in _UNSEEN:
            self._suspend(placement, BreakReason.UNKNOWN_ACCOUNT, "nothing typed is known")
            return
        stream, station = (thing.stream_code, thing.station_code) if thing else (None, None)
        self._suspend(placement, BreakReason(left.reason), left.why, stream, station)
        placement.named = Named(Rung.NONE, left.why)
        self.left.append(left)
        self.suggested += answer.candidates

    def _place_on_bills(self, placement: Placement, bills: list[Open]) -> None:
        if len(bills) > 1 and sum(bill.outstanding_minor for bill in bills) != placement.rest_minor:
            why = f"the payer typed {len(bills)} bill numbers, and the amount is not the sum of those bills"
            self._suspend(placement, BreakReason.AMBIGUOUS_ACCOUNT, why)
            return
        first = bills[0]
        was_open = any(bill.outstanding_minor for bill in bills)
        for bill in bills:
            self._pay(placement, bill)
        if not placement.rest_minor:
            return
        reason, detail = BreakReason.OVERPAID, "the amount is more than was left of the bill"
        if first.cancelled:
            reason, detail = (
                BreakReason.PAID_CANCELLED_OR_EXPIRED,
                "the bill was cancelled before the money came; the bill was not paid",
            )
        elif not was_open:
            reason, detail = BreakReason.DUPLICATE_PAYMENT, "the bill was paid before the money came"
        self._credit(placement, first.bill.payer_id, first.bill, reason, detail)

    def _place_on_object(self, placement: Placement, bills: dict[int, Open]) -> None:
        object_id = placement.named.object_id
        thing = self.things[object_id]  # type: ignore[index]
        open_now = [bills[invoice] for invoice in self.of_objects[thing.id] if bills[invoice].outstanding_minor]
        if placement.named.rung is Rung.ALIAS and len(open_now) > 1:
            why = f"{placement.named.why}; that object has {len(open_now)} open bills"
            self._suspend(placement, BreakReason.AMBIGUOUS_ACCOUNT, why, thing.stream_code, thing.station_code)
            return
        if not open_now and thing.tariff_item is not None:
            # Only a station that collects the object's stream can have been meant as the place of the service.
            named = placement.named.station_code
            meant = named if named and self.station_streams.get(named) == thing.stream_code else thing.station_code
            self._place_at_station(placement, meant, thing)
            return
        for bill in open_now:
            self._pay(placement, bill)
        if placement.rest_minor:
            reason = BreakReason.OVERPAID if open_now else BreakReason.DUPLICATE_PAYMENT
            owed = "the amount is more than the open bills of the object"
            detail = owed if open_now else "the object has no open bill: the last one was paid or cancelled"
            if not thing.was_billed:
                reason, detail = BreakReason.PAID_BEFORE_BILL, "the money came before any bill of the object was issued"
            # A payer's credit names no one bill: whichever bill of the object opens again is paid by it. Suspense,
            # where nobody is known, has only its bill to be found by.
            last = open_now[-1].bill if open_now and thing.payer_id is None else None
            self._credit(placement, thing.payer_id, last, reason, detail, thing)

    def _place_at_station(self, placement: Placement, station_code: str | None, thing: BilledThing | None) -> None:
        """Pay before service: the amount and the tariff in force raise the bill that this payment pays."""
        stream = thing.stream_code if thing else self.station_streams.get(station_code or "")
        matched = self._price(placement.incoming, stream, thing)
        if matched is None:
            detail = "no tariff line in force gives this amount, or more than one line does"
            self._suspend(placement, BreakReason.NO_TARIFF_FOR_AMOUNT, detail, stream, station_code)
            return
        self.spots.append(_Spot(placement, matched.line, matched.quantity, thing, station_code))
        placement.rest_minor = 0

    def _price(self, one: Incoming, stream: str | None, thing: BilledThing | None) -> tariffs.SpotMatch | None:
        """The tariff line in force that a payment's amount is the price of; of a thing, its own line only."""
        on = periods.nairobi_date(one.at)
        if on not in self.lines:
            self.lines[on] = list(tariffs.spot_lines(self.session, on=on))
        lines = [
            line
            for line in self.lines[on]
            if line.stream_code == stream and (thing is None or line.item_code == thing.tariff_item)
        ]
        return tariffs.spot_match(lines, one.payment.amount_minor)

    def _raise_spot_bills(self) -> None:
        if not self.spots:
            return
        issued = invoices.issue_invoices(
            self.session,
            [
                invoices.InvoiceRequest(
                    stream_code=spot.line.stream_code,
                    lines=[
                        tariffs.AssessedLine(
                            spot.line.id,
                            spot.line.stream_code,
                            spot.line.name,
                            "principal",
                            spot.quantity,
                            spot.line.amount_minor,
                        )
                    ],
                    due_on=periods.nairobi_date(spot.placement.incoming.at),
                    payer_id=spot.thing.payer_id if spot.thing else None,
                    object_id=spot.thing.id if spot.thing else None,
                    station_code=spot.station_code,
                    billing="spot",
                    at=spot.placement.incoming.at,
                )
                for spot in self.spots
            ],
            issued_by="spot",
        )
        for spot, invoice in zip(self.spots, issued, strict=True):
            amount = spot.placement.incoming.payment.amount_minor
            bill = Bill(
                invoice.id, spot.line.stream_code, spot.station_code, spot.thing.payer_id if spot.thing else None
            )
            spot.placement.places.append(Placed(amount, bill))
            spot.placement.parts.append((invoice.id, "principal", amount))

    def _pay(self, placement: Placement, bill: Open) -> None:
        taken = bill.pay(placement.rest_minor)
        amount = sum(part for _, part in taken)
        if amount:
            placement.places.append(Placed(amount, bill.bill))
            placement.parts += [(bill.bill.invoice_id, component, part) for component, part in taken]
            placement.rest_minor -= amount

    def _credit(
        self,
        placement: Placement,
        payer_id: int | None,
        bill: Bill | None,
        reason: BreakReason,
        detail: str,
        thing: BilledThing | None = None,
    ) -> None:
        """The rest becomes the payer's unapplied credit, or suspense where no payer is known."""
        stream = bill.stream_code if bill else (thing.stream_code if thing else None)
        station = bill.station_code if bill else (thing.station_code if thing else None)
        named = bill.invoice_id if bill else None
        if payer_id is None:
            self._suspend(placement, reason, detail, stream, station, named)
            return
        payment = placement.incoming.payment
        if reason is not BreakReason.OVERPAID:
            placement.breaks.append(
                NewBreak(
                    break_keys.credit(payment.id),
                    reason,
                    f"{detail}; the money is held as credit of the payer",
                    payment.occurred_at,
                    amount_minor=placement.rest_minor,
                    payment_id=payment.id,
                    channel_account_id=payment.identity.channel_account_id,
                    stream_code=stream,
                    station_code=station,
                )
            )
        placement.places.append(
            Placed(
                placement.rest_minor,
                payer_id=payer_id,
                stream_code=stream,
                station_code=station,
                named_invoice_id=named,
            )
        )
        placement.rest_minor = 0

    def _suspend(
        self,
        placement: Placement,
        reason: BreakReason,
        detail: str,
        stream_code: str | None = None,
        station_code: str | None = None,
        named_invoice_id: int | None = None,
    ) -> None:
        payment = placement.incoming.payment
        placement.breaks.append(
            NewBreak(
                break_keys.suspense(payment.id),
                reason,
                detail,
                payment.occurred_at,
                amount_minor=placement.rest_minor,
                payment_id=payment.id,
                invoice_id=named_invoice_id,
                channel_account_id=payment.identity.channel_account_id,
                stream_code=stream_code,
                station_code=station_code,
            )
        )
        placement.places.append(
            Placed(
                placement.rest_minor,
                stream_code=stream_code,
                station_code=station_code,
                named_invoice_id=named_invoice_id,
            )
        )
        placement.rest_minor = 0
