"""Digits that look like a bill's number and are none: phones, permits, financial years, banks' groups, dates."""

from __future__ import annotations

import pytest
from stdnum import damm

from reconciliation import ladder
from tests.matching.worlds import A, bill, left, matched, paid, run

STRANGER = {"payer_name": "PETER", "msisdn": "2547*****901"}
WANJIRU = {"payer_id": "P9", "payer_name": "Wanjiru Kamau", "msisdn": "254733000772"}
PHONE, SHORT_PHONE, MASKED = "712345609", "110555806", "254711341"


def numbered(body: str) -> str:
    return body + str(damm.calc_check_digit(body))


@pytest.mark.parametrize("phone", [PHONE, SHORT_PHONE])
@pytest.mark.parametrize(
    "form",
    [
        "[+254] {}", "+254:{}", "254:{}", "254_{}", "+254~{}", "0:{}", "O{}", "O {}", "tel={}", "tel/{}", "tel_{}",
        "ph {}", "Ph.No {}", "contact {}", "contacts {}", "call {}", "simu ya {}", "simu yangu {}", "my phone is {}",
        "phone number is {}", "msisdn {}", "whatsapp {}", "sms {}", "hp {}", "cellphone {}",
    ],
)  # fmt: skip
def test_phones_with_other_separators_and_words(phone: str, form: str) -> None:
    text = form.format(phone)
    assert ladder.read(text).numbers == ()
    assert phone in ladder.clues(text).phones
    found = run([bill(phone, **WANJIRU)], [paid("T1", typed=text, **STRANGER)])
    assert matched(found) == set()
    by_bank = paid("T1", narrative=f"EFT GRACE {text}", payer_name="Grace Wafula", msisdn="", channel="BANK")
    assert matched(run([bill(phone, **WANJIRU)], [by_bank])) == set()
    beside = run([bill(phone, "400.00", **WANJIRU), bill(A)], [paid("T1", typed=f"{A} {text}")])
    assert matched(beside) == {("T1", A, "100.00", "normalised")}


@pytest.mark.parametrize("form", ["+254[{0}]{1}", "[0{0}] {1}", "0{0}_{1}", "+254.{0}.{1}"])
def test_phones_in_groups_with_other_separators(form: str) -> None:
    assert ladder.read(form.format(PHONE[:3], PHONE[3:])).numbers == ()


@pytest.mark.parametrize("typed", ["{}", "{} rent", "john {}", "110 555 806", "110-555-806"])
def test_a_phone_whose_end_is_the_sender_s_is_nobody_s_number(typed: str) -> None:
    sender = {"payer_name": "JOHN", "msisdn": "2547*****806"}
    found = run([bill(SHORT_PHONE, **WANJIRU)], [paid("T1", typed=typed.format(SHORT_PHONE), **sender)])
    assert left(found) == {"T1": ("ambiguous_account", "sender")}


@pytest.mark.parametrize(
    "hidden",
    [
        "254711###341", "254711#341", "254711*341", "254711...341", "254711…341", "254711...  341", "254711---341",
        "254711???341", "254711[***]341", "254711(***)341", "254711×××341", "254711___341", "254711    341",
    ],
)  # fmt: skip
def test_every_sign_that_hides_digits_joins_nothing(hidden: str) -> None:
    bills = [bill(MASKED, **WANJIRU), bill(A, object_ref="KDA123A")]
    for narrative in (f"MPESA C2B {hidden} RENT JAN", f"MPS {hidden} GRACE WAFULA"):
        by_bank = paid("T1", narrative=narrative, payer_name="", msisdn="", channel="BANK")
        assert matched(run(bills, [by_bank])) == set()
    assert matched(run(bills, [paid("T1", typed=hidden, **STRANGER)])) == set()
    own = paid("T1", narrative=f"MPESA C2B {hidden} KDA 123A", payer_name="Achieng Odera", msisdn="", channel="BANK")
    assert matched(run(bills, [own])) == {("T1", A, "100.00", "alias")}


@pytest.mark.parametrize(
    "form",
    [
        "{0},{1}", "SBP ({0}) {1}", "SBP {0}{1}", "permit {0}{1}", "permit no {0}{1}", "leseni {0}{1}", "{0}-{2}-{3}",
        "{0} {2} {3}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("year", [2024, 2026])
def test_a_year_and_a_serial_in_other_clothes_are_weak(form: str, year: int) -> None:
    number = numbered(f"{year}0810")
    text = form.format(number[:4], number[4:], number[4:6], number[6:])
    assert ladder.read(text).numbers == ladder.read(text).weak == (number,)
    for amount in ("100.00", "40.00"):
        assert matched(run([bill(number, **WANJIRU)], [paid("T1", amount, text, **STRANGER)])) == set()


@pytest.mark.parametrize("form", ["{0}-{1}", "SBP {0} {1}", "SBP{0}{1}", "permit {0} {1}", "permit no {0}-{1}"])
def test_a_serial_and_a_year_are_weak(form: str) -> None:
    number = next(one for one in map("{}2026".format, range(10_000, 99_999)) if damm.is_valid(one))
    text = form.format(number[:5], number[5:])
    assert ladder.read(text).weak == (number,)
    assert matched(run([bill(number, **WANJIRU)], [paid("T1", typed=text, **STRANGER)])) == set()


@pytest.mark.parametrize("form", ["24-25-{}", "FY24/25/{}", "FY 24 25 {}", "fy2425{}", "F/Y 24/25 {}", "SBP2425{}"])
def test_a_financial_year_and_a_serial_are_weak(form: str) -> None:
    number = next(one for one in map("2425{}".format, range(10_000, 99_999)) if damm.is_valid(one))
    text = form.format(number[4:])
    assert ladder.read(text).numbers == ladder.read(text).weak
    for amount in ("100.00", "40.00"):
        assert matched(run([bill(number, **WANJIRU)], [paid("T1", amount, text, **STRANGER)])) == set()


@pytest.mark.parametrize(
    "form",
    [
        "CHQ DEP {}-{}", "CHQ DEPOSIT {} {}", "CHEQUE DEPOSIT NO {}-{}", "CTS {} {}", "CLG {}-{}", "HUNDI NO {} {}",
        "RCPT {}-{}", "RCT {} {}", "TRN {}-{}", "BATCH NO {} {}", "TELLER {} {}", "VOUCHER {}-{}", "MICR {} {}",
        "SORT {} {}", "RTGS {}-{}", "BC NO {} {}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [3, 5, 6])
def test_a_bank_s_groups_need_their_amount_and_their_payer(form: str, at: int) -> None:
    text = form.format(A[:at], A[at:])
    grace = {"payer_name": "Grace Wafula", "msisdn": "", "channel": "BANK", "narrative": f"{text} GRACE WAFULA"}
    assert matched(run([bill(A)], [paid("T1", **grace)])) == set()
    own = grace | {"payer_name": "Achieng Odera", "narrative": f"{text} ACHIENG ODERA"}
    assert {row[:3] for row in matched(run([bill(A)], [paid("T1", **own)]))} == {("T1", A, "100.00")}


@pytest.mark.parametrize("narrative", [f"RTGS GRACE {A[:5]} {A[5:]} REV", f"RTGS GRACE {A[:4]}\n{A[4:]} REV"])
def test_groups_with_blanks_and_broken_lines_of_a_bank_stay_numbers(narrative: str) -> None:
    by_bank = paid("T1", narrative=narrative, payer_name="Grace Wafula", msisdn="", channel="BANK")
    assert {row[:3] for row in matched(run([bill(A)], [by_bank]))} == {("T1", A, "100.00")}


@pytest.mark.parametrize("date", ["12 08 2026", "12082026", "20260812", "12 8 2026", "AUG-26", "Sept.2026"])
def test_dates_with_blanks_or_without_separators_join_nothing(date: str) -> None:
    for digits in ("{} {}", "{}-{}", "{}"):
        for more in ("4", "10", "1000004", "10005"):
            assert ladder.read(f"rent {digits.format(date, more)} x").numbers == ()
