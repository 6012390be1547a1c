"""Arrow columns out of numpy and lists without pandas, which Arrow would load for it: a second and 60 MiB a process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Ints = np.ndarray[Any, np.dtype[np.int64]]


def ints(values: Ints | list[int]) -> Any:
    """Whole numbers as an int64 column, without copying an array."""
    array = np.ascontiguousarray(values, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(array), [None, pa.py_buffer(array)])


def nothing() -> Ints:
    """No numbers: what columns are put together from when there may be none."""
    return np.zeros(0, dtype=np.int64)


def texts(values: Iterable[str]) -> Any:
    """Texts as a string column. Together they may not pass 2 GiB."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)))
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), ends]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def flags(values: Any) -> Any:
    """Booleans as a column."""
    packed = np.packbits(np.asarray(values, dtype=bool), bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(packed)])


def instants(values: Ints) -> Any:
    """Microseconds since 1970 as a UTC timestamp column."""
    array = np.ascontiguousarray(values, dtype=np.int64)
    return pa.Array.from_buffers(pa.timestamp("us", "UTC"), len(array), [None, pa.py_buffer(array)])


def one(value: str | int | bool) -> Any:
    """A scalar to compare a column with."""
    if isinstance(value, str):
        return texts([value])[0]
    return flags([value])[0] if isinstance(value, bool) else ints([value])[0]


def out(column: Any) -> Any:
    """A column of whole numbers or booleans without nulls as a numpy array; instants as microseconds."""
    if isinstance(column, pa.ChunkedArray):
        parts = [out(chunk) for chunk in column.chunks]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    kind = column.type
    if pa.types.is_boolean(kind):
        return out(pc.cast(column, pa.uint8())).astype(bool)
    width = kind.bit_width // 8
    shape = np.dtype(f"<u{width}" if pa.types.is_unsigned_integer(kind) else f"<i{width}")
    if not len(column):
        return np.zeros(0, dtype=shape)
    return np.frombuffer(column.buffers()[1], dtype=shape, count=len(column), offset=column.offset * width)


def data_of(texts: Any) -> tuple[Any, Ints]:
    """The bytes of a string column (one chunk, no nulls) as uint8, and where each text begins; the last is the end."""
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32, count=len(texts) + 1, offset=texts.offset * 4)
    data = np.frombuffer(texts.buffers()[2] or b"", dtype=np.uint8)
    return data[offsets[0] : offsets[-1]], (offsets - offsets[0]).astype(np.int64)


def words_of(texts: Any) -> Any:
    """Texts of one length as rows of big-endian uint64, padded with zero bytes; None when their lengths differ."""
    if not len(texts):
        return None
    data, starts = data_of(texts)
    size = int(starts[1])
    if not size or not bool((np.diff(starts) == size).all()):
        return None
    padded = np.zeros((len(texts), -(-size // 8) * 8), dtype=np.uint8)
    padded[:, :size] = data.reshape(len(texts), size)
    return padded.view(">u8").astype(np.uint64)


def all_distinct(texts: Any) -> bool:
    """Whether no text stands there twice. Texts of one length are told apart by a mixed key where that suffices."""
    words = words_of(texts)
    if words is not None:
        mixed = np.zeros(len(words), dtype=np.uint64)
        for place in range(words.shape[1]):
            mixed = (mixed ^ words[:, place]) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        mixed.sort()
        if not bool((mixed[1:] == mixed[:-1]).any()):
            return True
    return int(pc.count_distinct(texts).as_py()) == len(texts)


def rows_in(wanted: Any, known: Any) -> Ints:
    """For each text of ``wanted`` its first place in ``known``, or -1."""
    found = pc.index_in(wanted, value_set=known)
    missing = ints([-1]).cast(pa.int32())[0]
    return np.asarray(out(pc.fill_null(found, missing)), dtype=np.int64)


def table(columns: dict[str, Any]) -> pa.Table:
    """A table of named columns."""
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))
