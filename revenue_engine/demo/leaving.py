"""What a demo leaves behind: the last day's report, every open break, the whole book as text, to open and to check."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from revenue_engine.db import transaction
from revenue_engine.demo.result import DemoResult
from revenue_engine.reports import breaks, daily, journal, lists, render

FOLDER = "demo"


def leave(engine: Engine, result: DemoResult, state_dir: Path) -> dict[Path, str]:
    """Write the demo's files into the state folder; each file and what it is, in the order to look at them."""
    folder = state_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with transaction(engine) as session:
        report = daily.daily(session, result.last)
    with transaction(engine) as session:
        found = breaks.section(session)
    book, day, text, csv = (folder / name for name in ("book.journal", "daily.xlsx", "daily.txt", "breaks.csv"))
    day.write_bytes(render.render(report, "xlsx"))
    text.write_bytes(render.render(report, "table"))
    csv.write_bytes(lists.render(found, "csv"))
    with transaction(engine) as session:
        journal.write(session, book)
    signs = folder / "sign-ins.txt"
    signs.unlink(missing_ok=True)
    signs.touch(mode=0o600)
    signs.write_text(_sign_ins(result), encoding="utf-8")
    return {
        day: f"the report of {result.last:%d %b}, a sheet a section, with every open break",
        text: "the same report as plain text",
        csv: f"{len(found.rows)} open breaks, one a line",
        book: "every journal, for hledger or another program; its manifest stands beside it",
        signs: "who may sign in at the desk, of the demo's books only",
    }


def _sign_ins(result: DemoResult) -> str:
    """Every person with the password, the key of the authenticator and codes that are good once each."""
    return "\n".join(
        f"{one.login}\n  password       {one.password}\n  authenticator  {one.authenticator}\n"
        f"  codes          {' '.join(one.spare)}\n"
        for one in result.persons
    )
