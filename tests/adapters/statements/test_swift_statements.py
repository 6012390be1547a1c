"""MT940 and MT942: what they mean, and what is refused rather than guessed."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from adapters.statements import camt
from adapters.statements.mt940 import reader
from benchmarks.statement_files import write_camt053, write_mt940
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementReader,
    StatementRefused,
    proved,
)

FILES = Path(__file__).parent / "swift"


def events(text: str | bytes) -> list[StatementEvent]:
    return list(reader.read(io.BytesIO(text if isinstance(text, bytes) else text.encode())))


def lines(text: str | bytes) -> list[StatementLine]:
    return [event for event in events(text) if isinstance(event, StatementLine)]


def opened(text: str | bytes) -> StatementOpened:
    return next(event for event in events(text) if isinstance(event, StatementOpened))


def closed(text: str | bytes) -> StatementClosed:
    return next(event for event in events(text) if isinstance(event, StatementClosed))


def statement(*body: str, opening: str = "C261101KES1000,00", closing: str = "C261102KES1000,00") -> str:
    return "\n".join([":20:S1", ":25:0114", ":28C:1/1", f":60F:{opening}", *body, f":62F:{closing}", "-", ""])


def one(entry: str, *below: str) -> StatementLine:
    (line,) = lines(statement(f":61:{entry}", *below))
    return line


def refusal(text: str | bytes) -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        list(proved(reader.read(io.BytesIO(text if isinstance(text, bytes) else text.encode()))))
    assert caught.value.reason
    return caught.value


# --- a worked day ---


def test_a_worked_day() -> None:
    found = list(proved(reader.read(io.BytesIO((FILES / "county_day.sta").read_bytes()))))
    heads = [event for event in found if isinstance(event, StatementOpened)]
    feet = [event for event in found if isinstance(event, StatementClosed)]
    moves = [event for event in found if isinstance(event, StatementLine)]
    assert [(h.format, h.account, h.currency, h.opening_minor, h.reference, h.number) for h in heads] == [
        ("mt940", "EXAMKENA/0114000000000", "KES", 100_000, "STMT261102", "211/1"),
        ("mt940", "EXAMKENA/0114000000000", "KES", 200_000, "STMT261103", "212/1"),
    ]
    assert [(f.closing_minor, f.lines, f.credits_minor, f.debits_minor, f.adds_up) for f in feet] == [
        (200_000, 4, 128_050, 28_050, True),
        (50_000, 1, 0, 150_000, True),
    ]
    assert [(m.number, m.amount_minor, m.reference, m.kind, m.code, m.text) for m in moves] == [
        (
            *(6, 125_050, "FT26306ABC01", None, "NTRF"),
            "PAYBILL SETTLEMENT 400222 OF 2 NOVEMBER, NET OF NOTHING, FOR THE COUNTY COLLECTIONS SECOND BATCH",
        ),
        (10, -25_050, "FT26306ABC02", Kind.REVERSAL, "NTRI", "RETURNED: WRONG ACCOUNT"),
        (12, -3_000, "", None, "NCHG", "LEDGER FEE"),
        (14, 3_000, "", None, "NCHG", "WAIVED"),
        (25, -150_000, "FT26307ABC03", None, "NTRF", "TO COUNTY REVENUE FUND"),
    ]
    assert moves[1].references == (("customer", "INV 5512"),)
    assert feet[0].notes == ("line 18: information to the whole statement: FOR QUERIES VISIT YOUR BRANCH",)


def test_within_the_day_nothing_proves_the_balance_and_what_is_expected_does_not_count() -> None:
    text = (FILES / "within_the_day.942").read_text()
    assert (opened(text).format, opened(text).opening_minor, opened(text).currency) == ("mt942", None, "KES")
    assert [(line.amount_minor, line.counts) for line in lines(text)] == [
        (10_000, True),
        (4_000, False),
        (-1_500, False),
    ]
    foot = closed(text)
    assert (foot.closing_minor, foot.adds_up, foot.lines, foot.shown) == (None, None, 1, 2)
    assert (foot.credits_minor, foot.debits_minor) == (10_000, 0)


@pytest.mark.parametrize(
    "change", [(":90C:2", ":90C:3"), ("KES140,", "KES141,"), ("C100,00", "C10,00"), ("EC40", "ED40")]
)
def test_the_sums_of_an_mt942_must_agree(change: tuple[str, str]) -> None:
    text = (FILES / "within_the_day.942").read_text().replace(*change)
    assert refusal(text).fault is StatementFault.DOES_NOT_ADD_UP


def test_it_is_a_reader_that_knows_its_files() -> None:
    assert isinstance(reader, StatementReader)
    assert reader.sniff((FILES / "county_day.sta").read_bytes(), "x")
    assert reader.sniff(b"\r\n:61:1409010902DR1,62NTRF", "x")
    assert reader.sniff(b"<?xml version='1.0'?>\n:20:", "x.sta") is False
    assert reader.sniff(b"Date,Details,Paid in\n2026-11-02,:20:,5", "x.csv") is False


# --- the money errors of other readers ---


@pytest.mark.parametrize(
    ("mark", "minor"),
    [
        *(("C", 20_488), ("D", -20_488), ("RC", -20_488), ("RD", 20_488), ("EC", 20_488), ("ED", -20_488)),
        *(("CR", 20_488), ("DR", -20_488), ("RCR", -20_488), ("RDR", 20_488), ("DN", -20_488), ("CK", 20_488)),
    ],
)
def test_the_sign_is_the_effect_on_the_account(mark: str, minor: int) -> None:
    line = one(f"2611021102{mark}204,88NTRFNONREF//B1")
    assert line.amount_minor == minor
    assert line.counts is (mark[0] != "E")


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        ("10,50", 1_050),
        ("10.50", 1_050),
        ("10,5", 1_050),
        ("10.5", 1_050),
        ("500,", 50_000),
        ("500.", 50_000),
        ("500", 50_000),
        ("000000002145.00", 214_500),
        ("1234567890123,45", 123_456_789_012_345),
        ("123456789012,34", 12_345_678_901_234),
        ("0,00", 0),
    ],
)
def test_an_amount_keeps_every_digit(written: str, minor: int) -> None:
    assert one(f"261102C{written}NTRFNONREF").amount_minor == minor
    assert opened(statement(opening=f"D261101KES{written}")).opening_minor == -minor


@pytest.mark.parametrize("written", ["1.234,50", "1,234.50", "1,234,50", "1.234", "1,234", ",", ",50", ".5", "9" * 16])
def test_an_amount_that_could_mean_two_things_is_refused(written: str) -> None:
    found = refusal(statement(f":61:261102C{written}NTRFNONREF"))
    assert (found.fault, found.line, found.column) == (StatementFault.BAD_AMOUNT, 5, "61")
    assert refusal(statement(opening=f"C261101KES{written}")).fault is StatementFault.BAD_AMOUNT


@pytest.mark.parametrize(
    "entry",
    ["260231C1,NTRF", "260931C1,NTRF", "261301C1,NTRF", "000000C1,NTRF", "2611020230C1,NTRF", "2611021301C1,NTRF"],
)
def test_a_day_that_does_not_exist_is_refused_with_its_line(entry: str) -> None:
    found = refusal(statement(":61:261102C1,NTRF", ":86:x", f":61:{entry}"))
    assert (found.fault, found.line, found.column) == (StatementFault.BAD_DATE, 7, "61")


# --- entries ---


@pytest.mark.parametrize(
    ("entry", "value", "booked"),
    [
        ("2611021102C1,NTRF", date(2026, 11, 2), date(2026, 11, 2)),
        ("261102C1,NTRF", date(2026, 11, 2), date(2026, 11, 2)),
        ("261102    C1,NTRF", date(2026, 11, 2), date(2026, 11, 2)),
        ("2612310102C1,NTRF", date(2026, 12, 31), date(2027, 1, 2)),
        ("2701011231C1,NTRF", date(2027, 1, 1), date(2026, 12, 31)),
        ("2801310229C1,NTRF", date(2028, 1, 31), date(2028, 2, 29)),
        ("991231C1,NTRF", date(1999, 12, 31), date(1999, 12, 31)),
    ],
)
def test_the_entry_day_is_the_one_nearest_to_the_value_day(entry: str, value: date, booked: date) -> None:
    line = one(entry)
    assert (line.value_on, line.booked_on) == (value, booked)


@pytest.mark.parametrize(
    ("rest", "code", "reference", "references"),
    [
        ("NTRFNONREF//FT1 ", "NTRF", "FT1", ()),
        ("NTRFmy ref//ft1", "NTRF", "FT1", (("customer", "my ref"),)),
        ("NONREF", "", "", ()),
        ("//19239782213", "", "19239782213", ()),
        ("NOV NONREF", "NOV", "", ()),
        ("N191000001/17//X", "N191", "X", (("customer", "000001/17"),)),
        ("FMSC01916//NONREF", "FMSC", "", (("customer", "01916"),)),
        ("S05168790452", "S051", "", (("customer", "68790452"),)),
        ("", "", "", ()),
    ],
)
def test_codes_and_references(rest: str, code: str, reference: str, references: tuple[tuple[str, str], ...]) -> None:
    line = one(f"261102C1,00{rest}")
    assert (line.code, line.reference, line.references) == (code, reference, references)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("26110C1,NTRF", StatementFault.BAD_DATE),
        ("261102X1,NTRF", StatementFault.BAD_SIGN),
        ("2611021,NTRF", StatementFault.BAD_SIGN),
        ("261102CRR1,NTRF", StatementFault.BAD_SIGN),
        ("261102CNTRF", StatementFault.BAD_SIGN),
        ("261102C1,0O", StatementFault.BAD_VALUE),
    ],
)
def test_an_entry_that_cannot_be_read_says_which_part(entry: str, fault: StatementFault) -> None:
    assert refusal(statement(f":61:{entry}")).fault is fault


def test_equal_entries_are_real_and_counted() -> None:
    twice = statement(":61:261102C1,NTRF", ":86:same", ":61:261102C1,NTRF", ":86:same", ":61:261102D2,NTRF")
    assert [line.occurrence for line in lines(twice)] == [1, 2, 1]


# --- information to the owner ---

FULL = "A" * 65


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ([":86:one", "two", "  three "], "one two three"),
        ([f":86:{FULL}", "B"], f"{FULL}B"),
        ([":86:", "", "text"], "text"),
        ([":86:time 13", ":12:11"], "time 13 :12:11"),
        ([":86:one", "-", "two"], "one - two"),
        ([":86:NIET AKKOORD", ":86:KOSTEN"], "NIET AKKOORD KOSTEN"),
    ],
)
def test_free_information(info: list[str], text: str) -> None:
    assert one("261102C1,00NTRF", *info).text == text


def test_german_information() -> None:
    line = one(
        "261102C1,00NTRFNONREF//B1",
        ":86:166?00GUTSCHRIFT?100399?20EREF+TFNR 22 004?21SVWZ+Strukturierter Verwen",
        "d?22ungszweck?30EXAMDEFF?31DE00123?32KARL WH?60 rest?33O",
    )
    assert line.text.startswith("GUTSCHRIFT EREF+TFNR 22 004 SVWZ+Strukturierter Verwendungszweck")
    assert line.account_reference == "Strukturierter Verwendungszweck rest"
    assert line.party.name == "KARL WH O"
    assert line.references == (("EREF", "TFNR 22 004"), ("account", "DE00123"))


@pytest.mark.parametrize("sign", ["~", "<", ">"])
def test_other_signs_of_numbered_fields(sign: str) -> None:
    line = one("261102C1,00NTRF", f":86:020{sign}00PRZELEW{sign}20CZYNSZ 12{sign}32JAN NOWAK{sign}38PL00")
    assert (line.text, line.account_reference, line.party.name) == ("PRZELEW CZYNSZ 12", "CZYNSZ 12", "JAN NOWAK")


def test_dutch_information_and_a_slash_in_a_name() -> None:
    line = one(
        "261102C1,00NTRFEREF",
        ":86:/TRTP/SEPA/IBAN/NL00X/BIC/Y/NAME/ROE/DOE LTD/REMI/BILL 123/456/EREF/NOTPROVIDED",
    )
    assert (line.party.name, line.account_reference) == ("ROE/DOE LTD", "BILL 123/456")
    assert line.references == (("customer", "EREF"), ("account", "NL00X"))


def test_counterparty_and_issuer_of_one_bank() -> None:
    line = one("261102C1,00NTRF", ":86:/CNTP/NL00X/EXAMNL2A/JANE ROE/TOWN///REMI/USTD//BILL 9/")
    assert (line.party.name, line.account_reference) == ("JANE ROE", "BILL 9")


# --- statements and files ---


def test_line_ends_envelopes_and_first_bytes_do_not_matter() -> None:
    text = statement(":61:2611021102C1,00NTRFNONREF//A", ":86:x", ":61:261102D1,00NTRF", ":86:y")
    plain = events(text)
    for other in (
        text.replace("\n", "\r\n"),
        text.replace("\n", "\r"),
        text.rstrip("-\n"),
        "\ufeff" + text,
        ":940:\n" + text,
    ):
        found = events(other)
        assert [e[1:] if isinstance(e, StatementLine) else e for e in found] == [
            e[1:] if isinstance(e, StatementLine) else e for e in plain
        ]
    assert len(events("\x01\n" + text.replace("\n-\n", "\n-\x03"))) == 4
    assert len(events("\x01" + text)) == 4


def test_text_that_is_not_utf8_is_read_and_noted() -> None:
    text = statement(":61:261102C1,00NTRF", ":86:M\xdcLLER \x80", ":61:261102D1,00NTRF")
    assert [line.text for line in lines(text.encode("latin-1"))] == ["MÜLLER €", ""]
    assert "cp1252" in closed(text.encode("latin-1")).notes[0]
    odd = text.encode("latin-1") + b"\x81"
    assert "Latin-1" in closed(odd).notes[0]
    assert closed(text.encode()).notes == ()


@pytest.mark.parametrize("end", [b"\xe1\x8d", b"\xe1\x8d" + b"x" * 40_000 + b"\xff"])
def test_bytes_that_are_utf8_up_to_a_point_and_in_no_windows_table_end_no_reading(end: bytes) -> None:
    """An accent cut at the end of the file, or a wrong byte after a right one, far apart."""
    found = closed(statement().encode() + end)
    assert (found.lines, found.closing_minor) == (0, 100_000)
    assert any("Latin-1" in note for note in found.notes)


def test_pages_follow_each_other() -> None:
    first = ":20:A\n:25:1\n:28C:9/1\n:60F:C261101KES0,\n:61:261102C7,NTRF\n:62M:C261102KES7,\n"
    second = ":20:A\n:25:1\n:28C:9/2\n:60M:C261102KES7,\n:61:261102C1,NTRF\n:62F:C261102KES8,\n"
    assert len(list(proved(iter(events(first + second))))) == 6
    assert refusal(first + second.replace("KES7,", "KES6,").replace("KES8,", "KES7,")).fault is StatementFault.SKIPPED


def test_one_reference_for_every_statement_is_no_repeat_but_the_same_statement_is() -> None:
    week = statement(":61:261102C5,NTRF", closing="C261102KES1005,00") + statement(
        ":61:261109D5,NTRF", opening="C261102KES1005,00"
    )
    assert len(list(proved(iter(events(week))))) == 6
    same = statement(":61:261102C5,NTRF", ":61:261102D5,NTRF")
    assert refusal(same + same).fault is StatementFault.REPEATED


def test_a_currency_that_is_missing_is_taken_and_noted_or_refused() -> None:
    found = closed(statement(closing="C2611021000,00"))
    assert "names no currency" in found.notes[0]
    assert found.adds_up is True
    named = statement(opening="C2611011000,00").replace(":25:0114", ":25:1017.490.554 KES")
    assert opened(named).currency == "KES"
    assert refusal(statement(opening="C2611011000,00")).fault is StatementFault.BAD_CURRENCY
    assert refusal(statement(closing="C261102USD1000,00")).fault is StatementFault.BAD_CURRENCY


@pytest.mark.parametrize(
    ("text", "fault", "line"),
    [
        ("", StatementFault.EMPTY, None),
        ("<html>", StatementFault.NOT_A_STATEMENT, 1),
        (":61:261102C1,NTRF\n", StatementFault.NOT_A_STATEMENT, 1),
        (":20:A\n:25:1\n", StatementFault.NOT_A_STATEMENT, 1),
        (":20:A\n:61:261102C1,NTRF\n", StatementFault.NOT_A_STATEMENT, 2),
        (":20:A\n:62F:C261102KES1,\n", StatementFault.NOT_A_STATEMENT, 2),
        (statement().split(":62F:")[0], StatementFault.MISSING_FIELD, 4),
        (statement() + ":61:261102C1,NTRF\n", StatementFault.NOT_A_STATEMENT, 7),
        (statement().replace("-\n", ":61:261102C1,NTRF\n"), StatementFault.NOT_A_STATEMENT, 6),
        (statement(":60F:C261101KES1000,00"), StatementFault.BAD_VALUE, 5),
        (statement().replace("-\n", ":62F:C261102KES1000,00\n"), StatementFault.BAD_VALUE, 6),
        (statement(opening="261101KES1,"), StatementFault.BAD_VALUE, 4),
        (statement(closing="C261102KES999,99"), StatementFault.DOES_NOT_ADD_UP, None),
        (":20:A\0", StatementFault.UNREADABLE, None),
        (":20:A\n:34F:1\n:90D:x\n", StatementFault.BAD_VALUE, 3),
        (":20:A\n:13D:2611021200+0300\n", StatementFault.BAD_CURRENCY, None),
    ],
)
def test_what_is_no_statement_is_refused(text: str, fault: StatementFault, line: int | None) -> None:
    found = refusal(text)
    assert found.fault is fault
    assert line is None or found.line == line


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.statements.swift_text.LARGEST_BYTES", 100)
    assert refusal(statement() * 2).fault is StatementFault.TOO_LARGE
    monkeypatch.undo()
    assert refusal(statement(":61:261102C1,NTRF", ":86:x", *["y"] * 1_001)).fault is StatementFault.TOO_LARGE
    assert refusal(b":20:" + b"x" * 1_300_000).fault is StatementFault.UNREADABLE


def test_entries_of_the_usual_shape_are_read_as_all_others_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_mt940(tmp_path / "long.sta", 1_500)
    shapes = [
        (":61:2611011101C500,NTRFPERMIT 7//FT1", ":86:RENT"),
        (":61:261101C500,5NTRFNONREF//FT1 ", "BELOW", ":86:" + "A" * 65, "B"),
        (":61:2611011101RC2,50NTRFPERMIT//FT1", "BELOW"),
        (":61:2611011101RDK2,50S103NONREF//FT1", ":86:SHORT", "LINE", "LINE"),
        (":61:2611011101D1,00NC  NONREF", ":86:"),
        (":61:2611011101D1,00NCHGNONREF//NONREF", ":86:", " second"),
        (":61:2611011101D1,00NCHGNONREF//ft9", ":86:?20Is this? yes?21no??32A?B"),
        (":61:2611011101D1,00NCHGNONREF//ft9", ":86:166?00X?20EREF+1 SVWZ+a?b?2A?6199?32JANE", "DOE"),
    ]
    told = statement(*(row for shape in shapes * 2 for row in shape), ":61:261101D1,00NCHGNONREF")
    bodies = [(FILES / "county_day.sta").read_bytes(), (tmp_path / "long.sta").read_bytes(), told.encode()]
    quick = [events(body) for body in bodies]
    monkeypatch.setattr(
        "adapters.statements.swift_entries.movements", lambda text, at, number, tally, out: (at, number)
    )
    assert [events(body) for body in bodies] == quick
    assert [len(found) for found in quick[1:]] == [1_502, 2 * len(shapes) + 3]
    assert [line.occurrence for line in lines(told)] == [1] * len(shapes) + [2] * len(shapes) + [3]


@pytest.mark.parametrize("write", [write_mt940, write_camt053])
def test_memory_does_not_grow_with_the_file(write: Callable[[Path, int], None], tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 8_000):
        write(tmp_path / "file", count)
        read = reader if write is write_mt940 else camt.reader
        tracemalloc.start()
        with (tmp_path / "file").open("rb") as stream:
            lines_read = sum(isinstance(event, StatementLine) for event in proved(read.read(stream)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert lines_read == count
    # What is remembered of a line is the hash that tells real repeats apart.
    assert peaks[1] - peaks[0] < 7_000 * 150
