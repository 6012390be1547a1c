"""Bills of an amount whose object is one character away from a typed one. Pure.

Stalls, plots and permits are numbered densely and cost the same, so the neighbour's is one slip away and no check digit
tells. Keys are compared by a rolling hash, so that a look-up costs the same in a large county; a chance collision makes
a doubt too many, never a match.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from reconciliation.engine import columns
from reconciliation.engine.columns import Ints
from reconciliation.engine.indexes import Bills
from reconciliation.spelling import folded

_Hashes = np.ndarray[Any, np.dtype[np.uint64]]
_BASE = 0x9E3779B97F4A7C15
_LONGEST = 40
"""Longer keys than this are no object's reference and have no neighbours."""
_POWERS = np.array([pow(_BASE, place, 2**64) for place in range(_LONGEST + 2)], dtype=np.uint64)
_INVERSE = np.uint64(pow(_BASE, -1, 2**64))
_ALPHABET = np.array(sorted(set(map(ord, folded(string.ascii_uppercase + string.digits)))), dtype=np.uint64)
_ROWS_AT_ONCE, _KEYS_AT_ONCE = 100_000, 1_000
_BITS = 24
_SIEVE = 2**_BITS
"""Places of a table by some bits of a key: nearly all of what is asked is told in two of them to be no bill's."""


class _Known(NamedTuple):
    """Bills by key, sorted, and the sieves of the last bits of their keys and of those before them."""

    rows: Ints
    keys: Ints
    last: np.ndarray[Any, np.dtype[np.bool_]]
    before: np.ndarray[Any, np.dtype[np.bool_]]

    def maybe(self, wanted: Ints) -> Ints:
        """Places of the keys that may be a bill's: all that are, and few others."""
        places = np.flatnonzero(self.last[wanted & (_SIEVE - 1)])
        sifted: Ints = places[self.before[(wanted[places] >> _BITS) & (_SIEVE - 1)]]
        return sifted


def _of_column(keys: Any) -> _Hashes:
    """The hash of each text of a column, a slice at a time."""
    found = []
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        data, starts = columns.data_of(keys.slice(start, _ROWS_AT_ONCE))
        place = np.arange(len(data)) - np.repeat(starts[:-1], np.diff(starts))
        sums = np.zeros(len(data) + 1, dtype=np.uint64)
        np.cumsum(data.astype(np.uint64) * _POWERS[np.minimum(place, _LONGEST)], out=sums[1:])
        found.append(sums[starts[1:]] - sums[starts[:-1]])
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint64)


def _neighbours(keys: Sequence[str]) -> tuple[Ints, _Hashes]:
    """The hashes of all texts that are one wrong, swapped, missing or extra character away from each of some keys of
    equal length: the places of the keys, and the hashes."""
    size = len(keys[0])
    codes = np.frombuffer("".join(keys).encode(), dtype=np.uint8).reshape(len(keys), size).astype(np.uint64)
    before = np.zeros((len(keys), size + 1), dtype=np.uint64)
    np.cumsum(codes * _POWERS[:size], axis=1, out=before[:, 1:])
    whole = before[:, -1:]
    wrong = whole[:, :, None] + (_ALPHABET - codes[:, :, None]) * _POWERS[:size, None]
    after = (whole - before) * np.uint64(_BASE)
    missing = before[:, :, None] + _ALPHABET * _POWERS[: size + 1, None] + after[:, :, None]
    extra = before[:, :-1] + (whole - before[:, 1:]) * _INVERSE
    swapped = whole + (codes[:, 1:] - codes[:, :-1]) * (_POWERS[: size - 1] - _POWERS[1:size])
    parts = [wrong.reshape(len(keys), -1), missing.reshape(len(keys), -1), extra, swapped]
    found = np.concatenate(parts, axis=1)
    owner, _ = others = np.nonzero(found != whole)
    return owner, found[others]


def _keys(hashes: _Hashes, minor: Ints) -> Ints:
    """One non-negative int64 of a hash and an amount."""
    mixed = (hashes ^ (minor.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F))) & np.uint64(2**62 - 1)
    return np.asarray(mixed, dtype=np.int64)


def rows(bills: Bills, asked: Sequence[tuple[str, int]]) -> list[list[int]]:
    """For each (folded key, cents) the open bills of that amount whose object is one character away."""
    if not asked:
        return []
    objects = bills.by_object.keys  # folded already
    good = np.flatnonzero((bills.open_minor > 0) & np.isin(bills.open_minor, [amount for _, amount in asked]))
    own = _keys(_of_column(objects.take(columns.ints(good))), bills.open_minor[good])
    order = np.argsort(own)
    known = _Known(good[order], own[order], np.zeros(_SIEVE, dtype=bool), np.zeros(_SIEVE, dtype=bool))
    known.last[own & (_SIEVE - 1)] = True
    known.before[(own >> _BITS) & (_SIEVE - 1)] = True
    found: list[dict[int, None]] = [{} for _ in asked]
    for size in sorted({len(key) for key, _ in asked}):
        places = [place for place, (key, _) in enumerate(asked) if len(key) == size]
        for start in range(0, len(places), _KEYS_AT_ONCE) if 0 < size < _LONGEST else ():
            _part(asked, places[start : start + _KEYS_AT_ONCE], known, found)
    return [list(one) for one in found]


def _part(
    asked: Sequence[tuple[str, int]], places: Sequence[int], known: _Known, found: Sequence[dict[int, None]]
) -> None:
    owner, hashes = _neighbours([asked[place][0] for place in places])
    amounts = np.array([asked[place][1] for place in places], dtype=np.int64)
    wanted = _keys(hashes, amounts[owner])
    maybe = known.maybe(wanted)
    first, last = (np.searchsorted(known.keys, wanted[maybe], side=side) for side in ("left", "right"))
    for hit in np.flatnonzero(last > first).tolist():
        one = found[places[int(owner[maybe[hit]])]]
        one.update(dict.fromkeys(known.rows[first[hit] : last[hit]].tolist()))
