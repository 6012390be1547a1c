"""The tables of attacks and cases name tests that exist, and leave nothing out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.matching.test_cases import CASES

ROOT = Path(__file__).parents[1]
PAGES = ("attacks.md", "cases.md", "tampers.md")
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_a_table_names_exists(name: str) -> None:
    named = _NAMED.findall(page(name))
    assert named
    assert [f"{path}::{test}" for path, test in named if test not in functions_of(path)] == []


def test_every_attack_has_its_row_and_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*$", page("attacks.md"), re.MULTILINE)
    assert rows == [str(number) for number in range(1, 25)]
    assert all(_NAMED.search(row) for row in page("attacks.md").splitlines() if re.match(r"\| \d", row))


def test_every_case_has_its_row() -> None:
    if not CASES.is_dir():
        pytest.skip("the shared cases are not beside the repository")
    there = {folder.name.split("-")[1] for folder in CASES.glob("matching-*")}
    assert set(re.findall(r"^\| ([A-Z]{2}\d+|P901) \|", page("cases.md"), re.MULTILINE)) == there
