"""MT940 as banks, mails and editors spell it: the same movements, or a refusal with its line, and never fewer."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.statements.mt940 import reader
from revenue_engine.ports.statements import StatementClosed, StatementFault, StatementLine, StatementRefused, proved

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


def around(entries: str, *, opening: str = "C260914KES1000,00", closing: str, head: str = "") -> str:
    head = head or ":20:A1\n:25:KE/1100100\n:28C:1/1\n"
    return f"{head}:60F:{opening}\n{entries}:62F:{closing}\n-\n"


@pytest.mark.parametrize(
    "tag",
    [
        ":61",
        ":61 :",
        ";61:",
        ":61;",
        ":6I:",
        ":6l:",
        ":61A:",
        ":61:\n",
        " :61:\n",
        "\uff1a61\uff1a",
        "",
        "x:61:",
        "\u2002:61:",
    ],
)
@pytest.mark.parametrize("margin", ["", " ", "- "])
def test_an_entry_whose_tag_was_spoiled_is_never_words(tag: str, margin: str) -> None:
    """Two that cancel each other out: the balances say nothing about them."""
    pair = "".join(f"{margin}{tag}260915{mark}5,00NMSCNONREF\n:86:b\n" for mark in "CD")
    text = around(":61:260915C1,00NMSCNONREF\n:86:a\n" + pair, closing="C260915KES1001,00")
    try:
        assert read(text) == [100, 500, -500]
    except StatementRefused as refused:
        assert (refused.column, refused.line in {7, 8}) == ("61", True)  # noqa: PT017


def test_an_entry_behind_a_margin_whose_day_is_cut_is_refused_and_not_words() -> None:
    pair = " :61:2609C5,00NMSCNONREF\n:86:b\n :61:2609D5,00NMSCNONREF\n:86:b\n"
    refused = refusal(around(":61:260915C1,00NMSC\n:86:a\n" + pair, closing="C260915KES1001,00"))
    assert (refused.fault, refused.line) == (StatementFault.BAD_DATE, 7)


def test_a_minus_sign_behind_an_amount_turns_it() -> None:
    assert read(around(":61:260915C50,00-NTRFX\n", closing="C260915KES950,00")) == [-5000]
    assert read(around(":61:260915D50,00- NTRFX\n", closing="C260915KES1050,00")) == [5000]


@pytest.mark.parametrize("pair", [("D-50,00", "C-50,00"), ("D50,00-", "C50,00-"), ("C-50,00", "D50,00-")])
def test_minus_signs_that_cancel_each_other_out_prove_nothing(pair: tuple[str, str]) -> None:
    entries = "".join(f":61:260915{one}NTRF\n" for one in pair)
    refused = refusal(around(entries, closing="C260915KES1000,00"))
    assert (refused.fault, refused.line, refused.column) == (StatementFault.BAD_SIGN, 5, "61")


@pytest.mark.parametrize(
    "entry",
    [
        " 2609150915C50,00NTRFNONREF",
        "2609150915C\u00a050,00NTRFNONREF",
        "2609150915C+50,00NTRFNONREF",
        "20260915C50,00NTRFNONREF",
        "202609150915C50,00NTRFNONREF",
        "2609150915R D50,00NTRFNONREF",
        "260915\n0915CR\n50,00N062NONREF",
        "26\n0915\nC\n50,00N062NONREF",
    ],
)
def test_an_entry_in_pieces_or_with_blanks_has_one_reading(entry: str) -> None:
    line = lines_of(around(f":61:{entry}\n:86:x\n", closing="C260915KES1050,00"))[0]
    assert (line.amount_minor, str(line.booked_on)) == (5000, "2026-09-15")


def test_fields_on_the_line_below_their_tag_are_read() -> None:
    text = around(":61:260915C45,00N062NONREF\n:86:\n166?00CREDIT?20SVWZ+482915363\n", closing="C260915KES1045,00")
    assert lines_of(text)[0].account_reference == "482915363"


@pytest.mark.parametrize("at", ["C260914", "C260914KES", "C"])
def test_an_opening_balance_that_a_line_break_cut_before_its_amount(at: str) -> None:
    text = around(":61:260915C1,00NMSC\n", closing="C260915KES1001,00").replace(f":60F:{at}", f":60F:{at}\n")
    assert read(text) == [100]


@pytest.mark.parametrize(
    "head",
    [
        ":28C:1/1\n",
        ":25:KE/1100100\n",
        ":28C:1/1\n:25:KE/1100100\n",
        ":25:KE/1100100\n:20:A1\n:28C:1/1\n",
        ":20:A1\n:25:KE/110\n0100\n",
        ":20:A1\n:25:KE/1100100\n:28c:1/1\n",
    ],
)
def test_a_head_with_a_field_more_or_less_or_in_another_order(head: str) -> None:
    text = around(":61:260915C1,00NMSC\n", closing="C260915KES1001,00", head=head)
    opened = next(iter(reader.read(io.BytesIO(text.encode()))))
    assert read(text) == [100]
    assert opened.account == ("KE/1100100" if ":25:" in head else "")  # type: ignore[union-attr]


def test_pages_under_one_reference_are_statements_of_one_account() -> None:
    text = around(":61:260915C50,00NTRF\n", closing="C260915KES1050,00").replace(":62F:", ":62M:").replace("-\n", "")
    assert read(text + ":60M:C260915KES1050,00\n:61:260915C7,00NTRF\n:62F:C260915KES1057,00\n-\n") == [5000, 700]
    assert refusal(text + ":60M:C260915KES1060,00\n:62F:C260915KES1060,00\n-\n").fault is StatementFault.SKIPPED


@pytest.mark.parametrize("sums", [":90D:,00\n:90C:30,00\n", ":90D:\n:90C:\n", ":90D:KES\n:90C:1KES30\n"])
def test_sums_of_a_day_that_leave_things_out(sums: str) -> None:
    assert read(":20:S\n:25:KE/1\n:34F:KES0,\n:61:260915C30,00N062\n:86:x\n" + sums + "-\n") == [3000]


def test_sums_in_another_currency_are_refused() -> None:
    refused = refusal(":20:S\n:25:KE/1\n:34F:KES0,\n:61:260915C30,00N062\n:86:x\n:90C:1USD30,00\n-\n")
    assert (refused.fault, refused.line, refused.column) == (StatementFault.BAD_CURRENCY, 6, "90C")


@pytest.mark.parametrize(("side", "effect"), [("CR", 1), ("DR", -1)])
def test_a_balance_with_its_side_in_two_letters(side: str, effect: int) -> None:
    text = FILE.replace(":60F:C", f":60F:{side}").replace(":62F:C", f":62F:{side}")
    if effect < 0:
        text = text.replace("KES1500,00", "KES500,00")
    assert read(text) == TRUE


def test_a_balance_with_a_sign_is_refused_for_the_sign() -> None:
    refused = refusal(FILE.replace("KES1000,00", "KES-1000,00"))
    assert (refused.fault, refused.line, refused.column) == (StatementFault.BAD_SIGN, 4, "60F")
    assert "sign" in refused.reason


@pytest.mark.parametrize("written", ["150926", "260109"])
def test_a_day_that_stands_between_the_balances_only_with_its_parts_exchanged(written: str) -> None:
    text = FILE.replace(":60F:C260914", ":60F:C260831").replace(":62F:C260915", ":62F:C260930")
    refused = refusal(text.replace(":61:2609150915C500", f":61:{written}C500"))
    assert refused.fault is StatementFault.BAD_DATE
    assert "in another order" in refused.reason


def test_a_day_far_from_the_balances_is_told_where_it_is_no_exchange() -> None:
    events = list(proved(reader.read(io.BytesIO(FILE.replace(":61:2609150915C500", ":61:260625C500").encode()))))
    closed = [event for event in events if isinstance(event, StatementClosed)]
    assert any("far outside the days of the balances" in note for note in closed[0].notes)


@pytest.mark.parametrize("written", ["260431", "261331", "2609150931"])
def test_a_day_of_no_calendar_is_named(written: str) -> None:
    refused = refusal(FILE.replace(":61:2609150915C500", f":61:{written}C500"))
    assert (refused.fault, refused.line) == (StatementFault.BAD_DATE, 5)
    assert (written[6:] or written) in refused.reason
