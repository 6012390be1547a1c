"""camt: payments and charges told at other places, and days that are used for nothing."""

from __future__ import annotations

import io

import pytest

from adapters.statements.camt import reader
from revenue_engine.ports.statements import StatementClosed, StatementFault, StatementLine, StatementRefused, proved

_DAYS = "<BookgDt><Dt>2026-09-15</Dt></BookgDt><ValDt><Dt>2026-09-15</Dt></ValDt>"


def entry(amount: str, inside: str = "", *, days: str = _DAYS, status: str = "BOOK") -> str:
    details = f"<NtryDtls>{inside}</NtryDtls>" if inside else ""
    return (
        f'<Ntry><Amt Ccy="KES">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>{status}</Sts>{days}'
        f"<AcctSvcrRef>R1</AcctSvcrRef>{details}</Ntry>"
    )


def paid(amount: str, typed: str, charge: str = "") -> str:
    return f"<TxDtls>{amount}<CdtDbtInd>CRDT</CdtDbtInd>{charge}<RmtInf><Ustrd>{typed}</Ustrd></RmtInf></TxDtls>"


def read(closing: str, entries: str) -> tuple[list[StatementLine], int]:
    def balance(code: str, amount: str) -> str:
        return (
            f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="KES">{amount}</Amt>'
            "<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-09-15</Dt></Dt></Bal>"
        )

    text = (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId>'
        "</GrpHdr><Stmt><Id>S</Id><CreDtTm>2026-09-16T06:00:00+03:00</CreDtTm><Acct><Id><Othr><Id>1100100</Id></Othr>"
        f"</Id><Ccy>KES</Ccy></Acct>{balance('OPBD', '0')}{balance('CLBD', closing)}{entries}</Stmt></BkToCstmrStmt>"
        "</Document>"
    )
    events = list(proved(reader.read(io.BytesIO(text.encode()))))
    lines = [event for event in events if isinstance(event, StatementLine)]
    return lines, sum(event.shown for event in events if isinstance(event, StatementClosed))


def instructed(amount: str) -> str:
    return f'<AmtDtls><InstdAmt><Amt Ccy="KES">{amount}</Amt></InstdAmt></AmtDtls>'


def test_payments_told_only_by_what_payers_were_told_to_pay_are_read_one_by_one() -> None:
    lines, _ = read("2026", entry("2026", paid(instructed("26"), "743265721") + paid(instructed("2000"), "562597067")))
    assert [(part.amount_minor, part.account_reference) for part in lines[0].details] == [
        (2600, "743265721"),
        (200000, "562597067"),
    ]


def test_they_are_not_believed_where_they_do_not_come_to_the_entry() -> None:
    lines, _ = read("2026", entry("2026", paid(instructed("26"), "743265721") + paid(instructed("1999"), "562597067")))
    assert lines[0].details == ()


def test_a_charge_told_by_its_total_alone_is_kept_apart() -> None:
    total = '<Chrgs><TtlChrgsAndTaxAmt Ccy="KES">26</TtlChrgsAndTaxAmt></Chrgs>'
    lines, _ = read("1974", entry("1974", paid('<Amt Ccy="KES">2000</Amt>', "743265721", total)))
    assert [part.amount_minor for part in lines[0].details] == [200000, -2600]


@pytest.mark.parametrize(
    "written",
    ["<Dt>2026-02-30</Dt>", "<DtTm>2026-02-29T00:00:00</DtTm>", "<Dt>2026-04-31</Dt>", "<Dt>0000-00-00</Dt>"],
)
def test_a_value_day_that_is_none_beside_a_booking_day_refuses_nothing(written: str) -> None:
    days = f"<BookgDt><Dt>2026-03-02</Dt></BookgDt><ValDt>{written}</ValDt>"
    (line,), _ = read("100", entry("100", days=days))
    assert (str(line.booked_on), line.value_on) == ("2026-03-02", None)


@pytest.mark.parametrize(
    "days",
    [
        "<BookgDt><Dt>2026-02-30</Dt></BookgDt>",
        "<BookgDt><Dt>2026-13-01</Dt></BookgDt><ValDt><Dt>2026-03-02</Dt></ValDt>",
        "<ValDt><Dt>2026-13-01</Dt></ValDt>",
    ],
)
def test_a_day_that_counts_must_be_one(days: str) -> None:
    with pytest.raises(StatementRefused) as caught:
        read("100", entry("100", days=days))
    assert caught.value.fault is StatementFault.BAD_DATE


@pytest.mark.parametrize("written", ["0000-00-00", "2026-02-30"])
def test_an_entry_that_is_only_shown_needs_no_day_of_the_calendar(written: str) -> None:
    days = f"<BookgDt><Dt>{written}</Dt></BookgDt>"
    lines, shown = read("100", entry("100") + entry("55", days=days, status="PDNG"))
    assert [line.amount_minor for line in lines if line.counts] == [10000]
    assert shown == 1


def kept(*charges: tuple[str, str, str], record: bool = True) -> str:
    told = "".join(
        f'{"<Rcrd>" if record else ""}<Amt Ccy="KES">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd>'
        f"<ChrgInclInd>{included}</ChrgInclInd>{'</Rcrd>' if record else ''}"
        for amount, way, included in charges
    )
    return f"<Chrgs>{told}</Chrgs>"


@pytest.mark.parametrize(
    ("inside", "parts"),
    [
        (kept(("26", "DBIT", "true")), [200000, -2600]),
        (kept(("26", "DBIT", "true"), record=False), [200000, -2600]),
        (kept(("20", "DBIT", "true"), ("6", "DBIT", "1")), [200000, -2600]),
        (kept(("20", "DBIT", "true"), ("6", "DBIT", "false")), [199400, -2000]),
        (kept(("26", "CRDT", "true")), [194800, 2600]),
        (kept(("26", "DBIT", "false")), []),
        (kept(("26", "DBIT", "false"), record=False), []),
    ],
)
def test_charges_that_an_entry_without_details_includes(inside: str, parts: list[int]) -> None:
    lines, _ = read("1974", entry("1974").replace("<AcctSvcrRef>", inside + "<AcctSvcrRef>"))
    assert [part.amount_minor for part in lines[0].details] == parts
    assert lines[0].amount_minor == 197400
