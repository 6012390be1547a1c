"""Each rung by itself: what it takes, and what it must leave."""

from __future__ import annotations

import pytest

from reconciliation import ladder
from reconciliation.engine import near_numbers, sums
from reconciliation.engine.senders import Agreement, name_words, names_agree, phone_pattern, phones_agree
from revenue_engine.identifiers import is_pay_account_number
from tests.matching.worlds import A, B, C, bill, left, matched, paid, run


def test_the_numbers_of_these_tests_are_well_formed() -> None:
    assert all(map(is_pay_account_number, (A, B, C)))


@pytest.mark.parametrize(
    ("typed", "rung"),
    [
        (A, "exact"), (f" {A} ", "exact"), (f"{A[:3]} {A[3:6]} {A[6:]}", "normalised"), (f"INV{A}", "normalised"),
        (f"Bill {A}", "normalised"), (f"{A}/Mary", "normalised"), (f"#{A}", "normalised"), (f"*635*{A}#", "normalised"),
        (A.replace("0", "o").replace("1", "l"), "normalised"), ("5O8O6O6ll", "normalised"), ("SoBo6o6l1", "normalised"),
        (f"malipo ya soko {A}", "normalised"), (f"{A[:3]}-{A[3:6]}-{A[6:]} 30 03", "normalised"),
    ],
)  # fmt: skip
def test_a_number_in_many_clothes(typed: str, rung: str) -> None:
    found = run([bill(A), bill(B, payer_id="other")], [paid("T1", typed=typed, payer_name="X", msisdn="")])
    assert matched(found) == {("T1", A, "100.00", rung)}


@pytest.mark.parametrize(
    "narrative",
    [
        f"EFT ACHIENG ODERA {A}", f"DEP {A} BUSIA BR TL6YEH", f"RTGS/Achieng Odera/{A}/COUNTY REV",
        f"MPS 254700000101 UB1AB2CD01 {A} JANE OTI", f"EAZZYPAY/254700000102/07STK/{A}/100972950094/",
        f"TIP6V5IRAG~254700000106~{A}~MPESAC2B_400200~JANE DOE", f"RTGS/X/{A[:5]} {A[5:]}/COUNTY",
        f"DEP {A} BUSIA BR 7T81S5", f"USSD/254700000103/{A}/254700000104/ SAMUEL",
    ],
)  # fmt: skip
def test_a_number_in_a_bank_s_narrative(narrative: str) -> None:
    payment = paid("T1", narrative=narrative, msisdn="", channel="BANK")
    assert {row[:3] for row in matched(run([bill(A)], [payment]))} == {("T1", A, "100.00")}


@pytest.mark.parametrize("text", ["0712345678", "254712345678", "KPLC 4456", "school fees", "", ".", "TL6YEHUNOX"])
def test_what_is_no_number_is_not_read_as_one(text: str) -> None:
    assert ladder.numbers_in(ladder.tokens_of(text)) == ()


@pytest.mark.parametrize(
    ("reference", "typed"),
    [
        ("KDA123A", "kda 123a"), ("KDA123A", "BSAKDA123A"), ("KDA123A", "TRL-KDA123A"), ("KDA103A", "KDA1O3A"),
        ("STALL-1306", "stall 1306"), ("STALL-1306", "STA LL-1306"), ("SBP/2026/00456", "sbp 2026 00456"),
        ("SBP/2026/00456", "SBP/2O26/OO456"), ("NASEWA/1500", "plot 1500 nasewa"), ("NASEWA/1500", "nasewa 1500"),
        ("BCRH-001234", "bcrh 1234"), ("KDA 123A", "KDA-123-A"),
    ],
)  # fmt: skip
def test_an_object_as_it_is_typed(reference: str, typed: str) -> None:
    found = run([bill(A, object_ref=reference), bill(B, object_ref="OTHER-77")], [paid("T1", typed=typed)])
    assert matched(found) == {("T1", A, "100.00", "alias")}


def test_an_object_with_two_open_bills_is_left_unless_amount_and_sender_point_at_one() -> None:
    two = [bill(A, object_ref="KDA123A"), bill(B, "250.00", object_ref="KDA123A")]
    assert left(run(two, [paid("T1", typed="KDA123A", payer_name="X", msisdn="")]))["T1"][0] == "ambiguous_account"
    assert matched(run(two, [paid("T1", typed="KDA123A")])) == {("T1", A, "100.00", "alias")}
    same = [bill(A, object_ref="KDA123A"), bill(B, object_ref="KDA123A")]
    assert left(run(same, [paid("T1", typed="KDA123A")])) == {"T1": ("ambiguous_account", "several_bills")}


def test_an_object_s_bill_paid_in_this_run_takes_no_other_bill_of_the_payer() -> None:
    bills = [bill(A, object_ref="KDA123A"), bill(B, payer_id=f"P-{A}", object_ref="KDB1A")]
    payments = [paid("T1", typed=A), paid("T2", typed="KDA123A", channel="AIRTEL", msisdn="254712000345")]
    found = run(bills, payments)
    assert matched(found) == {("T1", A, "100.00", "exact")}
    assert left(found) == {"T2": ("duplicate_payment", "paid_in_run")}


@pytest.mark.parametrize(
    "typed", [A[:4] + "7" + A[5:], A[:3] + A[4] + A[3] + A[5:], A[:5] + A[6:], A[:3] + A[2] + A[3:]]
)
def test_a_slip_needs_the_amount_and_the_payer(typed: str) -> None:
    assert matched(run([bill(A)], [paid("T1", typed=typed)])) == {("T1", A, "100.00", "slip")}
    assert left(run([bill(A)], [paid("T1", "90.00", typed)])) == {"T1": ("unknown_account", "amount")}
    stranger = paid("T1", typed=typed, payer_name="JOHN", msisdn="2547*****999")
    assert left(run([bill(A)], [stranger])) == {"T1": ("unknown_account", "sender")}
    assert run([bill(A)], [stranger]).suggestions.to_pylist()[0]["invoice_number"] == A
    assert matched(run([bill(A)], [paid("T1", typed=typed)], correct_slips=False)) == set()


def test_two_bills_one_slip_away_are_a_tie() -> None:
    typed = A[:4] + "7" + A[5:]
    other = next(number for number in near_numbers.one_slip(typed) if number != A)
    found = run([bill(A), bill(other)], [paid("T1", typed=typed)])
    assert left(found) == {"T1": ("ambiguous_account", "several_bills")}
    assert {row["invoice_number"] for row in found.suggestions.to_pylist()} == {A, other}


def test_every_single_slip_is_found_and_every_answer_is_one_slip_away() -> None:
    from rapidfuzz.distance import OSA

    for number in (A, B, C):
        for place in range(9):
            for digit in "0123456789":
                typed = number[:place] + digit + number[place + 1 :]
                assert typed == number or number in near_numbers.one_slip(typed)
            assert number in near_numbers.one_slip(number[:place] + number[place + 1 :])
            assert number in near_numbers.one_slip(number[: place + 1] + number[place:])
        wrong = str((int(number[0]) + 3) % 9 + 1) + number[1:]
        for typed in (wrong, number[1:], number + "7"):
            assert all(
                OSA.distance(typed, found) == 1 and is_pay_account_number(found)
                for found in near_numbers.one_slip(typed)
            )
        assert near_numbers.one_slip(number) == {}
        two = wrong[:8] + str((int(wrong[8]) + 1) % 10)
        assert number in near_numbers.two_slips(two)
        assert all(sum(map(str.__ne__, two, found)) == 2 for found in near_numbers.two_slips(two))


def test_two_digits_wrong_are_suggested_not_matched() -> None:
    found = run([bill(A)], [paid("T1", typed=A[:2] + "11" + A[4:])])
    assert matched(found) == set()
    assert found.suggestions.to_pylist()[0]["invoice_number"] == A


def test_a_number_cut_off_at_the_end_of_a_narrative() -> None:
    payment = paid("T1", narrative=f"EFT ACHIENG ODERA {A[:7]}", channel="BANK", payer_name="Achieng Odera", msisdn="")
    assert matched(run([bill(A)], [payment])) == {("T1", A, "100.00", "cut")}
    stranger = payment | {"payer_name": "John Doe"}
    assert left(run([bill(A)], [stranger])) == {"T1": ("ambiguous_account", "sender")}


def test_a_payer_s_phone_takes_the_one_bill_of_that_amount() -> None:
    bills = [bill(A, payer_id="P1"), bill(B, "70.00", payer_id="P1")]
    for typed in ("0712000345", "254712000345", "+254712000345", "0712 000 345", "712000345", "tel 0712000345"):
        payment = paid("T1", typed=typed)
        assert matched(run(bills, [payment | {"payer_name": "", "msisdn": ""}])) == {("T1", A, "100.00", "payer")}
        assert matched(run(bills, [payment])) == {("T1", A, "100.00", "payer")}
        assert left(run([bills[0], bill(B, payer_id="P1")], [payment]))["T1"] == ("ambiguous_account", "several_bills")


def test_a_phone_that_a_family_shares_needs_the_name() -> None:
    bills = [bill(A, payer_id="P1", payer_name="Achieng Odera"), bill(B, payer_id="P2", payer_name="Peter Odera")]
    payment = paid("T1", typed="0712000345", payer_name="PETER")
    assert matched(run(bills, [payment])) == {("T1", B, "100.00", "payer")}
    found = run(bills, [payment | {"payer_name": "JOHN"}])
    assert left(found) == {"T1": ("ambiguous_account", "several_payers")}


def test_a_payer_s_phone_in_another_s_hand_is_left() -> None:
    found = run([bill(A)], [paid("T1", typed="0712000345", payer_name="JOHN")])
    assert left(found) == {"T1": ("ambiguous_account", "sender")}
    stranger = paid("T1", typed="0712000345", payer_name="JOHN", msisdn="2547*****999")
    found = run([bill(A)], [stranger])
    assert left(found) == {"T1": ("ambiguous_account", "sender")}
    assert found.suggestions.to_pylist()[0]["invoice_number"] == A


def test_the_number_of_a_paid_bill_stands_for_its_payer() -> None:
    bills = [bill(A, "0.00", payer_id="P1", status="paid"), bill(B, payer_id="P1")]
    assert matched(run(bills, [paid("T1", typed=A)])) == {("T1", B, "100.00", "payer")}
    assert left(run(bills, [paid("T1", "60.00", A)]))["T1"] == ("paid_cancelled_or_expired", "amount")
    two = [*bills, bill(C, payer_id="P1")]
    assert left(run(two, [paid("T1", typed=A)]))["T1"] == ("ambiguous_account", "several_bills")


def test_a_name_alone_is_not_enough_where_many_carry_it() -> None:
    bills = [bill(A), *(bill(f"9{at:08d}", "5.00", payer_id=f"Q{at}", msisdn="") for at in range(40))]
    typed = paid("T1", typed="Achieng Odera")
    assert left(run(bills, [typed])) == {"T1": ("ambiguous_account", "sender")}
    assert matched(run(bills[:10], [typed])) == {("T1", A, "100.00", "payer")}
    stranger = typed | {"payer_name": "JOHN", "msisdn": "2547*****999"}
    assert left(run(bills[:1], [stranger])) == {"T1": ("ambiguous_account", "sender")}


def test_sums_are_applied_whole_and_only_when_every_number_is_typed() -> None:
    bills = [bill(A, payer_id="P1"), bill(B, "250.00", payer_id="P1")]
    both = {("T1", A, "100.00", "sum_of_numbers"), ("T1", B, "250.00", "sum_of_numbers")}
    assert matched(run(bills, [paid("T1", "350.00", f"{A} {B}")])) == both
    assert left(run(bills, [paid("T1", "340.00", f"{A} {B}")])) == {"T1": ("ambiguous_account", "sum")}
    found = run(bills, [paid("T1", "350.00", A)])
    assert matched(found) == {("T1", A, "100.00", "exact")}
    assert left(found) == {"T1": ("overpaid", "excess")}
    assert [(row["invoice_number"], row["amount"]) for row in found.suggestions.to_pylist()] == [(B, "250.00")]


def test_decompositions_are_counted_and_more_than_one_is_refused() -> None:
    assert sums.decompose([100, 250, 70], 350) == sums.Sums(1, (0, 1))
    assert sums.decompose([100, 250, 100], 350).ways == 2
    assert sums.decompose([100, 250, 100], 350).chosen == ()
    assert sums.decompose([100], 100).ways == 0
    assert sums.decompose(list(range(1, 40)), 50).refused


def test_part_payments_and_second_payments() -> None:
    payments = [paid("T2", "60.00", A, paid_at="2026-04-01T09:01:00+03:00"), paid("T1", "60.00", A)]
    found = run([bill(A), bill(B, "60.00", payer_id=f"P-{A}")], payments)
    assert matched(found) == {("T1", A, "60.00", "exact"), ("T2", A, "40.00", "exact")}
    assert left(found) == {"T2": ("overpaid", "excess")}


def test_a_number_beside_a_neighbour_s_plate() -> None:
    bills = [bill(A), bill(B, "250.00", object_ref="KDA123A")]
    assert matched(run(bills, [paid("T1", typed=f"{A} KDA123A")])) == {("T1", A, "100.00", "normalised")}
    assert left(run(bills, [paid("T1", "250.00", f"{A} KDA123A")])) == {
        "T1": ("ambiguous_account", "number_and_object")
    }
    slip = A[:4] + "7" + A[5:]
    assert matched(run([bills[0], bill(B, object_ref="KDA123A", msisdn="", payer_name="Juma Were")],
                       [paid("T1", typed=f"{slip} KDA123A")])) == {("T1", A, "100.00", "slip")}  # fmt: skip


@pytest.mark.parametrize(
    ("sender", "payer", "agreement"),
    [
        ("NG'ANG'A", "Peter Ng’ang’a", Agreement.PARTLY), ("J WAFULA", "John Wafula", Agreement.FULLY),
        ("OUMA DANIEL", "Daniel Ouma", Agreement.FULLY), ("DANIEL", "Daniel Ouma", Agreement.PARTLY),
        ("D O", "Daniel Ouma", Agreement.UNKNOWN), ("JOHN OUMA", "Daniel Ouma", Agreement.DIFFERS),
        ("DANIEL OUM", "Daniel Ouma", Agreement.FULLY), ("", "Daniel Ouma", Agreement.UNKNOWN),
    ],
)  # fmt: skip
def test_names(sender: str, payer: str, agreement: Agreement) -> None:
    assert names_agree(name_words(sender), name_words(payer)) is agreement


def test_phones() -> None:
    real = phone_pattern("254712345678")
    assert real == phone_pattern("+254 712 345678") == phone_pattern("0712345678") == "712345678"
    assert phones_agree(phone_pattern("2547*****678"), real) is Agreement.PARTLY
    assert phones_agree(phone_pattern("2547*****679"), real) is Agreement.DIFFERS
    assert phones_agree(phone_pattern("0712***678"), real) is Agreement.PARTLY
    assert phones_agree(real, real) is Agreement.FULLY
    assert phone_pattern("2547*******8") == "" == phone_pattern("a3f5c2") or phone_pattern("8") == ""
