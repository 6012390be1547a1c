"""Which objects a text names, and which are only written with the same characters. Pure.

Bills are found by the characters of their object alone, in columns; then each is held against the text as it was
written: where separators stand, and whether the name goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from reconciliation import ladder, spelling
from reconciliation.engine import columns
from reconciliation.engine.case import Case
from reconciliation.engine.indexes import TELLING, Bills
from reconciliation.spelling import Fit

MOST_OF_A_KIND = TELLING - 1
"""A key that finds more bills than this says nothing: its bills are not looked at."""


def grouped(cases: list[Case], keys: list[list[Any]], look: Callable[[list[Any]], list[list[int]]]) -> Any:
    """One look-up for all keys of all cases; answers each case with the rows of each of its keys."""
    flat = iter(look([key for wanted in keys for key in wanted]))
    return ((case, wanted, list(itertools.islice(flat, len(wanted)))) for case, wanted in zip(cases, keys, strict=True))


def _all(found: Sequence[list[int]]) -> list[int]:
    """The bills of every object that a text can be read as: the longest first, so that its name is told first."""
    return list(dict.fromkeys(row for rows in found if len(rows) <= MOST_OF_A_KIND for row in rows))


def find(bills: Bills, cases: list[Case], prefixes: tuple[str, ...]) -> None:
    """Find the bills whose object a text names, by its name or loosely, and those it only seems to name."""
    by_name: dict[int, list[int]] = {}
    for case, _, found in grouped(cases, [list(case.clues.names) for case in cases], bills.by_object.rows):
        if rows := _all(found):
            by_name[case.payment] = rows
    _sort_by_fit(bills, [case for case in cases if case.payment in by_name], by_name, prefixes)
    if bool((bills.number_int < 0).any()):
        for case, _, found in grouped(cases, [list(case.clues.names) for case in cases], bills.by_other_number.rows):
            case.objects = _all(found) or case.objects
    loose = [case for case in cases if not case.objects and case.clues.pairs]
    by_pair = {}
    for case, _, found in grouped(loose, [list(case.clues.pairs) for case in loose], bills.by_pair.rows):
        if rows := [row for row in _all(found) if row not in case.longer and row not in case.moved]:
            by_pair[case.payment] = rows
    loose = [case for case in loose if case.payment in by_pair]
    for case, words in zip(loose, _references(bills, loose, by_pair), strict=True):
        text = spelling.written(case.said)
        fits = [row for row, word in words if spelling.fits_loosely(text, spelling.written(word))]
        case.objects, case.loosely = fits, bool(fits)
    named = [case for case in cases if case.objects]
    chosen = {case.payment: list(case.objects) for case in named}
    for case, words in zip(named, _references(bills, named, chosen), strict=True):
        case.object_words = " and ".join(dict.fromkeys(word for _, word in words))


def _references(bills: Bills, cases: list[Case], rows: dict[int, list[int]]) -> Iterable[list[tuple[int, str]]]:
    """Of each case its rows with the references of their objects, fetched in one go."""
    flat = columns.ints([row for case in cases for row in rows[case.payment]])
    words = iter(bills.table["object_ref"].take(flat).to_pylist())
    return ([(row, next(words)) for row in rows[case.payment]] for case in cases)


def _sort_by_fit(bills: Bills, cases: list[Case], rows: dict[int, list[int]], prefixes: tuple[str, ...]) -> None:
    """Tell what a text names from what is written with the same characters: a longer name, strokes elsewhere."""
    for case, words in zip(cases, _references(bills, cases, rows), strict=True):
        text, whole = spelling.written(case.said), case.said.upper()
        names = {
            word: spelling.Named(Fit.VERBATIM, 0, len(text.words))
            if word == whole
            else spelling.fit(text, spelling.written(word), prefixes, typed=case.typed)
            for word in dict.fromkeys(word for _, word in words)
        }
        named = [one for one in names.values() if one.fit > 0]
        weak = {one for one in named if one.fit is Fit.WEAK}
        good = {one for one in named if not any(spelling.is_inside(one, other) for other in named)}
        case.objects = [row for row, word in words if names[word] in good]
        case.loosely = bool(case.objects) and all(names[word] in weak for row, word in words if row in case.objects)
        case.longer = [row for row, word in words if names[word].fit is Fit.LONGER]
        case.moved = [row for row, word in words if names[word].fit is Fit.MOVED]
        if case.named:
            _without_covered(bills, case, text, good)


def _without_covered(bills: Bills, case: Case, text: spelling.Written, named: Iterable[spelling.Named]) -> None:
    """A number that stands only inside an object's name was not typed: a permit's year and serial make one."""
    covered = {place for one in named for place in range(one.start, one.end)}
    rest = [spelling.WALL if place in covered else word for place, word in enumerate(text.words)]
    if covered and bills.number_of(case.named[0]) not in ladder.numbers_in(rest):
        case.named = ()
