"""Words that mean a payer: learnt from matches that are certain, agreed to by a person, used by runs as evidence.

A bank's narrative or an odd reference says the same words each time. What is kept is the SHA-256 of what they boil down
to; the words themselves stand only with the payment that they came with.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation import ladder
from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.db import Base, Sealed, raw
from revenue_engine.identifiers import public_id

LEAST_WORDS = 2
"""One word alone is a purpose or a first name; two are somebody."""
LEAST_TIMES = 2
"""So many payments by number must have carried the same words before they are proposed; one by hand is enough."""

_TOKEN = re.compile(r"[A-Z0-9]+")
_MONTHS = frozenset(
    word
    for words in (
        "JAN FEB MAR APR MAY JUN JUL AUG SEP SEPT OCT NOV DEC",
        "JANUARY FEBRUARY MARCH APRIL JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER DECEMBER",
    )
    for word in words.split()
)


class PayerLink(Sealed, Base):
    """A proposal that some words mean a payer, and the payment and bill that it was learnt from."""

    __tablename__ = "payer_link"
    __table_args__ = (
        UniqueConstraint("words_digest", "payer_id", "payment_id", "invoice_id", name="uq_payer_link_words_digest"),
        CheckConstraint("length(words_digest) = 32", name="words_digest"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    words_digest: Mapped[bytes] = mapped_column(LargeBinary)
    salt: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    payer_id: Mapped[int] = mapped_column(ForeignKey("payer.id"))
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    proposed_by: Mapped[str]
    proposed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PayerLinkAnswer(Sealed, Base):
    """A person's yes or no to a proposal. A no stands for ever for these words and this payer."""

    __tablename__ = "payer_link_answer"
    link_id: Mapped[int] = mapped_column(ForeignKey("payer_link.id"), primary_key=True)
    agreed: Mapped[bool]
    answered_by: Mapped[str]
    answered_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    approval_id: Mapped[int | None]


def words_digest(said: str) -> bytes | None:
    """SHA-256 of what a text boils down to: its words in order, without numbers, codes and months. None for too few."""
    tokens = _TOKEN.findall(said.upper())
    words = [one for one in tokens if one.isalpha() and len(one) > 1 and one not in _MONTHS | ladder.NOTHING]
    return hashlib.sha256(" ".join(words).encode()).digest() if len(words) >= LEAST_WORDS else None


class Known(NamedTuple):
    """A payer whom some words mean."""

    link: str
    payer_id: int
    name: str
    phone: str


# A link lives as long as the money that taught it stands on the bill that taught it.
_STANDS = """
    EXISTS (SELECT FROM application a WHERE a.payment_id = l.payment_id AND a.invoice_id = l.invoice_id
            HAVING sum(a.amount_minor) > 0)
"""


def active(session: Session) -> dict[bytes, Known]:
    """The links that runs use, by the digest of their words. Words that came to mean two payers mean nobody."""
    rows = raw(session).execute(
        "SELECT DISTINCT ON (l.words_digest, l.payer_id) l.words_digest, l.public_id, l.payer_id, p.name,"  # noqa: S608
        " coalesce(p.phone, '') FROM payer_link l JOIN payer_link_answer w ON w.link_id = l.id AND w.agreed"
        f" JOIN payer p ON p.id = l.payer_id WHERE {_STANDS} ORDER BY l.words_digest, l.payer_id, l.id"
    )
    found: dict[bytes, list[Known]] = {}
    for digest, *known in rows:
        found.setdefault(bytes(digest), []).append(Known(*known))
    return {digest: known[0] for digest, known in found.items() if len(known) == 1}


_TAUGHT = """
    SELECT p.id, y.account_reference, a.invoice_id, o.payer_id, a.by_hand
      FROM (SELECT payment_id, invoice_id, bool_or(rung = 'hand') AS by_hand FROM application
             GROUP BY payment_id, invoice_id
            HAVING sum(amount_minor) > 0 AND bool_or(rung IN ('exact', 'normalised', 'hand'))) a
      JOIN payment p ON p.id = a.payment_id JOIN open_bill o ON o.invoice_id = a.invoice_id
      JOIN payment_party y ON y.payment_id = p.id
     WHERE o.payer_id IS NOT NULL AND NOT EXISTS (SELECT FROM payment v WHERE v.reverses_id = p.id)
     ORDER BY a.by_hand DESC, p.id DESC LIMIT 100000
"""


class _Lesson(NamedTuple):
    payment_id: int
    invoice_id: int
    payer_id: int
    by_hand: bool


def propose(session: Session, *, by: str) -> int:
    """Propose what certain matches teach, and what no person has answered; answers how many proposals are new."""
    lessons: dict[bytes, list[_Lesson]] = {}
    for payment_id, said, *rest in raw(session).execute(_TAUGHT):
        digest = words_digest(said)
        if digest is not None:
            lessons.setdefault(digest, []).append(_Lesson(payment_id, *rest))
    answered = _answered_or_waiting(session)
    made = 0
    for digest, taught in sorted(lessons.items()):
        payers = {one.payer_id for one in taught}
        first = taught[0]
        times = len({one.payment_id for one in taught})
        if len(payers) > 1 or (digest, first.payer_id) in answered or not (first.by_hand or times >= LEAST_TIMES):
            continue
        raw(session).execute(
            "INSERT INTO payer_link (public_id, words_digest, payer_id, payment_id, invoice_id, proposed_by)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (public_id("lnk"), digest, first.payer_id, first.payment_id, first.invoice_id, by),
        )
        made += 1
    return made


def _answered_or_waiting(session: Session) -> set[tuple[bytes, int]]:
    """Words and payers about which nothing is to be proposed: refused once, waiting for an answer, or in use."""
    rows = raw(session).execute(
        "SELECT l.words_digest, l.payer_id FROM payer_link l LEFT JOIN payer_link_answer w ON w.link_id = l.id"  # noqa: S608
        f" WHERE w.agreed = false OR {_STANDS}"
    )
    return {(bytes(row[0]), row[1]) for row in rows}


def ask(session: Session, public: str, *, reason: str) -> str:
    """Ask that a proposed link be used; answers the request's public id. Raises NotFound, Conflict once answered."""
    return approvals.ask(session, "link", subject=public, payload={"link": public}, reason=reason)


def use_agreed(session: Session, agreed: Agreed) -> None:
    """Let words mean a payer, as two persons agreed."""
    raw(session).execute(
        "INSERT INTO payer_link_answer (link_id, agreed, answered_by, approval_id)"
        " SELECT id, true, %s, %s FROM payer_link WHERE public_id = %s",
        (f"approval {agreed.public_id}", agreed.number, agreed.payload["link"]),
    )


def refuse(session: Session, public: str) -> None:
    """Refuse a proposed link for ever; one person may. Raises NotFound, NotAllowed, Conflict once answered."""
    raw(session).execute("SELECT refuse_link(%s)", (public,))


class Listed(NamedTuple):
    """A link as a list shows it. ``words`` are those of the payment it was learnt from, while they are kept."""

    public_id: str
    state: str
    payer: str
    payment: str
    words: str


def listed(session: Session) -> list[Listed]:
    """Every link, those that wait for an answer first."""
    rows = raw(session).execute(
        "SELECT l.public_id, CASE WHEN w.agreed = false THEN 'refused'"  # noqa: S608
        f" WHEN NOT {_STANDS} THEN 'undone' WHEN w.agreed THEN 'in use' ELSE 'waiting' END AS state,"
        " r.public_id, p.reference, coalesce(y.account_reference, '') FROM payer_link l"
        " JOIN payment p ON p.id = l.payment_id JOIN payer r ON r.id = l.payer_id"
        " LEFT JOIN payment_party y ON y.payment_id = p.id LEFT JOIN payer_link_answer w ON w.link_id = l.id"
        " ORDER BY w.link_id IS NOT NULL, l.id"
    )
    return [Listed(*row) for row in rows]
