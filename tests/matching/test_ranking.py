"""In which order a person is shown the bills that a payment may mean."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.engine import indexes, ranking
from reconciliation.engine import senders as evidence
from reconciliation.engine.senders import Sender
from revenue_engine.identifiers import draw_pay_account_number
from tests.matching.worlds import A, B, C, bill, paid, run, tables

PHONES = st.sampled_from(("254712000345", "0712000345", "2547*****345", "2547xxxxx781", "071234", "712 000 345", ""))
NAMES = st.sampled_from(("Achieng Odera", "ACHIENG", "A. Odera", "Peter Ng'ang'a", "PETER", "ODERA ACHIENG", "Ach", ""))


def shown(found: ranking.Ranked | object, payment: str = "T1") -> list[str]:
    rows = found.suggestions.to_pylist()  # type: ignore[union-attr]
    return [row["invoice_number"] for row in rows if row["payment_id"] == payment]


@settings(deadline=None)
@given(st.lists(st.tuples(PHONES, NAMES), min_size=1, max_size=5), st.lists(st.tuples(PHONES, NAMES), min_size=1))
def test_senders_are_compared_in_columns_as_one_by_one(
    payers: list[tuple[str, str]], sent: list[tuple[str, str]]
) -> None:
    numbers = sorted({draw_pay_account_number() for _ in range(40)})
    table, _ = tables(
        [bill(number, msisdn=phone, payer_name=name) for number, (phone, name) in zip(numbers, payers, strict=False)],
        [],
    )
    bills = indexes.Bills(table)
    listed = [Sender(evidence.phone_pattern(phone), evidence.name_words(name)) for phone, name in sent]
    senders = ranking.Senders(bills, listed)
    place, row = (part.reshape(-1) for part in np.mgrid[0 : len(listed), 0 : len(bills)])
    facts = bills.facts(range(len(bills)))
    plain = [
        evidence.compare(listed[one], phone=facts[other].phone, name=facts[other].name)
        for one, other in zip(place.tolist(), row.tolist(), strict=True)
    ]
    assert senders.phones(place, row).tolist() == [proof.phone for proof in plain]
    assert senders.agreements(place, row).tolist() == [proof.name for proof in plain]


@settings(deadline=None)
@given(st.integers(1, 10**12))
def test_tenths_of_bits_are_whole_numbers_rounded_down(count: int) -> None:
    assert 0 <= 10 * math.log2(count) - ranking.tenths(count) < 1 + 1e-9


def test_of_many_bills_with_the_name_that_was_typed_the_sender_s_comes_first() -> None:
    """Thirty payers of one name owe the same; the end of a phone hints at one, no more."""
    numbers = sorted({draw_pay_account_number() for _ in range(40)})[:30]
    bills = [
        bill(number, payer_id=f"P{place}", msisdn=f"2547120001{place:02d}", due_on=f"2026-04-{30 - place:02d}")
        for place, number in enumerate(numbers)
    ]
    found = run(bills, [paid("T1", typed="ACHIENG ODERA", msisdn="2547*****100")])
    assert found.matches.num_rows == 0
    assert shown(found)[0] == numbers[0]
    assert len(shown(found)) == 5


def test_a_bill_that_was_paid_is_not_offered() -> None:
    """What certain matches used up makes room: the crowd that owed the amount when the run began is no longer one."""
    numbers = sorted({draw_pay_account_number() for _ in range(400)})[:300]
    bills = [bill(number, payer_id=f"P{place}", msisdn="") for place, number in enumerate(numbers)]
    payments = [paid(f"N{place}", typed=number) for place, number in enumerate(numbers[:-1])]
    found = run(bills, [*payments, paid("T1", typed="ACHIENG ODERA", payer_name="JOHN")])
    assert shown(found) == numbers[-1:]


def test_a_name_in_a_bank_s_narrative_is_told_from_the_sender_s() -> None:
    bills = [
        bill(A, payer_id="P1", payer_name="Grace Ochieng", msisdn="", due_on="2026-04-30"),
        bill(B, payer_id="P2", payer_name="John Odhiambo", msisdn="", due_on="2026-04-01"),
        bill(C, payer_id="P3", payer_name="Grace Ochieng", msisdn="", due_on="2026-05-30"),
    ]
    sent = {"payer_name": "John Odhiambo", "msisdn": "", "channel": "BANK"}
    assert shown(run(bills, [paid("T1", narrative="DEP GRACE OCHIENG BUSIA BR T1", **sent)])) == [A, C, B]
    assert shown(run(bills, [paid("T1", narrative="EFT JOHN ODHIAMBO GRACE OCHIENG", **sent)])) == [A, C, B]


def test_what_senders_do_is_learnt_from_certain_matches() -> None:
    """Where most pay for others, an agreeing sender still speaks for a bill, and a stranger less against one."""
    strangers = ranking.Habits.of([(-1, -1)] * 90 + [(1, 1)] * 10, [True] * 100)
    themselves = ranking.Habits.of([(-1, -1)] * 10 + [(1, 1)] * 90, [True] * 100)
    assert strangers.proofs[1, 1] < themselves.proofs[1, 1]
    assert strangers.proofs[3, 3] > themselves.proofs[3, 3]
    nobody = ranking.Habits.of([], [])
    assert nobody.proofs[3, 3] < nobody.proofs[1, 1] < nobody.proofs[3, 1]
    assert nobody.same_amount < nobody.other_amount


def test_a_payer_of_very_many_bills_is_looked_at_by_amount() -> None:
    """More bills than are ever listed, of which two have the amount: a paid bill's number finds them."""
    numbers = sorted({draw_pay_account_number() for _ in range(400)} - {A})[:300]
    many = [bill(number, f"{1000 + place // 2}.00", payer_id="P1", msisdn="") for place, number in enumerate(numbers)]
    found = run([bill(A, payer_id="P1", status="paid"), *many], [paid("T1", "1070.00", A, payer_name="JOHN")])
    assert found.matches.num_rows == 0
    assert sorted(shown(found)) == numbers[140:142]
