"""``match``: bills and payments in two files, what belongs together in a third. No database."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from reconciliation.engine.spelled_days import DayOrder
from revenue_engine.cli.output import JsonFlag, err, out, print_json, refuse
from revenue_engine.errors import InvalidValue, RevenueError

_FILE = {"exists": True, "dir_okay": False, "readable": True}


class Engine(StrEnum):
    """Where the work is done; the answer is the same."""

    AUTO = "auto"
    INPROCESS = "inprocess"
    PROCESSES = "processes"
    DRAMATIQ = "dramatiq"
    DASK = "dask"


def register(app: typer.Typer) -> None:
    """Add the command to the top of the command tree."""
    app.command("match")(match)


def match(
    invoices: Annotated[Path, typer.Option(help="Bills: .xlsx, .csv, .ods, .xls or .parquet.", **_FILE)],
    payments: Annotated[Path, typer.Option(help="Payments: the same, or a statement as it was downloaded.", **_FILE)],
    matches: Annotated[Path, typer.Option(help="Where to write what belongs together; .xlsx holds all three lists.")],
    suggestions: Annotated[Path | None, typer.Option(help="Where to write candidates for what is left.")] = None,
    breaks: Annotated[Path | None, typer.Option(help="Where to write what is left and why.")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--columns", help="A map: which heading is which column, in TOML.", **_FILE)
    ] = None,
    order: Annotated[
        DayOrder | None, typer.Option("--date-order", help="How days such as 11/04/2026 are written.")
    ] = None,
    engine: Annotated[Engine, typer.Option("--engine", help="Where the work is done.")] = Engine.AUTO,
    as_json: JsonFlag = False,
) -> None:
    """Find the bill of every payment where that is certain, and say why; say why not for the rest."""
    try:
        answer = _run(_Asked(invoices, payments, matches, suggestions, breaks, map_file, order), engine)
    except RevenueError as error:  # no database can be away here, so its drivers are not loaded
        refuse(error, as_json=as_json)
    else:
        if as_json:
            print_json(answer)
            return
        _show(answer)


class _Asked(NamedTuple):
    """The files that a person named."""

    invoices: Path
    payments: Path
    matches: Path
    suggestions: Path | None
    breaks: Path | None
    map_file: Path | None
    order: DayOrder | None


def _show(answer: dict[str, Any]) -> None:
    from reconciliation.engine import office

    for file in ("invoices", "payments"):
        how = answer["files"][file]
        for heading, column in how["read_as"].items():
            if office.heading_key(heading) != office.heading_key(column):
                err.print(f"{file}: read as: {heading} > {column}", highlight=False, markup=False)
        for note in how["notes"]:
            err.print(f"{file}: {note}", highlight=False, markup=False, soft_wrap=True)
        for warning in how["warnings"]:
            err.print(f"{file}: WARNING: {warning}", highlight=False, markup=False, soft_wrap=True)
    for name in ("bills", "payments", "matched", "matched_amount", "left", "left_amount", "seconds"):
        out.print(f"{name.replace('_', ' '):16} {answer[name]}", highlight=False)
    for rung, count in answer["by_rung"].items():
        out.print(f"  by {rung.replace('_', ' '):16} {count}", highlight=False)
    for reason, count in answer["by_reason"].items():
        out.print(f"  left: {reason.replace('_', ' '):24} {count}", highlight=False)
    out.print(f"result           {answer['manifest']['result']}", highlight=False)


def _run(asked: _Asked, engine: Engine) -> dict[str, Any]:
    from reconciliation.engine import executors, files, matching
    from reconciliation.engine.policy import Policy
    from revenue_engine.cli import match_files

    outputs = [path for path in (asked.matches, asked.suggestions, asked.breaks) if path is not None]
    resolved = {path.resolve() for path in (*outputs, asked.invoices, asked.payments)}
    if len(resolved) < len(outputs) + 2:
        raise InvalidValue("every file must be another one: inputs are never overwritten")
    for path in outputs:
        files.check_place(path)
    maps = match_files.read_map(asked.map_file, asked.order)
    began, policy = time.perf_counter(), Policy()
    gc.disable()  # millions of small values and no cycles: looking for some would take a third of the time
    with ThreadPoolExecutor(1) as beside, _progress() as tell:
        tell("files", 0)
        digests = files.Digests(asked.invoices, asked.payments)
        bills = beside.submit(match_files.read_invoices, asked.invoices, maps, currency=policy.currency)
        table = beside.submit(lambda: bills.result().table)
        try:
            paid = match_files.read_payments(asked.payments, maps, currency=policy.currency)
        except InvalidValue:
            bills.result()  # where both files are refused, it is for the bills
            raise
        with executors.open_executor(engine.value, len(paid.table)) as spread:
            found = matching.match(table, paid.table, policy, spread=spread, progress=tell)
            where = spread.name
        tell("writing", 0)
        written = _write(asked, found)
    answer = _answer(found, len(bills.result().table), policy, digests, written, where, time.perf_counter() - began)
    how = {"invoices": match_files.facts(bills.result()), "payments": match_files.facts(paid)}
    return answer | {"files": how}


def _write(asked: _Asked, found: Any) -> dict[Path, str]:
    """Each list where it was asked for; a workbook for matches holds the lists that were not asked for elsewhere."""
    from reconciliation.engine import files

    tables: dict[Path, Any] = {}
    sheets: dict[Path, dict[str, Any]] = {}
    wanted = {"Matches": asked.matches, "Suggestions": asked.suggestions, "Breaks": asked.breaks}
    for name, path in wanted.items():
        place = path or (asked.matches if files.is_workbook(asked.matches) else None)
        if place is None:
            continue
        table = getattr(found, name.lower())
        if files.is_workbook(place):
            sheets.setdefault(place, {})[name] = table
        else:
            tables[place] = table
    return files.write_all(tables, sheets)


def _answer(
    found: Any, bills: int, policy: Any, digests: Any, written: dict[Path, str], where: str, seconds: Any
) -> dict[str, Any]:
    from reconciliation.engine import files
    from reconciliation.engine.policy import RULES_VERSION

    return {
        "ok": True,
        "bills": bills,
        "payments": found.totals["payments"],
        "matched": found.totals["matched"],
        "matched_amount": found.totals["matched_amount"],
        "left": found.breaks.num_rows,
        "left_amount": found.totals["left_amount"],
        "by_rung": found.counts,
        "by_reason": files.count_of(found.breaks, "reason"),
        "seconds": f"{seconds:.2f}",
        "manifest": {
            "inputs": digests.as_dict(),
            "rules_version": RULES_VERSION,
            "policy": policy.digest(),
            "engine": where,
            "outputs": {path.name: digest for path, digest in written.items()},
            "result": found.digest(),
        },
    }


@contextmanager
def _progress() -> Iterator[Any]:
    """A line on a terminal that says what is being done; nothing elsewhere."""
    if not err.is_terminal:
        yield _say_nothing
        return
    with err.status("starting") as status:

        def tell(step: str, whole: int) -> None:
            status.update(step + (f" ({whole:,})" if whole else ""))

        yield tell


def _say_nothing(step: str, whole: int) -> None:
    """Where nobody looks, nothing is said: ``step`` and ``whole`` go unread."""
