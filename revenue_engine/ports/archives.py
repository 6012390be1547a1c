"""An archive of statements, as a bank gives the days of a month in one download: each file in it is read as itself.

The files are put in the order of their days, and every one is proved before any line of it is answered. One file that
cannot be read refuses the archive, and is named. What is no statement by its name and by how it begins, a cover page
or a picture, is left out and named: nothing of a download is left out without a word.
"""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, Final, cast

from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementReader,
    StatementRefused,
    pick,
    proved,
)

MOST_FILES: Final = 1_000
LARGEST_UNPACKED: Final = 256 * 2**20
_IN_MEMORY: Final = 8 * 2**20
_APART: Final = 24
"""Bits: lines of the n-th file have n above these bits of their number."""
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, RuntimeError),
)
"""What the library raises for a package that was changed on its way; `NotImplementedError` is a RuntimeError."""
_FURNITURE: Final = ("__macosx/", ".ds_store", "thumbs.db", "desktop.ini")
_PRINTED: Final = {
    ".pdf": (b"%PDF",),
    ".png": (b"\x89PNG",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".gif": (b"GIF8",),
    ".docx": (b"PK\x03\x04",),
    ".rtf": (b"{\\rtf",),
}
"""What is made to be looked at: endings, and how such a file begins."""
_README: Final = re.compile(r"(?:^|/)(?:read[-_ ]?me|licen[cs]e|disclaimer|terms)[^/.]*(?:\.(?:txt|md))?$", re.I)
_WORKBOOK: Final = ("xl/", "[content_types].xml")


@dataclass(frozen=True, slots=True)
class _Member:
    """A file of the archive, with what orders it: its first day, and what it opens and closes with by account."""

    info: zipfile.ZipInfo
    day: date
    opens: tuple[tuple[str, int | None], ...]
    closes: tuple[tuple[str, int | None], ...]


class ArchiveReader:
    """Reads a ZIP of statements with the readers it is given."""

    name = "archive"
    looks_for = "a ZIP of statements"

    def __init__(self, readers: Mapping[str, StatementReader]) -> None:
        self._readers = readers

    def sniff(self, head: bytes, filename: str) -> bool:  # noqa: ARG002 - the port's words
        """False: whether a ZIP is a workbook is told by opening it, as `recognises` does."""
        return False

    def recognises(self, stream: BinaryIO, filename: str) -> bool:  # noqa: ARG002
        """Whether the file is a ZIP and no workbook."""
        stream.seek(0)
        if stream.read(4) != b"PK\x03\x04":
            return False
        try:
            with zipfile.ZipFile(stream) as archive:
                return not any(name.lower().startswith(_WORKBOOK) for name in archive.namelist())
        except _DAMAGED:
            return False

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:  # noqa: ARG002
        """Stream the statements of every file in the order of their days. Raises StatementRefused naming the file."""
        stream.seek(0)
        try:
            with zipfile.ZipFile(stream) as archive:
                found = _files(archive)
                beside = [info for info in found if self._is_beside(archive, info)]
                statements = [info for info in found if info not in beside] or found
                members = _ordered([self._surveyed(archive, info) for info in statements])
                notes = _named(beside)
                for number, member in enumerate(members):
                    for event in self._events(archive, member.info):
                        if isinstance(event, StatementLine):
                            yield event._replace(number=event.number + (number << _APART))
                        elif notes and isinstance(event, StatementClosed):
                            yield replace(event, notes=(*event.notes, *notes))
                            notes = ()
                        else:
                            yield event
        except (zipfile.BadZipFile, struct.error) as error:
            raise StatementRefused(
                StatementFault.UNREADABLE, f"the archive is damaged ({str(error)[:100]}). Download it anew"
            ) from error

    def _is_beside(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
        """Whether a file is made to be looked at, or is words about the others that no reader knows."""
        name = info.filename.lower()
        begins = next((begins for ending, begins in _PRINTED.items() if name.endswith(ending)), None)
        if begins is not None:
            return next(_pieces(archive, info), b"").startswith(begins)
        if _README.search(name) is None:
            return False
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            _unpack(archive, info, file)
            try:
                pick(self._readers, cast("BinaryIO", file), info.filename)
            except StatementRefused as refused:
                return refused.fault is StatementFault.NOT_A_STATEMENT
        return False

    def _surveyed(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
        first = date.max
        opens: dict[str, int | None] = {}
        closes: dict[str, int | None] = {}
        account = ""
        try:
            for event in proved(self._events(archive, info)):
                if isinstance(event, StatementOpened):
                    account = event.account
                    opens.setdefault(account, event.opening_minor)
                    first = min(first, event.from_day or date.max)
                elif isinstance(event, StatementClosed):
                    closes[account] = event.closing_minor
                    first = min(first, event.first_day or date.max)
        except StatementRefused as refused:
            raise StatementRefused(
                refused.fault,
                f"{_shown(info)} in the archive: {refused.reason}",
                line=refused.line,
                column=refused.column,
            ) from None
        return _Member(info, first, tuple(opens.items()), tuple(closes.items()))

    def _events(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[StatementEvent]:
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            _unpack(archive, info, file)
            member = cast("BinaryIO", file)
            reader = pick(self._readers, member, info.filename)
            yield from reader.read(member, filename=info.filename)


def _named(beside: list[zipfile.ZipInfo]) -> tuple[str, ...]:
    if not beside:
        return ()
    names = ", ".join(_shown(info) for info in beside[:3]) + (" and others" if len(beside) > 3 else "")
    return (f"left out, since they are no statements: {names}",)


def _shown(info: zipfile.ZipInfo) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in info.filename[-80:])


def _files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an archive that hold something. Raises StatementRefused for more, or other, than it may hold."""
    found = [
        info
        for info in archive.infolist()
        if not info.is_dir()
        and not info.filename.lower().startswith(_FURNITURE)
        and not info.filename.lower().endswith(_FURNITURE)
    ]
    if len(found) > MOST_FILES:
        raise StatementRefused(
            StatementFault.TOO_LARGE, f"the archive holds more than {MOST_FILES:,} files. Import fewer at once"
        )
    if not found:
        raise StatementRefused(StatementFault.EMPTY, "the archive holds no file. Download it anew")
    for info in found:
        if info.flag_bits & 1:
            raise StatementRefused(
                StatementFault.FORBIDDEN, f"{_shown(info)} in the archive is locked by a password: unpack it first"
            )
        if info.filename.lower().endswith(".zip"):
            raise StatementRefused(
                StatementFault.FORBIDDEN, f"{_shown(info)} is an archive inside the archive: unpack it first"
            )
    if sum(info.file_size for info in found) > LARGEST_UNPACKED:
        raise _too_large()
    return found


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, into: IO[bytes]) -> None:
    """Unpack a file piece by piece; it ends where its head says, and its checksum says whether that was true."""
    for piece in _pieces(archive, info):
        into.write(piece)
    into.seek(0)


def _pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    size = 0
    try:
        with archive.open(info) as packed:
            while piece := packed.read(2**16):
                size += len(piece)
                if size > LARGEST_UNPACKED:
                    raise _too_large()
                yield piece
    except _DAMAGED as error:
        raise StatementRefused(
            StatementFault.UNREADABLE, f"the file is damaged ({str(error)[:100]}). Download the archive anew"
        ) from error


def _too_large() -> StatementRefused:
    return StatementRefused(
        StatementFault.TOO_LARGE, f"the archive unpacks to more than {LARGEST_UNPACKED >> 20} MiB. Import fewer files"
    )


def _ordered(members: list[_Member]) -> list[_Member]:
    """By day; of one day, the one that opens with what the account held before it, then by name."""
    left = sorted(members, key=lambda member: (member.day, member.info.filename))
    found: list[_Member] = []
    held: dict[str, int | None] = {}
    while left:
        same = [member for member in left if member.day == left[0].day]
        following = [one for one in same if any(held.get(account) == opening for account, opening in one.opens)]
        chosen = (following or _begins(same) or same)[0]
        left.remove(chosen)
        found.append(chosen)
        held.update(chosen.closes)
    return found


def _begins(members: list[_Member]) -> list[_Member]:
    """Those that no other one of them leads to."""
    closings = {closing for member in members for closing in member.closes}
    return [one for one in members if not closings & set(one.opens)]
