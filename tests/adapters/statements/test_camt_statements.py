"""camt.052, 053 and 054: what they mean, what is refused, and what is never opened."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path

import pytest

from adapters.statements.camt import reader
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

DAY = (Path(__file__).parent / "camt" / "county_day.xml").read_text()


def events(text: str | bytes) -> list[StatementEvent]:
    return list(proved(reader.read(io.BytesIO(text if isinstance(text, bytes) else text.encode()))))


def lines(text: str | bytes) -> list[StatementLine]:
    return [event for event in events(text) if isinstance(event, StatementLine)]


def foot(text: str) -> StatementClosed:
    return next(event for event in events(text) if isinstance(event, StatementClosed))


def head(text: str) -> StatementOpened:
    return next(event for event in events(text) if isinstance(event, StatementOpened))


def refusal(text: str | bytes) -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        events(text)
    assert caught.value.reason
    return caught.value


def balance(kind: str, amount: str, way: str = "CRDT", money: str = "KES") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy='{money}'>{amount}</Amt>"
        f"<CdtDbtInd>{way}</CdtDbtInd></Bal>"
    )


def entry(amount: str = "5", way: str = "CRDT", *more: str, status: str = "BOOK", money: str = "KES") -> str:
    day = "" if any("BookgDt" in one for one in more) else "<BookgDt><Dt>2026-11-02</Dt></BookgDt>"
    return (
        f"<Ntry><Amt Ccy='{money}'>{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd><Sts>{status}</Sts>{day}"
        f"{''.join(more)}</Ntry>"
    )


def detail(amount: str, *more: str) -> str:
    return f"<TxDtls><Amt Ccy='KES'>{amount}</Amt>{''.join(more)}</TxDtls>"


def message(*body: str, kind: str = "BkToCstmrStmt/Stmt", group: str = "") -> str:
    outer, inner = kind.split("/")
    return (
        f"<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.02'><{outer}><GrpHdr>{group}</GrpHdr>"
        f"<{inner}><Id>S</Id><Acct><Id><IBAN>A</IBAN></Id></Acct>{''.join(body)}</{inner}></{outer}></Document>"
    )


# --- a worked day ---


def test_a_worked_day() -> None:
    assert head(DAY) == StatementOpened(
        *("camt.053", "0114000000000", "KES", 100_000, "STMT-1", "211", date(2026, 11, 2), date(2026, 11, 2))
    )
    last = foot(DAY)
    assert (last.closing_minor, last.lines, last.shown, last.adds_up) == (127_050, 3, 1, True)
    assert (last.credits_minor, last.debits_minor) == (35_050, 8_000)
    first, batch, reversed_, pending = lines(DAY)
    assert (first.number, first.amount_minor, first.reference, first.code) == (
        1,
        30_050,
        "FT26306ABC01",
        "PMNT/RCDT/ESCT",
    )
    assert first.occurred_at is not None
    assert first.occurred_at.isoformat() == "2026-11-02T10:15:00+03:00"
    assert (first.text, first.account_reference, first.party.name) == (
        *("LAND RATES 123456782", "LAND RATES 123456782"),
        "MAMA MBOGA STORES",
    )
    assert first.references == (
        ("NtryRef", "1"),
        ("EndToEndId", "E2E-1"),
        ("UETR", "00000000-0000-4000-8000-000000000001"),
    )
    assert [(one.amount_minor, one.reference, one.account_reference) for one in batch.details] == [
        (2_000, "TX-1", "123456790"),
        (3_000, "TX-2", ""),
    ]
    assert batch.details[0].party.name == "JANE DOE"
    assert (reversed_.amount_minor, reversed_.kind, reversed_.text) == (-8_000, Kind.REVERSAL, "RETURNED CHEQUE")
    assert (pending.counts, pending.amount_minor, pending.booked_on) == (False, 99_900, date(2026, 11, 4))


def test_it_is_a_reader_that_knows_its_files() -> None:
    assert isinstance(reader, StatementReader)
    assert reader.sniff(DAY.encode()[:500], "x")
    assert reader.sniff(DAY.replace("UTF-8", "UTF-16").encode("utf-16"), "x")
    assert reader.sniff(b"\xef\xbb\xbf<BkToCstmrStmt/>", "x")
    assert not reader.sniff(b"<html>camt</html>", "camt.053.xml")
    assert not reader.sniff(b":20:camt.053", "x.xml")


# --- direction, status, amounts, days ---


@pytest.mark.parametrize("flag", ["true", "false", "1", "0"])
@pytest.mark.parametrize(("way", "sign"), [("CRDT", 1), ("DBIT", -1)])
def test_a_reversal_flag_never_turns_the_sign(flag: str, way: str, sign: int) -> None:
    (line,) = lines(message(entry("5", way, f"<RvslInd>{flag}</RvslInd>")))
    assert line.amount_minor == sign * 500
    assert line.kind is (Kind.REVERSAL if sign < 0 and flag in {"true", "1"} else None)


@pytest.mark.parametrize(("status", "counts"), [("BOOK", True), ("PDNG", False), ("INFO", False), ("FUTR", False)])
@pytest.mark.parametrize("shape", ["{}", "<Cd>{}</Cd>", "<Prtry>{}</Prtry>"])
def test_only_what_is_booked_counts(status: str, counts: bool, shape: str) -> None:
    (line,) = lines(message(entry(status=shape.format(status))))
    assert line.counts is counts


@pytest.mark.parametrize(
    ("written", "minor"), [("1250.5", 125_050), ("8.850", 885), ("7.10000", 710), ("200000", 20_000_000), ("0", 0)]
)
def test_amounts_are_whole_cents(written: str, minor: int) -> None:
    assert lines(message(entry(written)))[0].amount_minor == minor


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        *(
            ("8.855", StatementFault.BAD_AMOUNT),
            ("12..34", StatementFault.BAD_AMOUNT),
            ("1,50", StatementFault.BAD_AMOUNT),
        ),
        *(("1e3", StatementFault.BAD_AMOUNT), ("\u0661", StatementFault.BAD_AMOUNT), ("-5", StatementFault.BAD_SIGN)),
        *(("", StatementFault.MISSING_FIELD), (".5", StatementFault.BAD_AMOUNT), ("9" * 16, StatementFault.BAD_AMOUNT)),
        ("1</Amt><Amt Ccy='KES'>2", StatementFault.BAD_CURRENCY),
    ],
)
def test_amounts_that_are_not_are_refused(written: str, fault: StatementFault) -> None:
    assert refusal(message(entry(written))).fault is fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (entry(way="CREDIT"), StatementFault.BAD_SIGN),
        (entry(way=""), StatementFault.MISSING_FIELD),
        (entry(way="CRDT</CdtDbtInd><CdtDbtInd>DBIT"), StatementFault.BAD_SIGN),
        (entry(status="DONE"), StatementFault.BAD_VALUE),
        (entry(status=""), StatementFault.MISSING_FIELD),
        (entry("5", "CRDT", "<RvslInd>maybe</RvslInd>"), StatementFault.BAD_VALUE),
        (entry("5", "CRDT", "<BookgDt><Dt>2026-02-30</Dt></BookgDt>"), StatementFault.BAD_DATE),
        (entry("5", "CRDT", "<BookgDt><Dt>02.11.2026</Dt></BookgDt>"), StatementFault.BAD_DATE),
        (entry("5", "CRDT", "<BookgDt/>"), StatementFault.MISSING_FIELD),
        (entry(money="KSH."), StatementFault.BAD_CURRENCY),
        (entry() + entry(money="USD"), StatementFault.BAD_CURRENCY),
        (balance("OPBD", "1", money="USD") + entry(), StatementFault.BAD_CURRENCY),
        (balance("OPBD", "1") + balance("OPBD", "2") + entry(), StatementFault.BAD_VALUE),
        (entry() + balance("OPBD", "1"), StatementFault.BAD_VALUE),
        (balance("OPBD", "1") + entry() + balance("CLBD", "6", money="USD"), StatementFault.BAD_CURRENCY),
        (balance("OPBD", "1") + balance("CLBD", "5") + entry(), StatementFault.DOES_NOT_ADD_UP),
        ("", StatementFault.BAD_CURRENCY),
        ("words " + entry(), StatementFault.UNREADABLE),
        (entry() + " words", StatementFault.UNREADABLE),
        ("<CpyDplctInd>COPY</CpyDplctInd>" + entry(), StatementFault.REPEATED),
        ("<CpyDplctInd>DUPL</CpyDplctInd>" + entry(), StatementFault.REPEATED),
    ],
)
def test_what_cannot_be_relied_on_is_refused(text: str, fault: StatementFault) -> None:
    found = refusal(message(text))
    assert found.fault is fault
    assert found.line is not None or fault is StatementFault.DOES_NOT_ADD_UP


def test_a_day_may_stand_where_an_instant_should_and_no_zone_is_guessed() -> None:
    days = ["<Dt>2026-11-02T08:00:00+03:00</Dt>", "<DtTm>2026-11-02</DtTm>", "<DtTm>2026-11-02T08:00:00</DtTm>"]
    found = [lines(message(entry("5", "CRDT", f"<BookgDt>{one}</BookgDt>")))[0] for one in days]
    assert {line.booked_on for line in found} == {date(2026, 11, 2)}
    assert [line.occurred_at is None for line in found] == [False, True, True]


# --- batches ---


def test_parts_that_do_not_add_up_leave_one_movement_with_their_references() -> None:
    body = (
        "<NtryDtls>"
        + detail("2", "<Refs><TxId>a</TxId></Refs>")
        + detail("2", "<Refs><TxId>b</TxId></Refs>")
        + "</NtryDtls>"
    )
    (line,) = lines(message(entry("5", "CRDT", body)))
    assert (line.amount_minor, line.details, line.references) == (500, (), (("TxId", "a"), ("TxId", "b")))


def test_parts_have_directions_of_their_own() -> None:
    back = "<CdtDbtInd>DBIT</CdtDbtInd>"
    body = "<NtryDtls>" + detail("9") + "</NtryDtls><NtryDtls>" + detail("4", back) + "</NtryDtls>"
    (line,) = lines(message(entry("5", "CRDT", body)))
    assert [one.amount_minor for one in line.details] == [900, -400]


# --- balances and pages ---


@pytest.mark.parametrize(
    ("balances", "opening", "closing"),
    [
        ([("OPBD", "1"), ("CLBD", "6")], 100, 600),
        ([("PRCD", "1"), ("CLBD", "6")], 100, 600),
        ([("PRCD", "9"), ("OPBD", "1"), ("CLBD", "6")], 100, 600),
        ([("OPBD", "1"), ("ITBD", "6")], 100, 600),
        ([("ITBD", "1"), ("CLBD", "6")], 100, 600),
        ([("ITBD", "1"), ("ITBD", "6")], 100, 600),
        ([("CLBD", "6"), ("OPBD", "1")], 100, 600),
        ([("ITBD", "6")], None, 600),
        ([("OPAV", "1"), ("CLAV", "6")], None, None),
    ],
)
def test_which_balances_open_and_close(
    balances: list[tuple[str, str]], opening: int | None, closing: int | None
) -> None:
    text = message(*(balance(*one) for one in balances), entry())
    assert (head(text).opening_minor, foot(text).closing_minor) == (opening, closing)
    assert foot(text).adds_up is (None if opening is None else True)


def test_an_overdrawn_balance_is_below_zero_and_may_stand_behind_the_entries_it_closes() -> None:
    text = message(balance("OPBD", "7", "DBIT"), entry(), balance("CLBD", "2", "DBIT"))
    assert (head(text).opening_minor, foot(text).closing_minor, foot(text).adds_up) == (-700, -200, True)


PAGE = "<StmtPgntn><PgNb>{}</PgNb><LastPgInd>{}</LastPgInd></StmtPgntn>"


def test_a_page_needs_the_others_unless_its_own_balances_prove_it() -> None:
    first = message(PAGE.format(1, "false"), balance("OPBD", "1"), entry())
    assert refusal(first).fault is StatementFault.SKIPPED
    assert "next" in refusal(first).reason
    second = message(PAGE.format(2, "true"), balance("CLBD", "6"), entry())
    assert "previous" in refusal(second).reason
    whole = message(PAGE.format(1, "false"), balance("OPBD", "1"), balance("ITBD", "6"), entry())
    assert foot(whole).adds_up is True
    group = "<MsgPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></MsgPgntn>"
    assert refusal(message(balance("OPBD", "1"), entry(), group=group)).fault is StatementFault.SKIPPED


def test_reports_and_notices_prove_nothing() -> None:
    report = message(balance("ITBD", "6"), entry(), kind="BkToCstmrAcctRptV01/Rpt")
    notice = message(entry(), kind="BkToCstmrDbtCdtNtfctn/Ntfctn")
    assert [(head(one).format, head(one).opening_minor, foot(one).adds_up) for one in (report, notice)] == [
        ("camt.052", None, None),
        ("camt.054", None, None),
    ]


# --- files ---


def test_statements_follow_each_other_and_may_not_repeat() -> None:
    one = message(balance("OPBD", "1"), balance("CLBD", "6"), entry())
    inner = one[one.index("<Stmt>") : one.index("</Stmt>") + 7]
    assert refusal(one.replace("</Stmt>", "</Stmt>" + inner)).fault is StatementFault.SKIPPED
    plain = message(entry())
    inner = plain[plain.index("<Stmt>") : plain.index("</Stmt>") + 7]
    assert refusal(plain.replace("</Stmt>", "</Stmt>" + inner)).fault is StatementFault.REPEATED


def test_prefixes_wrappers_and_encodings_do_not_matter() -> None:
    plain = events(DAY)
    prefixed = DAY.replace("<", "<p:").replace("<p:/", "</p:").replace("<p:?", "<?").replace("xmlns=", "xmlns:p=")
    declared = DAY.replace("UTF-8", "UTF-16").encode("utf-16")
    bare = DAY.replace(' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"', "")
    wrapped = DAY.replace("<Document", "<message><Document").replace("</Document>", "</Document></message>")
    for other in (prefixed, declared, bare, wrapped, DAY.replace("\n", "")):
        assert events(other) == plain


ENTITY = "<?xml version='1.0'?><!DOCTYPE Document [<!ENTITY a SYSTEM 'file:///etc/hostname'>]>"
BOMB = "<?xml version='1.0'?><!DOCTYPE Document [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"


@pytest.mark.parametrize("prolog", [ENTITY, BOMB, "<!DOCTYPE Document SYSTEM 'http://127.0.0.1:9/x.dtd'>"])
def test_a_document_type_is_never_opened(prolog: str) -> None:
    found = refusal(prolog + message(entry("&a;")))
    assert (found.fault, found.line) == (StatementFault.FORBIDDEN, 1)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", StatementFault.EMPTY),
        (b"<Document/>", StatementFault.NOT_A_STATEMENT),
        (b"<Document><BkToCstmrStmt><GrpHdr/></BkToCstmrStmt></Document>", StatementFault.EMPTY),
        (message(entry()).encode()[:-20], StatementFault.UNREADABLE),
        (message(entry("&nbsp;")).encode(), StatementFault.UNREADABLE),
        (b"<?xml version='1.0' encoding='nonsense'?><a/>", StatementFault.UNREADABLE),
        (b"\xff\xfe\xff", StatementFault.UNREADABLE),
        (message("<a>" * 100).encode(), StatementFault.FORBIDDEN),
        (message("".join(f"<a{n}/>" for n in range(20_001))).encode(), StatementFault.FORBIDDEN),
        (message(f"<a>{'x' * 70_000}</a>").encode(), StatementFault.TOO_LARGE),
        (message(f"<!--{'x' * 1_200_000}-->").encode(), StatementFault.TOO_LARGE),
        (message(f"<a>{'x' * 1_200_000}").encode(), StatementFault.TOO_LARGE),
        (message(f"<a b='{'x' * 1_200_000}'/>").encode(), StatementFault.TOO_LARGE),
        (message(*[balance("ITBD", "1")] * 17).encode(), StatementFault.TOO_LARGE),
    ],
)
def test_what_is_no_statement_is_refused(text: bytes, fault: StatementFault) -> None:
    assert refusal(text).fault is fault


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.statements.camt._MOST_DETAILS", 2)
    assert (
        refusal(message(entry("5", "CRDT", f"<NtryDtls>{detail('1') * 3}</NtryDtls>"))).fault
        is StatementFault.TOO_LARGE
    )
    monkeypatch.setattr("adapters.statements.camt.LARGEST_BYTES", 100)
    assert refusal(DAY).fault is StatementFault.TOO_LARGE


def test_an_archive_is_another_readers_file() -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("camt.053_1.xml", DAY)
    assert not reader.sniff(held.getvalue(), "statements.zip")
