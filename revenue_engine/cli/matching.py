"""``match``: bills and payments in two files, what belongs together in a third. No database."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

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
    invoices: Annotated[Path, typer.Option(help="Bills: csv or parquet.", **_FILE)],
    payments: Annotated[Path, typer.Option(help="Payments: csv or parquet.", **_FILE)],
    matches: Annotated[Path, typer.Option(help="Where to write what belongs together.")],
    suggestions: Annotated[Path | None, typer.Option(help="Where to write candidates for what is left.")] = None,
    breaks: Annotated[Path | None, typer.Option(help="Where to write what is left and why.")] = None,
    engine: Annotated[Engine, typer.Option("--engine", help="Where the work is done.")] = Engine.AUTO,
    as_json: JsonFlag = False,
) -> None:
    """Find the bill of every payment where that is certain, and say why; say why not for the rest."""
    try:
        answer = _run(invoices, payments, matches, suggestions, breaks, engine)
    except RevenueError as error:  # no database can be away here, so its drivers are not loaded
        refuse(error, as_json=as_json)
    else:
        if as_json:
            print_json(answer)
            return
        for name in ("bills", "payments", "matched", "matched_amount", "left", "left_amount", "seconds"):
            out.print(f"{name.replace('_', ' '):16} {answer[name]}", highlight=False)
        for rung, count in answer["by_rung"].items():
            out.print(f"  by {rung.replace('_', ' '):16} {count}", highlight=False)
        for reason, count in answer["by_reason"].items():
            out.print(f"  left: {reason.replace('_', ' '):24} {count}", highlight=False)
        out.print(f"result           {answer['manifest']['result']}", highlight=False)


def _run(
    invoices: Path, payments: Path, matches: Path, suggestions: Path | None, breaks: Path | None, engine: Engine
) -> dict[str, Any]:
    from reconciliation.engine import executors, files, matching
    from reconciliation.engine.policy import Policy

    outputs = [path for path in (matches, suggestions, breaks) if path is not None]
    resolved = {path.resolve() for path in (*outputs, invoices, payments)}
    if len(resolved) < len(outputs) + 2:
        raise InvalidValue("every file must be another one: inputs are never overwritten")
    for path in outputs:
        files.check_place(path)
    began, policy = time.perf_counter(), Policy()
    gc.disable()  # millions of small values and no cycles: looking for some would take a third of the time
    with ThreadPoolExecutor(1) as beside, _progress() as tell:
        tell("files", 0)
        digests = files.Digests(invoices, payments)
        bills = beside.submit(files.read_invoices, invoices, currency=policy.currency)
        try:
            paid = files.read_payments(payments, currency=policy.currency)
        except InvalidValue:
            bills.result()  # where both files are refused, it is for the bills
            raise
        with executors.open_executor(engine.value, len(paid)) as spread:
            found = matching.match(bills, paid, policy, spread=spread, progress=tell)
            where = spread.name
        tell("writing", 0)
        tables = {matches: found.matches}
        if suggestions is not None:
            tables[suggestions] = found.suggestions
        if breaks is not None:
            tables[breaks] = found.breaks
        written = files.write_all(tables)
    return _answer(found, len(bills.result()), policy, digests, written, where, time.perf_counter() - began)


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
