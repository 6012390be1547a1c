"""Audit packs of several payments in one zip: those of a bill, or a sample drawn so that anybody draws it again.

The population is every payment of some days, with its count and total. A payment's lot is SHA-256 of the seed, a line
break and the payment's public id; those with the smallest lots are drawn. Who knows the seed and the list of the
population, which is in the zip, draws the same in any language. The manifest is a signed note.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from sqlalchemy.orm import Session

from reconciliation.days import certificates, packs
from revenue_engine import payments, periods, signed_notes
from revenue_engine.billing import payers
from revenue_engine.errors import ConfigurationError, InvalidValue, NotFound
from revenue_engine.payments import applications, browsing
from revenue_engine.signed_notes import SigningKey

FORMAT = "revenue-engine audit sample 1"
LARGEST = 500
"""Payments of one zip."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Several packs as they were made: the population with its control total in cents, the seed, and what was drawn."""

    population: int
    total_minor: int
    seed: str
    drawn: tuple[str, ...]
    packs: tuple[int, ...]
    sha256: str


def lot(seed: str, public_id: str) -> bytes:
    """The lot of a payment: the smallest are drawn."""
    return hashlib.sha256(f"{seed}\n{public_id}".encode()).digest()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), periods.NAIROBI)


def draw(session: Session, first: date, last: date, *, size: int, seed: str | None, **how: Any) -> Sample:
    """Draw payments that were paid from ``first`` to ``last`` and write their packs; ``how`` as for ``of_bill``.

    Without a ``seed`` a fresh one is drawn. Raises InvalidValue for a size or days that make no sense, NotFound where
    nothing was paid.
    """
    if last < first or not 1 <= size <= LARGEST:
        raise InvalidValue(
            f"a sample is of 1 to {LARGEST} payments of some days, the first before the last", field="size"
        )
    wanted = browsing.Wanted(since=_midnight(first), until=_midnight(last + timedelta(days=1)))
    count, total = browsing.summed(session, wanted)
    if not count:
        raise NotFound(f"nothing was paid from {first} to {last}")
    population = browsing.listed(session, wanted, limit=count)
    chosen = secrets.token_hex(16) if seed is None else seed.strip()
    if not chosen:
        raise InvalidValue("a seed is some letters", field="seed")
    drawn = sorted(population, key=lambda one: lot(chosen, one.public_id))[:size]
    listed = "".join(
        f"{one.public_id} {one.amount_minor}\n" for one in sorted(population, key=lambda one: one.public_id)
    )
    told = {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "population": count,
        "total": str(total),
        "seed": chosen,
        "lot": "SHA-256 of seed, line break and public id; the smallest first",
    }
    return _write(session, [one.public_id for one in drawn], told, listed=listed, **how)


def of_bill(session: Session, number: str, *, purpose: str, file: Path, keys: Sequence[SigningKey]) -> Sample:
    """Write the packs of every payment that was ever set against a bill. Raises NotFound for no bill and no payment."""
    bill = payers.find_invoice(session, number=number)
    named = browsing.public_ids(session, paid := applications.paying(session, [bill.id]))
    if not paid:
        raise NotFound(f"no payment was ever set against {number}", number=number)
    amounts = {row.id: row.amount_minor for row in payments.by_ids(session, paid).values()}
    listed = "".join(f"{named[one]} {amounts[one]}\n" for one in sorted(paid, key=lambda one: named[one]))
    told = {"bill": number, "population": len(paid), "total": str(sum(amounts.values())), "seed": "", "lot": "all"}
    return _write(session, [named[one] for one in paid], told, listed=listed, purpose=purpose, file=file, keys=keys)


def _write(
    session: Session,
    drawn: Sequence[str],
    told: dict[str, Any],
    *,
    listed: str,
    purpose: str,
    file: Path,
    keys: Sequence[SigningKey],
) -> Sample:
    files: dict[str, bytes] = {"population.txt": listed.encode()}
    numbers, why = [], {}
    with tempfile.TemporaryDirectory(prefix="revenue-packs-") as folder:
        for place, public_id in enumerate(drawn, start=1):
            one = Path(folder) / f"{place:04d}.zip"
            made = packs.make(session, public_id, purpose=purpose, file=one, keys=keys)
            files[f"packs/{one.name}"] = one.read_bytes()
            numbers.append(made.number)
            why[public_id] = made.without
    body = {
        "format": FORMAT,
        "purpose": purpose.strip(),
        **told,
        "drawn": list(drawn),
        "packs": numbers,
        "no_document": why,
        "made_at": periods.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "files": {called: hashlib.sha256(content).hexdigest() for called, content in files.items()},
    }
    manifest = signed_notes.sign(f"{FORMAT}\n{numbers[0]}\n{rfc8785.dumps(body).decode()}\n", keys)
    vkeys = "".join(f"{key.vkey}\n" for key in certificates.published(session))
    try:
        file.write_bytes(packs.zipped({"manifest.txt": manifest.encode(), "keys.txt": vkeys.encode(), **files}))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
    digest = hashlib.sha256(manifest.encode()).hexdigest()
    return Sample(told["population"], int(told["total"]), told["seed"], tuple(drawn), tuple(numbers), digest)
