"""The matching engine: bills and payments as columns in, matches, suggestions and breaks out. Pure.

The answer is a function of the rows, not of their order. No bill gets more than is open of it and no payment gives
more than it has. What a number names is settled in columns; the rest, a few payments in a hundred, one by one. Source
of the rungs: the revenue engine's design, section 7.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reconciliation.engine import cases as reading
from reconciliation.engine import columns, explain, ranking, weak_rungs
from reconciliation.engine import senders as evidence
from reconciliation.engine.case import Case
from reconciliation.engine.cases import Read
from reconciliation.engine.columns import Ints
from reconciliation.engine.explain import Suggestion
from reconciliation.engine.indexes import Bills, Payments
from reconciliation.engine.policy import Policy
from reconciliation.engine.ranking import Ranked
from reconciliation.engine.senders import Sender
from reconciliation.engine.weak_rungs import WhyNot, World
from reconciliation.ladder import Rung
from revenue_engine.money import wire

PRECEDENCE = (Rung.EXACT, Rung.NORMALISED, Rung.SUM_OF_NUMBERS, *weak_rungs.CASE_RUNGS)
"""Inside a run a stronger rung is served first; within a rung, the earlier payment."""

WORTH_A_THREAD = 50_000
"""With fewer payments nothing is worth doing beside the rest."""

Progress = Callable[[str, int], None]
"""Told the name of each step as it begins, and how many rows it has."""


class Spread(Protocol):
    """How pure work is spread over processes or machines; see :mod:`reconciliation.engine.matching.executors`."""

    def map(self, work: Callable[..., list[Any]], items: list[Any], *extra: Any) -> list[Any]:
        """``work(items, *extra)`` in slices, the answers in the order of the items."""


@dataclass(slots=True)
class Outcome:
    """The answer of a run: tables whose rows are in the order (occurred, reference)."""

    matches: pa.Table
    """payment_id, invoice_number, amount (decimal text), rung, why"""
    suggestions: pa.Table
    """payment_id, rank (1 is best), invoice_number, amount, why"""
    breaks: pa.Table
    """payment_id, amount, reason, invoice_number (the nearest miss, may be empty), failed, why_not"""
    counts: dict[str, int] = field(default_factory=dict)
    """Rows matched by each rung."""
    totals: dict[str, Any] = field(default_factory=dict)
    """Payments, matched rows, and the amounts matched and left as decimal text."""

    def digest(self) -> str:
        """SHA-256 over everything that was found: equal for equal rows, whatever their order, format or executor."""
        whole = hashlib.sha256()
        for table in (self.matches, self.suggestions, self.breaks):
            for column in table.columns:
                for part in column.chunks:
                    whole.update(columns.out(pc.binary_length(part)).astype("<i8"))
                    offsets = np.frombuffer(
                        part.buffers()[1], dtype=np.int32, count=len(part) + 1, offset=part.offset * 4
                    )
                    if len(part):
                        whole.update(memoryview(part.buffers()[2])[offsets[0] : offsets[-1]])
        return whole.hexdigest()


@dataclass(slots=True)
class _Run:
    bills: Bills
    payments: Payments
    policy: Policy
    open_now: Ints
    left: Ints
    matched: list[tuple[Ints, Ints, Ints, Ints]] = field(default_factory=list)
    """Columns of payment, bill, cents and place of the rung."""
    whys: dict[tuple[int, int], str] = field(default_factory=dict)
    why_not: dict[int, WhyNot] = field(default_factory=dict)
    rest_of: dict[int, list[int]] = field(default_factory=dict)
    """Payments that named bills which did not take all of it, with these bills."""
    last: dict[int, int] = field(default_factory=dict)

    def id_of(self, payment: int) -> str:
        return str(self.payments.table["payment_id"][payment].as_py())


def match(
    invoices: pa.Table | Future[pa.Table],
    payments: pa.Table,
    policy: Policy | None = None,
    *,
    spread: Spread | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Match ``payments`` to ``invoices``.

    The tables are those of :mod:`reconciliation.engine.files`: the columns of the files as text, ``amount_minor`` in
    cents (what is due of a bill, what was paid) and ``paid_at_us``. Invoices may still be on their way: texts are read
    meanwhile. Nothing is read or written, no clock is asked.
    """
    policy = policy or Policy()
    tell = progress or (lambda *_: None)
    paid, spreading = Payments(payments), spread.map if spread else None
    tell("reading references", len(paid))
    with _beside(worth=len(paid) >= WORTH_A_THREAD) as beside:
        beside(lambda: paid.rank)
        coming = beside(lambda: Bills(invoices.result() if isinstance(invoices, Future) else invoices))
        texts = reading.listen(paid, policy, spread=spreading)
        bills = coming()
        beside(bills.prepare)
        run = _Run(bills, paid, policy, bills.open_minor.copy(), paid.amount.copy())
        read = reading.read_all(bills, paid, texts, policy, spread=spreading)
        tell("numbers", len(read.payment))
        _settle_numbers(run, read)
        _settle_sums(run, read.sums)
        tell("slips, objects and payers", len(read.cases))
        _settle_cases(run, read.cases)
        tell("suggestions", len(run.why_not))
        matches = beside(lambda: _match_table(run))  # all of them are known now, and nothing is taken any more
        suggestions = _suggest(run, read.cases)
        tell("answer", len(paid))
        return _outcome(run, matches(), suggestions)


Beside = Callable[[Callable[[], Any]], Callable[[], Any]]
"""Begins work beside what goes on and answers how to wait for it."""


@contextmanager
def _beside(*, worth: bool) -> Iterator[Beside]:
    """Work in a thread while the block runs, or when it is waited for; what it raises is raised at its end."""
    if not worth:
        yield lambda work: work
        return
    begun: list[Future[Any]] = []

    def begin(work: Callable[[], Any]) -> Callable[[], Any]:
        begun.append(pool.submit(work))
        return begun[-1].result

    with ThreadPoolExecutor(1) as pool:
        yield begin
        for one in begun:
            one.result()


def _settle_numbers(run: _Run, read: Read) -> None:
    """Set payments that name one bill against it, each bill's payments by (rung, occurred, reference)."""
    contested = np.bincount(read.bill, minlength=len(run.bills))[read.bill] > 1
    several, alone = np.flatnonzero(contested), np.flatnonzero(~contested)
    ranks = run.payments.rank[read.payment[several]]
    order = np.concatenate([alone, several[np.lexsort([ranks, read.rung[several], read.bill[several]])]])
    payment, bill, rung = read.payment[order], read.bill[order], read.rung[order]
    amount = run.left[payment]
    before = np.cumsum(amount) - amount
    first = np.ones(len(bill), dtype=bool)
    first[1:] = bill[1:] != bill[:-1]
    start = np.maximum.accumulate(np.where(first, np.arange(len(bill)), 0))
    before -= before[start]
    room = np.maximum(run.open_now[bill] - before, 0)
    taken = np.minimum(amount, room)
    hit = taken > 0
    run.matched.append((payment[hit], bill[hit], taken[hit], rung[hit]))
    np.subtract.at(run.open_now, bill[hit], taken[hit])
    run.left[payment[hit]] -= taken[hit]
    full = hit & (taken == room)
    run.last.update(zip(bill[full].tolist(), payment[full].tolist(), strict=True) if len(bill) < 1000 else ())
    rest = np.flatnonzero(taken < amount)
    takers = dict(zip(bill[full].tolist(), payment[full].tolist(), strict=True)) if len(rest) else {}
    run.last.update({int(bill[place]): takers[int(bill[place])] for place in rest if int(bill[place]) in takers})
    for place in rest.tolist():
        one, row = int(payment[place]), int(bill[place])
        run.rest_of[one] = [row]
        if taken[place]:
            words = f"{wire(int(run.left[one]))} more than was open of the bill"
            run.why_not[one] = WhyNot("overpaid", "excess", words, row, final=True)
        else:
            words = f"the bill was paid in this run by {run.id_of(run.last[row])}"
            run.why_not[one] = WhyNot("duplicate_payment", "paid_in_run", words, row, final=True)


def _settle_sums(run: _Run, claims: list[tuple[int, list[int]]]) -> None:
    """Several numbers were typed: all their bills or none."""
    for payment, rows in sorted(claims, key=lambda claim: int(run.payments.rank[claim[0]])):
        opens = [int(run.open_now[row]) for row in rows]
        amount = int(run.left[payment])
        if all(opens) and sum(opens) == amount:
            for row, part in zip(rows, opens, strict=True):
                _apply(run, payment, row, part, Rung.SUM_OF_NUMBERS)
                words = f"the numbers of {len(rows)} bills were typed and the amount is their sum, {wire(amount)}"
                run.whys[payment, row] = words
                run.last[row] = payment
            continue
        run.rest_of[payment] = rows
        if not any(opens):
            words = "the bills whose numbers were typed were paid in this run"
            run.why_not[payment] = WhyNot("duplicate_payment", "paid_in_run", words, rows[0], final=True)
        else:
            words = f"{len(rows)} bill numbers were typed; {wire(sum(opens))} is open of them together, not this amount"
            run.why_not[payment] = WhyNot("ambiguous_account", "sum", words, rows[0], final=True)


def _apply(run: _Run, payment: int, row: int, part: int, rung: Rung) -> None:
    one = (np.array([value], dtype=np.int64) for value in (payment, row, part, PRECEDENCE.index(rung)))
    run.matched.append(tuple(one))  # type: ignore[arg-type]
    run.open_now[row] -= part
    run.left[payment] -= part


def _settle_cases(run: _Run, cases: list[Case]) -> None:
    """The weaker rungs. What only later rungs need is looked up for the few that reach them."""
    if not cases:
        return
    ids = run.payments.table["payment_id"].take(_rows(case.payment for case in cases)).to_pylist()
    references = dict(zip((case.payment for case in cases), ids, strict=True))
    decided = weak_rungs.Decided(waiting=sorted(cases, key=lambda case: case.rank))
    reading.find_slips(run.bills, decided.waiting)
    world = _world(run, _looked_at(cases))
    world.paid_by = {row: run.id_of(payment) for row, payment in run.last.items() if row in world.open_now}
    weak_rungs.climb(decided, weak_rungs.CASE_RUNGS[:-1], world, run.policy, references)
    reading.find_payers(run.bills, decided.waiting)
    added = _world(run, [row for row in _looked_at(decided.waiting) if row not in world.facts])
    world.facts.update(added.facts)
    world.open_now.update(added.open_now)
    weak_rungs.climb(decided, weak_rungs.CASE_RUNGS[-1:], world, run.policy, references)
    weak_rungs.leave(decided)
    _record(run, decided)


def _record(run: _Run, decided: weak_rungs.Decided) -> None:
    if decided.found:
        listed = [(one.payment, one.row, one.amount_minor, PRECEDENCE.index(one.rung)) for one in decided.found]
        payment, row, amount, rung = np.array(listed, dtype=np.int64).T
        run.matched.append((payment, row, amount, rung))
        np.subtract.at(run.open_now, row, amount)
        np.subtract.at(run.left, payment, amount)
        run.whys.update({(one.payment, one.row): one.why for one in decided.found})
        for one in decided.found:
            if run.left[one.payment]:
                run.rest_of[one.payment] = [one.row]
    run.why_not.update(decided.why_not)


def _looked_at(cases: list[Case]) -> Iterable[int]:
    return itertools.chain.from_iterable(case.rows() for case in cases)


def _world(run: _Run, rows: Iterable[int]) -> World:
    facts = run.bills.facts(rows)
    return World(run.bills, facts, dict(zip(facts, run.open_now[list(facts)].tolist(), strict=True)))


def _suggest(run: _Run, cases: list[Case]) -> list[Ranked]:
    """Candidates of every payment of which something is left, over what is open when the run is done."""
    most = run.policy.suggestions
    if not most:
        return []
    waiting = [case for case in cases if case.payment in run.why_not and case.payment not in run.rest_of]
    reading.find_candidates(run.bills, waiting, run.open_now)
    ranked = ranking.rank(run.bills, run.open_now, waiting, _habits(run), most=most)
    rests = [one for group in _suggest_rests(run, most) for one in group]
    listed = np.array([(one.payment, one.row, one.amount_minor) for one in rests] or [(0, 0, 0)], dtype=np.int64)
    payment, row, amount = listed[: len(rests)].T
    return [ranked, Ranked(payment, row, amount, columns.texts(one.why for one in rests))]


def _habits(run: _Run) -> ranking.Habits:
    """How senders and amounts agree where a number settled the match: of payments spread evenly over the run."""
    payment, row = (np.concatenate([part[place] for part in run.matched[:1]]) for place in (0, 1))
    chosen = np.flatnonzero(run.payments.rank[payment] % max(1, len(payment) // ranking.SAMPLE) == 0)
    payment, row = payment[chosen], row[chosen]
    sent = run.payments.table.select(["payer_name", "msisdn"]).take(columns.ints(payment))
    names, phones = (sent[name].to_pylist() for name in ("payer_name", "msisdn"))
    pairs = zip(names, phones, strict=True)
    shown = [Sender(evidence.phone_pattern(phone), evidence.name_words(name)) for name, phone in pairs]
    senders, places = ranking.Senders(run.bills, shown), np.arange(len(shown))
    same = run.payments.amount[payment] == run.bills.open_minor[row]
    phone, name = senders.states(places, senders.phones(places, row), senders.agreements(places, row))
    return ranking.Habits.of(zip(phone.tolist(), name.tolist(), strict=True), same.tolist())


def _suggest_rests(run: _Run, most: int) -> list[list[Suggestion]]:
    """Candidates for what payments leave after the bills they named: the first bill's payer has others."""
    rest = sorted(run.rest_of)
    if not rest:
        return []
    bills, opened = run.bills, run.open_now
    payers = bills.payer[[run.rest_of[payment][0] for payment in rest]]
    rows = np.flatnonzero(np.isin(bills.payer, payers) & (opened > 0))
    order = np.lexsort([bills.order_of_numbers(rows), bills.order_of_due(rows)])
    rows = rows[order]
    by_payer = rows[np.argsort(bills.payer[rows], kind="stable")]
    codes, starts = np.unique(bills.payer[by_payer], return_index=True)
    owed: dict[int, explain.Owed] = {}
    ends = [*starts.tolist(), len(by_payer)]
    for code, start, end in zip(codes.tolist(), ends[:-1], ends[1:], strict=True):
        group = by_payer[start:end]
        owed[code] = explain.Owed.of(group.tolist(), opened[group].tolist())
    found = []
    for payment, code in zip(rest, payers.tolist(), strict=True):
        own = owed.get(code) or explain.Owed([], [], {})
        others = [row for row in run.rest_of[payment] if opened[row] and int(bills.payer[row]) != code]
        if others:
            every = np.array(sorted({*own.rows, *others}), dtype=np.int64)
            every = every[np.lexsort([bills.order_of_numbers(every), bills.order_of_due(every)])]
            own = explain.Owed.of(every.tolist(), opened[every].tolist())
        found.append(explain.suggest_rest(payment, int(run.left[payment]), own, most=most))
    return found


_EXACTLY = "the pay account number was given exactly"
_HIDDEN = "the pay account number was found in what was typed"
_WHOLE, _PART, _MORE = (
    "; the amount is what was open",
    "; part of what was open",
    "; all that was open, the rest is left",
)


def _outcome(run: _Run, matches: pa.Table, suggestions: list[Ranked]) -> Outcome:
    counts = dict.fromkeys((each.value for each in PRECEDENCE), 0)
    for rungs in (part[3] for part in run.matched):
        for place, count in enumerate(np.bincount(rungs, minlength=len(PRECEDENCE)).tolist()):
            counts[PRECEDENCE[place].value] += count
    totals = {
        "payments": len(run.payments),
        "matched": matches.num_rows,
        "matched_amount": wire(sum(int(part[2].sum()) for part in run.matched)),
        "left_amount": wire(int(run.left.sum())),
    }
    return Outcome(matches, _suggestion_table(run, suggestions), _break_table(run), counts, totals)


def _match_table(run: _Run) -> pa.Table:
    payment, bill, amount, rung = (np.concatenate(parts) for parts in zip(*run.matched, strict=True))
    order = _in_order(run, payment, bill, rung)
    payment, bill, amount, rung = payment[order], bill[order], amount[order], rung[order]
    ids = run.payments.table["payment_id"]
    whole = amount == run.payments.amount[payment]
    shape = np.where(whole & (amount == run.bills.open_minor[bill]), 0, np.where(whole, 1, 2))
    texts = [how + size for how in (_EXACTLY, _HIDDEN) for size in (_WHOLE, _PART, _MORE)]
    special = np.flatnonzero(rung > 1)
    codes = np.where(rung > 1, 0, rung * 3 + shape)
    codes[special] = len(texts) + np.arange(len(special))
    texts += [run.whys[pair] for pair in zip(payment[special].tolist(), bill[special].tolist(), strict=True)]
    return columns.table(
        {
            "payment_id": ids.take(columns.ints(payment)),
            "invoice_number": run.bills.number.take(columns.ints(bill)),
            "amount": amounts(amount),
            "rung": columns.texts([rung.value for rung in PRECEDENCE]).take(columns.ints(rung)),
            "why": columns.texts(texts).take(columns.ints(codes)),
        }
    )


def _in_order(run: _Run, payment: Ints, bill: Ints, rung: Ints) -> Ints:
    """The order (occurred, reference, rung, bill): only payments with several bills are sorted."""
    rank = run.payments.rank[payment]
    count = np.bincount(rank, minlength=len(run.payments))
    start = np.cumsum(count) - count
    alone, several = np.flatnonzero(count[rank] == 1), np.flatnonzero(count[rank] > 1)
    several = several[np.lexsort([run.bills.order_of_numbers(bill[several]), rung[several], rank[several]])]
    order = np.empty(len(rank), dtype=np.int64)
    order[start[rank[alone]]] = alone
    within = np.arange(len(several)) - np.searchsorted(rank[several], rank[several])
    order[start[rank[several]] + within] = several
    return order


def amounts(minor: Ints) -> Any:
    """Cents as decimal text with two places."""
    encoded = pc.dictionary_encode(columns.ints(minor))
    return columns.texts(map(wire, encoded.dictionary.to_pylist())).take(encoded.indices)


def _suggestion_table(run: _Run, found: list[Ranked]) -> pa.Table:
    payment = np.concatenate([columns.nothing(), *(one.payment for one in found)])
    order = np.argsort(run.payments.rank[payment], kind="stable")
    rank = run.payments.rank[payment[order]]
    place = np.arange(len(rank)) - np.searchsorted(rank, rank) + 1
    chosen = columns.ints(order)
    row, amount = (
        np.concatenate([columns.nothing(), *(getattr(one, name) for one in found)])[order] for name in ("row", "amount")
    )
    why = pa.chunked_array([columns.texts([]), *(one.why for one in found)]).take(chosen)
    return columns.table(
        {
            "payment_id": run.payments.table["payment_id"].take(columns.ints(payment[order])),
            "rank": columns.texts(map(str, range(1, run.policy.suggestions + 1))).take(columns.ints(place - 1)),
            "invoice_number": run.bills.number.take(columns.ints(row)),
            "amount": amounts(amount),
            "why": why,
        }
    )


def _break_table(run: _Run) -> pa.Table:
    listed = sorted(run.why_not.items(), key=lambda item: int(run.payments.rank[item[0]]))
    numbers = iter(run.bills.number.take(_rows(why.row for _, why in listed if why.row >= 0)).to_pylist())
    nearest = [next(numbers) if why.row >= 0 else "" for _, why in listed]
    return columns.table(
        {
            "payment_id": run.payments.table["payment_id"].take(_rows(payment for payment, _ in listed)),
            "amount": columns.texts([wire(int(run.left[payment])) for payment, _ in listed]),
            "reason": columns.texts([why.reason for _, why in listed]),
            "invoice_number": columns.texts(nearest),
            "failed": columns.texts([why.failed for _, why in listed]),
            "why_not": columns.texts([why.words for _, why in listed]),
        }
    )


def _rows(rows: Iterable[int]) -> Any:
    return columns.ints(list(rows))
