"""What reads well and is wrong: weak keys in a stranger's hand, numbers by chance, digits that are not ASCII."""

from __future__ import annotations

import random

import pytest
from rapidfuzz.distance import OSA

from reconciliation import ladder, spelling
from reconciliation.engine import near_objects
from reconciliation.engine.indexes import Bills
from revenue_engine.identifiers import plain
from tests.matching.worlds import A, B, C, D, bill, left, matched, paid, run, tables

STRANGER = {"payer_name": "JOHN", "msisdn": "2547*****999"}
JUMA = {"payer_id": "P2", "payer_name": "Juma Were", "msisdn": "254733000781"}


@pytest.mark.parametrize(
    "typed",
    [
        "٥٠٨٠٦٠٦١١", "５０８０６０６１１", "5080\u200b60611", "\ufeff508060611", "508060611 🙏", "🚗508060611",
        "508\u00a0060\u00a0611", "508\u2009060611", "№508060611", "५०८०६०६११", "508060611\u200f",
        "5\ufe0f\u20e30\ufe0f\u20e38\ufe0f\u20e3060611", "Málípo 508060611",
    ],
)  # fmt: skip
def test_digits_of_any_script_and_characters_without_width(typed: str) -> None:
    found = run([bill(A), bill(B)], [paid("T1", typed=typed)])
    assert {row[:3] for row in matched(found)} == {("T1", A, "100.00")}
    assert ladder.read(typed).numbers == (A,)


def test_small_raised_digits_are_no_digits_of_a_number() -> None:
    assert plain("m² ½ № ③ Ｋ é") == "m        K e"
    assert ladder.read("508060611²").numbers == (A,)


def test_a_number_in_a_bank_s_own_text_needs_the_amount_or_the_sender() -> None:
    deposit = paid("T1", "70.00", narrative=f"FT {A} JOHN MAINA BUSIA", payer_name="John Maina", msisdn="")
    found = run([bill(A)], [deposit])
    assert left(found) == {"T1": ("ambiguous_account", "sender")}
    assert found.suggestions.to_pylist()[0]["invoice_number"] == A
    assert matched(run([bill(A)], [deposit | {"payer_name": "Achieng Odera"}])) == {("T1", A, "70.00", "exact")}
    assert matched(run([bill(A)], [deposit | {"amount": "100.00"}])) == {("T1", A, "100.00", "exact")}
    assert left(run([bill(A)], [deposit | {"account_reference": "school"}])) == {"T1": ("ambiguous_account", "sender")}
    payer = deposit | {"account_reference": "school", "payer_name": "Achieng Odera"}
    assert {row[:3] for row in matched(run([bill(A)], [payer]))} == {("T1", A, "70.00")}
    assert matched(run([bill(A)], [deposit | {"account_reference": A}])) == {("T1", A, "70.00", "exact")}


@pytest.mark.parametrize("text", [f"{A[:5]}/{A[5:]} school", f"chq {A[:3]} {A[3:]}", f"{A[:4]}-{A[4:]} form 2"])
def test_groups_among_words_that_make_a_number_need_its_amount(text: str) -> None:
    assert left(run([bill(A)], [paid("T1", "70.00", text)])) == {"T1": ("ambiguous_account", "sender")}
    assert matched(run([bill(A)], [paid("T1", typed=text)])) == {("T1", A, "100.00", "normalised")}
    alone = paid("T1", "70.00", f"{A[:3]} {A[3:6]} {A[6:]}")
    assert matched(run([bill(A)], [alone])) == {("T1", A, "70.00", "normalised")}


def test_a_stranger_s_plate_is_taken_where_no_other_comes_near() -> None:
    bills = [bill(A, object_ref="KDA123A"), bill(B, object_ref="KDA124A", **JUMA)]
    stranger = paid("T1", typed="KDA123A", **STRANGER)
    assert matched(run(bills[:1], [stranger])) == {("T1", A, "100.00", "alias")}
    assert left(run(bills, [stranger])) == {"T1": ("ambiguous_account", "sender")}
    assert matched(run(bills, [paid("T1", typed="KDA123A")])) == {("T1", A, "100.00", "alias")}
    dearer = [bills[0], bills[1] | {"amount_due": "120.00"}]
    assert matched(run(dearer, [stranger])) == {("T1", A, "100.00", "alias")}
    earlier = paid("T0", typed=B, paid_at="2026-04-01T08:00:00+03:00")
    assert matched(run(bills, [earlier, stranger])) == {("T0", B, "100.00", "exact"), ("T1", A, "100.00", "alias")}


def test_a_plate_of_another_where_the_sender_owes_the_same_is_left() -> None:
    bills = [bill(A, object_ref="KDA123A"), bill(B, object_ref="UBB777X", **JUMA)]
    typed = paid("T1", typed="KDA123A", payer_name="JUMA", msisdn="2547*****781")
    assert left(run(bills, [typed])) == {"T1": ("ambiguous_account", "sender")}
    by_bank = paid("T1", narrative="EFT JUMA WERE KDA123A", payer_name="Juma Were", msisdn="", channel="BANK")
    assert left(run(bills, [by_bank])) == {"T1": ("ambiguous_account", "sender")}


def test_two_objects_are_both_read() -> None:
    bills = [bill(A, object_ref="KDB456B"), bill(B, object_ref="KDA123A", **JUMA)]
    typed = paid("T1", typed="KDA123A KDB456B")
    assert left(run(bills, [typed | STRANGER])) == {"T1": ("ambiguous_account", "several_bills")}
    assert left(run(bills, [typed])) == {"T1": ("ambiguous_account", "several_bills")}
    dearer = [bills[0], bills[1] | {"amount_due": "120.00"}]
    assert matched(run(dearer, [typed])) == {("T1", A, "100.00", "alias")}
    assert left(run(dearer, [typed | STRANGER])) == {"T1": ("ambiguous_account", "several_bills")}
    assert left(run(bills, [typed | {"amount": "200.00"}])) == {"T1": ("ambiguous_account", "several_bills")}


def test_an_amount_behind_a_name_is_no_number_of_an_object() -> None:
    bills = [bill(A, "1500.00", object_ref="NASEWA/1500"), bill(B, "1500.00", object_ref="NASEWA/1234", **JUMA)]
    typed = paid("T1", "1500.00", "rates nasewa 1500")
    assert matched(run(bills, [typed])) == {("T1", A, "1500.00", "alias")}
    assert left(run(bills[:1], [typed | STRANGER])) == {"T1": ("ambiguous_account", "sender")}
    stall = [bill(A, "50.00", object_ref="STALL-125"), bill(B, "50.00", object_ref="STALL-12550", **JUMA)]
    assert left(run(stall, [paid("T1", "50.00", "stall 125 50", **STRANGER)])) == {
        "T1": ("ambiguous_account", "several_bills")
    }


def test_an_object_named_in_other_words_needs_its_payer() -> None:
    bills = [bill(A, object_ref="SBP/2026/00018")]
    deposit = paid("T1", narrative="DEP SBP/2026/02544 BR 018", payer_name="John Maina", msisdn="")
    assert left(run(bills, [deposit])) == {"T1": ("ambiguous_account", "several_bills")}
    typed = paid("T1", typed="permit 18 sbp")
    assert matched(run(bills, [typed])) == {("T1", A, "100.00", "alias")}
    assert matched(run(bills, [typed | STRANGER])) == set()


def test_a_mistyped_number_in_a_bank_s_text_is_not_the_sender_s_phone() -> None:
    payment = paid("T1", narrative="EFT ACHIENG ODERA 708060611", payer_name="Achieng Odera", msisdn="")
    found = run([bill(A)], [payment])
    assert matched(found) == {("T1", A, "100.00", "slip")}
    assert "phone" not in found.matches.to_pylist()[0]["why"]


def test_the_end_of_a_phone_with_another_name_is_chance() -> None:
    slip = A[:4] + "7" + A[5:]
    assert left(run([bill(A)], [paid("T1", typed=slip, payer_name="JOHN")])) == {"T1": ("unknown_account", "sender")}
    own = paid("T1", typed=slip, payer_name="JOHN", msisdn="254712000345")
    assert matched(run([bill(A)], [own])) == {("T1", A, "100.00", "slip")}


def test_a_phone_in_a_bank_s_text_needs_the_payer_s_name() -> None:
    payment = paid("T1", narrative="EFT ACHIENG ODERA 0712 000 345", payer_name="Achieng Odera", msisdn="")
    assert matched(run([bill(A)], [payment])) == {("T1", A, "100.00", "payer")}
    assert matched(run([bill(A)], [payment | {"payer_name": "John Maina"}])) == set()


def test_a_phone_of_another_where_the_sender_s_own_owes_the_same_is_left() -> None:
    bills = [bill(A), bill(B, payer_id="P2", payer_name="Achieng Odera Auma", msisdn="254733000781")]
    payment = paid("T1", typed="0712000345", payer_name="Achieng Odera", msisdn="254733000781", channel="AIRTEL")
    assert left(run(bills, [payment])) == {"T1": ("ambiguous_account", "sender")}
    assert matched(run(bills[:1], [payment])) == {("T1", A, "100.00", "payer")}


def test_an_old_number_in_a_strange_hand_pays_no_second_bill_of_the_amount() -> None:
    bills = [bill(A, "0.00", payer_id="P1", status="paid"), bill(B, payer_id="P1"), bill(C, payer_id="P1")]
    first, second = paid("T1", typed=B), paid("T2", typed=A, paid_at="2026-04-01T10:00:00+03:00", **STRANGER)
    assert left(run(bills, [first, second])) == {"T2": ("ambiguous_account", "paid_in_run")}
    again = second | {"payer_name": "ACHIENG", "msisdn": "2547*****345"}
    assert {row[:2] for row in matched(run(bills, [first, again]))} == {("T1", B), ("T2", C)}
    sender = bill(D, **JUMA)
    by_juma = second | {"payer_name": "JUMA", "msisdn": "2547*****781"}
    assert left(run([*bills[:2], sender], [by_juma])) == {"T2": ("ambiguous_account", "sender")}


def test_a_code_of_another_system_is_not_nothing() -> None:
    payment = paid("T1", typed="KE6271894", payer_name="Achieng Odera", msisdn="254712000345", channel="AIRTEL")
    assert left(run([bill(A)], [payment])) == {"T1": ("unknown_account", "nothing_known")}
    assert matched(run([bill(A)], [payment | {"account_reference": "malipo"}])) == {("T1", A, "100.00", "payer")}


def test_neighbours_are_those_that_one_slip_makes() -> None:
    chance = random.Random(4)
    shapes = [f"K{chance.choice('AB')}{chance.choice('AC')}{chance.randrange(40):03d}A" for _ in range(60)]
    things = [*dict.fromkeys([*shapes, *(f"ST-{number}" for number in range(60))])]
    rows = [bill(f"9{at:08d}", object_ref=thing) for at, thing in enumerate(things)]
    bills = Bills(tables([*rows, bill(A, "70.00", object_ref=things[0]), bill(B, object_ref="")], [])[0])
    keys = [spelling.folded(thing.replace("-", "")) for thing in things]
    found = near_objects.rows(bills, [(key, 10_000) for key in [*keys, "X" * 50, ""]])
    for key, listed in zip([*keys, "X" * 50, ""], found, strict=True):
        assert sorted(listed) == [at for at, other in enumerate(keys) if OSA.distance(key, other) == 1]
    assert any(found)
    assert near_objects.rows(bills, []) == []
