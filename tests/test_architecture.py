"""The shape of the code: who may import whom, and rules a reader may rely on without looking."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PACKAGES = ("revenue_engine", "adapters", "reconciliation")
MONEY = (
    "revenue_engine/money.py",
    "revenue_engine/channels.py",
    "revenue_engine/tariffs.py",
    "revenue_engine/receivables.py",
    "revenue_engine/payments.py",
    "revenue_engine/receipts.py",
    "revenue_engine/settlements.py",
    "revenue_engine/pipeline.py",
    "revenue_engine/ledger/",
    "revenue_engine/secondary_ledgers/",
    "revenue_engine/reports/",
    "reconciliation/",
    "adapters/",
)
PURE = (
    "revenue_engine.errors",
    "revenue_engine.money",
    "revenue_engine.periods",
    "revenue_engine.channels",
    "revenue_engine.identifiers",
    "revenue_engine.ledger.chart",
    "revenue_engine.ledger.journal",
    "revenue_engine.ledger.postings",
    "revenue_engine.secondary_ledgers.allocation",
    "reconciliation.rules",
)
UNCLEAN = ("revenue_engine.db", "dramatiq", "fastapi", "httpx2", "pandas", "psycopg", "redis", "sqlalchemy")
LARGEST_FILE, LARGEST_FUNCTION = 600, 70

Offence = tuple[int, str]


def sources(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


OURS = sources(*PACKAGES, "migrations")
ALL = sources(*PACKAGES, "migrations", "tests", "benchmarks", "tools")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def show(path: Path, offences: Iterator[Offence]) -> str:
    return "\n".join(f"{name_of(path)}:{line}: {what}" for line, what in offences)


def test_imports_go_down_only() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_the_rules_of_money_reach_no_database_and_no_network() -> None:
    graph = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)
    for module in set(PURE) & graph.modules:
        for unclean in set(UNCLEAN) & graph.modules:
            chain = graph.find_shortest_chain(importer=module, imported=unclean)
            assert chain is None, " -> ".join(chain or ())


def commits(module: ast.Module) -> Iterator[Offence]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield node.lineno, "only db.transaction() and the intake commit"


def floats(module: ast.Module) -> Iterator[Offence]:
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno, "no float comes near money"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, "no float literal comes near money"


def clocks(module: ast.Module) -> Iterator[Offence]:
    readings = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}
    for node in ast.walk(module):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        if (owner, node.attr) in readings:
            yield node.lineno, f"{owner}.{node.attr}: only periods reads the wall clock"


def swallowed(module: ast.Module) -> Iterator[Offence]:
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield node.lineno, "a bare except"
            elif all(isinstance(s, ast.Pass | ast.Continue) or _is_ellipsis(s) for s in node.body):
                yield node.lineno, "an error is dropped without a word"
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("suppress")
            and {ast.unparse(arg) for arg in node.args} & {"Exception", "BaseException"}
        ):
            yield node.lineno, "every error is dropped without a word"


def _is_ellipsis(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def long_functions(module: ast.Module) -> Iterator[Offence]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > LARGEST_FUNCTION:
                yield node.lineno, f"{node.name} has {size} lines, at most {LARGEST_FUNCTION}"


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=name_of)
def test_commits_stand_in_two_places(path: Path) -> None:
    if name_of(path) not in ("revenue_engine/db.py", "revenue_engine/intake.py"):
        assert not show(path, commits(tree(path)))


@pytest.mark.parametrize("path", [p for p in OURS if name_of(p).startswith(MONEY)], ids=name_of)
def test_no_float_comes_near_money(path: Path) -> None:
    assert not show(path, floats(tree(path)))


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_one_module_reads_the_wall_clock(path: Path) -> None:
    if name_of(path) != "revenue_engine/periods.py":
        assert not show(path, clocks(tree(path)))


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_no_error_is_dropped_and_nothing_is_too_long_to_read(path: Path) -> None:
    assert not show(path, swallowed(tree(path)))
    assert not show(path, long_functions(tree(path)))
    lines = len(path.read_text().splitlines())
    assert lines <= LARGEST_FILE, f"{name_of(path)} has {lines} lines, at most {LARGEST_FILE}"


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path)), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize(
    ("check", "code"),
    [
        (commits, "session.commit()"),
        (floats, "x: float = f()"),
        (floats, "float(x)"),
        (floats, "x = 1.5"),
        (clocks, "datetime.datetime.now()"),
        (clocks, "from time import time as t\nimport time\ntime.time()"),
        (swallowed, "try:\n    f()\nexcept:\n    g()"),
        (swallowed, "try:\n    f()\nexcept ValueError:\n    pass"),
        (swallowed, "with contextlib.suppress(Exception):\n    f()"),
        (long_functions, "def f():\n" + "    g()\n" * 70),
    ],
)
def test_the_checks_themselves_see_offences(check: object, code: str) -> None:
    assert callable(check)
    assert list(check(ast.parse(code)))
