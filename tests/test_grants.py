"""Who may do what: every verb on every table, attempted by every role on a real connection."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors, sql

from tests.conftest import Database

BOOKS = frozenset(
    {
        *("book", "book_account", "book_rule_version", "book_rule_leg", "book_remap", "book_run", "derived_entry"),
        *("derived_line", "book_digest", "book_closed_day", "fund_fact"),
    }
)
"""Secondary ledgers: what two persons agreed to, and what was derived; a worker writes, and nobody changes."""
REGISTERS = frozenset(
    {
        *("ict_link", "ict_probe", "ict_maintenance", "ict_claim", "ict_credit_note", "ict_request"),
        *("ict_request_event", "partner", "agreement", "agreement_gate", "exchange_rate", "agreement_commitment"),
        *("agreement_condition", "condition_met", "in_kind_receipt", "agreement_disbursement", "agreement_use"),
        *("agreement_sdg", "cohort", "learner", "enrolment", "attendance", "assessment", "literacy_certificate"),
        "cohort_cost",
    }
)
"""Registers of directorates: kept through the API by the person whom the database sees, and never changed."""
TREASURY = frozenset({"settlement_payout", "remittance", "remittance_part", "remittance_event"})
"""Money on its way to our bank and to the Fund: a worker writes what statements show and two persons agreed to."""
ROLES = ("intake", "worker", "api", "report", "seal", "fetch")
MONEY = frozenset(
    {
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
        "statement_file",
        "statement_reading",
        "statement_entry",
        "break_event",
        "bank_account",
        *BOOKS,
        *REGISTERS,
        *TREASURY,
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
    }
)
"""Tables on which nobody, not even the owner or a superuser, may UPDATE, DELETE or TRUNCATE."""

SET_UP = frozenset({"account", "channel_account", "channel_endpoint"})
"""What the API opens. The county's own facts come by its files from whoever holds the database, or by two persons."""
BILLING = frozenset(
    {
        "payer",
        "billed_object",
        "alias",
        "invoice",
        "invoice_line",
        "pay_account",
        "push_request",
    }
)
Table = frozenset[str]
NONE: Table = frozenset()

INSERTS: dict[str, Table] = {
    "intake": frozenset({"delivery"}),
    "worker": frozenset(
        {
            "journal",
            "posting",
            "evidence",
            "payment",
            "payment_party",
            "application",
            "receipt",
            "receipt_cancellation",
            "receipt_series",
            "invoice",
            "invoice_line",
            "invoice_cancellation",
            "pay_account",
            "delivery_outcome",
            "break_event",
            "job",
            "delivery",
            "statement",
            "statement_line",
            "movement_name",
            "asked",
            "push_end",
            "matching_run",
            "matching_run_end",
            "payment_match",
            "match_reversal",
            "money_move",
            "deposit_return",
            "match_left",
            "match_suggestion",
            "payer_link",
            "policy_activation",
            "payer_link_answer",
            "statement_reading",
            *BOOKS,
            *TREASURY,
        }
    ),
    "api": SET_UP
    | BILLING
    | REGISTERS
    | {"journal", "posting", "delivery", "break_event"}
    | {"matching_policy", "policy_trial", "idempotency_key", "remittance_event"},
    "report": NONE,
    "seal": NONE,
    "fetch": frozenset({"delivery", "fetched_file", "fetch_look"}),
}
UPDATES: dict[str, Table] = {
    "intake": NONE,
    "worker": frozenset({"receipt_series", "job"}),
    "api": frozenset(
        {
            "payer",
            "billed_object",
            "channel_account",
            "channel_endpoint",
        }
    ),
    "report": NONE,
    "seal": NONE,
    "fetch": NONE,
}
DELETES: dict[str, Table] = {
    "intake": NONE,
    "worker": frozenset({"job", "match_left", "match_suggestion"}),
    "api": NONE,
    "report": NONE,
    "seal": NONE,
    "fetch": NONE,
}
READS_NOT: dict[str, Table] = {  # what a role may not read whole (some columns of it may be open)
    "worker": frozenset({"idempotency_key"}),
    "api": frozenset({"delivery", "channel_endpoint", "statement_reading", "statement_entry"}),
    "report": frozenset(
        {
            *("payer", "payment_party", "delivery", "channel_endpoint", "statement_reading", "statement_entry"),
            "idempotency_key",
        }
    ),
}
READS_ONLY: dict[str, Table] = {
    "intake": frozenset(
        {
            "county",
            "channel_account",
            "channel_endpoint",
            "pay_account",
            "open_bill",
            "alias",
            "billed_object",
            "station",
            "stream",
        }
    ),
    "fetch": frozenset({"statement_drop", "fetched_file", "fetch_look"}),
    "seal": frozenset(
        {
            *("journal", "posting", "audit_event", "closed_day", "payment", "evidence", "delivery", "delivery_outcome"),
            *("application", "receipt", "receipt_cancellation", "invoice", "invoice_line", "invoice_cancellation"),
            *("pay_account", "statement", "statement_line", "match_request", "payment_match", "match_reversal"),
            "money_move",
            "deposit_return",
            *TREASURY,
            *("matching_policy", "policy_trial", "policy_activation", "channel_account", "channel_endpoint", "county"),
            *("tariff_line", "push_request", "break_event", "bank_account"),
            *("close_preparation", "close_horizon", "close_sheet", "close_withdrawal", "close_approval", "certificate"),
            *("certificate_chain", "seal_key", "seal_source", "seal_chunk", "set_up_version", "payer_version"),
            *("versioned_table", "close_control", "audit_pack"),
        }
    ),
}


def tables(connection: psycopg.Connection[object]) -> list[str]:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname <> 'alembic_version' ORDER BY 1"
    ).fetchall()
    return [row[0] for row in rows]  # type: ignore[index]


def may(connection: psycopg.Connection[object], statement: sql.Composed) -> bool:
    """Whether a statement gets past the grants; what else refuses it (a constraint, a guard) comes after them."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except errors.InsufficientPrivilege:
        return False
    except (errors.IntegrityError, errors.RestrictViolation, errors.RaiseException, errors.NotNullViolation):
        return True
    except psycopg.DatabaseError as refused:
        if not (refused.sqlstate or "").startswith("RV"):  # a refusal of our own comes after the grants too
            raise
        return True
    return True


def attempt(connection: psycopg.Connection[object], verb: str, table: str) -> bool:
    name = sql.Identifier(table)
    if verb == "SELECT":
        return may(connection, sql.SQL("SELECT * FROM {} LIMIT 1").format(name))
    if verb == "INSERT":
        return may(connection, sql.SQL("INSERT INTO {} DEFAULT VALUES").format(name))
    if verb == "DELETE":
        return may(connection, sql.SQL("DELETE FROM {} WHERE false").format(name))
    if verb == "TRUNCATE":
        return may(connection, sql.SQL("TRUNCATE {}").format(name))
    columns = [
        row[0]  # type: ignore[index]
        for row in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attgenerated = ''",
            (table,),
        )
    ]
    return any(
        may(connection, sql.SQL("UPDATE {} SET {} = DEFAULT WHERE false").format(name, sql.Identifier(column)))
        for column in columns
    )


def expected(role: str, verb: str, table: str) -> bool:
    if verb == "SELECT":
        return table in READS_ONLY[role] if role in READS_ONLY else table not in READS_NOT[role]
    granted = {"INSERT": INSERTS, "UPDATE": UPDATES, "DELETE": DELETES}.get(verb)
    return granted is not None and table in granted[role]


@pytest.mark.parametrize("role", ROLES)
def test_the_attempt_matrix(database: Database, role: str) -> None:
    wrong = []
    with database.connect(role) as connection:
        for table in tables(connection):
            for verb in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
                done = attempt(connection, verb, table)
                if done != expected(role, verb, table):
                    wrong.append(f"{role} {'may' if done else 'may not'} {verb} {table}")
    assert wrong == []


def test_no_role_may_write_what_is_left_of_a_bill(database: Database) -> None:
    for role in ROLES:
        with database.connect(role) as connection:
            for verb in ("INSERT", "UPDATE", "DELETE", "TRUNCATE"):
                assert not attempt(connection, verb, "open_bill"), f"{role} {verb}"


@pytest.mark.parametrize("table", sorted(MONEY))
def test_even_a_superuser_is_refused_by_the_trigger(database: Database, table: str) -> None:
    name = sql.Identifier(table)
    column = {"journal": "reason", "posting": "debit", "statement_entry": "entered_minor"}.get(table)
    with database.connect() as connection:
        connection.execute("SET session_replication_role = replica")  # switches ordinary triggers off, not these
        connection.commit()
        if column is None:
            row = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum LIMIT 1",
                (table,),
            ).fetchone()
            column = row[0] if row else ""
        statements = (
            sql.SQL("UPDATE {} SET {} = {} WHERE false").format(name, sql.Identifier(column), sql.Identifier(column)),
            sql.SQL("DELETE FROM {} WHERE false").format(name),
            sql.SQL("TRUNCATE {} CASCADE").format(name),
        )
        for statement in statements:
            with pytest.raises(errors.RestrictViolation), connection.transaction():
                connection.execute(statement)


def test_roles_cannot_log_in_and_the_public_has_nothing(database: Database) -> None:
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND (rolcanlogin OR rolsuper)",
            (["revenue_owner", *(f"revenue_{role}" for role in ROLES)],),
        ).fetchall()
        public = connection.execute(
            "SELECT c.relname FROM pg_class c, aclexplode(c.relacl) g WHERE g.grantee = 0"
            " AND c.relnamespace = 'public'::regnamespace"
        ).fetchall()
        functions = connection.execute(
            "SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace"
            " AND has_function_privilege('revenue_seal', p.oid, 'EXECUTE')"
        ).fetchall()
    assert (rows, public) == ([], [])
    assert sorted(name for (name,) in functions) == [  # none is everybody's; a seal reads the lines that it covers
        *("close_facts", "seal_differences", "seal_format", "seal_leaves", "seal_lines", "sealed_until"),
        "standing_preparation",
    ]


def test_the_api_cannot_post_money_that_the_county_holds(database: Database) -> None:
    from tests.support.books import Books

    books = Books(database.url)
    bill = books.bill(100, payer=books.payer())
    for debit, credit in (
        ("1200.mpesa-600100", "1300.SBP"),
        ("2200", "1300.SBP"),
        ("2100", "1300.SBP"),
        ("1000", "1300.SBP"),
    ):
        with database.connect("api") as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(
                "WITH j AS (INSERT INTO journal (book_date, key, kind, occurred_at, digest)"
                " VALUES ('2026-11-01', 'forged', 'forged', now(), sha256('')) RETURNING id, book_date)"
                " INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor)"
                " SELECT id, 0, book_date, %s, %s, 10000 FROM j",
                (debit, credit),
            )
    assert books.left(bill) == 100
    books.close()
