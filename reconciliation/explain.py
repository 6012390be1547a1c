"""What a person is shown: the ranked candidates of a payment that is left, each with its reasons. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from reconciliation import sums
from reconciliation.decide import World
from reconciliation.evidence import Agreement
from reconciliation.reading import Case
from revenue_engine.money import wire

_PHONE_POINTS = {Agreement.FULLY: 30, Agreement.PARTLY: 18, Agreement.DIFFERS: -4}
_NAME_POINTS = {Agreement.FULLY: 16, Agreement.PARTLY: 8, Agreement.DIFFERS: -3}
_AMOUNT_POINTS = 30


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A bill that a person may choose for what is left of a payment."""

    payment: int
    row: int
    amount_minor: int
    why: str


def suggest(case: Case, world: World, *, most: int) -> list[Suggestion]:
    """Rank the open bills that a payment may mean: what was typed first, then the amount, then the sender."""
    kinds = (
        (case.named, 60, "its number was typed"),
        (case.slips, 45, "its number is one slip away"),
        (case.cut, 25, "its number begins like the one that was cut off"),
        (case.far, 25, "its number is two digits away"),
        (case.objects, 45, "its object was named"),
        (case.phones, 40, "its payer's phone was typed"),
        (case.of_paid, 35, "a paid bill of its payer was typed"),
        (case.own_phone, 0, ""),
        (case.names, 6, "its payer has this name"),
        (case.near, 15, "its object is one character away"),
        (case.by_sender, 0, ""),
        (case.rivals, 0, ""),
    )
    points: dict[int, int] = {}
    said: dict[int, list[str]] = {}
    for rows, worth, words in kinds:
        for row in rows:
            if world.open_now[row]:
                points[row] = points.get(row, 0) + worth
                said.setdefault(row, []).extend([words] if words else [])
    for row in points:
        proof = world.proof(case, row)
        points[row] += _PHONE_POINTS.get(proof.phone, 0) + _NAME_POINTS.get(proof.name, 0)
        points[row] += _AMOUNT_POINTS if world.open_now[row] == case.amount_minor else 0
        said[row].append("the amount agrees" if world.open_now[row] == case.amount_minor else _differs(world, row))
        said[row].append(proof.words())
    best = sorted(points, key=lambda row: (-points[row], world.facts[row].due_on, world.facts[row].number))
    return [
        Suggestion(case.payment, row, min(case.amount_minor, world.open_now[row]), "; ".join(said[row]))
        for row in best[:most]
    ]


def _differs(world: World, row: int) -> str:
    return f"{wire(world.open_now[row])} is open"


@dataclass(frozen=True, slots=True)
class Owed:
    """The open bills of one payer, by due date and number; a payer with thousands is looked through once, not often."""

    rows: list[int]
    amounts: list[int]
    of_amount: dict[int, list[int]]
    """Cents to the bills of which exactly that is open, in the same order."""

    @classmethod
    def of(cls, rows: list[int], amounts: list[int]) -> Owed:
        """From bills in order and what is open of each, above nothing."""
        of_amount: dict[int, list[int]] = {}
        for row, amount in zip(rows, amounts, strict=True):
            of_amount.setdefault(amount, []).append(row)
        return cls(rows, amounts, of_amount)


def suggest_rest(payment: int, left_minor: int, owed: Owed, *, most: int) -> list[Suggestion]:
    """Candidates for what a payment leaves after its bill: the same payer's bill of that rest, or one set of them."""
    exact = owed.of_amount.get(left_minor, [])
    words = "the rest is what is open of this bill of the same payer"
    if len(exact) > 1:
        words = f"the rest is what is open of each of {len(exact)} bills of the same payer"
    found = [Suggestion(payment, row, left_minor, words) for row in exact[:most]]
    if not exact:
        ways = sums.decompose(owed.amounts, left_minor)
        words = "the rest is the sum of these bills of the same payer, and of no others"
        found += [Suggestion(payment, owed.rows[place], owed.amounts[place], words) for place in ways.chosen]
        if ways.ways > 1:
            words = f"{ways.ways} sets of bills of the same payer make up the rest"
            found += _each(payment, owed, most, words)
    if not found:
        found = _each(payment, owed, most, "another open bill of the same payer", left_minor)
    return found[:most]


def _each(payment: int, owed: Owed, most: int, words: str, left_minor: int | None = None) -> list[Suggestion]:
    listed = zip(owed.rows[:most], owed.amounts[:most], strict=True)
    return [
        Suggestion(payment, row, amount if left_minor is None else min(left_minor, amount), words)
        for row, amount in listed
    ]
