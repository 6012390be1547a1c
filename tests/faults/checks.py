"""What must hold after any fault. Each check answers what is wrong, in words; an empty list is green.

The healthy runs and the sabotages call the same functions: a check that no sabotage can turn red proves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any

import psycopg
from sqlalchemy import Engine

from revenue_engine import db, ledger
from revenue_engine.verification.verify import verify
from tests.faults.plan import Truth

Connection = psycopg.Connection[Any]
CLEARING, SUSPENSE = "1200.mpesa-600100", "2200"


def acked_are_stored(connection: Connection, acked: Mapping[bytes, int]) -> list[str]:
    """Every 2xx has a delivery row of its own: a body answered twice stands there at least twice."""
    stored = dict(connection.execute("SELECT sha256(body), count(*) FROM delivery GROUP BY 1").fetchall())
    missing = {digest: count - stored.get(digest, 0) for digest, count in acked.items()}
    lost = sum(count for count in missing.values() if count > 0)
    return [f"acked ⊄ stored: {lost} of {sum(acked.values())} acknowledged deliveries are not there"] if lost else []


def deliveries_have_ended(connection: Connection) -> list[str]:
    """Every delivery is in exactly one state, none is pending or dead, and every counterpart was found."""
    rows = connection.execute("SELECT delivery_id, state FROM delivery_state").fetchall()
    states = Counter(state for _, state in rows)
    found = []
    ((deliveries,),) = connection.execute("SELECT count(*) FROM delivery").fetchall()
    if not deliveries == len(rows) == len({delivery for delivery, _ in rows}):
        found.append(f"{deliveries} deliveries, {len(rows)} states")
    if left := {state: count for state, count in states.items() if state not in ("posted", "evidence")}:
        found.append(f"deliveries that did not end as posted or evidence: {left}")
    return found


def nothing_lost(connection: Connection, truth: Truth) -> list[str]:
    """Every credit and every reversal that really happened is a payment of the right amount."""
    rows = connection.execute("SELECT kind, reference, amount_minor FROM payment").fetchall()
    stored = {(kind, reference): amount for kind, reference, amount in rows}
    wanted = {("payment", reference): amount for reference, amount in truth.credits.items()}
    wanted |= {("reversal", own): truth.credits[taken] for own, taken in truth.reversals.items()}
    found = []
    if lost := wanted.keys() - stored.keys():
        found.append(f"lost: {len(lost)} of {len(wanted)}, such as {min(lost)}")
    if wrong := [key for key in wanted.keys() & stored.keys() if wanted[key] != stored[key]]:
        found.append(f"wrong amount: {len(wrong)}, such as {min(wrong)}")
    if strange := stored.keys() - wanted.keys():
        found.append(f"payments that never happened: {len(strange)}, such as {min(strange)}")
    return found


def nothing_doubled(connection: Connection, truth: Truth) -> list[str]:
    """One payment a credit, one journal a payment, one paper of a kind, and the clearing account holds the truth."""
    found = []
    ((doubled,),) = connection.execute(
        "SELECT count(*) FROM (SELECT FROM payment GROUP BY channel_account_id, kind, reference HAVING count(*) > 1) d"
    ).fetchall()
    if doubled:
        found.append(f"doubled: {doubled} references stand as more than one payment")
    ((wrong,),) = connection.execute(
        "SELECT count(*) FROM (SELECT FROM payment p LEFT JOIN journal j ON j.key = CASE p.kind"
        " WHEN 'payment' THEN 'payment:' || p.id || ':received' ELSE 'payment:' || p.id || ':reversed' END"
        " GROUP BY p.id HAVING count(j.id) <> 1) d"
    ).fetchall()
    if wrong:
        found.append(f"{wrong} payments have no journal or more than one")
    for account, expected in ((CLEARING, truth.clearing_minor), (SUSPENSE, -truth.suspense_minor)):
        if (held := _sum_of_postings(connection, account)) != expected:
            found.append(f"account {account} holds {held} cents, the truth is {expected}")
    return found


def receipts_are_gapless(connection: Connection) -> list[str]:
    """Numbers of each series run from 1 to the last taken, each once."""
    rows = connection.execute(
        "SELECT r.kind, r.financial_year, count(*), count(DISTINCT r.number), min(r.number), max(r.number),"
        " s.last_number FROM receipt r LEFT JOIN receipt_series s USING (kind, financial_year) GROUP BY 1, 2, 7"
    ).fetchall()
    return [
        f"{kind} {year}: {count} papers, numbers {low} to {high}, series at {last}"
        for kind, year, count, distinct, low, high, last in rows
        if not (count == distinct == high == last and low == 1)
    ]


def bills_are_right(connection: Connection, truth: Truth) -> list[str]:
    """What is left of each bill is what the truth leaves of it."""
    left = dict(connection.execute("SELECT invoice_id, outstanding_minor FROM open_bill").fetchall())
    wrong = [bill for bill, minor in truth.bills.items() if left.get(bill) != minor]
    return [f"{len(wrong)} of {len(truth.bills)} bills are wrong, such as {wrong[0]}"] if wrong else []


def snapshots_are_complete(engine: Engine) -> list[str]:
    """The balance read from slices and the postings since is the sum of all postings, of every account."""
    found = []
    with db.transaction(engine) as session:
        connection = db.raw(session)
        for (account,) in connection.execute("SELECT code FROM account ORDER BY code").fetchall():
            read, summed = ledger.balance(session, account).net_minor, _sum_of_postings(connection, account)
            children = connection.execute("SELECT code FROM account WHERE parent = %s", (account,)).fetchall()
            summed += sum(_sum_of_postings(connection, child) for (child,) in children)
            if read != summed:
                found.append(f"snapshots: account {account} reads {read} cents, its postings sum to {summed}")
    return found


def _sum_of_postings(connection: Connection, account: str) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(CASE WHEN debit = %(account)s THEN amount_minor ELSE -amount_minor END), 0)::bigint"
        "  FROM posting WHERE debit = %(account)s OR credit = %(account)s",
        {"account": account},
    ).fetchone()
    return int(row[0]) if row else 0


def no_journal_on_a_day_closed_before(connection: Connection, certified: Mapping[date, tuple[int, int]]) -> list[str]:
    """The journals and cents of a closed day are still those that were counted when it was closed."""
    found = []
    for day, (journals, minor) in sorted(certified.items()):
        now = figures_of(connection, day)
        if now != (journals, minor):
            found.append(f"no journal on a day closed before: {day} closed with {journals} journals, has {now[0]}")
    return found


def figures_of(connection: Connection, day: date) -> tuple[int, int]:
    """Journals and cents booked to a day."""
    row = connection.execute(
        "SELECT count(DISTINCT j.id), coalesce(sum(p.amount_minor), 0)::bigint FROM journal j"
        " JOIN posting p ON p.journal_id = j.id WHERE j.book_date = %s",
        (day,),
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def books_verify(engine: Engine) -> list[str]:
    """``ledger verify`` is green."""
    with db.transaction(engine) as session:
        answer = verify(session, keep=3)
    return [
        f"ledger verify: {one.name}: {one.failed} of {one.rows_checked}, such as {one.failures[0].key}"
        f" {one.failures[0].detail}"
        for one in answer.invariants
        if one.failed
    ]


def everything(engine: Engine, connection: Connection, truth: Truth, acked: Mapping[bytes, int]) -> list[str]:
    """All that must hold once a run has drained."""
    return [
        *acked_are_stored(connection, acked),
        *deliveries_have_ended(connection),
        *nothing_lost(connection, truth),
        *nothing_doubled(connection, truth),
        *receipts_are_gapless(connection),
        *bills_are_right(connection, truth),
        *snapshots_are_complete(engine),
        *books_verify(engine),
    ]
