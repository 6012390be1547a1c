"""The weaker rungs: one payment at a time, over the few bills it may mean. Pure.

Each rung answers with a bill, or says why not; what stops a payment keeps weaker rungs from pushing it elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciliation.engine import senders
from reconciliation.engine.case import Case
from reconciliation.engine.indexes import BillFacts, Bills, name_key
from reconciliation.engine.policy import Policy
from reconciliation.engine.senders import Agreement, Proof
from reconciliation.ladder import Rung
from revenue_engine.identifiers import begins_like_a_phone
from revenue_engine.money import wire

CASE_RUNGS = (Rung.ALIAS, Rung.SLIP, Rung.CUT, Rung.PAYER)
_LAST_NUMBER = re.compile(r"\d+$")


@dataclass(slots=True)
class WhyNot:
    """Why a payment was left: a reason from the closed list of breaks, the bill that came nearest and the words."""

    reason: str
    failed: str
    words: str
    row: int = -1
    final: bool = False
    """No weaker rung may look at the payment."""
    weight: int = 0
    """Which of several rejections is told: the nearest miss."""


@dataclass(slots=True)
class World:
    """The bills that the cases at hand may touch: facts, and what is open of each as the run goes on."""

    bills: Bills
    facts: dict[int, BillFacts]
    open_now: dict[int, int]
    paid_by: dict[int, str] = field(default_factory=dict)
    """Bill to the reference of the payment that took the last of it in this run."""

    def proof(self, case: Case, row: int) -> Proof:
        """How the sender of a payment compares with a bill's payer."""
        bill = self.facts[row]
        return senders.compare(case.sender, phone=bill.phone, name=bill.name)

    def equal(self, case: Case, rows: Iterable[int]) -> list[int]:
        """The bills of which exactly the payment's amount is open now."""
        return [row for row in rows if self.open_now[row] == case.amount_minor]

    def number(self, row: int) -> str:
        """A bill's number."""
        return self.bills.number_of(row)

    def in_order(self, rows: Iterable[int]) -> list[int]:
        """Bills by due date and number: never by their place in a file."""
        return self.bills.in_order(rows)


@dataclass(frozen=True, slots=True)
class Found:
    """A match of one of the weaker rungs."""

    payment: int
    row: int
    amount_minor: int
    rung: Rung
    why: str


Answer = Found | WhyNot | None


@dataclass(slots=True)
class Decided:
    """What the weaker rungs found, what they left and why."""

    found: list[Found] = field(default_factory=list)
    why_not: dict[int, WhyNot] = field(default_factory=dict)
    waiting: list[Case] = field(default_factory=list)
    """Payments that no rung has matched or stopped yet, in the order (occurred, reference)."""


def climb(decided: Decided, rungs: Iterable[Rung], world: World, policy: Policy, ids: dict[int, str]) -> None:
    """Try ``rungs`` on all that wait: by rung, then by (occurred, reference). ``ids`` are the payments' references."""
    for rung in rungs:
        still = []
        for case in decided.waiting:
            answer = _RUNGS[rung](case, world, policy)
            if isinstance(answer, Found):
                _take(decided, case, answer, world, ids)
                continue
            if answer is not None:
                known = decided.why_not.get(case.payment)
                if known is None or answer.final or answer.weight > known.weight:
                    decided.why_not[case.payment] = answer
                if answer.final:
                    continue
            still.append(case)
        decided.waiting = still


def _take(decided: Decided, case: Case, found: Found, world: World, ids: dict[int, str]) -> None:
    decided.found.append(found)
    world.open_now[found.row] -= found.amount_minor
    if not world.open_now[found.row]:
        world.paid_by[found.row] = ids[case.payment]
    decided.why_not.pop(case.payment, None)
    if found.amount_minor < case.amount_minor:
        words = f"{wire(case.amount_minor - found.amount_minor)} more than was open of the bill"
        decided.why_not[case.payment] = WhyNot("overpaid", "excess", words, found.row, final=True)


def leave(decided: Decided) -> None:
    """Say of every payment that still waits why it does."""
    for case in decided.waiting:
        if case.payment not in decided.why_not:
            decided.why_not[case.payment] = _unknown(case)


def _unknown(case: Case) -> WhyNot:
    if case.clues.receipt:
        return WhyNot(
            "unknown_account", "receipt", f"the M-PESA receipt {case.clues.receipt} was given, which is no bill"
        )
    if case.clues.slips:
        words = f"{case.clues.slips[0]} is no bill's number, and no open bill is one slip away from it"
        return WhyNot("unknown_account", "no_such_number", words)
    if case.says_nothing and not case.clues.phones:
        return WhyNot("unknown_account", "nothing_typed", "nothing was typed that names a bill, a payer or an object")
    return WhyNot("unknown_account", "nothing_known", "nothing that was typed is known")


def _alias(case: Case, world: World, _policy: Policy) -> Answer:
    """An object with one open bill. Loose names and several bills need more."""
    if case.named and case.doubt and not _speaks_for_itself(case, world):
        return _doubted_number(case, world, case.named[0])
    if case.named and not case.doubt:
        row = case.named[0]
        words = f"number {world.number(row)} was typed beside {case.object_words}, whose bill has the amount"
        return WhyNot("ambiguous_account", "number_and_object", words, row, final=True)
    if not case.objects:
        return _another_object(case, world)
    began = [row for row in case.objects if world.facts[row].open_minor > 0]
    if not began:
        words = f"{case.object_words} has no open bill"
        return WhyNot("unknown_account", "object_without_bill", words, world.in_order(case.objects)[0])
    rivals = [row for row in world.equal(case, case.slips) if row not in case.objects]
    if rivals:
        same = world.equal(case, began)
        if not same or (_agreeing(case, world, rivals) and not _agreeing(case, world, same)):
            return None  # the number speaks for itself: the slip's own rung decides
        nearest = world.in_order(rivals)[0]
        words = f"{case.object_words} was typed beside a number one slip away from bill {world.number(nearest)}, "
        words += "and both have this amount"
        return WhyNot("ambiguous_account", "number_and_object", words, nearest, final=True)
    equal = world.equal(case, began)
    others = world.in_order(world.equal(case, case.others)) if equal else []
    if others:
        words = f"{case.object_words} was typed beside the phone or the name of the payer of bill "
        words += f"{world.number(others[0])}, and both owe this amount"
        return WhyNot("ambiguous_account", "several_payers", words, world.in_order(equal)[0], final=True)
    several = len({world.facts[row].object_ref for row in case.objects}) > 1
    doubtful = several and not world.proof(case, began[0]).undisputed  # also of things that owe nothing any more
    if len(began) == 1 and not case.loosely and not doubtful:
        return _only_bill_of_object(case, world, began[0])
    if len({world.facts[row].object_ref for row in equal}) > 1:
        words = f"{case.object_words} were typed, and more than one of them has a bill of this amount"
        return WhyNot("ambiguous_account", "several_bills", words, world.in_order(equal)[0], final=True)
    fits = [row for row in equal if world.proof(case, row).undisputed]
    if len(fits) == 1:
        proof = world.proof(case, fits[0])
        of = "its one open bill has" if len(began) == 1 else f"of {_bills(len(began))} one has"
        words = f"{_was_typed(case, world)}; {of} this amount and this payer"
        return Found(case.payment, fits[0], case.amount_minor, Rung.ALIAS, f"{words}: {proof.words()}")
    at = "it" if len(began) == 1 else "one of them"
    words = f"{_was_typed(case, world)}, with {_bills(len(began))}; amount and sender do not point at {at}"
    return WhyNot("ambiguous_account", "several_bills", words, world.in_order(began)[0], final=True)


def _speaks_for_itself(case: Case, world: World) -> bool:
    """Whether beside a doubted number an object of the sender's own has the amount."""
    return bool(_agreeing(case, world, world.equal(case, case.objects)))


def _doubted_number(case: Case, world: World, row: int) -> WhyNot:
    """Left, unless a weaker rung finds the payer of the phone that the number may be."""
    opened, proof = world.open_now[row], world.proof(case, row)
    words = f"{world.number(row)} can be read out of the text, but {case.doubt}"
    if opened != case.amount_minor:
        words += f", {wire(opened)} is open of that bill, not this amount"
    words += f", and {proof.words()}" if proof.doubtful else ""
    is_phone = begins_like_a_phone(world.number(row))
    return WhyNot("ambiguous_account", "sender", words, row, final=not is_phone, weight=8)


def _another_object(case: Case, world: World) -> WhyNot | None:
    """Why an object that is written with the same characters is not the one that was typed."""
    if case.longer:
        row = world.in_order(case.longer)[0]
        words = f"what was typed goes on after {world.facts[row].object_ref}, so it names another object"
        return WhyNot("unknown_account", "longer_name", words, row, weight=3)
    if case.moved:
        row = world.in_order(case.moved)[0]
        words = f"the separators of what was typed stand elsewhere than in {world.facts[row].object_ref}"
        return WhyNot("unknown_account", "other_groups", f"{words}, so it names another object", row, weight=3)
    return None


def _doubt(case: Case, world: World, row: int) -> WhyNot | None:
    """Why an object's bill of the right amount is not taken from somebody who is not seen to be its payer."""
    proof = world.proof(case, row)
    if proof.undisputed:
        return None
    who = f"{world.facts[row].object_ref} was typed and its bill has this amount, but {proof.words()}"
    if _LAST_NUMBER.findall(world.facts[row].object_ref) == [str(case.amount_minor // 100)]:
        words = f"{who}, and the number of the object may be the amount that was typed"
        return WhyNot("ambiguous_account", "sender", words, row, final=True)
    own = _agreeing(case, world, world.equal(case, case.rivals))
    if own:
        words = f"{who}, who seems to owe the same on bill {world.number(world.in_order(own)[0])}"
        return WhyNot("ambiguous_account", "sender", words, row, final=True)
    near = world.in_order(world.equal(case, case.near))
    if near:
        words = f"{who}, and {world.facts[near[0]].object_ref}, one character away, owes the same"
        return WhyNot("ambiguous_account", "sender", words, row, final=True)
    return None


def _same_money(case: Case, world: World, rows: Iterable[int]) -> WhyNot | None:
    """Of a payer's two bills of this amount one was paid in this run: somebody else may be paying the same one."""
    twins = world.in_order(
        row for row in rows if world.facts[row].open_minor == case.amount_minor and not world.open_now[row]
    )
    if not twins:
        return None
    words = "the payer had two bills of this amount, of which one was paid in this run by "
    words += f"{world.paid_by.get(twins[0], 'another payment')}; this one, by somebody else, may be for the same bill"
    return WhyNot("ambiguous_account", "paid_in_run", words, twins[0], final=True)


def _agreeing(case: Case, world: World, rows: Iterable[int]) -> list[int]:
    return [row for row in rows if world.proof(case, row).agrees]


def _only_bill_of_object(case: Case, world: World, row: int) -> Answer:
    opened, proof = world.open_now[row], world.proof(case, row)
    if not opened:
        by = world.paid_by.get(row, "another payment")
        words = f"the one open bill of {case.object_words} was paid in this run by {by}"
        return WhyNot("duplicate_payment", "paid_in_run", words, row, final=True)
    if opened == case.amount_minor:
        doubt = _doubt(case, world, row)
        if doubt:
            return doubt
        words = f"{case.object_words} was typed and has one open bill, of this amount; {proof.words()}"
        words += "" if proof.undisputed else ", but nothing written alike owes this amount"
        return Found(case.payment, row, opened, Rung.ALIAS, words)
    if proof.undisputed:
        taken = min(opened, case.amount_minor)
        words = f"{case.object_words} was typed and has one open bill; {proof.words()}; {wire(opened)} was open"
        return Found(case.payment, row, taken, Rung.ALIAS, words)
    words = f"{wire(opened)} is open of the bill of {case.object_words}, not this amount, and {proof.words()}"
    return WhyNot("ambiguous_account", "amount", words, row, final=True)


def _was_typed(case: Case, world: World) -> str:
    several = len({world.facts[row].object_ref for row in case.objects}) > 1
    if case.loosely:
        return f"{case.object_words} can be read out of what was typed"
    return f"{case.object_words} {'were' if several else 'was'} typed"


def _bills(count: int) -> str:
    return "1 open bill" if count == 1 else f"{count} open bills"


def _carry(payers: int) -> str:
    return "one payer carries" if payers == 1 else f"{payers} payers carry"


def _slip(case: Case, world: World, policy: Policy) -> Answer:
    """A number one slip away, the amount equal, the payer's evidence agreeing, and no second such bill."""
    if not case.slips or not policy.correct_slips:
        return None
    equal = world.equal(case, case.slips)
    fits = _agreeing(case, world, equal)
    if len(fits) == 1:
        typed, slip = case.slips[fits[0]]
        words = f"{typed} was typed for {world.number(fits[0])}: {slip}; the amount is what is open; "
        words += world.proof(case, fits[0]).words()
        return Found(case.payment, fits[0], case.amount_minor, Rung.SLIP, words)
    if fits:
        words = f"{len(fits)} bills are one slip away, with this amount and this sender"
        return WhyNot("ambiguous_account", "several_bills", words, world.in_order(fits)[0], weight=9)
    nearest = world.in_order(equal or case.slips)[0]
    typed, slip = case.slips[nearest]
    if equal:
        words = f"{typed} is one slip from {world.number(nearest)} ({slip}) and the amount agrees, but "
        return WhyNot("unknown_account", "sender", words + world.proof(case, nearest).words(), nearest, weight=8)
    opened = world.open_now[nearest]
    words = (
        f"{typed} is one slip from {world.number(nearest)} ({slip}), of which {wire(opened)} is open, not this amount"
    )
    return WhyNot("unknown_account", "amount", words, nearest, weight=3)


def _cut(case: Case, world: World, policy: Policy) -> Answer:
    """A number whose end was cut off, the amount equal, the payer's evidence agreeing, and no second such bill."""
    equal = world.equal(case, case.cut) if case.cut and policy.correct_slips else []
    if not equal:
        return None
    fits = _agreeing(case, world, equal)
    if len(fits) == 1:
        proof = world.proof(case, fits[0])
        words = f"{case.clues.cut} begins the bill's number, the end of which is cut off; the amount is what is open; "
        words += proof.words()
        return Found(case.payment, fits[0], case.amount_minor, Rung.CUT, words)
    nearest = world.in_order(fits or equal)[0]
    words = f"{case.clues.cut} begins the number of {_bills(len(fits or equal))} of this amount, but " + (
        "more than one fits the sender" if fits else world.proof(case, nearest).words()
    )
    return WhyNot("ambiguous_account", "several_bills" if fits else "sender", words, nearest, weight=7)


def _payer(case: Case, world: World, policy: Policy) -> Answer:
    """A payer's phone, name or paid bill, with exactly one open bill of that amount for that payer."""
    if not policy.trust_payer:
        return None
    last: Answer = None
    for source in (_by_paid_number, _by_typed_phone, _by_typed_name, _by_own_phone):
        answer = source(case, world, policy)
        if isinstance(answer, Found) or (answer is not None and answer.weight > 2):
            return answer
        last = answer or last
    return last


def _one_of(
    case: Case, world: World, fits: list[int], who: str, rows: Sequence[int], *, by_phone: bool = False
) -> Answer:
    """The single bill of the amount, or the reason why there is none. ``who`` may say already that the phones agree."""
    if len(fits) == 1:
        proof = world.proof(case, fits[0])
        twice = None if proof.agrees else _same_money(case, world, rows)
        if twice:
            return twice
        rest = proof._replace(phone=Agreement.UNKNOWN) if by_phone and proof.name > 0 else proof
        words = f"{who}, who has one open bill of this amount; {rest.words()}"
        return Found(case.payment, fits[0], case.amount_minor, Rung.PAYER, words)
    if fits:
        words = f"{who}, who has {len(fits)} open bills of this amount"
        return WhyNot("ambiguous_account", "several_bills", words, world.in_order(fits)[0], weight=9)
    nearest = world.in_order([row for row in rows if world.open_now[row]] or rows)[0]
    return WhyNot("unknown_account", "amount", f"{who}, who has no open bill of this amount", nearest, weight=4)


def _by_paid_number(case: Case, world: World, _policy: Policy) -> Answer:
    if not case.of_paid:
        return None
    payers = {world.facts[row].payer for row in case.paid}
    number = world.number(case.paid[0])
    if len(payers) > 1:
        words = "numbers of paid bills of several payers were typed"
        return WhyNot("ambiguous_account", "several_payers", words, case.paid[0], weight=5)
    equal = world.equal(case, case.of_paid)
    if len(equal) == 1 and not world.proof(case, equal[0]).agrees:
        own = [row for row in _agreeing(case, world, world.equal(case, case.rivals)) if row not in case.of_paid]
        if own:
            words = (
                f"{number} is a bill of somebody else that takes no money any more, and the sender seems to have an"
                " open bill of this amount"
            )
            return WhyNot("ambiguous_account", "sender", words, world.in_order(own)[0], weight=7)
    state = "cancelled" if world.bills.is_cancelled(case.paid[0]) else "paid"
    answer = _one_of(case, world, equal, f"{number} is a {state} bill of this payer", case.of_paid)
    if isinstance(answer, WhyNot) and answer.reason == "unknown_account":
        answer.reason = "paid_cancelled_or_expired"
        answer.row = case.paid[0]
    return answer


def _by_typed_phone(case: Case, world: World, _policy: Policy) -> Answer:
    if not case.phones:
        return None
    equal = world.equal(case, case.phones)
    if not case.typed:  # a phone in a bank's text may be anybody's: the depositor's, the bank's own
        fits = [row for row in equal if world.proof(case, row).name is Agreement.FULLY]
        who = "the phone in the bank's text is the payer's"
        namesakes = [row for row in world.equal(case, case.rivals) if row not in case.phones]
        if fits and namesakes:
            words = f"{who}, but somebody of the same name owes this amount too"
            return WhyNot("ambiguous_account", "several_payers", words, world.in_order(fits)[0], weight=6)
        return _one_of(case, world, fits, who, case.phones, by_phone=True) if fits else None
    shared = len({world.facts[row].payer for row in case.phones}) > 1
    fits = [row for row in equal if not shared or world.proof(case, row).name > 0]
    if shared and not fits:
        words = "the phone that was typed is shared by several payers, and the sender's name is none of theirs"
        return WhyNot("ambiguous_account", "several_payers", words, world.in_order(equal or case.phones)[0], weight=6)
    doubt = _phone_doubt(case, world, fits)
    return doubt or _one_of(case, world, fits, "the phone that was typed is the payer's", case.phones)


def _phone_doubt(case: Case, world: World, fits: list[int]) -> WhyNot | None:
    """A typed phone has no check digit: why it does not speak for the payer of the bills ``fits``."""
    borrowed = [row for row in fits if _same_phone_other_name(world.proof(case, row))]
    if borrowed:
        words = "the phone that was typed is the payer's, but it was used by somebody of another name"
        return WhyNot("ambiguous_account", "sender", words, world.in_order(borrowed)[0], weight=6)
    strange = [row for row in fits if world.proof(case, row).doubtful]
    if strange:
        words = "a payer of the phone that was typed has a bill of this amount, but the sender is somebody else"
        return WhyNot("ambiguous_account", "sender", words, world.in_order(strange)[0], weight=6)
    own = [row for row in world.equal(case, case.own_phone) if row not in case.phones]
    if fits and own:
        words = (
            "a payer of the phone that was typed has a bill of this amount, and so has the payer of the sender's phone"
        )
        return WhyNot("ambiguous_account", "sender", words, world.in_order(own)[0], weight=6)
    return None


def _same_phone_other_name(proof: Proof) -> bool:
    """Whether somebody else used the payer's own phone, as in a family: it may be their own affair."""
    return proof.phone > 0 and proof.name is Agreement.DIFFERS


def _by_typed_name(case: Case, world: World, policy: Policy) -> Answer:
    typed = senders.name_words(case.text) if case.typed else ()
    key = name_key(typed)
    if not key or any(character.isdigit() for character in case.text):
        return None
    if case.payers_of_name and not case.names:
        words = (
            f"{_carry(case.payers_of_name)} the name that was typed; no bill of theirs has this amount, or too many do"
        )
        return WhyNot("ambiguous_account", "several_payers", words, weight=2)
    rows = [row for row in case.names if name_key(world.facts[row].name) == key]
    equal = world.equal(case, rows)
    if not equal:
        return None
    proofs = {row: world.proof(case, row) for row in equal}
    same_phone = [row for row in equal if proofs[row].phone is Agreement.FULLY]
    if same_phone:
        return _one_of(case, world, same_phone, "the name that was typed is the payer's", rows)
    tells_apart = case.payers_of_name * policy.name_chance_1_in <= 10**senders.LEAST_TAIL
    fits = [row for row in equal if proofs[row].phone is Agreement.PARTLY and proofs[row].name > 0]
    if fits and tells_apart:
        return _one_of(case, world, fits, "the name that was typed is the payer's", rows)
    if case.payers_of_name == 1 and not any(proof.doubtful for proof in proofs.values()):
        return _one_of(case, world, equal, "the name that was typed is that of one payer only", rows)
    nearest = world.in_order(fits or equal)[0]
    words = f"{_carry(case.payers_of_name)} the name that was typed, and " + (
        "the end of a phone does not tell so many apart" if fits else proofs[nearest].words()
    )
    return WhyNot("ambiguous_account", "sender", words, nearest, weight=6)


def _by_own_phone(case: Case, world: World, _policy: Policy) -> Answer:
    """The sender's whole phone speaks where the text names nothing else, or a number that is nearly right."""
    rows = [row for row in case.own_phone if world.proof(case, row).name is not Agreement.DIFFERS]
    if not rows or not case.says_nothing:
        return None
    fits = world.equal(case, rows)
    if case.clues.slips and fits:
        near = {*case.slips, *case.far, *case.cut}
        if near.isdisjoint(fits):
            words = f"the sender's phone is the payer's, but {case.clues.slips[0]} is far from the number of the bill"
            return WhyNot("ambiguous_account", "other_number", words, world.in_order(fits)[0], weight=5)
        fits = [row for row in fits if row in near]
    return _one_of(case, world, fits, "the sender's phone is the payer's", rows, by_phone=True)


_RUNGS = {Rung.ALIAS: _alias, Rung.SLIP: _slip, Rung.CUT: _cut, Rung.PAYER: _payer}
