"""Matching over the books: a run applies what is certain, two persons what they agree on, one verb takes it back."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks, spelling
from reconciliation import matches as reconciliation_matches
from reconciliation.engine import matching
from reconciliation.engine.policy import RULES_VERSION, Policy
from reconciliation.engine.rows import bill_table, payment_table
from reconciliation.matches import Left, NewMatch, Suggested
from reconciliation.runs import manifest, payer_links, policies
from reconciliation.runs import snapshot as books
from reconciliation.runs.snapshot import Snapshot
from revenue_engine import ledger, payments, periods
from revenue_engine.access import approvals, audit
from revenue_engine.access.approvals import Agreed
from revenue_engine.billing import open_bills
from revenue_engine.collection import held_money
from revenue_engine.db import transaction
from revenue_engine.errors import Conflict, IntegrityFault
from revenue_engine.ledger import chart
from revenue_engine.money import parse_wire, wire
from revenue_engine.payments import NewApplication, receipts
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind

BY_HAND = held_money.BY_HAND
"""The rung of a match that one person asked for and another agreed to."""
TAKEN_BACK = "match_reversed"
"""The rung of what takes a match's money off its bill again."""
AT_ONCE = 200
"""Payments set against their bills in one transaction: the series of receipts is locked no longer than that takes."""


LOOKS = 5
"""So often in a row a run looks again at books that change under it faster than it can apply anything."""


@dataclass(frozen=True, slots=True)
class Part:
    """What of a payment goes to one bill, in cents, and why."""

    invoice_id: int
    number: str
    amount_minor: int
    rung: str
    why: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A payment that the engine is certain about."""

    payment_id: int
    reference: str
    held_minor: int
    parts: tuple[Part, ...]


@dataclass(slots=True)
class Report:
    """What a run did. Amounts in cents."""

    run: str
    policy: str
    input_digest: str
    output_digest: str
    bills: int
    payments: int
    passes: int = 0
    matched: list[Planned] = field(default_factory=list)
    skipped: int = 0
    left: int = 0
    left_minor: int = 0
    by_rung: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    suggestions: int = 0
    links_proposed: int = 0

    def figures(self) -> dict[str, Any]:
        """The counts as plain data, money as decimal text."""
        return {
            "passes": self.passes,
            "matched": len(self.matched),
            "matched_amount": wire(sum(part.amount_minor for one in self.matched for part in one.parts)),
            "skipped": self.skipped,
            "left": self.left,
            "left_amount": wire(self.left_minor),
            "suggestions": self.suggestions,
            "links_proposed": self.links_proposed,
            "by_rung": dict(sorted(self.by_rung.items())),
            "by_reason": dict(sorted(self.by_reason.items())),
        }


def run(database: Engine, *, by: str, dry_run: bool = False) -> Report:
    """Match what waits in suspense and apply what is certain, until nothing more is; store what is left for people.

    Each pass reads the books at one moment and applies in short transactions, in which everything is looked at again
    under the locks; what changed meanwhile is skipped and seen afresh by the next pass. So a run ends where a second
    one would find nothing to do. ``dry_run`` writes nothing and answers what the first pass would apply.
    """
    snapshot, policy, found = _look(database)
    report = Report(
        "", policy.digest(), snapshot.digest(), "", len(snapshot.bills), len(snapshot.payments) + len(snapshot.judged)
    )
    run_id = 0
    if not dry_run:
        with transaction(database) as session:
            run_id, report.run = manifest.begin(
                session,
                policy=policies.settings_of(policy),
                policy_digest=report.policy,
                rules_version=RULES_VERSION,
                input_digest=report.input_digest,
                bills=report.bills,
                payments=report.payments,
                by=by,
            )
    fruitless = 0
    while fruitless < LOOKS:
        report.passes += 1
        plan = list(planned(snapshot, found))
        if dry_run:
            report.matched = plan
            break
        done, report.skipped = _apply_all(database, snapshot, plan, run_id=run_id, by=by)
        report.matched += done
        if not done and not report.skipped:
            break
        fruitless = 0 if done else fruitless + 1
        snapshot, _, found = _look(database, policy)
    report.by_rung.update(part.rung for one in report.matched for part in one.parts)
    left, suggested, report.output_digest = _what_is_left(snapshot, policy, found)
    report.left, report.left_minor = len(left), sum(one.amount_minor for one in left)
    report.by_reason.update(one.reason for one in left)
    report.suggestions = len(suggested)
    if not dry_run:
        with transaction(database) as session:
            reconciliation_matches.replace_left(session, run_id, left, suggested)
            report.links_proposed = payer_links.propose(session, by=by)
            manifest.end(session, run_id, output_digest=report.output_digest, figures=report.figures())
            audit.record(
                session,
                actor=by,
                action="matching.run",
                subject=report.run,
                facts={"policy": report.policy, "input": report.input_digest, "output": report.output_digest},
            )
    return report


def _look(database: Engine, policy: Policy | None = None) -> tuple[Snapshot, Policy, matching.Outcome]:
    with transaction(database) as session:
        books.at_one_moment(session)
        policy = policy or policies.active(session)
        snapshot = books.read(session)
    while True:
        outcome = matching.match(bill_table(snapshot.bills), payment_table(snapshot.payments), policy)
        chosen = [(row["payment_id"], row["invoice_number"]) for row in outcome.matches.to_pylist()]
        with transaction(database) as session:
            fewer = books.doubt_edited(session, snapshot, chosen)
        if fewer is None:
            return snapshot, policy, outcome
        snapshot = fewer


def planned(snapshot: Snapshot, found: matching.Outcome) -> Iterator[Planned]:
    """The engine's matches, payment by payment in the order (occurred, reference)."""
    waiting = {one.reference: one for one in snapshot.payments}
    bills = {one.number: one for one in snapshot.bills}
    parts: dict[str, list[Part]] = {}
    for row in found.matches.to_pylist():
        one, bill = waiting[row["payment_id"]], bills[row["invoice_number"]]
        why = spelling.without_phones(row["why"], {bill.number})
        if one.link:
            why = f"the words that came with it are known, by link {one.link}, to be the payer's; {why}"
        part = Part(bill.invoice_id, bill.number, parse_wire(row["amount"]), row["rung"], why)
        parts.setdefault(one.reference, []).append(part)
    for reference, listed in parts.items():
        one = waiting[reference]
        yield Planned(one.payment_id, reference, one.amount_minor, tuple(listed))


def _apply_all(
    database: Engine, snapshot: Snapshot, plan: Sequence[Planned], *, run_id: int, by: str
) -> tuple[list[Planned], int]:
    """Apply a plan in short transactions; answers what was applied and how many were skipped."""
    expected = {one.invoice_id: one.open_minor for one in snapshot.bills}
    done: list[Planned] = []
    for start in range(0, len(plan), AT_ONCE):
        batch = plan[start : start + AT_ONCE]
        with transaction(database) as session:
            done += _apply(session, batch, expected, run_id=run_id, by=by)
    return done, len(plan) - len(done)


def _apply(
    session: Session, batch: Sequence[Planned], expected: dict[int, int], *, run_id: int, by: str
) -> list[Planned]:
    bills, held = _lock(
        session, {part.invoice_id for one in batch for part in one.parts}, [p.payment_id for p in batch]
    )
    across = _across(session, batch, bills)
    moves, good = [], []
    for one in batch:
        money = held.get(one.payment_id)
        if one.payment_id in across:
            continue
        still = money is not None and money.amount_minor == one.held_minor
        if money is None or not still or not all(_as_seen(bills, part, expected) for part in one.parts):
            continue
        wanted = [(bills[part.invoice_id], part.amount_minor) for part in one.parts]
        if len(one.parts) == 1:  # what is above the one bill goes where such money goes when it names its bill at once
            wanted = [(wanted[0][0], one.held_minor)]
        moves.append(held_money.Move.plan(money, wanted, rung=one.parts[0].rung))
        good.append(one)
        for part in one.parts:
            expected[part.invoice_id] -= part.amount_minor
    made = []
    for one, journal in zip(good, held_money.identify_many(session, moves), strict=True):
        if journal is None:
            raise IntegrityFault("a bill with money to take took none", payment_id=one.payment_id)
        made += [
            NewMatch(one.payment_id, part.invoice_id, part.amount_minor, part.rung, part.why, journal.id)
            for part in one.parts
        ]
    reconciliation_matches.note(session, made, run_id=run_id, by=by)
    return good


def _across(session: Session, batch: Sequence[Planned], bills: Mapping[int, open_bills.Open]) -> set[int]:
    """The payments whose money lies at another lawful destination than a bill's: no run moves it."""
    asked = [
        (
            one.payment_id,
            chart.SUSPENSE,
            bills[part.invoice_id].bill.stream_code,
            bills[part.invoice_id].bill.station_code,
        )
        for one in batch
        for part in one.parts
        if part.invoice_id in bills
    ]
    return {asked[place][0] for place in payments.crossing(session, asked)}


def _as_seen(bills: Mapping[int, open_bills.Open], part: Part, expected: Mapping[int, int]) -> bool:
    bill = bills.get(part.invoice_id)
    return bill is not None and not bill.cancelled and bill.outstanding_minor == expected[part.invoice_id]


def _lock(
    session: Session, invoice_ids: Iterable[int], payment_ids: Sequence[int]
) -> tuple[dict[int, open_bills.Open], dict[int, payments.Held]]:
    """Lock bills, payers and payments, in that order; answers the bills and what is in suspense, as they now are."""
    bills = open_bills.lock(session, invoice_ids)
    open_bills.lock_payers(session, (bill.bill.payer_id for bill in bills.values() if bill.bill.payer_id is not None))
    payments.lock(session, payment_ids)
    held = payments.held(session, payment_ids=payment_ids)
    return bills, {one.payment_id: one for one in held if one.account == chart.SUSPENSE}


# --- what is left ----------------------------------------------------------------------------------------------------


def _what_is_left(
    snapshot: Snapshot, policy: Policy, found: matching.Outcome
) -> tuple[list[Left], list[Suggested], str]:
    """What people are shown, and one digest over all of it."""
    numbers = {one.number: one.invoice_id for one in snapshot.bills}
    left, suggested = _shown(found, {one.reference: one.payment_id for one in snapshot.payments}, numbers)
    whole = hashlib.sha256(found.digest().encode())
    if snapshot.judged:
        again = matching.match(bill_table(snapshot.bills), payment_table(snapshot.judged), policy)
        whole.update(again.digest().encode())
        more, chosen = _of_judged(snapshot, again, numbers)
        left, suggested = left + more, suggested + chosen
    return left, suggested, whole.hexdigest()


def _shown(
    found: matching.Outcome, of: Mapping[str, int], numbers: Mapping[str, int]
) -> tuple[list[Left], list[Suggested]]:
    left = [
        Left(
            of[row["payment_id"]],
            parse_wire(row["amount"]),
            row["reason"],
            row["failed"],
            spelling.without_phones(row["why_not"], numbers),
            numbers.get(row["invoice_number"]),
        )
        for row in found.breaks.to_pylist()
    ]
    suggested = [
        Suggested(
            of[row["payment_id"]],
            int(row["rank"]),
            numbers[row["invoice_number"]],
            parse_wire(row["amount"]),
            spelling.without_phones(row["why"], numbers),
        )
        for row in found.suggestions.to_pylist()
    ]
    return left, suggested


def _of_judged(
    snapshot: Snapshot, found: matching.Outcome, numbers: Mapping[str, int]
) -> tuple[list[Left], list[Suggested]]:
    """Payments that a person took back from a bill: what the rules say is suggested, the bill refused is not."""
    of = {one.reference: one.payment_id for one in snapshot.judged}
    left, suggested = _shown(found, of, numbers)
    told = {one.payment_id for one in left}
    first = []
    for row in found.matches.to_pylist():
        payment_id = of[row["payment_id"]]
        why = spelling.without_phones(row["why"], numbers)
        first.append(Suggested(payment_id, 0, numbers[row["invoice_number"]], parse_wire(row["amount"]), why))
    taken_back = ("unknown_account", "taken_back", "a person took it back from a bill", None)
    edited = ("ambiguous_account", "sender", "the payer of the bill that fits was edited after the money came", None)
    left += [
        Left(one.payment_id, one.amount_minor, *(edited if one.payment_id in snapshot.doubted else taken_back))
        for one in snapshot.judged
        if one.payment_id not in told
    ]
    ranked: list[Suggested] = []
    places: Counter[int] = Counter()
    for one in sorted([*first, *suggested], key=lambda one: (one.payment_id, one.rank, one.invoice_id)):
        if one.invoice_id not in snapshot.refused.get(one.payment_id, ()):
            places[one.payment_id] += 1
            ranked.append(one._replace(rank=places[one.payment_id]))
    return left, ranked


# --- by hand ---------------------------------------------------------------------------------------------------------


SET_FIRST = "match_set"
"""The kind of request that one person's word does at once, and another reviews."""


def set_proposed(session: Session, reference: str, number: str, *, reason: str) -> str:
    """Set money in suspense against the bill that the engine proposed, at the exact amount; the request's public id.

    A job does it at once. Another person reviews what was set, as one list, before the day closes. Raises as ``ask``
    does, NotAllowed above the person's limit, and Conflict where the engine did not propose the bill, the amount is not
    exact or the county's limit is passed.
    """
    return ask(session, reference, number, reason=reason, kind=SET_FIRST)


def ask(session: Session, reference: str, number: str, *, reason: str, kind: str = "match") -> str:
    """Ask that money in suspense be set against the bill of a number; answers the request's public id.

    The bill is named as it is printed: by its pay account number in groups or not, or by its own number. The request
    holds the amount that the bill would take now. Raises NotFound for an unknown payment or bill, Conflict where none
    of the payment is in suspense or nothing is left of the bill, and what ``approvals.ask`` raises.
    """
    payment_id = payments.named(session, reference)
    invoice_id, number = open_bills.payable(session, number)
    held = payments.held(session, payment_ids=[payment_id])
    waits = sum(one.amount_minor for one in held if one.account == chart.SUSPENSE)
    payload = {
        "payment_id": payment_id,
        "invoice_id": invoice_id,
        "amount_minor": min(waits, open_bills.outstanding(session, invoice_id)),
    }
    return approvals.ask(session, kind, subject=f"{reference} to {number}", payload=payload, reason=reason)


def set_agreed(session: Session, agreed: Agreed) -> int:
    """Set money against a bill as two persons agreed; answers the cents that the bill took.

    Raises Conflict where, under the locks, it is not what they saw any more.
    """
    payment_id, invoice_id = int(agreed.payload["payment_id"]), int(agreed.payload["invoice_id"])
    bills, held = _lock(session, [invoice_id], [payment_id])
    bill, money = bills[invoice_id], held.get(payment_id)
    if money is None or min(bill.outstanding_minor, money.amount_minor) != agreed.payload["amount_minor"]:
        raise Conflict("the money or the bill is not what it was when it was agreed to", request=agreed.public_id)
    taken = min(bill.outstanding_minor, money.amount_minor)
    move = held_money.Move.plan(money, [(bill, money.amount_minor)], rung=BY_HAND)
    (journal,) = held_money.identify_many(session, [move])
    assert journal is not None  # noqa: S101 - the bill took some of it
    new = NewMatch(payment_id, invoice_id, taken, BY_HAND, agreed.reason, journal.id)
    reconciliation_matches.note(session, [new], approval_id=agreed.number, by=f"approval {agreed.public_id}")
    return taken


# --- back again ------------------------------------------------------------------------------------------------------


def ask_back(session: Session, reference: str, *, reason: str) -> str:
    """Ask that a payment's matches be taken back; answers the request's public id. Raises as ``ask`` does."""
    payment_id = payments.named(session, reference)
    return approvals.ask(
        session, "match_reversal", subject=reference, payload={"payment_id": payment_id}, reason=reason
    )


def take_back_agreed(session: Session, agreed: Agreed) -> int:
    """Take matches back as two persons agreed; answers the cents that are in suspense now."""
    return _reverse(session, int(agreed.payload["payment_id"]), agreed)


def _reverse(session: Session, payment_id: int, agreed: Agreed) -> int:
    """Take a payment's matches back: its money returns to suspense, its receipt is cancelled, its break opens again.

    Answers the cents that are in suspense now. No run sets the payment against that bill again. Raises Conflict where
    no match stands or the money has gone on from where it was set.
    """
    reason, reference = agreed.reason, agreed.subject
    _lock(session, {one.invoice_id for one in reconciliation_matches.standing(session, payment_id)}, [payment_id])
    matches = reconciliation_matches.standing(session, payment_id)  # read again under the locks
    if not matches:
        raise Conflict(f"no match of {reference} stands", reference=reference)
    payment = payments.by_id(session, payment_id)
    if payments.reversed_already(session, [payment_id]):
        raise Conflict(f"{reference} was taken back by its provider: there is no money to move", reference=reference)
    last = None
    for journal_id in sorted({one.journal_id for one in matches}):
        here = [one for one in matches if one.journal_id == journal_id]
        last = _undo(session, payment_id, journal_id, reason=reason)
        reconciliation_matches.take_back(
            session,
            here,
            journal_id=last.id,
            reason=reason,
            by=f"approval {agreed.public_id}",
            approval_id=agreed.number,
        )
    assert last is not None  # noqa: S101 - there was a match
    held = payments.held(session, payment_ids=[payment_id])
    minor = sum(one.amount_minor for one in held if one.account == chart.SUSPENSE)
    breaks.reopen(session, break_keys.suspense(payment_id), amount_minor=minor)
    jobs.add(session, kind=Kind.PAY_REOPENED, refs=sorted({one.invoice_id for one in matches}))
    if minor == payment.amount_minor:
        receipts.cancel(session, [payment_id], reason="its match was taken back", kinds=["receipt"])
        turn = receipts.turns(session, [payment_id], kind="acknowledgement").get(payment_id, 1)
        paper = receipts.ToIssue(
            payment_id, "acknowledgement", payment.amount_minor, payment.occurred_at, last.book_date, turn
        )
        receipts.issue(session, [paper])
    return minor


def _undo(session: Session, payment_id: int, journal_id: int, *, reason: str) -> ledger.Posted:
    """Reverse the journal of a match and take its money off the bills, when all of it still is where it was put."""
    stored = ledger.load(session, journal_id=journal_id)
    held = {(one.account, one.payer_id): one.amount_minor for one in payments.held(session, payment_ids=[payment_id])}
    for posting in stored.postings:
        credit = held.get((chart.UNAPPLIED_CREDIT, posting.payer_id), 0)
        if posting.credit == chart.UNAPPLIED_CREDIT and credit < posting.amount_minor:
            raise Conflict("the rest of this payment has paid another bill of its payer since: it cannot be taken back")
    put = payments.put_by_journal(session, payment_id=payment_id, journal_id=journal_id)
    if any(one.stands_minor < one.amount_minor for one in put):
        raise Conflict("the money is not on its bill any more: it cannot be taken back from there")
    posted = ledger.reverse(session, journal_id, reason=reason, at=periods.now())
    payments.apply(
        session,
        [
            NewApplication(payment_id, one.invoice_id, one.component, -one.amount_minor, posted.id, TAKEN_BACK)
            for one in put
        ],
    )
    return posted
