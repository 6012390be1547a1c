"""The database: engines per role, the declarative base, and ``transaction()``, the only commit outside intake."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeVar, cast

import psycopg
from psycopg.rows import class_row
from sqlalchemy import BigInteger, Connection, Date, Engine, LargeBinary, MetaData, Text, create_engine, event, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.types import UserDefinedType

from revenue_engine.errors import (
    ConfigurationError,
    Conflict,
    IntegrityFault,
    InvalidValue,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Rejected,
    RevenueError,
    StaleFactor,
)

OWNER = "revenue_owner"
ROLES = ("intake", "worker", "api", "report", "seal", "fetch")
"""The capability roles; in the database each is called ``revenue_<name>`` and cannot log in."""


REFUSALS: Mapping[str, type[Rejected]] = {
    "RV400": InvalidValue,
    "RV401": NotSignedIn,
    "RV403": NotAllowed,
    "RV404": NotFound,
    "RV409": Conflict,
    "RV428": StaleFactor,
}
"""What the database's own refusals are called here, by SQLSTATE. Their messages are written for people."""

_secret: ContextVar[str | None] = ContextVar("revenue_session", default=None)
"""The secret of who acts in this thread or task. Every transaction carries it; a name is never told."""


class XID8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id: the order in which facts became known, safe where a serial id is not."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The SQL name of the type."""
        return "xid8"


ischema_names["xid8"] = XID8


class Base(DeclarativeBase):
    """Base of every mapped class; names every constraint so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain class attribute
        int: BigInteger,
        str: Text,
        bytes: LargeBinary,
        date: Date,
        datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB,
    }


class Sealed:
    """The transaction that wrote a row: the order in which a seal covers rows. Written by the database alone."""

    xid: Mapped[int] = mapped_column(XID8, server_default=text("pg_current_xact_id()"))


def make_engine(url: str, *, role: str | None = None, pool_size: int = 5) -> Engine:
    """An engine on ``url``; with ``role`` every connection takes the capability role ``revenue_<role>`` at once.

    Times are UTC on the wire, and a statement that waits on a lock for more than ten seconds gives up.
    """
    options = "-c timezone=UTC -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
    sqlalchemy_url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    connect_args: dict[str, Any] = {"options": options}
    if pool_size == 0:
        engine = create_engine(sqlalchemy_url, connect_args=connect_args, poolclass=NullPool)
    else:
        engine = create_engine(
            sqlalchemy_url, connect_args=connect_args, pool_size=pool_size, max_overflow=5, pool_pre_ping=True
        )
    if role is not None:
        statement = f"SET ROLE revenue_{role}"

        @event.listens_for(engine, "connect")
        def take_role(dbapi_connection: psycopg.Connection[Any], _record: object) -> None:
            autocommit = dbapi_connection.autocommit
            dbapi_connection.autocommit = True
            dbapi_connection.execute(cast("Any", statement))
            dbapi_connection.autocommit = autocommit

    return engine


_NOT_MADE = frozenset({"42P01", "42703", "42704", "42883", "3F000", "22023"})
"""What PostgreSQL says where a table, column, function, schema or role is not there: init was not run, or long ago."""
_NO_LOGIN = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf",
    "not permitted to log",
)


def said_no(error: psycopg.Error, *, login: str = "") -> ConfigurationError | None:
    """What a database that answers says no to, as a setting to mend; None where it is away or something else is wrong.

    ``login`` is the role whose login was used, where that is known.
    """
    words = str(error).splitlines()[0] if str(error) else type(error).__name__
    variable = f"REVENUE_{login.upper()}_DATABASE_URL" if login else "REVENUE_DATABASE_URL"
    if error.sqlstate in _NOT_MADE:
        return ConfigurationError(
            f"the database is not made for this version yet ({words}). Run 'revenue-engine init'."
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        role = f"revenue_{login}" if login else "the role its work needs"
        return ConfigurationError(
            f"the database's login may not do this ({words}): it is no member of {role} (fix: GRANT that role to it,"
            f" or give {variable} another login; 'revenue-engine doctor' looks at each)",
            variable=variable,
        )
    if isinstance(error, psycopg.OperationalError) and any(no in words for no in _NO_LOGIN):
        why = words.rpartition("FATAL: ")[2].strip()
        main = "" if not login else ", or REVENUE_DATABASE_URL where it has no login of its own"
        return ConfigurationError(f"the database refuses the login: {why} (fix: {variable}{main})", variable=variable)
    return None


@contextlib.contextmanager
def acting_by(secret: str | None) -> Iterator[None]:
    """Let transactions of the block carry the secret of a session or token, which proves to the database who acts."""
    before = _secret.set(secret)
    try:
        yield
    finally:
        _secret.reset(before)


@contextlib.contextmanager
def transaction(engine: Engine, *, snapshot: bool = False) -> Iterator[Session]:
    """One unit of work: commits when the block ends well, rolls back when it raises. Nothing else commits.

    It carries the secret of ``acting_by``, for this transaction only: a pooled connection remembers nobody. What the
    database refuses in words of its own (``REFUSALS``) is raised as the engine's error. With ``snapshot`` all that is
    read is of one moment.
    """
    of_one_moment = engine.execution_options(isolation_level="REPEATABLE READ") if snapshot else engine
    with Session(of_one_moment, expire_on_commit=False) as session:
        try:
            secret = _secret.get()
            if secret is not None:
                event.listen(session, "after_begin", _telling(secret))
            if snapshot:
                session.connection()  # the transaction begins, so that its isolation stands
            yield session
            session.commit()
        except (DBAPIError, psycopg.Error) as error:
            session.rollback()
            refused = refusal(error)
            if refused is not None:
                raise refused from error
            raise
        except BaseException:
            session.rollback()
            raise


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Which migration a database is at, and whether it only follows another."""

    revision: str
    replica: bool


def schema_state(session: Session) -> SchemaState:
    """The state of a session's database."""
    row = raw(session).execute("SELECT version_num, pg_is_in_recovery() FROM alembic_version").fetchone()
    return SchemaState(*row) if row else SchemaState("nothing", replica=False)


def _telling(secret: str) -> Callable[..., None]:
    """What a session does when its transaction begins: tell the secret, as a bound parameter, for this one only."""

    def tell(_session: Session, _transaction: object, connection: Connection) -> None:
        driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        driver.execute("SELECT set_config('revenue.session', %s, true)", (secret,))

    return tell


def refusal(error: Exception) -> RevenueError | None:
    """The engine's error for a refusal of the database's own, with its hint; None for any other error."""
    origin = getattr(error, "orig", None) or error
    if not isinstance(origin, psycopg.Error):
        return None
    kind = REFUSALS.get(origin.sqlstate or "")
    if kind is None:
        return None
    words = origin.diag.message_primary or str(origin)
    hint = origin.diag.message_hint
    return kind(f"{words}. {hint}" if hint else words)


Row = TypeVar("Row")


def rows(session: Session, shape: type[Row], statement: str, given: Any = None) -> list[Row]:
    """All rows of a query as values of ``shape``, a NamedTuple or a dataclass whose fields are named as the columns."""
    with raw(session).cursor(row_factory=class_row(shape)) as cursor:
        return cursor.execute(cast("Any", statement), given).fetchall()


def one(session: Session, shape: type[Row], statement: str, given: Any = None) -> Row | None:
    """The one row of a query as a value of ``shape``, or None. Raises IntegrityFault for two rows."""
    found = rows(session, shape, statement, given)
    if len(found) > 1:
        raise IntegrityFault(f"a query for one row found {len(found)}")
    return found[0] if found else None


def scalar(session: Session, statement: str, given: Any = None) -> Any:
    """The first column of the one row that a statement must return. Raises IntegrityFault when it returns none."""
    row = raw(session).execute(cast("Any", statement), given).fetchone()
    if row is None:
        raise IntegrityFault("a statement that must return a row returned none")
    return row[0]


def found(session: Session, statement: str, given: Any = None) -> Any:
    """The first column of the first row of a query, or None where there is no row."""
    row = first(session, statement, given)
    return None if row is None else row[0]


def first(session: Session, statement: str, given: Any = None) -> tuple[Any, ...] | None:
    """The first row of a query, or None. For columns with a shape of their own, ``one``."""
    return raw(session).execute(cast("Any", statement), given).fetchone()


def exists(session: Session, statement: str, given: Any = None) -> bool:
    """Whether a query finds a row."""
    return raw(session).execute(cast("Any", statement), given).fetchone() is not None


def raw(session: Session) -> psycopg.Connection[Any]:
    """The psycopg connection under a session, for COPY and set-based statements inside the same transaction."""
    return cast("psycopg.Connection[Any]", session.connection().connection.driver_connection)


@lru_cache(maxsize=64)
def _copy_statement(table: str, columns: tuple[str, ...]) -> str:
    return f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"


def copy_rows(
    connection: psycopg.Connection[Any],
    table: str,
    columns: tuple[str, ...],
    types: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Write ``rows`` by binary COPY; ``types`` are PostgreSQL type names, one per column. No rows, no round trip."""
    if not rows:
        return
    with connection.cursor() as cursor, cursor.copy(cast("Any", _copy_statement(table, columns))) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def next_ids(connection: psycopg.Connection[Any], counts: dict[str, int]) -> dict[str, list[int]]:
    """Draw identity values ahead of a COPY: table name to how many, in one round trip."""
    wanted = {table: count for table, count in counts.items() if count}
    if not wanted:
        return {table: [] for table in counts}
    parts = ", ".join(  # table names are our own constants, counts are numbers
        f"ARRAY(SELECT nextval('{table}_id_seq') FROM generate_series(1, {count:d}))"  # noqa: S608
        for table, count in wanted.items()
    )
    row = connection.execute(cast("Any", f"SELECT {parts}"), binary=True).fetchone()
    drawn = dict(zip(wanted, cast("tuple[list[int], ...]", row), strict=True))
    return {table: drawn.get(table, []) for table in counts}
