"""The text of a SWIFT file: how it is encoded, and its whole lines in pieces, whatever ends them."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO, Final

from revenue_engine.ports.statements import StatementFault, StatementRefused

LARGEST_BYTES: Final = 512 * 1024 * 1024
"""A hundred thousand entries are 15 to 25 MB."""
_LONGEST_LINE: Final = 1024 * 1024
_CHUNK: Final = 32 * 1024
"""Bytes read at once: some two hundred entries, few enough that none outlives a collection of garbage."""


def encoding_of(stream: BinaryIO) -> tuple[str, str]:
    """How the file is encoded and what to note about it: UTF-8 if all of it is, else the Windows table, else Latin-1.

    The file is read once for this, twice where it is no UTF-8, and left where it was.
    """
    start = stream.tell()
    utf8, is_utf8 = codecs.getincrementaldecoder("utf-8")(), True
    size = run = 0
    first = b""
    while chunk := stream.read(_CHUNK):
        first = first or chunk[:4]
        size += len(chunk)
        run = 0 if b"\n" in chunk or b"\r" in chunk else run + len(chunk)
        if size > LARGEST_BYTES:
            raise StatementRefused(
                StatementFault.TOO_LARGE, f"the file is larger than {LARGEST_BYTES >> 20} MB: ask for shorter periods"
            )
        if run > _LONGEST_LINE or b"\0" in chunk:
            raise StatementRefused(
                StatementFault.UNREADABLE,
                "the file is no text: it holds a zero byte or a line of more than a megabyte."
                " Save it as plain text in UTF-8",
            )
        is_utf8 = is_utf8 and _decodes(utf8, chunk)
    is_utf8 = is_utf8 and _decodes(utf8, b"", final=True)
    stream.seek(start)
    if not size:
        raise StatementRefused(StatementFault.EMPTY, "the file is empty")
    if is_utf8:
        return "utf-8-sig", ""
    windows = codecs.getincrementaldecoder("cp1252")()
    is_windows = all(_decodes(windows, chunk) for chunk in iter(lambda: stream.read(_CHUNK), b""))
    stream.seek(start)
    codec, table = ("cp1252", "the Windows table cp1252") if is_windows else ("latin-1", "Latin-1")
    return codec, f"the text is not UTF-8 and was read by {table}: names may look wrong"


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def texts(stream: BinaryIO, codec: str) -> Iterator[str]:
    """The file in pieces of whole lines, each ended by a line feed, whatever ended it in the file."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)(), translate=True)
    rest = ""
    while chunk := stream.read(_CHUNK):
        text = rest + decoder.decode(chunk)
        end = text.rfind("\n") + 1
        rest = text[end:]
        yield text[:end]
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest + "\n"
