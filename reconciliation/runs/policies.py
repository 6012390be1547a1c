"""Matching policies as data: proposed by one person, tried on confirmed history, activated by another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation.engine import matching
from reconciliation.engine.policy import RULES_VERSION, Policy
from reconciliation.engine.rows import BillRow, PaymentRow, bill_table, payment_table
from reconciliation.runs import snapshot as books
from revenue_engine.access import approvals, sessions
from revenue_engine.access.approvals import Agreed
from revenue_engine.db import Base, Sealed, raw, scalar
from revenue_engine.errors import Conflict, InvalidValue, NotFound
from revenue_engine.payments import seen
from revenue_engine.payments.seen import Confirmed


class MatchingPolicy(Sealed, Base):
    """A policy that was proposed; its digest covers the settings and the version of the rules."""

    __tablename__ = "matching_policy"
    __table_args__ = (CheckConstraint("length(digest) = 64", name="digest"),)
    digest: Mapped[str] = mapped_column(primary_key=True)
    settings: Mapped[dict[str, Any]]
    rules_version: Mapped[str]
    proposed_by: Mapped[str]
    proposed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PolicyTrial(Sealed, Base):
    """What a policy would have done to confirmed history, beside the policy in force."""

    __tablename__ = "policy_trial"
    __table_args__ = (Index("ix_policy_trial_policy_digest", "policy_digest"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    policy_digest: Mapped[str] = mapped_column(ForeignKey("matching_policy.digest"))
    beside_digest: Mapped[str]
    history_digest: Mapped[str]
    figures: Mapped[dict[str, Any]]
    tried_by: Mapped[str]
    tried_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PolicyActivation(Sealed, Base):
    """The moment from which runs use a policy; the last one is in force."""

    __tablename__ = "policy_activation"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    policy_digest: Mapped[str] = mapped_column(ForeignKey("matching_policy.digest"))
    trial_id: Mapped[int] = mapped_column(ForeignKey("policy_trial.id"))
    activated_by: Mapped[str]
    activated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    approval_id: Mapped[int | None]


def settings_of(policy: Policy) -> dict[str, Any]:
    """A policy's settings as plain data."""
    return json.loads(json.dumps(asdict(policy)))  # type: ignore[no-any-return]


def policy_of(settings: Mapping[str, Any]) -> Policy:
    """A policy from settings; what is not named keeps its default. Raises InvalidValue naming a wrong setting."""
    known = {one.name: one for one in fields(Policy)}
    standard = Policy()
    chosen: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in known:
            raise InvalidValue(f"a policy has no setting {name!r}; it has {', '.join(known)}", field=name)
        usual = getattr(standard, name)
        if isinstance(usual, tuple):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise InvalidValue(f"{name} is a list of words", field=name)
            chosen[name] = tuple(value)
        elif type(value) is not type(usual) or (type(value) is int and value < 0):
            raise InvalidValue(f"{name} is {value!r}; write it like {json.dumps(usual)}", field=name)
        else:
            chosen[name] = value
    if chosen.get("currency", standard.currency) != standard.currency:
        raise InvalidValue("the primary book is kept in KES", field="currency")
    return replace(standard, **chosen)


def active(session: Session) -> Policy:
    """The policy that runs use: the one activated last, or the standard one."""
    settings = scalar(
        session,
        "SELECT (SELECT p.settings FROM policy_activation a JOIN matching_policy p ON p.digest = a.policy_digest"
        " ORDER BY a.id DESC LIMIT 1)",
    )
    return policy_of(settings) if settings is not None else Policy()


def propose(session: Session, settings: Mapping[str, Any], *, by: str) -> str:
    """Keep a policy under its digest, which is answered. Proposed again, by whomever, it is what it was."""
    policy = policy_of(settings)
    raw(session).execute(
        "INSERT INTO matching_policy (digest, settings, rules_version, proposed_by) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (digest) DO NOTHING",
        (policy.digest(), Jsonb(settings_of(policy)), RULES_VERSION, sessions.actor(session, by)),
    )
    return policy.digest()


def proposed(session: Session, named: str) -> tuple[str, Policy, str]:
    """A policy by its digest or the beginning of it: the digest, the policy, who proposed it. Raises NotFound."""
    found = session.scalars(select(MatchingPolicy).where(func.starts_with(MatchingPolicy.digest, named)).limit(2)).all()
    if len(found) != 1 or not named:
        raise NotFound(f"{len(found)} policies have a digest that begins with {named!r}", digest=named)
    (kept,) = found
    policy = policy_of(kept.settings)
    if policy.digest() != kept.digest:
        raise Conflict(
            "the rules have changed since this policy was proposed: propose and try it again", digest=kept.digest
        )
    return kept.digest, policy, kept.proposed_by


# --- trials on history -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A payment whose bill is known for certain, as it came or with its number taken away."""

    key: str
    payment: PaymentRow
    bills: frozenset[str]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of putting history to the engine: the world as it was, and the truth."""

    bills: list[BillRow]
    cases: list[Case]


MOST_HISTORY = 100_000
"""Confirmed payments that a trial looks at: the latest."""


def history(session: Session, *, most: int = MOST_HISTORY) -> list[Arm]:
    """Confirmed history twice: as it came, and what came with an exact number once more without it.

    Confirmed is what stands by a push request of ours, by a number, or by two persons. Its bills are open again as they
    were before that money came, so the trial asks of every payment what it asked of the engine on its day.
    """
    found = seen.confirmed(session, most=most)
    given: dict[int, int] = {}
    for known in found:
        for invoice_id, minor in zip(known.invoice_ids, known.minors, strict=True):
            given[invoice_id] = given.get(invoice_id, 0) + minor
    came = [(_of_history(known), known.invoice_ids, known.by_number) for known in found]
    opened = {one.invoice_id: one for one in books.bills_for(session, (one for one, _, _ in came))}
    missing = sorted(given.keys() - opened.keys())
    opened.update({one.invoice_id: one for one in books.bills_of(session, missing)})
    bills = [
        one._replace(open_minor=one.open_minor + given.get(one.invoice_id, 0)) for _, one in sorted(opened.items())
    ]
    as_came, blind = [], []
    for one, invoice_ids, by_number in came:
        truth = frozenset(opened[invoice_id].number for invoice_id in invoice_ids)
        as_came.append(Case(one.reference, one, truth))
        if by_number:
            blind.append(Case(one.reference, one._replace(typed="", narrative=""), truth))
    return [Arm(bills, as_came), Arm(bills, blind)]


def _of_history(known: Confirmed) -> PaymentRow:
    one = books.payment_row(known.seen)
    return one._replace(amount_minor=sum(known.minors))  # what reached its bills: the rest was never theirs


def try_out(arms: list[Arm], policy: Policy, beside: Policy) -> dict[str, Any]:
    """What ``policy`` finds of confirmed history beside what the policy in force finds; whole numbers throughout.

    ``precision`` and ``recall`` are of every 10,000: right matches among matches made, and among payments confirmed.
    """
    total = dict.fromkeys(("confirmed", "matched", "right", "wrong", "beside_matched", "beside_right"), 0)
    differs: dict[str, list[dict[str, Any]]] = {"new": [], "lost": [], "changed": []}
    for how, arm in zip(("as it came", "without its number"), arms, strict=True):
        found, before = _found(arm, policy), _found(arm, beside)
        for case in arm.cases:
            now, was = found.get(case.key, frozenset()), before.get(case.key, frozenset())
            total["confirmed"] += 1
            total["matched"] += bool(now)
            total["right"] += now == case.bills
            total["beside_matched"] += bool(was)
            total["beside_right"] += was == case.bills
            if now != was:
                kind = "changed" if now and was else ("new" if now else "lost")
                verdict = (now or was) == case.bills
                differs[kind].append({"payment": case.key, "how": how, "right": verdict, "bills": sorted(now or was)})
    total["wrong"] = total["matched"] - total["right"]
    ratios = {
        "precision": _of_10000(total["right"], total["matched"]),
        "recall": _of_10000(total["right"], total["confirmed"]),
        "beside_precision": _of_10000(total["beside_right"], total["beside_matched"]),
        "beside_recall": _of_10000(total["beside_right"], total["confirmed"]),
    }
    counts = {kind: len(listed) for kind, listed in differs.items()}
    right = {f"{kind}_right": sum(one["right"] for one in listed) for kind, listed in differs.items()}
    return {**total, **ratios, **counts, **right, "examples": {kind: listed[:20] for kind, listed in differs.items()}}


def _of_10000(part: int, whole: int) -> int | None:
    return part * 10_000 // whole if whole else None


def _found(arm: Arm, policy: Policy) -> dict[str, frozenset[str]]:
    if not arm.cases:
        return {}
    payments = payment_table([case.payment for case in arm.cases])
    outcome = matching.match(bill_table(arm.bills), payments, replace(policy, suggestions=0))
    found: dict[str, set[str]] = {}
    for row in outcome.matches.to_pylist():
        found.setdefault(row["payment_id"], set()).add(row["invoice_number"])
    return {key: frozenset(numbers) for key, numbers in found.items()}


def backtest(session: Session, named: str, *, by: str) -> dict[str, Any]:
    """Try a proposed policy on confirmed history, keep the figures and answer them. Raises NotFound, Conflict."""
    digest, policy, _ = proposed(session, named)
    beside = active(session)
    arms = history(session)
    read = hashlib.sha256()
    for arm in arms:
        snapshot = books.Snapshot(arm.bills, [case.payment for case in arm.cases], [], {})
        read.update(bytes.fromhex(snapshot.digest()))
    figures = try_out(arms, policy, beside)
    trial: int = scalar(
        session,
        "INSERT INTO policy_trial (policy_digest, beside_digest, history_digest, figures, tried_by)"
        " VALUES (%s, %s, %s, %s, %s) RETURNING id",
        (digest, beside.digest(), read.hexdigest(), Jsonb(figures), sessions.actor(session, by)),
    )
    return {"policy": digest, "trial": trial, "history": read.hexdigest(), **figures}


def ask_activation(session: Session, named: str, *, reason: str) -> str:
    """Ask that runs use a policy that was tried on history; answers the request's public id. Raises NotFound, Conflict
    where it was not tried, and what ``approvals.ask`` raises."""
    digest, _, _ = proposed(session, named)
    return approvals.ask(session, "policy", subject=digest[:12], payload={"policy": digest}, reason=reason)


def activate_agreed(session: Session, agreed: Agreed) -> str:
    """Let runs use a policy from now on, as two persons agreed; answers its digest."""
    digest, _, _ = proposed(session, agreed.payload["policy"])
    raw(session).execute(
        "INSERT INTO policy_activation (policy_digest, trial_id, activated_by, approval_id)"
        " SELECT %(digest)s, max(id), %(by)s, %(number)s FROM policy_trial WHERE policy_digest = %(digest)s",
        {"digest": digest, "by": f"approval {agreed.public_id}", "number": agreed.number},
    )
    return digest
