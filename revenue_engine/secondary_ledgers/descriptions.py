"""Books and rules as files: what a directorate writes down, in TOML, and the three books that are shipped."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from revenue_engine.errors import InvalidValue

SHIPPED = Path(__file__).with_name("shipped")


def shipped() -> list[str]:
    """The codes of the books that are shipped as descriptions."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def book(file: Path) -> Mapping[str, Any]:
    """The ``[book]`` of a description. Raises InvalidValue for what is no such file."""
    found = _read(file).get("book")
    if not isinstance(found, dict):
        raise InvalidValue(f"{file.name} describes no book: it begins with [book]", file=file.name)
    return found


def rules(file: Path) -> list[Mapping[str, Any]]:
    """The ``[[rule]]`` parts of a description. Raises InvalidValue where there is none."""
    found = _read(file).get("rule")
    if not isinstance(found, list) or not found:
        raise InvalidValue(f"{file.name} describes no rule: a rule begins with [[rule]]", file=file.name)
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{file.name} is not TOML: {error}", file=file.name) from None
