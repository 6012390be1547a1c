"""What a person is shown for the rest of a payment that paid the bill it named: the same payer's other bills. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from reconciliation.engine import sums


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A bill that a person may choose for what is left of a payment."""

    payment: int
    row: int
    amount_minor: int
    why: str


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
