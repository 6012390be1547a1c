"""What stands beside the ledger and proves it: evidence, receipts, audit rows, currencies, guards of the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import psycopg

from revenue_engine.verification.invariants import Check, Finding, Part, rows

APPEND_ONLY = (
    "journal",
    "posting",
    "closed_day",
    "ledger_tick",
    "snapshot_run",
    "balance_slice",
    "delivery",
    "delivery_outcome",
    "evidence",
    "payment",
    "application",
    "push_request",
    "receipt",
    "receipt_cancellation",
    "invoice",
    "invoice_line",
    "invoice_cancellation",
    "pay_account",
    "audit_event",
    "statement",
    "statement_line",
    "statement_drop",
    "fetched_file",
    "fetch_look",
    "movement_name",
    "asked",
    "push_end",
    "matching_policy",
    "policy_trial",
    "policy_activation",
    "matching_run",
    "matching_run_end",
    "match_request",
    "payment_match",
    "match_reversal",
    "money_move",
    "deposit_return",
    "payer_link",
    "payer_link_answer",
    "break_event",
    "bank_account",
    "close_preparation",
    "close_horizon",
    "close_sheet",
    "close_withdrawal",
    "close_approval",
    "certificate",
    "certificate_chain",
    "seal_key",
    "seal_source",
    "seal_chunk",
    "set_up_version",
    "payer_version",
    "audit_pack",
)
"""Tables that refuse UPDATE, DELETE and TRUNCATE, whoever asks."""

GUARDS = (
    ("delivery", "delivery_needs_work"),
    ("delivery", "delivery_guard"),
    ("delivery", "fetched_guard"),
    ("statement_drop", "drop_guard"),
    ("fetch_look", "look_needs_work"),
    ("closed_day", "close_book_date"),
    ("journal", "journal_guard"),
    ("posting", "posting_guard"),
    ("invoice_line", "bill_opens"),
    ("application", "bill_is_paid"),
    ("invoice_cancellation", "bill_is_cancelled"),
    ("payment_match", "match_guard"),
    ("money_move", "money_move_guard"),
    ("deposit_return", "deposit_return_guard"),
    ("policy_activation", "policy_guard"),
    ("payer_link_answer", "link_guard"),
    ("journal", "journal_of_role"),
    ("journal", "read_committed"),
    ("posting", "lawful_homes"),
    ("evidence", "evidence_guard"),
    ("payment", "payment_guard"),
    ("receipt", "receipt_guard"),
    ("receipt_series", "series_guard"),
    ("break_event", "break_stands"),
    ("break_event", "break_event_rights"),
    ("snapshot_run", "horizon_guard"),
    ("account", "account_guard"),
    ("close_preparation", "preparation_guard"),
    ("close_horizon", "close_horizon_guard"),
    ("close_withdrawal", "withdrawal_guard"),
    ("close_approval", "approval_guard"),
    ("close_approval", "approval_certified"),
    ("certificate", "certificate_guard"),
)
"""Triggers that refuse or derive on INSERT; each runs the function of its own name."""

_WANTED = ", ".join(
    [f"('{table}', 'refuse_change', 58)" for table in APPEND_ONLY]
    + [f"('{table}', '{name}', 0)" for table, name in GUARDS]
)
# 58: before (2) the statement, on delete (8), update (16) and truncate (32). Other shapes are not ours to freeze.
_TRIGGERS_SQL = f"""
SELECT w.relation || '.' || w.name,
       CASE WHEN t.oid IS NULL THEN 'missing'
            WHEN t.tgenabled = 'D' THEN 'disabled'
            WHEN t.tgenabled <> 'A' THEN 'not ENABLE ALWAYS'
            WHEN w.name = 'refuse_change' AND t.tgtype <> 58 THEN 'does not cover UPDATE, DELETE and TRUNCATE'
            ELSE 'runs a function that was replaced' END
  FROM (SELECT * FROM (VALUES {_WANTED}) v (relation, name, shape)
        UNION
        SELECT t.tgrelid::regclass::text, t.tgname, 58 FROM pg_trigger t WHERE t.tgname = 'refuse_change')
       w (relation, name, shape)
  LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass(w.relation) AND t.tgname = w.name
  LEFT JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE t.oid IS NULL OR t.tgenabled <> 'A' OR (w.shape <> 0 AND t.tgtype <> w.shape) OR p.proname <> w.name
    OR (w.name = 'refuse_change' AND (p.prosrc !~ 'RAISE EXCEPTION' OR p.prosrc ~* 'RETURN'))
"""  # noqa: S608 - constants only

_GRANTS_SQL = f"""
SELECT w.relation, r.rolname, p.privilege
  FROM (VALUES {", ".join(f"('{table}')" for table in APPEND_ONLY)}, ('open_bill')) w (relation)
  JOIN pg_roles r ON r.rolname IN ('revenue_intake', 'revenue_worker', 'revenue_api', 'revenue_report', 'revenue_seal',
                                    'revenue_fetch')
  CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) p (privilege)
 WHERE CASE WHEN to_regclass(w.relation) IS NULL THEN false
            WHEN p.privilege = 'UPDATE' THEN has_any_column_privilege(r.oid, to_regclass(w.relation)::oid, p.privilege)
            ELSE has_table_privilege(r.oid, to_regclass(w.relation)::oid, p.privilege) END
"""  # noqa: S608 - constants only

_GAPS_SQL = """
SELECT kind || '/' || financial_year || '/' || CASE WHEN number = before + 2 THEN (number - 1)::text
                                                    ELSE (before + 1) || '-' || (number - 1) END,
       CASE WHEN number = before THEN 'is given twice' ELSE 'is missing' END
  FROM (SELECT kind, financial_year, number,
               lag(number, 1, 0::bigint) OVER (PARTITION BY kind, financial_year ORDER BY number) AS before
          FROM (SELECT kind, financial_year, number FROM receipt
                UNION ALL SELECT kind, financial_year, last_number + 1 FROM receipt_series) n) g
 WHERE number <> before + 1
"""

_BEYOND_SQL = """
SELECT r.id, r.kind, r.financial_year, r.number::text, coalesce(s.last_number::text, 'none')
  FROM receipt r LEFT JOIN receipt_series s USING (kind, financial_year)
 WHERE s.last_number IS NULL OR r.number > s.last_number OR r.number < 1
"""

_PAPERS_SQL = """
SELECT y.id, y.reference, y.amount_minor, coalesce(sum(r.amount_minor) FILTER (WHERE c.receipt_id IS NULL), 0)::bigint,
       coalesce(string_agg(r.kind || '/' || r.financial_year || '/' || r.number
                           || CASE WHEN c.receipt_id IS NULL THEN '' ELSE ' (cancelled)' END, ', '), 'none'),
       CASE WHEN v.id IS NULL THEN 'not reversed' ELSE 'reversed' END
  FROM payment y
  LEFT JOIN receipt r ON r.payment_id = y.id
  LEFT JOIN receipt_cancellation c ON c.receipt_id = r.id
  LEFT JOIN payment v ON v.reverses_id = y.id AND v.kind = 'reversal'
 WHERE y.kind = 'payment'
 GROUP BY y.id, v.id
HAVING coalesce(sum(r.amount_minor) FILTER (WHERE c.receipt_id IS NULL), 0)
       <> CASE WHEN v.id IS NULL THEN y.amount_minor ELSE 0 END
"""

_RECEIPT_SQL = """
SELECT r.id, r.kind, r.financial_year, r.number::text, r.amount_minor,
       CASE WHEN y.id IS NULL THEN 'its payment is gone'
            WHEN r.amount_minor > y.amount_minor THEN 'more than its payment'
            WHEN r.paid_at <> y.occurred_at THEN 'paid at another time than its payment'
            WHEN NOT EXISTS (SELECT FROM posting p WHERE p.payment_id = r.payment_id AND p.book_date = r.book_date)
                 THEN 'of a book date on which nothing of its payment is posted'
            ELSE 'numbered in a financial year that is not that of its receipt' END
  FROM receipt r LEFT JOIN payment y ON y.id = r.payment_id AND y.kind = 'payment'
 WHERE y.id IS NULL OR r.amount_minor > y.amount_minor OR r.paid_at <> y.occurred_at
    OR r.financial_year <> to_char(least((r.paid_at AT TIME ZONE 'Africa/Nairobi')::date, r.book_date)
                                   - interval '6 months', 'YY')
                           || to_char(least((r.paid_at AT TIME ZONE 'Africa/Nairobi')::date, r.book_date)
                                      + interval '6 months', 'YY')
    OR NOT EXISTS (SELECT FROM posting p WHERE p.payment_id = r.payment_id AND p.book_date = r.book_date)
"""

_EVIDENCE_SQL = """
SELECT y.id, y.kind, y.reference, y.amount_minor
  FROM payment y
 WHERE NOT EXISTS (SELECT FROM evidence e
                    WHERE e.channel_account_id = y.channel_account_id AND e.kind = y.kind AND e.reference = y.reference
                      AND e.occurred_at = y.occurred_at AND (e.amount_minor = y.amount_minor
                           OR (y.kind = 'reversal' AND (e.amount_minor IS NULL OR e.amount_minor = y.amount_minor + (
                               SELECT r.amount_minor FROM payment r
                                WHERE r.channel_account_id = y.channel_account_id AND r.kind = y.kind
                                  AND r.reference = y.reference || '/DIFFERENCE')))))
"""
# A reversal may take back a payment and the rest of it that a statement proved: its message says the sum of both.


def _leaves(connection: psycopg.Connection[Any]) -> Iterator[Finding | None]:
    query = "SELECT id, actor, action, object, content, leaf FROM audit_event ORDER BY id"
    for event_id, actor, action, subject, content, leaf in rows(connection, query, binary=True):
        wrong = ""
        if hashlib.sha256(b"\x00" + content).digest() != leaf:
            wrong = "its content is not what its leaf was made of"
        else:
            try:
                said = json.loads(content)
                if (said["actor"], said["action"], said["object"]) != (actor, action, subject):
                    wrong = f"the row says {actor} {action} {subject}, its content says otherwise"
            except (ValueError, TypeError, KeyError):
                wrong = "its content names no actor, action and object"
        yield Finding("audit_event", str(event_id), wrong) if wrong else None


PAPERS = (
    Check(
        "receipts_gapless",
        "Receipt numbers run from 1 to the last of their series, each given once.",
        ("receipt", "receipt_series"),
        (
            Part("receipt", "{}", _GAPS_SQL),
            Part("receipt", "{}/{}/{} is beyond its series, whose last number is {}", _BEYOND_SQL),
        ),
    ),
    Check(
        "receipts_for_payments",
        "Every payment has valid papers of its amount, a reversed one none; every paper agrees with its payment.",
        ("payment", "receipt", "receipt_cancellation"),
        (
            Part("payment", "{} of {} has valid papers of {} ({}) and is {}", _PAPERS_SQL),
            Part("receipt", "{}/{}/{} of {} is {}", _RECEIPT_SQL),
            Part(
                "receipt_cancellation",
                "cancels a receipt that is gone ({})",
                "SELECT c.receipt_id, c.reason FROM receipt_cancellation c"
                " WHERE NOT EXISTS (SELECT FROM receipt r WHERE r.id = c.receipt_id)",
            ),
        ),
    ),
    Check(
        "evidence_for_payments",
        "Every payment and reversal has evidence of its identity and amount, and all evidence its delivery.",
        ("payment", "evidence", "delivery"),
        (
            Part("payment", "no evidence of {} {} says {}", _EVIDENCE_SQL),
            Part(
                "evidence",
                "{} {} speaks of delivery {}, which is gone",
                "SELECT e.id, e.kind, e.reference, e.delivery_id::text FROM evidence e"
                " WHERE NOT EXISTS (SELECT FROM delivery d WHERE d.id = e.delivery_id)",
            ),
            Part(
                "delivery",
                "received on {}, it has no evidence, no outcome and no job",
                """
                SELECT d.id, d.received_on FROM delivery d
                 WHERE NOT EXISTS (SELECT FROM evidence e WHERE e.delivery_id = d.id)
                   AND NOT EXISTS (SELECT FROM delivery_outcome o WHERE o.delivery_id = d.id)
                   AND NOT EXISTS (SELECT FROM job j WHERE j.kind IN ('interpret', 'statement') AND j.ref_id = d.id)
                """,
            ),
        ),
    ),
    Check(
        "currency",
        "The primary book is kept in KES throughout.",
        ("payment", "invoice"),
        (
            Part("payment", "{} is in {}", "SELECT id, reference, currency FROM payment WHERE currency <> 'KES'"),
            Part("invoice", "{} is in {}", "SELECT id, number, currency FROM invoice WHERE currency <> 'KES'"),
            Part(
                "evidence",
                "payment {} is proved in {}",
                """
                SELECT e.id, y.reference, e.currency FROM evidence e
                  JOIN payment y ON y.channel_account_id = e.channel_account_id AND y.kind = e.kind
                                AND y.reference = e.reference
                 WHERE e.currency <> 'KES'
                """,
            ),
        ),
    ),
    Check(
        "audit_leaves",
        "The leaf of every audit row is SHA-256(0x00 || content), and its content says what the row says.",
        (),
        reader=_leaves,
    ),
    Check(
        "trigger_state",
        "Every guard of the database stands, is ENABLE ALWAYS and is ours; no capability role may change money rows.",
        (),
        (
            Part("pg_trigger", "{}", _TRIGGERS_SQL),
            Part("pg_class", "{} may {} it", _GRANTS_SQL),
        ),
    ),
)
