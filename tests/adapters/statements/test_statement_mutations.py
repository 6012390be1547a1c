"""Generated statements are read back exactly, and damaged ones are refused or say the same sums."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.statements import camt, mt940, swift_text
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementLine,
    StatementOpened,
    StatementReader,
    StatementRefused,
    proved,
)

FIRST = date(2026, 10, 1)
Entry = tuple[int, int, int, str, str]
"""Cents signed by their effect, days after the first, days of value, reference, text."""

WORDS = st.text(st.sampled_from("ABC XYZ 0123456789./-+?:,'()"), max_size=150).map(lambda text: f"T{text}".strip())
ENTRIES: st.SearchStrategy[list[Entry]] = st.lists(
    st.tuples(
        st.integers(-(10**11), 10**11).filter(bool),
        st.integers(0, 90),
        st.integers(-40, 40),
        st.text(st.sampled_from("ABCDEF0123456789"), max_size=16),
        WORDS,
    ),
    min_size=1,
    max_size=8,
)
BALANCE = st.integers(-(10**12), 10**12)


def swift_amount(minor: int) -> str:
    return f"{abs(minor) // 100},{abs(minor) % 100:02d}"


def swift(opening: int, entries: list[Entry], end: str = "\n") -> bytes:
    sign = {True: "C", False: "D"}
    rows = [":20:S1", ":25:0114", ":28C:7/1", f":60F:{sign[opening >= 0]}261001KES{swift_amount(opening)}"]
    for amount, day, value, reference, text in entries:
        booked = FIRST + timedelta(days=day)
        on = booked + timedelta(days=value)
        rows.append(
            f":61:{on:%y%m%d}{booked:%m%d}{sign[amount > 0]}{swift_amount(amount)}NTRFNONREF"
            + (f"//{reference}" if reference else "")
        )
        told = [text[at : at + 65] for at in range(0, len(text), 65)]
        rows.append(":86:" + told[0])
        rows.extend(told[1:])
    closing = opening + sum(entry[0] for entry in entries)
    rows += [f":62F:{sign[closing >= 0]}261231KES{swift_amount(closing)}", "-", ""]
    return end.join(rows).encode()


def xml_balance(kind: str, minor: int) -> str:
    way = "CRDT" if minor >= 0 else "DBIT"
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>\n"
        f"<Amt Ccy='KES'>{abs(minor) // 100}.{abs(minor) % 100:02d}</Amt>\n"
        f"<CdtDbtInd>{way}</CdtDbtInd>\n<Dt><Dt>2026-10-01</Dt></Dt>\n</Bal>"
    )


def xml(opening: int, entries: list[Entry], end: str = "\n") -> bytes:
    closing = opening + sum(entry[0] for entry in entries)
    rows = [
        "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.02'><BkToCstmrStmt><Stmt><Id>S1</Id>",
        "<Acct><Id><Othr><Id>0114</Id></Othr></Id><Ccy>KES</Ccy></Acct>",
        xml_balance("OPBD", opening),
        xml_balance("CLBD", closing),
    ]
    for amount, day, value, reference, text in entries:
        booked = FIRST + timedelta(days=day)
        rows += [
            "<Ntry>",
            f"<Amt Ccy='KES'>{abs(amount) // 100}.{abs(amount) % 100:02d}</Amt>",
            f"<CdtDbtInd>{'CRDT' if amount > 0 else 'DBIT'}</CdtDbtInd>",
            "<Sts>BOOK</Sts>",
            f"<BookgDt><Dt>{booked}</Dt></BookgDt>",
            f"<ValDt><Dt>{booked + timedelta(days=value)}</Dt></ValDt>",
            f"<AcctSvcrRef>{reference}</AcctSvcrRef>",
            f"<NtryDtls><TxDtls><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls>",
            "</Ntry>",
        ]
    return end.join([*rows, "</Stmt></BkToCstmrStmt></Document>"]).encode()


Writer = Callable[[int, list[Entry], str], bytes]
FORMATS: list[tuple[StatementReader, Writer]] = [(mt940.reader, swift), (camt.reader, xml)]
both = pytest.mark.parametrize(("reader", "write"), FORMATS, ids=["mt940", "camt"])


def read(reader: StatementReader, body: bytes) -> list[StatementEvent]:
    return list(proved(reader.read(io.BytesIO(body))))


@both
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(opening=BALANCE, entries=ENTRIES, end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_is_read(
    reader: StatementReader, write: Writer, opening: int, entries: list[Entry], end: str
) -> None:
    found = read(reader, write(opening, entries, end))
    head, foot = found[0], found[-1]
    assert isinstance(head, StatementOpened)
    assert isinstance(foot, StatementClosed)
    assert (head.opening_minor, head.account, head.currency) == (opening, "0114", "KES")
    assert (foot.closing_minor, foot.adds_up) == (opening + sum(entry[0] for entry in entries), True)
    lines = [event for event in found if isinstance(event, StatementLine)]
    assert [(line.amount_minor, line.booked_on, line.value_on, line.reference) for line in lines] == [
        (amount, FIRST + timedelta(days=day), FIRST + timedelta(days=day + value), reference)
        for amount, day, value, reference, _ in entries
    ]
    bare = [line.text.replace(" ", "") for line in lines]
    assert bare == [text.replace(" ", "") for *_, text in entries]


@both
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(opening=BALANCE, entries=ENTRIES, size=st.integers(1, 97))
def test_where_the_file_is_cut_into_pieces_does_not_matter(
    reader: StatementReader, write: Writer, opening: int, entries: list[Entry], size: int
) -> None:
    body = write(opening, entries, "\r\n")
    patch = pytest.MonkeyPatch()
    whole = read(reader, body)
    with patch.context() as patched:
        patched.setattr(swift_text, "_CHUNK", size)
        patched.setattr(camt, "_CHUNK", size)
        assert read(reader, body) == whole


def sums(found: list[StatementEvent]) -> list[tuple[int, int]]:
    return [(event.credits_minor, event.debits_minor) for event in found if isinstance(event, StatementClosed)]


def balances(found: list[StatementEvent]) -> list[int | None]:
    return [
        event.opening_minor if isinstance(event, StatementOpened) else event.closing_minor
        for event in found
        if not isinstance(event, StatementLine)
    ]


def damaged(body: bytes, kind: str, at: float, byte: int) -> bytes:
    """One mutation: a byte put in another's place, a digit changed, a byte lost, a line lost or told twice."""
    if kind in {"lose a line", "tell a line twice"}:
        rows = body.split(b"\n")
        row = int(at * len(rows))
        rows[row : row + 1] = [] if kind == "lose a line" else [rows[row]] * 2
        return b"\n".join(rows)
    places = [n for n, one in enumerate(body) if kind != "change a digit" or 48 <= one <= 57]
    place = places[int(at * len(places))]
    new = {"lose a byte": b"", "change a digit": bytes([48 + (body[place] - 48 + 1 + byte % 9) % 10])}.get(
        kind, bytes([byte])
    )
    return body[:place] + new + body[place + 1 :]


KINDS = ("flip a byte", "flip a byte", "change a digit", "lose a byte", "lose a line", "tell a line twice")


@both
@settings(max_examples=1_000, suppress_health_check=list(HealthCheck))
@given(
    opening=BALANCE,
    entries=ENTRIES,
    kind=st.sampled_from(KINDS),
    at=st.floats(0, 1, exclude_max=True),
    byte=st.integers(0, 255),
)
def test_one_mutation_never_changes_a_sum_in_silence(
    reader: StatementReader, write: Writer, opening: int, entries: list[Entry], kind: str, at: float, byte: int
) -> None:
    body = write(opening, entries, "\n")
    before = read(reader, body)
    try:
        after = read(reader, damaged(body, kind, at, byte))
    except StatementRefused:
        return
    assert sums(after) == sums(before)
    # A balance whose type was damaged is not seen, and then nothing is proved; it is never another amount.
    for then, now in zip(balances(before), balances(after), strict=True):
        assert now in {then, None}


@both
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    opening=BALANCE,
    entries=ENTRIES,
    mutations=st.lists(
        st.tuples(st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True), st.integers(0, 255)),
        min_size=2,
        max_size=12,
    ),
)
def test_many_mutations_never_break_a_reader(
    reader: StatementReader, write: Writer, opening: int, entries: list[Entry], mutations: list[tuple[str, float, int]]
) -> None:
    body = write(opening, entries, "\n")
    for kind, at, byte in mutations:
        body = damaged(body, kind, at, byte)
    try:
        feet = [event for event in read(reader, body) if isinstance(event, StatementClosed)]
    except StatementRefused:
        return
    assert all(foot.adds_up is not False for foot in feet)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=400), st.sampled_from([b"", b":20:", b"<Document><BkToCstmrStmt><Stmt>", b"\xff\xfe"]))
def test_any_bytes_are_read_or_refused(body: bytes, start: bytes) -> None:
    for reader, _ in FORMATS:
        assert reader.sniff(start + body, "x") in {True, False}
        with contextlib.suppress(StatementRefused):
            assert read(reader, start + body)
