"""Tables of banks: what the file itself says about its days, its figures and the rows that are no movements."""

from __future__ import annotations

import io

import pytest

from adapters.statements.tables import reader
from revenue_engine.ports.statements import StatementClosed, StatementFault, StatementLine, StatementRefused, proved

HEAD = (
    "Account Number,1100100\nOpening Balance,1000.00\nClosing Balance,2300.00\n"
    "Transaction Date,Value Date,Transaction Details,Reference,Money Out,Money In,Ledger Balance\n"
)
PAID = "15/09/2026,15/09/2026,PAY 482915363,FT1,,1500.00,2500.00\n"
FEE = "16/09/2026,16/09/2026,LEDGER FEE,FT2,200.00,,2300.00\n"


def read(text: str) -> tuple[list[int], int]:
    """Signed cents of what counts, and how many rows are only shown."""
    events = list(proved(reader.read(io.BytesIO(text.encode()))))
    lines = [event.amount_minor for event in events if isinstance(event, StatementLine) and event.counts]
    return lines, sum(event.shown for event in events if isinstance(event, StatementClosed))


def refusal(text: str) -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        read(text)
    return caught.value


TRUE = [150000, -20000]


@pytest.mark.parametrize(("booked", "value"), [("09/05/2026", "05/09/2026"), ("05/09/2026", "09/05/2026")])
def test_a_booking_day_and_its_value_day_that_only_agree_exchanged(booked: str, value: str) -> None:
    refused = refusal(HEAD + PAID.replace("15/09/2026,15/09/2026", f"{booked},{value}") + FEE)
    assert (refused.fault, refused.line, refused.column) == (StatementFault.BAD_DATE, 5, "Transaction Date")
    assert "exchanged" in refused.reason


def test_a_value_day_far_away_is_none_of_our_business_where_it_is_no_exchange() -> None:
    assert read(HEAD + PAID.replace("15/09/2026,15/09/2026", "15/09/2026,20/12/2026") + FEE)[0] == TRUE


@pytest.mark.parametrize(
    "period",
    [
        "Statement Period,01/09/2026 - 30/09/2026\n",
        "Period: 01/09/2026 to 30/09/2026\n",
        "From Date,01/09/2026\nTo Date,30/09/2026\n",
        "From,01/09/2026,To,30/09/2026\n",
        "Start Date:,01-SEP-2026\nEnd Date:,30-SEP-2026\n",
    ],
)
def test_days_outside_the_period_that_the_head_names(period: str) -> None:
    assert read(period + HEAD + PAID + FEE)[0] == TRUE
    text = period + HEAD + PAID.replace("15/09", "09/01") + FEE.replace("16/09", "09/02")
    refused = refusal(text)
    assert refused.fault is StatementFault.BAD_DATE
    assert refused.line == text[: text.index("09/01/")].count("\n") + 1
    assert "period" in refused.reason


@pytest.mark.parametrize(
    "figure",
    ["1'500.00", "1\u2019500.00", "1 500.00", "1\u00a0500.00", "1\u202f500.00", '"KES 1,500/="', '"1,500/-"',
     "1500.00/=", '"1,500.00 CR"', '"1,500.00Cr."', "Ksh1500"],
)  # fmt: skip
def test_a_credit_that_has_one_reading(figure: str) -> None:
    assert read(HEAD + PAID.replace("1500.00", figure) + FEE)[0] == TRUE


@pytest.mark.parametrize(
    "figure",
    ['"1,500.00 DR"', "(1500.00)", "-1500.00", '"1.500,00"', "1500.000", '"15,00.00"', "1'500 000.00", "1 50.00"],
)
def test_a_credit_that_has_none_or_another_side(figure: str) -> None:
    refused = refusal(HEAD + PAID.replace("1500.00", figure) + FEE)
    assert (refused.line, refused.column) == (5, "Money In")


@pytest.mark.parametrize("figure", ["200.00 DR", "200.00Dr.", "KES 200/=", "200.00/="])
def test_a_debit_that_has_one_reading(figure: str) -> None:
    assert read(HEAD + PAID + FEE.replace("200.00,,", f"{figure},,"))[0] == TRUE


@pytest.mark.parametrize("figure", ["200.00 CR", "-200.00", "(200.00)"])
def test_a_debit_that_may_be_a_credit(figure: str) -> None:
    refused = refusal(HEAD + PAID + FEE.replace("200.00,,", f"{figure},,"))
    assert (refused.fault, refused.line, refused.column) == (StatementFault.BAD_SIGN, 6, "Money Out")


def test_the_word_behind_a_balance_is_proved_by_the_rows() -> None:
    assert read(HEAD + PAID.replace("2500.00", "2500.00 Cr") + FEE.replace("2300.00", '"2,300.00CR."'))[0] == TRUE
    assert refusal(HEAD + PAID + FEE.replace("2300.00", "2300.00 Dr")).fault is StatementFault.DOES_NOT_ADD_UP
    below = HEAD.replace("1000.00", "-3000.00").replace("Balance,2300.00", "Balance,-1700.00")
    assert read(below + PAID.replace("2500.00", "1500.00 DR") + FEE.replace("2300.00", "1700.00 DR"))[0] == TRUE


@pytest.mark.parametrize("nothing", ["Nil", "NIL", "N/A", "\u2013", "\u2014", "--", "-"])
def test_a_word_for_nothing(nothing: str) -> None:
    assert read(HEAD + PAID.replace("FT1,,", f"FT1,{nothing},") + FEE)[0] == TRUE


@pytest.mark.parametrize(
    "row",
    [
        'Printed on: 16/09/2026,,,,"Page 1 of 1",,',
        ',,Page total,,200.00,"1,500.00",',
        "Sub Total,,,,200.00,1500.00,2300.00",
        "Grand Total,,,,200.00,1500.00,",
        "Total Debits:,,,,200.00,,",
        "Total Credits,,,,,1500.00,",
        ",,Carried forward,,,,2300.00",
        ",,Balance c/f,,,,2300.00",
        "16/09/2026,,Closing Balance,,,,2300.00",
        "-----,-----,-----,-----,-----,-----,-----",
    ],
)
def test_a_row_at_the_foot_that_is_no_movement(row: str) -> None:
    assert read(HEAD + PAID + FEE + row + "\n") == (TRUE, 0)


@pytest.mark.parametrize(
    "row",
    [",,B/F,,,,1000.00", ",,Brought Forward,,,,1000.00", "15/09/2026,15/09/2026,Opening Balance,,,,1000.00",
     "15/09/2026,,BALANCE B/F,,,,1000.00", ",,,,(KES),(KES),(KES)", "dd/mm/yyyy,dd/mm/yyyy,,,KES,KES,KES"],
)  # fmt: skip
def test_a_row_at_the_top_that_is_no_movement(row: str) -> None:
    assert read(HEAD + row + "\n" + PAID + FEE) == (TRUE, 0)


@pytest.mark.parametrize(
    "row", [",,Closing balance,,,,9300.00", "Grand Total,,,,201.00,1500.00,", "Total Debits,,,,1.00,,"]
)
def test_a_balance_or_a_total_that_the_rows_deny(row: str) -> None:
    refused = refusal(HEAD + PAID + FEE + row + "\n")
    assert (refused.fault, refused.line) == (StatementFault.DOES_NOT_ADD_UP, 7)


@pytest.mark.parametrize(
    "pair",
    [
        ",16/09/2026,X,FT9,500.00,,\n,16/09/2026,X,FT9,,500.00,\n",
        "Sixteenth,,X,FT9,500.00,,\nSixteenth,,X,FT9,,500.00,\n",
        "Pending,,X,FT9,500.00,,\nPending,,X,FT8,,200.00,\nPending,,X,FT9,,300.00,\n",
    ],
)
def test_rows_without_a_day_that_cancel_each_other_out_are_not_left_out(pair: str) -> None:
    refused = refusal(HEAD + PAID + pair + FEE)
    assert refused.line == 6
    assert refused.column == "Transaction Date"


def test_rows_that_are_announced_are_shown() -> None:
    rows = "Pending,,HOLD,FT0,,300.00,\nPENDING,15/09/2026,HOLD,FT0,,20.00,-\nIn clearing,,CHQ,FT0,100.00,,\n"
    assert read(HEAD + rows + PAID + FEE) == (TRUE, 3)


@pytest.mark.parametrize(
    "head", ["Statement for September 2026\n", "Month: Sep 2026\n", "Statement period,Sept 2026\n"]
)
def test_a_head_that_names_its_month(head: str) -> None:
    assert read(head + HEAD + PAID + FEE)[0] == TRUE
    refused = refusal(head + HEAD + PAID.replace("15/09", "09/01") + FEE.replace("16/09", "09/02"))
    assert refused.fault is StatementFault.BAD_DATE
    assert "exchanged" in refused.reason


def test_a_day_far_outside_the_period_of_the_head_is_refused_where_it_is_no_exchange_either() -> None:
    text = "Statement Period,01/09/2026 - 30/09/2026\n" + HEAD + PAID.replace("15/09", "25/07") + FEE
    assert refusal(text).fault is StatementFault.BAD_DATE
    near = "Statement Period,01/09/2026 - 30/09/2026\n" + HEAD + PAID.replace("15/09", "31/08") + FEE
    assert read(near)[0] == TRUE


def test_days_that_go_back_and_forth_by_months_are_told() -> None:
    rows = "".join(
        f"{day},{day},x,FT{number},,100.00,{1000 + 100 * number}.00\n"
        for number, day in enumerate(("12/08/2026", "09/05/2026", "25/07/2026"), 1)
    )
    events = list(proved(reader.read(io.BytesIO((HEAD.replace("2300.00", "1300.00") + rows).encode()))))
    closed = [event for event in events if isinstance(event, StatementClosed)]
    assert any("go back by" in note for note in closed[0].notes)


@pytest.mark.parametrize("written", ["-{}", "({})", "{}-", "{} Dr", "{}DR.", "KES ({})"])
def test_a_balance_below_zero_is_below_zero_however_it_is_written(written: str) -> None:
    head = HEAD.replace("Opening Balance,1000.00\nClosing Balance,2300.00\n", "")
    paid = PAID.replace("2500.00", written.format("900.00"))
    fee = FEE.replace("2300.00", written.format("1100.00"))
    assert read(head + paid + fee)[0] == TRUE
    assert refusal(head + paid + fee.replace("1100.00", "700.00")).fault is StatementFault.DOES_NOT_ADD_UP


@pytest.mark.parametrize("written", ["(1200.00)", "1200.00-"])
def test_a_signed_amount_may_have_its_sign_otherwise_where_a_balance_stands_beside_it(written: str) -> None:
    def text(amount: str, balance: str) -> str:
        return (
            "Date,Description,Amount,Currency,Balance,Account,Reference\n"
            f"2026-09-15,a,2500.00,KES,3500.00,1,R1\n2026-09-15,b,{amount},KES,{balance},1,R2\n"
        )

    assert read(text(written, "2300.00"))[0] == [250000, -120000]
    assert refusal(text(written, "4700.00")).fault is StatementFault.DOES_NOT_ADD_UP
    assert refusal(text(written, "")).fault is StatementFault.BAD_SIGN
