"""Looking into a bank's drop: which files are whole, whose they are, and each taken once, kept raw before it is read.

The bank's folder is only read. A look lists it, waits until size and time of a file are the same twice (or trusts the
bank's own renaming), reads the file, and looks at it a third time. What was taken is known by its SHA-256: a file of
the same name with other bytes is a new file, and the same bytes under another name are not. Once a Nairobi day every
file is read again, for a server may write other bytes and keep the time.

A drop speaks for its own accounts. Of a file with statements of other accounts only its own are read, and the others
are named; a file with none of its own is refused. What is refused is kept as a delivery that says why, and a worker
opens the break: the process that looks may write nothing else.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
import structlog
import tenacity
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from revenue_engine.channels import accounts, deliveries
from revenue_engine.db import transaction
from revenue_engine.errors import ConfigurationError, Retryable
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.ports.drops import DropClient, DropRefused, Entry, EntryKind, OpenDrop
from revenue_engine.ports.statements import StatementOpened, StatementReader, StatementRefused, pick
from revenue_engine.statements import drops
from revenue_engine.statements.drops import Drop, LookOutcome, Met

log = structlog.get_logger("fetching")

TRIES = 4
"""How often a server that is away is tried within one look; the schedule tries again after that."""
AT_ONCE = 500
"""Files of one look. More wait for the next."""
LOOK_SECONDS = 5
"""How often the process looks whether a drop is due."""
SHORT = 200
"""Characters of a file's name."""
_PLAIN = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")

Clients = Callable[[Drop], DropClient]
"""What makes the client of a drop. Raises ConfigurationError, which names the setting and never the key."""


@dataclass(frozen=True, slots=True)
class OneFile:
    """What became of one file: taken, known (its bytes were taken under another name), refused, waiting (it still
    changes), gone (it vanished meanwhile), or elsewhere (another process took it)."""

    name: str
    what: str
    reason: str = ""
    again: bool = False
    """Other bytes were met under this name before."""
    deliveries: tuple[int, ...] = ()


@dataclass(slots=True)
class Look:
    """One look into a drop: how it ended, and what became of each file that was new."""

    drop: str
    outcome: LookOutcome = LookOutcome.SEEN
    reason: str = ""
    files: list[OneFile] = field(default_factory=list)
    listed: int = 0
    whole: bool = False
    tries: int = 0

    def count(self, what: str) -> int:
        """How many files ended so."""
        return sum(file.what == what for file in self.files)


class _Elsewhere(Exception):
    """Another process wrote of this file first: nothing of ours may stand."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a file is not taken: a word for programs, and words for people."""

    fault: str
    reason: str


@dataclass(slots=True)
class Fetcher:
    """One process's way of looking into drops, with the one login that may keep what was fetched."""

    engine: Engine
    clients: Clients
    readers: Mapping[str, StatementReader]
    pause: Callable[[int], object] = time.sleep
    """How to wait so many seconds until a file's size and time are looked at again."""
    back_off: tenacity.wait.wait_base = field(default_factory=lambda: tenacity.wait_exponential_jitter(1, 30))

    def once(self, *, account_id: int | None = None, now: bool = True) -> list[Look]:
        """Look into every drop (``now``), or into those that are due; into that of one account where it is named."""
        with transaction(self.engine) as session:
            wanted = drops.due(session, account_id=account_id, now=now)
        return [self.look(drop) for drop in wanted]

    def run(self, stop: threading.Event, *, account_id: int | None = None) -> None:
        """Look into what is due until told to stop; a database that is away is waited for."""
        while not stop.is_set():
            try:
                self.once(account_id=account_id, now=False)
            except (DBAPIError, psycopg.Error) as error:
                log.warning("database away", error=type(error).__name__)
                self.engine.dispose()
            stop.wait(LOOK_SECONDS)
        self.engine.dispose()

    def look(self, drop: Drop) -> Look:
        """Look into one drop: a server that is away is tried again with growing patience, anything else is told."""
        look = Look(drop.name)
        again = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(TRIES),
            wait=self.back_off,
            retry=tenacity.retry_if_exception_type(Retryable),
            reraise=True,
        )
        try:
            again(self._see, drop, look)
        except Retryable as away:
            look.outcome, look.reason = LookOutcome.AWAY, away.message
        except DropRefused as refused:
            look.outcome, look.reason = LookOutcome(refused.fault.value), refused.message
        except ConfigurationError as wrong:
            look.outcome, look.reason = LookOutcome.SETTINGS, wrong.message
        with transaction(self.engine) as session:
            drops.write_look(
                session,
                drop,
                outcome=look.outcome,
                reason=look.reason,
                whole=look.whole and look.outcome is LookOutcome.SEEN,
                files=look.listed,
                taken=look.count("taken"),
                refused=look.count("refused"),
                waiting=look.count("waiting"),
            )
        log.info("looked", drop=drop.name, outcome=look.outcome, taken=look.count("taken"), reason=look.reason)
        return look

    def _see(self, drop: Drop, look: Look) -> None:
        """One try of a look; what an earlier try took is known by then."""
        look.tries += 1
        look.files = [file for file in look.files if file.what in {"taken", "known", "refused"}]
        with transaction(self.engine) as session:
            look.whole = not drops.looked_whole(session, drop)
            met = drops.met(session, drop)
        client = self.clients(drop)
        with client.open() as folder:
            first = folder.entries()
        look.listed = len(first)
        for entry in first:
            refusal = _may_not_be_read(drop, entry)
            if refusal is not None and _met(entry) not in met:
                self._refuse(drop, look, entry, refusal)
            elif _is_unfinished(drop, entry):
                look.files.append(OneFile(entry.name, "waiting", "the bank still writes it"))
        fresh = [one for one in first if _is_wanted(drop, one) and (look.whole or _met(one) not in met)]
        if not fresh:
            return
        if not drop.temporary:  # the connection is not held while nothing is said on it
            self.pause(drop.settle_seconds)
        with client.open() as folder:
            settled = _settled(look, fresh, {entry.name: entry for entry in folder.entries()})
            for entry in sorted(settled, key=lambda one: (one.modified_at, one.name))[:AT_ONCE]:
                self._file(drop, look, folder, entry, seen=_met(entry) in met)

    def _file(self, drop: Drop, look: Look, folder: OpenDrop, entry: Entry, *, seen: bool) -> None:
        """Read one file and keep what it is. ``seen``: it is read again, and only other bytes are news."""
        body = folder.read(entry.name, at_most=drop.largest_bytes)
        after = folder.entry(entry.name)
        if body is None or after is None:
            look.files.append(OneFile(entry.name, "gone", "it vanished while it was read"))
            return
        if after != entry:
            look.files.append(OneFile(entry.name, "waiting", "it changed while it was read"))
            return
        if len(body) != entry.size:
            told = f"the server says {entry.size:,} bytes and sent {len(body):,}: ask the bank for the file again"
            self._refuse(drop, look, entry, _Refusal("inflated", told))
            return
        sha256 = hashlib.sha256(body).digest()
        with transaction(self.engine) as session:
            before = drops.content_met(session, drop, sha256)
            again = entry.name in drops.names_met(session, drop, [entry.name])
            names = accounts.identifiers_of_all(session)
        if before is not None:
            if not seen:
                self._known(drop, look, entry, sha256, before)
            return
        refusal, own, foreign = _whose(drop, self.readers, names, entry.name, body)
        if refusal is not None:
            self._refuse(drop, look, entry, refusal, body=body, sha256=sha256)
        else:
            self._take(drop, look, entry, body, sha256, own, foreign=foreign, again=again)

    def _known(self, drop: Drop, look: Look, entry: Entry, sha256: bytes, before: str) -> None:
        reason = f"the bytes of {before} again" if before != entry.name else "its bytes were taken before"
        with transaction(self.engine) as session:
            drops.claim(session, drop, _met(entry), sha256=sha256, outcome="known", reason=reason)
        look.files.append(OneFile(entry.name, "known", reason))

    def _take(
        self,
        drop: Drop,
        look: Look,
        entry: Entry,
        body: bytes,
        sha256: bytes,
        own: Sequence[int],
        *,
        foreign: str,
        again: bool,
    ) -> None:
        """Keep a file, a delivery an account: all of it, or nothing where another process was first."""
        reason = f"other bytes under a name that was met before: a new file of {drop.name}" if again else ""
        headers = _headers(drop, entry, sha256) | ({"again": reason} if again else {})
        try:
            with transaction(self.engine) as session:
                kept = [
                    deliveries.keep(
                        session,
                        channel_account_id=account_id,
                        purpose=Purpose.FETCHED,
                        body=body,
                        headers=headers | ({"foreign": foreign} if foreign and account_id == own[0] else {}),
                    )
                    for account_id in own
                ]
                _claim(session, drop, entry, sha256, "taken", reason, kept, again=again)
        except _Elsewhere:
            look.files.append(OneFile(entry.name, "elsewhere", "another process took it"))
            return
        look.files.append(OneFile(entry.name, "taken", reason, again, tuple(kept)))

    def _refuse(
        self, drop: Drop, look: Look, entry: Entry, refusal: _Refusal, *, body: bytes = b"", sha256: bytes = b""
    ) -> None:
        """Keep a refusal, with the bytes that were read; the worker makes it somebody's. Once a state of the file."""
        reason = _printable(refusal.reason)
        if not _PLAIN.fullmatch(entry.name):
            entry = entry._replace(name=ascii(entry.name)[1:-1][:SHORT])
        try:
            with transaction(self.engine) as session:
                delivery = deliveries.keep(
                    session,
                    channel_account_id=drop.account_ids[0],
                    purpose=Purpose.FETCHED,
                    body=body,
                    headers=_headers(drop, entry, sha256) | {"fault": refusal.fault},
                    refused=reason,
                    length=entry.size,
                )
                _claim(session, drop, entry, sha256, "refused", reason, [delivery])
        except _Elsewhere:
            return  # this state of the file was refused before
        look.files.append(OneFile(entry.name, "refused", reason, deliveries=(delivery,)))


def _settled(look: Look, fresh: Sequence[Entry], now: Mapping[str, Entry]) -> list[Entry]:
    """Those files whose size and time are the same twice; the others wait for the next look, or are gone."""
    settled: list[Entry] = []
    for entry in fresh:
        if entry.name not in now:
            look.files.append(OneFile(entry.name, "gone", "it was in the folder and is not any more"))
        elif now[entry.name] != entry:
            look.files.append(OneFile(entry.name, "waiting", "its size or time changed within the waiting time"))
        else:
            settled.append(entry)
    return settled


def _printable(text: str) -> str:
    """Words of a stranger's file, without the signs that a list or a database would choke on."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:500]


def _claim(
    session: Session,
    drop: Drop,
    entry: Entry,
    sha256: bytes,
    outcome: str,
    reason: str,
    kept: Sequence[int],
    *,
    again: bool = False,
) -> None:
    """Write what became of a file beside what was kept of it. Raises _Elsewhere where another process was first."""
    if not drops.claim(
        session,
        drop,
        _met(entry),
        sha256=sha256,
        outcome=outcome,
        reason=reason,
        again=again,
        delivery_ids=kept,
    ):
        raise _Elsewhere


def _met(entry: Entry) -> Met:
    return Met(entry.name, entry.size, entry.modified_at)


def _headers(drop: Drop, entry: Entry, sha256: bytes) -> dict[str, str]:
    return {"filename": entry.name, "by": f"drop {drop.name}", "drop": drop.name, "sha256": sha256.hex()}


def _is_unfinished(drop: Drop, entry: Entry) -> bool:
    """Whether the bank still writes: the name has the temporary ending, or stands there with nothing in it yet."""
    if entry.kind is not EntryKind.FILE or entry.name.startswith("."):
        return False
    return entry.name.endswith(drop.temporary) if drop.temporary else entry.size == 0


def _is_wanted(drop: Drop, entry: Entry) -> bool:
    """Whether an entry is a file that may be taken. Names that begin with a dot are the server's own."""
    return (
        entry.kind is EntryKind.FILE
        and not entry.name.startswith(".")
        and not _is_unfinished(drop, entry)
        and _may_not_be_read(drop, entry) is None
    )


def _may_not_be_read(drop: Drop, entry: Entry) -> _Refusal | None:
    """Why an entry is refused before a byte of it is read; None for what may be read, or is nothing to us."""
    if entry.kind is EntryKind.FOLDER or entry.name in {"", ".", ".."}:
        return None
    if not _PLAIN.fullmatch(entry.name):
        return _Refusal("name", "its name leads elsewhere or holds signs that no file's name holds, or is too long")
    if entry.name.startswith(".") or _is_unfinished(drop, entry):
        return None
    if entry.kind is EntryKind.LINK:
        return _Refusal("link", "it is a link: only files that stand in the folder itself are taken")
    if entry.kind is not EntryKind.FILE:
        return _Refusal("link", "it is no file")
    if entry.size > drop.largest_bytes:
        return _Refusal(
            "too_large", f"it has {entry.size:,} bytes, and the drop takes files of at most {drop.largest_bytes:,}"
        )
    return None


def _whose(
    drop: Drop, readers: Mapping[str, StatementReader], names: Mapping[int, str], filename: str, body: bytes
) -> tuple[_Refusal | None, list[int], str]:
    """Of which of the drop's accounts a file is, and which other accounts it names; or why it is refused."""
    told: list[str] = []
    try:
        stream = io.BytesIO(body)
        reader = pick(readers, stream, filename)
        told = [event.account for event in reader.read(stream, filename=filename) if isinstance(event, StatementOpened)]
    except StatementRefused as refused:
        return _Refusal("unreadable", f"it cannot be read, {refused.code}: {refused.message}"), [], ""
    except Exception as error:
        log.exception("reader failed", file=filename)
        return _Refusal("unreadable", f"it cannot be read: its reader failed with {type(error).__name__}"), [], ""
    own: set[int] = set()
    foreign: list[str] = []
    for account in told:
        if not account.strip() and len(drop.account_ids) > 1:
            return _Refusal(drops.OTHER_ACCOUNT, "it names no account, and the drop has several: ask the bank"), [], ""
        called = [one for one in drop.account_ids if accounts.is_called(names.get(one, ""), account)]
        if len(called) > 1:
            wanted = " and ".join(names.get(one, "") for one in called)
            return _Refusal(drops.OTHER_ACCOUNT, f"its account {account[:40]} may be {wanted}"), [], ""
        own.update(called)
        if not called and account not in foreign:
            foreign.append(account)
    others = _printable(", ".join(one[:40] for one in foreign[:10]))
    if not own:
        mine = ", ".join(names.get(one, "") for one in drop.account_ids)
        reason = (
            f"it is of account {others}, and the drop {drop.name} speaks for {mine} only" if others else "it is empty"
        )
        return _Refusal(drops.OTHER_ACCOUNT, reason), [], ""
    return None, sorted(own), others
