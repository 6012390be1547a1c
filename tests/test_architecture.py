"""The shape of the code: who may import whom, and rules a reader may rely on without looking."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PACKAGES = ("revenue_engine", "adapters", "reconciliation")
NOT_MONEY = {
    "embedded": "waits for servers, in seconds",
    "demo": "measures seconds",
    "intake": "waits, in seconds",
    "work": "leases and backlogs, in seconds",
}
"""Rooms in which a float may stand, and why. Every other file handles money."""
NOT_MONEY_FILES = {
    "bootstrap.py": "time limits, in seconds",
    "cli/bench.py": "seconds and rates",
    "cli/callbacks.py": "seconds to follow",
    "cli/channels.py": "hours of grace",
    "cli/statement_import.py": "a wait, in seconds",
    "cli/supervising.py": "waits, in seconds",
    "collection/polling.py": "schedules, in seconds",
    "config.py": "likeness of names",
    "doctor.py": "clock differences and shares of a disk",
    "logs.py": "waits, in seconds",
    "secondary_ledgers/keeping.py": "schedules, in seconds",
    "worker.py": "waits, in seconds",
}
"""Single files in which a float may stand, and what it measures there."""
PURE_ROOMS = ("revenue_engine/ports", "reconciliation/engine")
PURE_FILES = (
    "revenue_engine/errors.py",
    "revenue_engine/money.py",
    "revenue_engine/periods.py",
    "revenue_engine/identifiers.py",
    "revenue_engine/ledger/chart.py",
    "revenue_engine/ledger/journal.py",
    "revenue_engine/ledger/postings.py",
    "reconciliation/ladder.py",
)
IMPURE_BY_DESIGN = {"reconciliation.engine.executors", "reconciliation.engine.dramatiq_group"}
"""Back ends that spread the pure work over processes and machines: they reach a network on purpose."""
UNCLEAN = ("revenue_engine.db", "dramatiq", "fastapi", "httpx2", "pandas", "psycopg", "redis", "sqlalchemy")
LARGEST_FILE, LARGEST_FUNCTION = 600, 70

Offence = tuple[int, str]


def sources(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


OURS = sources(*PACKAGES, "migrations")
ALL = sources(*PACKAGES, "migrations", "tests", "benchmarks")


def room_of(path: Path) -> str:
    """The room of a file: the folder or module right below its package; all of ``adapters`` is one."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "adapters" if parts[0] == "adapters" else ".".join(parts[:2])


ROOMS = {room_of(path) for path in sources(*PACKAGES)} - {"revenue_engine.__init__", "reconciliation.__init__"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def show(path: Path, offences: Iterator[Offence]) -> str:
    return "\n".join(f"{name_of(path)}:{line}: {what}" for line, what in offences)


def test_imports_go_down_only() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert list(graphlib.TopologicalSorter(imports).static_order())  # raises CycleError with the circle


def test_the_house_table_is_the_house() -> None:
    house = (ROOT / "docs/architecture.md").read_text().split("## The house")[1].split("\n## ")[0]
    rows = [line.split("|")[2] for line in house.splitlines() if line.startswith("|")]
    told = [name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)]
    assert len(told) == len(set(told)), "a room stands on two floors"
    assert set(told) == ROOMS
    floors = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    linted = [{name.strip(" ") for name in floor.split("|") if not name.strip().startswith("(")} for floor in floors]
    drawn = [set(re.findall(r"`([a-z_.]+)`", row)) for row in rows if "`" in row]
    assert drawn == [floor for floor in linted if floor], "the table and the import contract draw two houses"


def test_every_file_that_the_pages_name_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(
            r"`((?:revenue_engine|reconciliation|adapters|migrations|tests|benchmarks)/[\w/.-]+)`", page.read_text()
        )
    }
    missing = sorted(f"{page}: {name}" for page, name in named if "NAME" not in name and not (ROOT / name).exists())
    assert not missing, f"the pages name files that are not there: {missing}"


def test_each_question_of_the_index_leads_to_one_or_two_files() -> None:
    page = (ROOT / "docs/architecture.md").read_text().split("## Where is it?")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ") and "`" in line]
    files = {question.strip(): re.findall(r"`([^`]+)`", answer) for question, answer in rows}
    assert len(files) >= 10
    assert not {question: named for question, named in files.items() if not 1 <= len(named) <= 2}
    missing = [name for named in files.values() for name in named if not (ROOT / name).is_file()]
    assert not missing, f"the index leads to files that are not there: {missing}"
    assert "(docs/architecture.md)" in (ROOT / "README.md").read_text(), "no way from the README to the index"


def test_the_lists_of_this_page_name_what_exists() -> None:
    missing = [name for name in (*PURE_ROOMS, *PURE_FILES) if not (ROOT / name).exists()]
    missing += [f"revenue_engine/{name}" for name in NOT_MONEY if not (ROOT / "revenue_engine" / name).is_dir()]
    missing += [f"revenue_engine/{name}" for name in NOT_MONEY_FILES if not (ROOT / "revenue_engine" / name).is_file()]
    assert not missing, f"these names of the lists above are not in the tree: {missing}"


def pure_modules() -> list[str]:
    paths = [path for room in PURE_ROOMS for path in sources(room)] + [ROOT / name for name in PURE_FILES]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return sorted(set(names) - IMPURE_BY_DESIGN)


def handles_money(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] != "revenue_engine" or (parts[1] not in NOT_MONEY and "/".join(parts[1:]) not in NOT_MONEY_FILES)


def test_the_rules_of_money_reach_no_database_and_no_network() -> None:
    graph = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)
    for module in pure_modules():
        assert module in graph.modules, module
        for unclean in set(UNCLEAN) & graph.modules:
            chain = graph.find_shortest_chain(importer=module, imported=unclean)
            assert chain is None, " -> ".join(chain or ())


def commits(module: ast.Module) -> Iterator[Offence]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield node.lineno, "only db.transaction() commits"


def _of_money(division: ast.BinOp | ast.AugAssign) -> bool:
    """Whether what is divided, or by what, is an amount by its name."""
    return re.search("minor|amount|cents", ast.unparse(division)) is not None


def floats(module: ast.Module) -> Iterator[Offence]:
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno, "no float comes near money"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, "no float literal comes near money"
        elif isinstance(node, ast.Attribute) and node.attr in {"float16", "float32", "float64", "double", "Float64"}:
            yield node.lineno, "no float of a library comes near money"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div) and _of_money(node):
            yield node.lineno, "cents are divided whole: // and divmod, never /"


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
def test_commits_stand_in_one_place(path: Path) -> None:
    if name_of(path) != "revenue_engine/db.py":
        assert not show(path, commits(tree(path)))


@pytest.mark.parametrize("path", [p for p in sources(*PACKAGES) if handles_money(p)], ids=name_of)
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
        (floats, "x = np.float64(y)"),
        (floats, "x = minor / 100"),
        (floats, "x = total_minor / count"),
        (floats, "amount /= 3"),
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


def test_no_two_decisions_have_one_number() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
