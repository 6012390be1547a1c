"""Every SWIFT and camt file of the shared corpus: one pinned verdict each, beside an independent count.

``corpus_verdicts.csv`` holds what a file comes to once it is proved: ``proved``, or the fault it is refused for and
the line. Where the reader's own counts differ from ``TRUTH.csv`` the reason is in words. TRUTH counts entries of any
status.
"""

from __future__ import annotations

import csv
import io
import os
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.statements import camt, mt940
from revenue_engine.money import minor_from_decimal
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementLine,
    StatementOpened,
    StatementRefused,
    proved,
)

CORPUS = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[4] / "shared")) / "corpus"
FORMATS = ("mt940", "mt942", "camt052", "camt053", "camt054")
needs_corpus = pytest.mark.skipif(
    not (CORPUS / "TRUTH.csv").is_file(), reason="the shared corpus is not beside the repository"
)
with (Path(__file__).parent / "corpus_verdicts.csv").open(encoding="utf-8", newline="") as _table:
    VERDICTS = {row["file"]: row for row in csv.DictReader(_table)}


def reader_of(name: str) -> mt940.SwiftReader | camt.CamtReader:
    return mt940.reader if name.startswith("mt") else camt.reader


def read(name: str) -> tuple[list[StatementEvent], StatementRefused | None]:
    """What the reader alone makes of a file, and what refused it, if anything did."""
    found: list[StatementEvent] = []
    try:
        for event in reader_of(name).read(io.BytesIO((CORPUS / name).read_bytes()), filename=name):
            found.append(event)
    except StatementRefused as refused:
        return found, refused
    return found, None


def verdict(found: list[StatementEvent], refused: StatementRefused | None) -> tuple[str, str]:
    if refused is None:
        try:
            list(proved(iter(found)))
        except StatementRefused as later:
            refused = later
    return (
        ("proved", "") if refused is None else (refused.fault.value, "" if refused.line is None else str(refused.line))
    )


def differences(found: list[StatementEvent], truth: dict[str, str]) -> list[str]:
    """Where the counts of a file that was read to its end differ from the independent ones."""
    lines = [event for event in found if isinstance(event, StatementLine)]
    feet = [event for event in found if isinstance(event, StatementClosed)]
    counted = {
        "statements": len(feet),
        "entries": len(lines),
        "sum_credit": sum(max(line.amount_minor, 0) for line in lines),
        "sum_debit": sum(max(-line.amount_minor, 0) for line in lines),
    }
    told = {
        "statements": int(truth["statements"]),
        "entries": int(truth["entries"]),
        "sum_credit": minor_from_decimal(Decimal(truth["sum_credit"])),
        "sum_debit": minor_from_decimal(Decimal(truth["sum_debit"])),
    }
    different = [name for name in counted if counted[name] != told[name]]
    sums = [foot.adds_up for foot in feet]
    adds_up = "" if None in sums or not sums else "yes" if all(sums) else "NO"
    return different + (["adds_up"] if adds_up != truth["adds_up"] else [])


@pytest.fixture(scope="module")
def truth() -> dict[str, dict[str, str]]:
    with (CORPUS / "TRUTH.csv").open(encoding="utf-8", newline="") as table:
        return {row["file"]: row for row in csv.DictReader(table)}


@needs_corpus
def test_the_table_is_complete() -> None:
    held = {path.relative_to(CORPUS).as_posix() for kind in FORMATS for path in (CORPUS / kind).iterdir()}
    assert held == set(VERDICTS)


@needs_corpus
@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_corpus(name: str, truth: dict[str, dict[str, str]]) -> None:
    pinned = VERDICTS[name]
    found, refused = read(name)
    assert verdict(found, refused) == (pinned["verdict"], pinned["line"])
    if refused is not None:
        assert pinned["why"], "a refusal is explained"
        return
    different = differences(found, truth[name])
    assert different == pinned["differs"].split()
    assert bool(pinned["why"]) is (bool(different) or pinned["verdict"] != "proved")


@needs_corpus
@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_every_file_is_known_by_its_reader_alone(name: str) -> None:
    head = (CORPUS / name).read_bytes()[:65_536]
    others = {mt940.reader, camt.reader} - {reader_of(name)}
    assert not any(other.sniff(head, name) for other in others)
    assert reader_of(name).sniff(head, name) is (VERDICTS[name]["sniffed"] == "yes")


def test_an_opened_statement_is_always_closed_in_a_file_that_is_read_to_its_end() -> None:
    if not CORPUS.is_dir():
        pytest.skip("the shared corpus is not beside the repository")
    for name in VERDICTS:
        found, refused = read(name)
        if refused is None:
            kinds = [type(event) for event in found if not isinstance(event, StatementLine)]
            assert kinds == [StatementOpened, StatementClosed] * (len(kinds) // 2), name
