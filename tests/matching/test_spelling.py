"""How phones, permits, cheques and objects are written: what is no number of a bill, and which object is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import damm

from reconciliation import ladder, spelling
from reconciliation.spelling import Fit, fit, written
from revenue_engine import identifiers
from tests.matching.worlds import A, B, bill, left, matched, paid, run

STRANGER = {"payer_name": "PETER", "msisdn": "2547*****901"}
JUMA = {"payer_id": "P2", "payer_name": "Juma Were", "msisdn": "254733000781"}


def numbered(body: str) -> str:
    return body + str(damm.calc_check_digit(body))


phones = st.tuples(st.sampled_from("17"), st.text("0123456789", min_size=7, max_size=7)).map("".join).map(numbered)
countries = st.sampled_from(
    ("+254", "254", "00254", "(254)", "(+254)", "+ 254", "+254 (0)", "+254 0", "0", "(0)", "O", "tel ", "Simu: ")
)  # fmt: skip
gaps = st.sampled_from(("", " ", "-", " - ", ".", ") "))
groupings = st.sampled_from(((9,), (3, 3, 3), (3, 6), (4, 5), (2, 3, 4), (1, 8), (2, 2, 2, 3)))
around = st.sampled_from(("", "rent ", "KDA 123A ", "stall 12 ", "Malipo ya "))


@given(phones, countries, gaps, groupings, st.sampled_from((" ", "-", "."))
       , around)  # fmt: skip
def test_a_phone_is_no_number_however_it_is_written(
    phone: str, country: str, gap: str, grouping: tuple[int, ...], between: str, before: str
) -> None:
    if gap == ") " and not country.startswith("("):
        gap = " "
    parts, at = [], 0
    for size in grouping:
        parts.append(phone[at : at + size])
        at += size
    text = f"{before}{country}{gap.lstrip(')') if ')' in country else gap}{between.join(parts)}"
    assert ladder.read(text).numbers == ()
    assert phone in ladder.clues(text).phones


@given(phones, st.integers(2, 5), st.sampled_from("*xX•"), st.sampled_from(("", "254", "0", "+254")))
def test_stars_stand_for_digits_so_nothing_is_joined_over_them(
    phone: str, hidden: int, star: str, country: str
) -> None:
    text = f"MPESA {country}{phone[: 7 - hidden]}{star * hidden}{phone[7:]} RENT"
    assert ladder.read(text).numbers == ()


@given(st.integers(10_000_000, 99_999_999).map(str).map(numbered))
def test_a_number_among_words_is_still_a_number(number: str) -> None:
    for text in (
        f"inv {number}",
        f"INV{number}",
        f"Bill no. {number}",
        f"{number}/Mary",
        f"#{number}",
        f"{number} rent",
    ):
        read = ladder.read(text)
        assert read.numbers == (number,)
        assert read.weak == ()
    for text in (f"{number[:3]} {number[3:6]} {number[6:]}", f"{number[:3]}-{number[3:6]}-{number[6:]}"):
        read = ladder.read(text)
        assert set(read.numbers) <= {number}  # in groups a number that begins like a phone may be one
        assert read.numbers or identifiers.begins_like_a_phone(number)


@pytest.mark.parametrize("year", range(2000, 2040, 3))
def test_a_permit_s_year_and_serial_are_weak(year: int) -> None:
    number = numbered(f"{year}0{year % 1000:03d}")
    for text in (
        f"SBP/{number[:4]}/{number[4:]}", f"{number[:4]}/{number[4:]}", f"{number[:4]}-{number[4:]}", f"SBP{number}",
        f"LIC {number[:4]} {number[4:]}", f"permit SBP-{number}",
    ):  # fmt: skip
        read = ladder.read(text)
        assert read.numbers == read.weak == (number,), text


@pytest.mark.parametrize(
    "form",
    [
        "CHQ NO {}/{} GRACE", "CHEQUE NO. {}-{}", "chq {} {} rent", "DEP SLIP NO {} {}", "slip {}{}", "CHQ:{}{} GRACE",
        "TT {}/{} GRACE", "{}_{} GRACE",
    ],
)  # fmt: skip
def test_what_a_bank_puts_together_needs_its_amount_and_its_payer(form: str) -> None:
    text = form.format(A[:6], A[6:])
    by_bank = {"narrative": text, "channel": "BANK", "msisdn": ""}
    assert ladder.read(text).weak == (A,)
    assert matched(run([bill(A)], [paid("T1", **by_bank | {"payer_name": "Grace Wafula"})])) == set()
    (row,) = run([bill(A)], [paid("T1", **by_bank | {"payer_name": "Grace Wafula"})]).suggestions.to_pylist()
    assert row["invoice_number"] == A
    assert matched(run([bill(A)], [paid("T1", "70.00", **by_bank | {"payer_name": "Achieng Odera"})])) == set()
    own = run([bill(A)], [paid("T1", **by_bank | {"payer_name": "Achieng Odera"})])
    assert {row[:3] for row in matched(own)} == {("T1", A, "100.00")}


@pytest.mark.parametrize("date", ["30/11/2026", "30-11-2026", "30.11.26", "2026-11-30", "1/12/2026", "10:30:15"])
def test_dates_and_times_join_nothing(date: str) -> None:
    for digit in "0123456789":
        assert ladder.read(f"{date} {digit} rent").numbers == ()
        assert ladder.read(f"{digit} {date} rent").numbers == ()


@pytest.mark.parametrize(
    ("typed", "reference", "how"),
    [
        ("Nasewa/1500/2", "NASEWA/1500", Fit.LONGER), ("Nasewa 1500-2", "NASEWA/1500", Fit.LONGER),
        ("plot 77/B", "PLOT-77", Fit.LONGER), ("plot 77-b rent", "PLOT-77", Fit.LONGER),
        ("stall 45 A", "STALL-45", Fit.LONGER), ("stall 45 (A)", "STALL-45", Fit.LONGER),
        ("STALL-45A", "STALL-45", Fit.NONE),
        ("3/45", "45", Fit.LONGER), ("stall 45 2", "STALL-45", Fit.WEAK), ("stall 45 2026", "STALL-45", Fit.VERBATIM),
        ("Block 1/234", "BLOCK 12/34", Fit.MOVED), ("Matayos 11/5", "MATAYOS/1/15", Fit.MOVED),
        ("Matayos 11 5", "MATAYOS/1/15", Fit.MOVED), ("Matayos 115", "MATAYOS/1/15", Fit.SQUEEZED),
        ("Matayos 1-15", "MATAYOS/1/15", Fit.VERBATIM), ("matayos 1 15", "MATAYOS/1/15", Fit.VERBATIM),
        ("nasewa 15/00", "NASEWA/1500", Fit.MOVED), ("nasewa 15 00", "NASEWA/1500", Fit.WEAK),
        ("KDA 123 A", "KDA123A", Fit.VERBATIM), ("BSAKDA123A", "KDA123A", Fit.VERBATIM),
        ("BUSIAKDA 123A", "KDA 123A", Fit.VERBATIM), ("T12 3ABX", "T123ABX", Fit.SQUEEZED),
        ("KDA123A/0722000118", "KDA123A", Fit.VERBATIM), ("STALL-45/Mary", "STALL-45", Fit.VERBATIM),
        ("LR 209/1234/5", "209/1234/5", Fit.VERBATIM), ("L.R. No. 209/1234/5", "209/1234/5", Fit.VERBATIM),
    ],
)  # fmt: skip
def test_how_a_text_names_an_object(typed: str, reference: str, how: Fit) -> None:
    assert fit(written(typed), written(reference), ("BSA", "NO")).fit is how


parcels = st.lists(st.integers(1, 99), min_size=2, max_size=3).map(lambda groups: "/".join(map(str, groups)))


@given(parcels, parcels)
def test_a_parcel_never_takes_the_money_of_another_with_the_same_digits(one: str, other: str) -> None:
    bills = [bill(A, object_ref=f"BLOCK {one}"), bill(B, object_ref=f"BLOCK {other}", **JUMA)]
    stranger = run(bills[:1], [paid("T1", typed=f"block {other}", **STRANGER)])
    assert one == other or matched(stranger) == set()
    if one != other:
        assert matched(run(bills, [paid("T1", typed=f"block {one}")])) == {("T1", A, "100.00", "alias")}
        assert spelling.same_name(f"BLOCK {one}", f"BLOCK {other}") is False


@pytest.mark.parametrize(
    ("reference", "typed"),
    [
        ("BUKHAYO/MUNDIKA/1234", "MUNDIKA 1234"), ("SOUTH TESO/ANGOROMO/5678", "angoromo 5678"),
        ("209/1234/5", "LR 209/1234/5"), ("LR 209/1234/5", "209/1234/5"), ("SBP/2026/00456", "2026/00456"),
        ("KDA123A", "BUSIAKDA123A"), ("KDA123A", "Malaba KDA 123A"), ("BUSIA KDA123A", "kda 123a"),
        ("BUKHAYO/MUNDIKA/1234", "MUNDIKA1234"), ("L.R. No. 209/1234/5", "LR209/1234/5"),
        ("209/1234/5", "LR209/1234/5"), ("L.R. No. 209/123", "LR 209/123"), ("BUSIA MUN/BLOCK 1/234", "block 1/234"),
        ("PLOT-77", "kiwanja 77"), ("PLOT-77", "kiwanja namba 77"), ("STALL-45", "kibanda 45"),
        ("STALL-45A", "stall no 45A"), ("HOUSE-12B", "house 12B"), ("HSE 12", "nyumba 12"),
        ("KDA123A", "KDA123ABUSIA"), ("SBP/2026/00456", "permit 456/2026"), ("SBP/2026/00456", "SBP/456/2026"),
        ("STALL-45", "stall 45 BUSIA"), ("STALL-45", "BUSIA market stall 45"),
        ("BUSIA STALL 45", "BUSIA market stall 45"), ("STALL-45", "stall number 45"),
    ],
)  # fmt: skip
def test_county_spellings_are_found(reference: str, typed: str) -> None:
    found = run([bill(A, object_ref=reference), bill(B, object_ref="OTHER/9/9999")], [paid("T1", typed=typed)])
    assert matched(found) == {("T1", A, "100.00", "alias")}


@pytest.mark.parametrize(
    ("reference", "typed"),
    [
        ("STALL 45", "stall 45/stall 61"), ("STALL 61", "stall 45/stall 61"), ("STALL-45", "plot 77/stall 45"),
        ("STALL-45", "stall 45 market stall 61"), ("STALL-45", "stall 45, 46"), ("STALL-45", "stall 45+46"),
        ("STALL-45", "stall 45&46"), ("STALL-45", "stall 45 and 46"), ("STALL-45", "stall 45 na 46"),
        ("STALL-45", "stall 45 to 47"), ("STALL-45", "stall 45 pamoja na 46"), ("STALL-45", "stall no 45 and no 46"),
        ("NASEWA/1500", "NASEWA/1500/REM"), ("NASEWA/1500", "nasewa 1500 remainder"), ("PLOT-77", "plot 77 rem"),
        ("NASEWA/1500", "nasewa 1500 part 2"), ("PLOT-77", "plot 77 phase 2"), ("PLOT-77", "plot 77 block C"),
        ("PLOT-77", "plot 77 sehemu ya 2"), ("PLOT-77", "plot 77 ext 3"), ("STALL-45", "stall 45 row B"),
        ("STALL-45", "stall 45 floor 2"), ("HSE 12", "hse 12 room 3"), ("BLOCK C", "block C hse 12"),
        ("HSE 12", "hse 12 chumba no 3"), ("PLOT-77", "plot 77 BB"), ("STALL-45", "STALL 45 B2"),
        ("STALL-45", "STALL 45 AB"), ("STALL-45A", "stall 45A B"), ("KDA123A", "KDA 12 3 A 4"),
        ("STALL-45", "stall 45 then 46"), ("STALL-45", "stall 45 kisha 46"), ("STALL-45", "stall 45 pia 46"),
        ("STALL-45", "stall 45 also 46"), ("NASEWA/1500", "nasewa 1500, 1501"), ("STALL-45", "stall 45 plot 77"),
        ("PLOT-77", "stall 45 plot 77"), ("STALL-45", "stall 45 plus plot 77"), ("KDA123A", "KDA123A/KDB456B"),
        ("KDA123A", "KDA123A na KDB456B"), ("STALL-45", "stall 45 aisle 2"), ("STALL-45", "stall 45 market B"),
        ("STALL-45", "stall 45 zone 3"), ("PLOT-77", "plot 77 part two"), ("PLOT-77", "plot 77 sehemu ya pili"),
        ("PLOT-77", "plot 77 annex"), ("PLOT-77", "plot 77 bis"), ("STALL-45", "stall 45 no B"),
        ("STALL-45", "row 2 stall 45"), ("STALL-45", "stall 45 nyuma"), ("STALL-45", "stall 45 KDA123A"),
    ],
)  # fmt: skip
def test_a_name_that_may_go_on_takes_no_stranger_s_money(reference: str, typed: str) -> None:
    """Words behind a name that say a part of it, or one thing more: another bill may be meant."""
    one = [bill(A, object_ref=reference), bill(B, object_ref="OTHER/9/9999", **JUMA)]
    found = run(one, [paid("T1", typed=typed, **STRANGER)])
    assert matched(found) == set(), typed


@pytest.mark.parametrize(
    ("reference", "typed"),
    [
        ("STALL-45", "stall 45 rent"), ("STALL-45", "rent stall 45 jan"), ("STALL-45", "stall 45 mary"),
        ("PLOT-77", "plot 77 rates 2026"), ("STALL-45", "stall 45 ya mary"), ("STALL-45", "stall 45 and rent"),
        ("STALL-45", "stall 45 house rent"), ("PLOT-77", "plot 77 na 2026"), ("STALL-45", "stall 45 BUSIA"),
        ("KDA123A", "KDA 123 A 0722000118"), ("STALL-45", "stall 45 for mary"), ("STALL-45", "stall 45 rent 3 jan"),
        ("STALL-45", "stall 45 rent for mwezi 3"), ("STALL-45", "jan 2026 stall 45"),
    ],
)  # fmt: skip
def test_a_name_among_plain_words_is_that_name(reference: str, typed: str) -> None:
    one = [bill(A, object_ref=reference), bill(B, object_ref="OTHER/9/9999", **JUMA)]
    assert matched(run(one, [paid("T1", typed=typed, **STRANGER)])) == {("T1", A, "100.00", "alias")}, typed


@pytest.mark.parametrize(
    "text",
    ["+712345609", "+ 712 345 609", "KE712345609", "KE 712345609", "KEN712345609", "Kenya 712345609",
     "line 712345609", "laini ya 712345609", "airtel 733000781", "safaricom no 712345609"],
)  # fmt: skip
def test_a_phone_without_its_country_is_a_phone(text: str) -> None:
    assert ladder.read(text).numbers == ()
    assert ladder.clues(text).phones == (text.replace(" ", "")[-9:],)


@pytest.mark.parametrize("date", ["1208 2026", "12 082026", "12 08 2026", "12082026", "2026 1208", "202612 08"])
def test_a_date_in_any_groups_joins_no_figure(date: str) -> None:
    for digit in "0123456789":
        assert ladder.read(f"{date} {digit}").numbers == ()
        assert ladder.read(f"rent {digit} {date}").numbers == ()


def test_equal_names_in_two_markets_are_both_suggested() -> None:
    two = [bill(A, object_ref="STALL-45", stream="MARKET"), bill(B, object_ref="STALL-45", stream="RENT", **JUMA)]
    found = run(two, [paid("T1", typed="stall 45", **STRANGER)])
    assert left(found) == {"T1": ("ambiguous_account", "several_bills")}
    assert {row["invoice_number"] for row in found.suggestions.to_pylist()} == {A, B}


@pytest.mark.parametrize("status", ["open", "paid"])
@pytest.mark.parametrize(
    "typed",
    ["MATAYOS NAMBALE stall 45", "Nambale Matayos stall 45", "matayos/nambale stall 45", "matayos na nambale stall 45"],
)
def test_two_markets_in_one_text_are_a_tie(typed: str, status: str) -> None:
    bills = [
        bill(A, object_ref="MATAYOS STALL 45"),
        bill(B, object_ref="NAMBALE STALL 45", status=status, **JUMA),
    ]
    found = run(bills, [paid("T1", typed=typed, **STRANGER)])
    assert matched(found) == set()
    assert A in {row["invoice_number"] for row in found.suggestions.to_pylist()}


def test_two_debtors_in_one_text_are_a_tie() -> None:
    bills = [bill(A, object_ref="KDA123A"), bill(B, object_ref="KCN063D", **JUMA)]
    for typed in ("KDA123A 0733000781", "KDA123A +254 733 000 781", "KDA123A JUMA WERE", "KDA123A KCN063D"):
        found = run(bills, [paid("T1", typed=typed, **STRANGER)])
        assert matched(found) == set(), typed
        assert {row["invoice_number"] for row in found.suggestions.to_pylist()} == {A, B}, typed


def test_a_number_issued_already_that_begins_like_a_phone_stays_payable() -> None:
    phone = numbered("71234560")
    bills = [bill(phone, **JUMA), bill(A, "70.00", msisdn=f"254{phone}")]
    owner = {"payer_name": "ACHIENG", "msisdn": f"2547*****{phone[-3:]}"}
    assert matched(run(bills, [paid("T1", typed=phone, **STRANGER)])) == {("T1", phone, "100.00", "exact")}
    part = paid("T1", "40.00", phone, payer_name="JUMA", msisdn="2547*****781")
    assert matched(run(bills, [part])) == {("T1", phone, "40.00", "exact")}
    assert left(run(bills, [paid("T1", "40.00", phone, **STRANGER)])) == {"T1": ("ambiguous_account", "sender")}
    assert matched(run(bills, [paid("T1", "100.00", phone, **owner)])) == set()
    assert matched(run(bills, [paid("T1", "70.00", phone, **owner)])) == {("T1", A, "70.00", "payer")}


def test_another_number_keeps_the_part_payment_of_a_stranger() -> None:
    assert matched(run([bill(A)], [paid("T1", "40.00", A, **STRANGER)])) == {("T1", A, "40.00", "exact")}
