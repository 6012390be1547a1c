"""What must hold for every input: order, strangers and formats change nothing; no cent is used twice."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.engine import files, matching, sums
from revenue_engine.money import parse_wire
from tests.matching import county, oracle
from tests.matching.worlds import A, B, C, D, bill, paid, run, tables

NUMBERS = (A, B, C, D, "417240965")
AMOUNTS = ("50.00", "100.00", "150.00")
PEOPLE = (("P1", "Achieng Odera", "254712000345"), ("P2", "Peter Ng'ang'a", "254733000781"))
THINGS = ("KDA123A", "STALL-7", "")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    bills = []
    for number in draw(st.lists(st.sampled_from(NUMBERS), min_size=1, unique=True)):
        payer, name, phone = draw(st.sampled_from(PEOPLE))
        status = draw(st.sampled_from(("open", "open", "open", "paid")))
        due = draw(st.sampled_from(AMOUNTS)) if status == "open" else "0.00"
        thing = draw(st.sampled_from(THINGS))
        bills.append(bill(number, due, payer_id=payer, payer_name=name, msisdn=phone, status=status, object_ref=thing))
    payments = []
    for at in range(draw(st.integers(1, 7))):
        number = draw(st.sampled_from(NUMBERS))
        cut = draw(st.integers(0, 8))
        typed = draw(
            st.sampled_from((
                number, f"inv {number}", f"{number[:3]} {number[3:6]} {number[6:]}", number[:cut] + number[cut + 1 :],
                number[:cut] + str((int(number[cut]) + 1) % 10) + number[cut + 1 :], "KDA123A", "stall 7",
                number[:cut] + number[cut] + number[cut:], "school fees", "", f"{number} {NUMBERS[0]}",
            ))
        )  # fmt: skip
        _, name, phone = draw(st.sampled_from((*PEOPLE, ("", "John", "254799999999"))))
        amount = draw(st.sampled_from((*AMOUNTS, "200.00", "250.00")))
        moment = f"2026-04-01T09:00:0{draw(st.integers(0, 3))}+03:00"
        payments.append(
            paid(f"T{at}", amount, typed, payer_name=name.split()[0], msisdn=f"2547*****{phone[-3:]}", paid_at=moment)
        )
    return bills, payments


def answer(found: matching.Outcome) -> list[list[dict[str, str]]]:
    return [table.to_pylist() for table in (found.matches, found.suggestions, found.breaks)]


def offered(found: matching.Outcome) -> set[tuple[str, ...]]:
    """What is suggested, without its rank."""
    return {
        (row["payment_id"], row["invoice_number"], row["amount"], row["why"]) for row in found.suggestions.to_pylist()
    }


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_the_engine_is_the_ladder_of_a_slow_and_plain_oracle(
    world: tuple[list[dict[str, str]], list[dict[str, str]]],
) -> None:
    rows = run(*world).matches.to_pylist()
    got = {(row["payment_id"], row["invoice_number"], parse_wire(row["amount"]), row["rung"]) for row in rows}
    assert got == oracle.match(*world)


@settings(max_examples=150, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_order_and_strangers_change_nothing_and_no_cent_is_used_twice(
    world: tuple[list[dict[str, str]], list[dict[str, str]]], chance: random.Random
) -> None:
    bills, payments = world
    first = run(bills, payments)
    shuffled = (chance.sample(bills, len(bills)), chance.sample(payments, len(payments)))
    assert answer(run(*shuffled)) == answer(first)
    assert run(*shuffled).digest() == first.digest()
    alone = bill("730000001", "7.77", payer_id="Z", payer_name="Zed Zulu", msisdn="254700000000", object_ref="ZZ99")
    more = run([*bills, alone], payments)
    assert answer(more)[::2] == answer(first)[::2]
    assert offered(more) == offered(first)  # how rare a thing is may reorder what is shown, and nothing else
    stray = paid("T99", "7.00", "tithe", payer_name="ZED", msisdn="2547*****000", paid_at="2026-04-01T08:00:00+03:00")
    assert run(bills, [*payments, stray]).matches.to_pylist() == first.matches.to_pylist()
    given_to: Counter[str] = Counter()
    taken_of: Counter[str] = Counter()
    for row in first.matches.to_pylist():
        assert parse_wire(row["amount"]) > 0
        given_to[row["invoice_number"]] += parse_wire(row["amount"])
        taken_of[row["payment_id"]] += parse_wire(row["amount"])
    due = {row["invoice_number"]: parse_wire(row["amount_due"]) for row in bills}
    assert all(cents <= due[number] for number, cents in given_to.items())
    sizes = {row["payment_id"]: parse_wire(row["amount"]) for row in payments}
    left = {row["payment_id"]: parse_wire(row["amount"]) for row in first.breaks.to_pylist()}
    assert all(taken_of[key] + left.get(key, 0) == sizes[key] for key in sizes)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 30), max_size=9), st.integers(1, 80))
def test_sums_count_as_brute_force_counts(amounts: list[int], target: int) -> None:
    assert sums.decompose(amounts, target, counted_to=10_000).ways == oracle.subsets(amounts, target)


def test_formats_order_and_a_second_run_give_the_same_bytes(tmp_path: Path) -> None:
    bills, payments = county.make(5, 1500).write(tmp_path)
    first, second = files.read_invoices(bills), files.read_payments(payments)
    found = matching.match(first, second)
    for path in (bills, payments):
        text = pyarrow.csv.read_csv(
            path, convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(
                files.INVOICE_COLUMNS + files.PAYMENT_COLUMNS, pyarrow.string()))
        )  # fmt: skip
        pyarrow.parquet.write_table(text, path.with_suffix(".parquet"))
    again = matching.match(
        files.read_invoices(bills.with_suffix(".parquet")), files.read_payments(payments.with_suffix(".parquet"))
    )
    assert again.digest() == found.digest()
    mixed = random.Random(3)
    turned = matching.match(
        first.take(mixed.sample(range(len(first)), len(first))),
        second.take(mixed.sample(range(len(second)), len(second))),
    )
    assert answer(turned) == answer(found)


def test_small_tables_are_matched_with_nothing_in_them() -> None:
    bills, payments = tables([bill(A)], [paid("T1", typed=A)])
    assert matching.match(bills.slice(0, 0), payments).matches.num_rows == 0
    assert matching.match(bills, payments.slice(0, 0)).matches.num_rows == 0
