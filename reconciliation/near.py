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

from reconciliation import columns
from reconciliation.candidates import Bills
from reconciliation.columns import Ints
from reconciliation.rules import folded

_Hashes = np.ndarray[Any, np.dtype[np.uint64]]
_BASE = 0x9E3779B97F4A7C15
_LONGEST = 40
"""Longer keys than this are no object's reference and have no neighbours."""
_POWERS = np.array([pow(_BASE, place, 2**64) for place in range(_LONGEST + 2)], dtype=np.uint64)
_INVERSE = np.uint64(pow(_BASE, -1, 2**64))
_ALPHABET = np.array(sorted(set(map(ord, folded(string.ascii_uppercase + string.digits)))), dtype=np.uint64)
_ROWS_AT_ONCE, _KEYS_AT_ONCE = 100_000, 1_000
_SIEVE = 2**24
"""Places of a table by a key's last bits: nearly all of what is asked is told there to be no bill's."""


class _Known(NamedTuple):
    """Bills by key, sorted, and the sieve of their keys."""

    rows: Ints
    keys: Ints
    sieve: np.ndarray[Any, np.dtype[np.bool_]]


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


def _neighbours(key: str) -> _Hashes:
    """The hashes of all texts that are one wrong, swapped, missing or extra character away from a key."""
    codes = np.frombuffer(key.encode(), dtype=np.uint8).astype(np.uint64)
    size = len(codes)
    before = np.zeros(size + 1, dtype=np.uint64)
    np.cumsum(codes * _POWERS[:size], out=before[1:])
    whole = before[-1:]
    wrong = whole + (_ALPHABET - codes[:, None]) * _POWERS[:size, None]
    missing = before[:, None] + _ALPHABET * _POWERS[: size + 1, None] + ((whole - before) * np.uint64(_BASE))[:, None]
    extra = before[:-1] + (whole - before[1:]) * _INVERSE
    swapped = whole + (codes[1:] - codes[:-1]) * (_POWERS[: size - 1] - _POWERS[1:size])
    found = np.concatenate([wrong.reshape(-1), missing.reshape(-1), extra, swapped])
    others: _Hashes = found[found != whole]
    return others


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
    known = _Known(good[order], own[order], np.zeros(_SIEVE, dtype=bool))
    known.sieve[own & (_SIEVE - 1)] = True
    found: list[list[int]] = []
    for start in range(0, len(asked), _KEYS_AT_ONCE):
        found += _part(asked[start : start + _KEYS_AT_ONCE], known)
    return found


def _part(asked: Sequence[tuple[str, int]], known: _Known) -> list[list[int]]:
    sets = [_neighbours(key) if 0 < len(key) < _LONGEST else np.zeros(0, dtype=np.uint64) for key, _ in asked]
    owner = np.repeat(np.arange(len(asked)), [len(one) for one in sets])
    amounts = np.array([amount for _, amount in asked], dtype=np.int64)
    wanted = _keys(np.concatenate(sets), amounts[owner])
    maybe = np.flatnonzero(known.sieve[wanted & (_SIEVE - 1)])
    first, last = (np.searchsorted(known.keys, wanted[maybe], side=side) for side in ("left", "right"))
    found: list[dict[int, None]] = [{} for _ in asked]
    for hit in np.flatnonzero(last > first).tolist():
        found[int(owner[maybe[hit]])].update(dict.fromkeys(known.rows[first[hit] : last[hit]].tolist()))
    return [list(one) for one in found]
