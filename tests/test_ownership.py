"""One owner a thing: each table has one room, each lock number one name, each kind of work one room, each break key one
function. Import floors cannot see what SQL reaches: this page can."""

from __future__ import annotations

import ast
import importlib
import re
from datetime import date
from pathlib import Path

import pytest

from reconciliation import break_keys
from revenue_engine import worker
from revenue_engine.errors import ConfigurationError
from revenue_engine.work import kinds
from revenue_engine.work.kinds import Kind, Work
from revenue_engine.work.locks import Lock
from tests.test_architecture import name_of, room_of, sources, tree

ROOT = Path(__file__).parents[1]
EXCEPTIONS = ROOT / "tests" / "golden" / "table_ownership.txt"
"""What a room's SQL still reads of other rooms' tables. The list only shrinks: write a function where a table lives."""
READS_ALL = {
    "revenue_engine.verification": "recomputes every invariant from the rows of all rooms, and writes nothing",
    "revenue_engine.demo": "compares the books with the truth that it made itself",
    "revenue_engine.doctor": "asks the database how it is",
}
WRITES = {"INTO", "UPDATE", "DELETE", "TRUNCATE", "COPY", "LOCK"}
_TABLE = re.compile(
    r"\b(FROM|JOIN|INTO|UPDATE|ONLY|USING|TRUNCATE|COPY|LOCK)\s+"
    r"(?:(?:LATERAL|ONLY|TABLE)\s+)*(?:public\.)?\"?([a-z_]+)\b"
)
_LISTED = re.compile(r"\b(?:FROM|USING)\s+[\w.\"]+(?:\s+(?:AS\s+)?\w+)?((?:\s*,\s*[\w.\"]+(?:\s+(?:AS\s+)?\w+)?)+)")
_NEXT = re.compile(r",\s*(?:public\.)?\"?([a-z_]+)")
_SMALL = re.compile(r"\s*(?:with|select|insert|update|delete|copy|lock|truncate|merge)\s")
"""How a statement in small letters begins. In any other text a small "from" is a word of a sentence."""
_LOCK = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?(?:un)?lock(?:_shared)?\((\d+)")


def owners() -> dict[str, str]:
    """Table to room, by the mapped classes; ``delivery_state`` is a view over deliveries."""
    found = {"delivery_state": "revenue_engine.channels"}
    for path in sources("revenue_engine", "reconciliation"):
        for table in re.findall(r'__tablename__ = "(\w+)"', path.read_text()):
            assert table not in found, f"{table} is mapped twice"
            found[table] = room_of(path)
    return found


def texts(module: ast.Module) -> list[str]:
    """The string constants of a module that are no docstrings."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    words = {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, holders) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in words
    ]


def foreign(module: ast.Module, room: str, of: dict[str, str]) -> set[tuple[str, str]]:
    """(verb, table) for each table of another room that a module's SQL names."""
    return {(verb, table) for text in texts(module) for verb, table in named(text) if table in of and of[table] != room}


def named(text: str) -> list[tuple[str, str]]:
    """(verb, name) for each table that a text names as SQL does, behind a comma too."""
    flags = re.IGNORECASE if _SMALL.match(text) else re.NOFLAG
    tables, lists = re.compile(_TABLE.pattern, flags), re.compile(_LISTED.pattern, flags)
    found = [("DELETE" if _deletes(text, at.start()) else at[1].upper(), at[2]) for at in tables.finditer(text)]
    return found + [("FROM", table) for at in lists.finditer(text) for table in _NEXT.findall(at[1])]


def _deletes(text: str, at: int) -> bool:
    return text[:at].rstrip().upper().endswith("DELETE")


def test_each_table_is_read_and_written_in_its_own_room() -> None:
    of = owners()
    listed = {line for line in EXCEPTIONS.read_text().splitlines() if line and not line.startswith("#")}
    standing = {
        f"{name_of(path)} {table}"
        for path in sources("revenue_engine", "reconciliation")
        if room_of(path) not in READS_ALL
        for _, table in foreign(tree(path), room_of(path), of)
    }
    assert not standing - listed, "SQL on another room's table: " + ", ".join(sorted(standing - listed))
    assert not listed - standing, "no longer so, take them off the list: " + ", ".join(sorted(listed - standing))


def test_who_reads_all_writes_nothing() -> None:
    of = owners()
    for path in sources("revenue_engine/verification"):
        written = {table for verb, table in foreign(tree(path), room_of(path), of) if verb in WRITES}
        assert not written, f"{name_of(path)} writes {sorted(written)}"


def test_sql_on_another_rooms_table_is_seen() -> None:
    module = ast.parse('x = "SELECT p.id FROM payment p JOIN evidence e ON true"')
    assert foreign(module, "revenue_engine.billing", owners()) == {("FROM", "payment"), ("JOIN", "evidence")}
    assert not foreign(module, "revenue_engine.payments", owners())


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("select 1 from evidence", "FROM"),
        ("SELECT 1 FROM public.evidence", "FROM"),
        ('SELECT 1 FROM "evidence"', "FROM"),
        ("SELECT 1 FROM invoice i, evidence e", "FROM"),
        ("SELECT 1 FROM invoice AS i,\n evidence", "FROM"),
        ("SELECT 1 FROM ONLY evidence", "FROM"),
        ("COPY evidence (id) FROM STDIN", "COPY"),
        ("LOCK TABLE evidence", "LOCK"),
        ("TRUNCATE TABLE ONLY evidence", "TRUNCATE"),
        ("DELETE FROM evidence", "DELETE"),
        ("delete from evidence", "DELETE"),
    ],
)
def test_sql_is_seen_however_it_is_written(sql: str, verb: str) -> None:
    module = ast.parse(f"x = {sql!r}")
    assert (verb, "evidence") in foreign(module, "revenue_engine.billing", owners())


def test_a_sentence_is_no_sql() -> None:
    module = ast.parse("x = 'take the money from payment and evidence, then lock delivery'")
    assert not foreign(module, "revenue_engine.billing", owners())


def bare_numbers(module: ast.Module) -> list[int]:
    """Lock numbers that a module writes as numbers, by whatever way they reach the database."""
    known = {lock.value for lock in Lock}
    return [
        n.lineno for n in ast.walk(module) if isinstance(n, ast.Constant) and type(n.value) is int and n.value in known
    ]


def test_no_lock_number_is_written_as_a_number_elsewhere() -> None:
    offences = [
        f"{name_of(path)}:{line}"
        for path in sources("revenue_engine", "reconciliation", "adapters", "migrations")
        if path.name != "locks.py"
        for line in bare_numbers(tree(path))
    ]
    assert not offences, f"a lock number stands outside revenue_engine/work/locks.py: {offences}"
    assert bare_numbers(ast.parse("n = 7202"))


def test_every_lock_number_is_in_the_list_and_no_number_is_written_elsewhere() -> None:
    offences = [
        f"{name_of(path)}: {number}"
        for path in sources("revenue_engine", "reconciliation", "adapters", "migrations")
        for text in texts(tree(path))
        for number in _LOCK.findall(text)
    ]
    assert not offences, f"a lock number stands outside revenue_engine/work/locks.py: {offences}"
    in_sql = {
        int(number)
        for path in (ROOT / "migrations" / "versions").glob("*.sql")
        for number in _LOCK.findall(path.read_text())
    }
    assert in_sql <= {lock.value for lock in Lock}, "a migration takes a lock that the list does not name"


def test_a_lock_number_or_a_kind_taken_twice_is_refused() -> None:
    for path, name in (("locks.py", "BOOK_DATE = 7201"), ("kinds.py", 'INTERPRET = "interpret"')):
        source = (ROOT / "revenue_engine" / "work" / path).read_text()
        again = source.replace(f"    {name}\n", f"    {name}\n    AGAIN = {name.split(' = ')[1]}\n")
        assert again != source
        with pytest.raises(ValueError, match="AGAIN"):
            exec(compile(again, path, "exec"), {"__name__": "again"})


def test_every_room_that_does_work_is_asked_by_the_worker_and_no_kind_is_done_twice() -> None:
    offering = {
        name_of(path)
        for path in sources("revenue_engine", "reconciliation")
        if any(
            isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "JOBS" for t in node.targets)
            for node in tree(path).body
        )
    }
    gathered = {work.kind for work in worker.WORK}
    for name in offering:
        module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
        assert {work.kind for work in module.JOBS} <= gathered, f"the worker does not ask {name}"
    assert gathered == {kind for kind in Kind if not kind.repeats} - {Kind.INTERPRET}
    with pytest.raises(ConfigurationError, match="apply_credit"):
        kinds.gather([Work(Kind.APPLY_CREDIT, print)], [Work(Kind.APPLY_CREDIT, print)])


def test_kinds_of_work_are_named_by_the_list_alone() -> None:
    offences = [
        f"{name_of(path)}:{node.lineno}"
        for path in sources("revenue_engine", "reconciliation")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "jobs"
        for word in node.keywords
        if word.arg == "kind" and isinstance(word.value, ast.Constant)
    ]
    assert not offences, f"a kind of work is written as a word: {offences}"


def test_break_keys_are_made_in_one_place() -> None:
    source = (ROOT / "reconciliation" / "break_keys.py").read_text()
    families = set(re.findall(r'"([a-z-]+):', source)) | set(re.findall(r'_of\("([a-z-]+)"', source))
    families -= {"payment"}
    assert {"unconfirmed", "suspense", "delivery", "missing"} <= families
    offences = [
        f"{name_of(path)}: {text!r}"
        for path in sources("revenue_engine", "reconciliation")
        if path.name != "break_keys.py"
        for text in texts(tree(path))
        if text.removesuffix(":") in families and text.endswith(":")
    ]
    assert not offences, f"the key of a break is made outside break_keys: {offences}"


def test_the_keys_of_breaks_do_not_collide() -> None:
    made = [
        break_keys.of_delivery(1),
        break_keys.of_delivery(1, 1),
        break_keys.clock(1),
        break_keys.conflict(1, "payment", "A", "amount"),
        break_keys.doubt(1, "A"),
        break_keys.wrong_address(1, "validation", date(2026, 9, 15)),
        break_keys.dead("interpret", 1),
        break_keys.before_books(1, "A"),
        break_keys.outflow(1, "A"),
        break_keys.returned(1, "A"),
        break_keys.unconfirmed(1, "A"),
        break_keys.request("A"),
        break_keys.reversal(1, "A"),
        break_keys.reversal_twice(1, "A"),
        break_keys.reversal_amount(1, "A"),
        break_keys.settlement(1, "A"),
        break_keys.settlement_told(1),
        break_keys.banked(1, "A"),
        break_keys.found(1, "A"),
        break_keys.missing(1, "payment", "A"),
        break_keys.repeated(1, "payment", "A"),
        break_keys.drop("a", "away", 1),
        break_keys.foreign(1),
        *break_keys.held(1),
    ]
    assert len(set(made)) == len(made)
    assert break_keys.request_of(break_keys.request("ws_CO_1")) == "ws_CO_1"
    assert break_keys.request_of(break_keys.found(1, "ws_CO_1")) == ""
