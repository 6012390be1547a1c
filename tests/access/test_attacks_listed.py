"""The page of security names a test for each attack: each of these tests exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_attack_of_the_page_has_its_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = page.partition("## What was tried, and the test that tries it again")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!attack|---)(.+?) \| (.+) \|$", section, re.MULTILINE)
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(rows) >= 20
    for attack, tests in rows:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, attack
        assert set(named) <= written, (attack, set(named) - written)
