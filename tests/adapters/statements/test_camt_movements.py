"""What stands inside a booked entry, what is only shown, and which way a reversal goes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.statements.camt import reader
from revenue_engine.money import wire
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementFault,
    StatementLine,
    StatementRefused,
    one_by_one,
    proved,
)

MADE = "<CreDtTm>2026-09-16T06:00:00+03:00</CreDtTm>"


def amount(minor: int, tag: str = "Amt") -> str:
    side = "CRDT" if minor >= 0 else "DBIT"
    return f'<{tag} Ccy="KES">{wire(abs(minor))}</{tag}><CdtDbtInd>{side}</CdtDbtInd>'


def balance(kind: str, minor: int) -> str:
    day = "<Dt><Dt>2026-09-15</Dt></Dt>"
    return f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>{amount(minor)}{day}</Bal>"


def entry(minor: int, inside: str = "", *, status: str = "BOOK", day: bool = True, more: str = "") -> str:
    dated = "<BookgDt><Dt>2026-09-15</Dt></BookgDt><AcctSvcrRef>FT1</AcctSvcrRef>" if day else ""
    details = f"<NtryDtls>{inside}</NtryDtls>" if inside else ""
    return f"<Ntry>{amount(minor)}{more}<Sts><Cd>{status}</Cd></Sts>{dated}{details}</Ntry>"


def statement(*entries: str, opening: int = 100_000, closing: int, made: str = MADE) -> bytes:
    head = f"<Id>S1</Id>{made}<Acct><Id><Othr><Id>1100100</Id></Othr></Id><Ccy>KES</Ccy></Acct>"
    balances = balance("OPBD", opening) + balance("CLBD", closing)
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId>'
        f"{made}</GrpHdr><Stmt>{head}{balances}{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def part(minor: int, *, charge: int = 0, ref: str = "", instructed: int = 0, bill: str = "") -> str:
    taken = f"<Chrgs><Rcrd>{amount(charge)}<ChrgInclInd>true</ChrgInclInd></Rcrd></Chrgs>" if charge else ""
    told = f'<AmtDtls><InstdAmt><Amt Ccy="KES">{wire(instructed)}</Amt></InstdAmt></AmtDtls>' if instructed else ""
    own = f"<Refs><AcctSvcrRef>{ref}</AcctSvcrRef></Refs>" if ref else "<Refs><EndToEndId>SAME</EndToEndId></Refs>"
    return f"<TxDtls>{own}{amount(minor)}{told}{taken}<RmtInf><Ustrd>{bill or 'rent'}</Ustrd></RmtInf></TxDtls>"


def events(content: bytes) -> list[StatementEvent]:
    return list(one_by_one(proved(reader.read(io.BytesIO(content)))))


def lines(content: bytes) -> list[tuple[int, str, str | None]]:
    found = [event for event in events(content) if isinstance(event, StatementLine)]
    return [(line.amount_minor, line.reference, line.kind) for line in found]


def test_a_batch_is_its_payments_with_references_of_their_own() -> None:
    content = statement(entry(600, part(100) + part(200, ref="X9") + part(300)), closing=100_600)
    assert lines(content) == [(100, "FT1", None), (200, "X9", None), (300, "FT1/3", None)]
    closed = events(content)[-1]
    assert isinstance(closed, StatementClosed)
    assert (closed.lines, closed.credits_minor, closed.debits_minor, closed.adds_up) == (3, 600, 0, True)


def test_equal_payments_of_one_batch_are_told_apart_for_ever() -> None:
    content = statement(entry(200, part(100, ref="X9") + part(100, ref="X9")), closing=100_200)
    found = [event for event in events(content) if isinstance(event, StatementLine)]
    assert len({line.key() for line in found}) == len({line.number for line in found}) == 2


@pytest.mark.parametrize(
    ("booked", "inside", "expected"),
    [
        (197_400, part(200_000, charge=-2_600), [(200_000, None), (-2_600, "charge")]),
        (197_400, part(197_400, charge=-2_600, instructed=200_000), [(200_000, None), (-2_600, "charge")]),
        (
            297_000,
            part(200_000, charge=-2_600) + part(100_000, charge=-400),
            [(200_000, None), (100_000, None), (-3_000, "charge")],
        ),
        (-202_600, part(-200_000, charge=-2_600), [(-200_000, None), (-2_600, "charge")]),
        (197_400, part(200_000, charge=-2_500), [(197_400, None)]),
        (200_000, part(200_000, charge=-2_600), [(200_000, None)]),
        (200_000, part(200_000), [(200_000, None)]),
    ],
)  # fmt: skip
def test_a_charge_is_told_apart_where_it_comes_to_the_cent(
    booked: int, inside: str, expected: list[tuple[int, str | None]]
) -> None:
    found = lines(statement(entry(booked, inside), opening=1_000_000, closing=1_000_000 + booked))
    assert [(minor, kind) for minor, _, kind in found] == expected
    assert {reference for _, reference, kind in found if kind is Kind.CHARGE} <= {"FT1"}


def taken(*charges: int, included: str = "true") -> str:
    records = (f"<Rcrd>{amount(one)}<ChrgInclInd>{included}</ChrgInclInd></Rcrd>" for one in charges)
    return f"<Chrgs>{''.join(records)}</Chrgs>"


@pytest.mark.parametrize(
    ("booked", "more", "inside", "expected"),
    [
        (197_400, taken(-2_600), "", [(200_000, None), (-2_600, "charge")]),
        (197_400, taken(-2_000, -600), "", [(200_000, None), (-2_600, "charge")]),
        (197_400, taken(-2_600), part(197_400), [(200_000, None), (-2_600, "charge")]),
        (-202_600, taken(-2_600), "", [(-200_000, None), (-2_600, "charge")]),
        (197_400, taken(-2_600, included="false"), "", [(197_400, None)]),
        (197_400, taken(-2_600), part(180_000), [(197_400, None)]),
        (-2_600, taken(-2_600), "", [(-2_600, None)]),
    ],
)
def test_charges_of_an_entry_that_its_amount_includes_are_told_apart(
    booked: int, more: str, inside: str, expected: list[tuple[int, str | None]]
) -> None:
    content = statement(entry(booked, inside, more=more), opening=1_000_000, closing=1_000_000 + booked)
    assert [(minor, kind) for minor, _, kind in lines(content)] == expected


def test_a_charge_inside_the_only_part_that_has_no_amount_is_told_apart() -> None:
    inside = part(1, charge=-2_600).replace(amount(1), "")
    content = statement(entry(197_400, inside), opening=1_000_000, closing=1_197_400)
    assert [(minor, kind) for minor, _, kind in lines(content)] == [(200_000, None), (-2_600, "charge")]


@pytest.mark.parametrize("inside", [part(200_000, charge=-2_500), part(100_000) + part(97_399)])
def test_an_entry_whose_parts_do_not_come_to_it_is_booked_whole_and_named(inside: str) -> None:
    found = events(statement(entry(197_400, inside), opening=1_000_000, closing=1_197_400))
    assert [one.amount_minor for one in found if isinstance(one, StatementLine)] == [197_400]
    closed = found[-1]
    assert isinstance(closed, StatementClosed)
    assert closed.notes == ("entries whose parts do not come to their amounts, booked whole: 1, the first 'FT1'",)


@given(
    parts=st.lists(st.tuples(st.integers(1, 10**7), st.integers(0, 5_000)), min_size=1, max_size=6),
    off=st.integers(-2, 2),
)
def test_nothing_of_an_entry_is_lost_or_made(parts: list[tuple[int, int]], off: int) -> None:
    total = sum(minor - charge for minor, charge in parts) + off
    if total <= 0:
        return
    inside = "".join(part(minor, charge=-charge) for minor, charge in parts)
    content = statement(entry(total, inside), closing=100_000 + total)
    assert sum(minor for minor, _, _ in lines(content)) == total
    closed = events(content)[-1]
    assert isinstance(closed, StatementClosed)
    assert closed.credits_minor - closed.debits_minor == total


@pytest.mark.parametrize("status", ["PDNG", "INFO", "FUTR"])
def test_what_is_only_shown_needs_no_day(status: str) -> None:
    content = statement(entry(100), entry(5_500, status=status, day=False), closing=100_100)
    closed = events(content)[-1]
    assert isinstance(closed, StatementClosed)
    assert (closed.lines, closed.shown) == (1, 1)
    bare = statement(entry(100), entry(5_500, status=status, day=False), closing=100_100, made="")
    assert "left out: 1" in events(bare)[-1].notes[0]  # type: ignore[union-attr]


def test_what_is_booked_needs_a_day() -> None:
    with pytest.raises(StatementRefused) as caught:
        events(statement(entry(100, day=False), closing=100_100))
    assert (caught.value.fault, caught.value.column) == (StatementFault.MISSING_FIELD, "Ntry[1]/BookgDt")


REVERSED = "<RvslInd>true</RvslInd>"


@pytest.mark.parametrize(
    ("written", "effect", "kind"),
    [(-2_500, 2_500, None), (2_500, -2_500, Kind.REVERSAL), (2_500, 2_500, None), (-2_500, -2_500, Kind.REVERSAL)],
)
def test_a_reversal_goes_the_way_the_balances_prove(written: int, effect: int, kind: Kind | None) -> None:
    content = statement(entry(4_000), entry(written, more=REVERSED), closing=104_000 + effect)
    assert lines(content)[1] == (effect, "FT1", kind)
    noted = any("reversals are written" in note for note in events(content)[-1].notes)  # type: ignore[union-attr]
    assert noted is (written != effect)


def test_a_statement_that_adds_up_neither_way_is_refused() -> None:
    with pytest.raises(StatementRefused) as caught:
        events(statement(entry(4_000), entry(-2_500, more=REVERSED), closing=105_000))
    assert caught.value.fault is StatementFault.DOES_NOT_ADD_UP
