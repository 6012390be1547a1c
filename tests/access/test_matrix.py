"""The whole matrix of roles and verbs: every cell is tried by a person of the role, and must be as written here."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import Database
from tests.support import people

ROLES = (
    *("collector", "clerk", "cashier", "supervisor", "finance_officer", "auditor", "department_officer", "ict"),
    "administrator",
)
E_ = "∞"
"""No limit; a number is the limit in shillings; a dot is refused."""

MATRIX = """
                      collector clerk cashier supervisor finance auditor dept ict admin
read                  ∞         ∞     ∞       ∞          ∞       ∞       ∞    ∞   ∞
audit.read            .         .     .       .          .       ∞       .    .   .
export                .         .     .       ∞          ∞       ∞       ∞    .   .
payer.register        ∞         ∞     .       ∞          .       .       .    .   .
payer.unmask          .         .     .       ∞          ∞       ∞       .    .   .
bill.issue            ∞         ∞     .       ∞          .       .       .    .   .
bill.cancel.ask       .         ∞     .       ∞          ∞       .       .    .   .
bill.cancel.agree     .         .     .       50000      ∞       .       .    .   .
push.request          ∞         ∞     ∞       ∞          .       .       .    .   .
break.assign          .         .     .       ∞          ∞       .       .    .   .
matching.run          .         .     .       ∞          ∞       .       .    .   .
match.ask             .         ∞     ∞       ∞          ∞       .       .    .   .
match.agree           .         .     .       50000      ∞       .       .    .   .
match.set             .         1000  1000    10000      10000   .       .    .   .
match.reverse.ask     .         ∞     ∞       ∞          ∞       .       .    .   .
match.reverse.agree   .         .     .       ∞          ∞       .       .    .   .
policy.ask            .         .     .       ∞          ∞       .       .    .   .
policy.agree          .         .     .       .          ∞       .       .    .   .
link.ask              .         ∞     .       ∞          ∞       .       .    .   .
link.agree            .         .     .       ∞          ∞       .       .    .   .
statement.bring       .         ∞     ∞       ∞          ∞       .       .    .   .
statement.attest      .         .     ∞       ∞          ∞       .       .    .   .
statement.gap.ask     .         .     ∞       ∞          ∞       .       .    .   .
statement.gap.agree   .         .     .       .          ∞       .       .    .   .
channel.ask           .         .     .       .          ∞       .       .    ∞   .
channel.agree         .         .     .       .          ∞       .       .    .   .
provider.ask          .         .     ∞       ∞          ∞       .       .    ∞   .
tariff.ask            .         .     .       ∞          ∞       .       .    .   .
tariff.agree          .         .     .       .          ∞       .       .    .   .
day.close             .         .     .       .          ∞       .       .    .   .
book.ask              .         .     .       ∞          ∞       .       ∞    .   .
book.agree            .         .     .       .          ∞       .       .    .   .
department.record     .         .     .       ∞          .       .       ∞    ∞   .
treasury.ask          .         .     ∞       ∞          ∞       .       .    .   .
treasury.agree        .         .     .       .          ∞       .       .    .   .
treasury.record       .         .     ∞       .          ∞       .       .    .   .
county.ask            .         .     .       ∞          ∞       .       .    .   .
county.agree          .         .     .       .          ∞       .       .    .   .
person.ask            .         .     .       .          .       .       .    .   ∞
person.agree          .         .     .       .          .       .       .    .   ∞
person.disable        .         .     .       .          .       .       .    .   ∞
person.read           .         .     .       .          .       ∞       .    .   ∞
token.issue           .         .     .       .          .       .       .    .   ∞
"""
EXPECTED = {
    (role, cells[0]): cell
    for cells in (line.split() for line in MATRIX.strip().splitlines()[1:])
    for role, cell in zip(ROLES, cells[1:], strict=True)
}


def tried(connection: psycopg.Connection[object], permission: str, minor: int | None) -> str:
    """What the database answers: ``yes``, or the SQLSTATE of the refusal."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT access.must(%s, %s)", (permission, minor))
    except psycopg.Error as error:
        named = "may" in str(error).partition(";")[2]  # a refusal names who may
        return f"{error.sqlstate}{'' if named else ' and does not say who may'}"
    return "yes"


@pytest.mark.parametrize("role", ROLES)
def test_every_cell(database: Database, role: str) -> None:
    who = people.somebody(
        database.url, f"one.{role}", role, directorate="ICT" if role == "department_officer" else None
    )
    with database.connect() as connection:
        permissions = [row[0] for row in connection.execute("SELECT code FROM access.permission")]
    wrong = []
    with psycopg.connect(database.role_url("api")) as connection:
        connection.execute("SELECT set_config('revenue.session', %s, false)", (who.secret,))
        connection.commit()
        for permission in permissions:
            cell = EXPECTED[role, permission]  # a verb that is not written here is an error
            if cell == ".":
                asserted = {None: "RV403", 1: "RV403"}
            elif cell == E_:
                asserted = {None: "yes", 10**13: "yes"}
            else:
                asserted = {int(cell) * 100: "yes", int(cell) * 100 + 1: "RV403"}
            wrong += [
                f"{role} {permission} {minor}: {found}"
                for minor, expected in asserted.items()
                if (found := tried(connection, permission, minor)) != expected
            ]
    assert wrong == []
    assert {permission for _, permission in EXPECTED} == set(permissions)


def test_a_role_that_ended_is_gone_at_the_next_statement(database: Database) -> None:
    who = people.clerk(database.url)
    with psycopg.connect(database.role_url("api")) as connection:
        connection.execute("SELECT set_config('revenue.session', %s, false)", (who.secret,))
        assert tried(connection, "match.ask", None) == "yes"
        with psycopg.connect(database.url) as other:
            other.execute("UPDATE access.person_role SET ended_at = now()")
        assert tried(connection, "match.ask", None) == "RV403"


def test_approval_kinds_are_asked_by_who_may_ask_and_agreed_by_who_may_agree(database: Database) -> None:
    with database.connect() as connection:
        kinds = connection.execute("SELECT code, ask, agree, set_first FROM access.approval_kind").fetchall()
    assert {code for code, _, _, set_first in kinds if set_first} == {"match_set"}
    for code, ask, agree, set_first in kinds:
        # What is set first and reviewed afterwards is set by right, not asked for
        ending = ".set" if set_first else ".ask"
        assert ask.endswith(ending), code
        assert agree == f"{ask.removesuffix(ending)}.agree", code
