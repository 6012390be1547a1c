"""MT940 as banks, mails and editors spell it: the same movements, or a refusal with its line, and never fewer."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.statements.mt940 import reader
from revenue_engine.ports.statements import StatementFault, StatementLine, StatementRefused, proved

FILE = (
    ":20:A1\n:25:KE/1100100\n:28C:1/1\n:60F:C260914KES1000,00\n"
    ":61:2609150915C500,00NMSCNONREF//FT1\n:86:PAY 482915363\nsecond line\n"
    ":61:2609150915C5,00NMSCNONREF//FT2\n:86:b\n"
    ":61:2609150915D5,00NMSCNONREF//FT3\n:86:b\n"
    ":62F:C260915KES1500,00\n-\n"
)
TRUE = [50000, 500, -500]


def lines_of(text: str) -> list[StatementLine]:
    return [e for e in proved(reader.read(io.BytesIO(text.encode()))) if isinstance(e, StatementLine)]


def read(text: str) -> list[int]:
    return [line.amount_minor for line in lines_of(text)]


def refusal(text: str) -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        read(text)
    return caught.value


@given(
    margins=st.lists(
        st.sampled_from(["", " ", "  ", "\t", "\u00a0", "> ", "| ", "\ufeff"]),
        min_size=FILE.count("\n"),
        max_size=FILE.count("\n"),
    )
)
def test_no_margin_swallows_an_entry(margins: list[str]) -> None:
    text = "\n".join(margin + line for margin, line in zip(margins, FILE.split("\n"), strict=False)) + "\n"
    try:
        assert read(text) == TRUE
    except StatementRefused as refused:
        assert refused.line is not None or refused.fault is StatementFault.NOT_A_STATEMENT  # noqa: PT017


@given(at=st.integers(1, len(FILE) - 2))
@example(at=FILE.index("500,00N") + 1)
@example(at=FILE.index("500,00N") + 4)
@example(at=FILE.index("1000,00") + 2)
def test_no_broken_line_changes_a_movement(at: int) -> None:
    try:
        assert read(FILE[:at] + "\n" + FILE[at:]) == TRUE
    except StatementRefused as refused:
        assert refused.fault is not StatementFault.DOES_NOT_ADD_UP  # noqa: PT017 - the reason is the broken line


@pytest.mark.parametrize(
    "lost",
    [
        ":86:PAY 482915363 :61:2609150915C5,00NMSCNONREF",
        ":86:PAY\n61:2609150915C5,00NMSCNONREF",
        ":86:PAY\n: 61:2609150915C5,00NMSCNONREF",
    ],
)
def test_an_entry_inside_words_is_refused(lost: str) -> None:
    found = refusal(FILE.replace(":86:b", lost, 1))
    assert (found.fault, found.column) == (StatementFault.BAD_VALUE, "61")
    assert "line break or a colon was lost" in found.reason


def test_words_that_only_look_like_tags_stay_words() -> None:
    text = FILE.replace("second line", "see 61: and :99: of 12:30\n :15: more")
    (first, *_) = lines_of(text)
    assert read(text) == TRUE
    assert "see 61: and :99: of 12:30 :15: more" in first.text


def entry(head: str, *, closing: str) -> str:
    return f":20:A\n:25:1\n:28C:1\n:60F:C260914KES1000,00\n:61:{head}\n:86:x\n:62F:{closing}\n-\n"


@pytest.mark.parametrize(
    ("head", "minor", "code", "customer"),
    [
        ("2609150915C50,00 NTRFNONREF", 5000, "NTRF", ()),
        ("2609150915 C 50,00 NTRFNONREF", 5000, "NTRF", ()),
        ("260915\tC50,00\tNTRF482915363", 5000, "NTRF", (("customer", "482915363"),)),
        ("2609150915CK50,00N---NONREF", 5000, "N---", ()),
        ("2609150915C50,00XTRF", 5000, "XTRF", ()),
        ("2609150915C50,00MPS482915363", 5000, "", (("customer", "MPS482915363"),)),
        ("2609150915C50,00S   X", 5000, "S", (("customer", "X"),)),
        ("2609150915RD-50,00NTRFNONREF", None, "", ()),
        ("2609150915C1 050,00NTRFNONREF", None, "", ()),
        ("2609150915C50,0ONTRFNONREF", None, "", ()),
        ("2609150915C5O,00NTRFNONREF", None, "", ()),
    ],
)
def test_blanks_and_types(head: str, minor: int | None, code: str, customer: tuple[tuple[str, str], ...]) -> None:
    text = entry(head, closing="C260915KES1050,00")
    if minor is None:
        found = refusal(text)
        assert (found.line, found.column) == (5, "61")
        assert found.fault is not StatementFault.DOES_NOT_ADD_UP
        return
    (line,) = lines_of(text)
    assert (line.amount_minor, line.code, line.references) == (minor, code, customer)


def test_a_minus_sign_is_read_where_balances_prove_it_and_refused_where_none_do() -> None:
    assert read(entry("2609150915D-8,24NMSCNONREF", closing="C260915KES1008,24")) == [824]
    assert read(entry("2609150915C-8,24NMSCNONREF", closing="C260915KES991,76")) == [-824]
    interim = ":20:A\n:25:1\n:28C:1\n:34F:KES0,\n:61:2609150915D-8,24NMSCNONREF\n-\n"
    assert (refusal(interim).fault, refusal(interim).line) == (StatementFault.BAD_SIGN, 5)


@pytest.mark.parametrize(
    ("head", "booked", "value"),
    [
        ("2602300302D1,NMSC", "2026-03-02", None),
        ("260230D1,NMSC", "2026-02-28", None),
        ("280230D1,NMSC", "2028-02-29", None),
        ("260229D1,NMSC", "2026-02-28", None),
        ("2602280230D1,NMSC", "2026-02-28", "2026-02-28"),
    ],
)
def test_months_of_thirty_days(head: str, booked: str, value: str | None) -> None:
    (line,) = lines_of(entry(head, closing="C260302KES999,00"))
    assert (str(line.booked_on), line.value_on and str(line.value_on)) == (booked, value)


@pytest.mark.parametrize("head", ["260231D1,NMSC", "260631D1,NMSC", "2606150230D1,NMSC", "261300D1,NMSC"])
def test_other_days_that_are_none_are_refused(head: str) -> None:
    found = refusal(entry(head, closing="C260302KES999,00"))
    assert (found.fault, found.line, found.column) == (StatementFault.BAD_DATE, 5, "61")


def test_a_day_of_a_balance_is_used_for_nothing() -> None:
    assert read(FILE.replace("C260914KES", "C260230KES").replace("C260915KES", "C000000KES")) == TRUE


def test_a_statement_without_a_reference_begins_with_its_account() -> None:
    one = FILE.replace(":20:A1\n", "")
    two = one.replace("1100100", "2200200")
    for text in (one, one + two, one.replace("-\n", "") + two, "BANK\n940\nBANK\n" + one):
        amounts = read(text)
        assert amounts == TRUE * text.count(":60F:")


@pytest.mark.parametrize("sums", [":90D:KES,00\n:90C:KES30,00", ":90D:0KES0,\n:90C:1KES30,", ":90D:KES\n:90C:1KES"])
def test_sums_that_leave_something_out(sums: str) -> None:
    head = ":20:A\n:25:1\n:28C:1\n:34F:KES0,\n:61:2609150915C30,00NMSCNONREF\n:86:x\n"
    assert read(f"{head}{sums}\n-\n") == [3000]
    wrong = refusal(f"{head}:90D:KES,00\n:90C:KES31,00\n-\n")
    assert wrong.fault is StatementFault.DOES_NOT_ADD_UP
