"""``bench NAME``: measurements side by side with a strong baseline, from a checkout."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from revenue_engine.cli.output import JsonFlag, answering, err, out, print_json
from revenue_engine.errors import ConfigurationError

app = typer.Typer(help="Measurements beside a strong baseline.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Measurements beside a strong baseline."""


def _bench(name: str) -> Any:
    root = Path(__file__).resolve().parents[2]
    if not (root / "benchmarks" / f"bench_{name}.py").exists():
        raise ConfigurationError("benchmarks run from a checkout of the project: clone it and run 'make bench'")
    sys.path.insert(0, str(root))
    return importlib.import_module(f"benchmarks.bench_{name}")


@app.command("intake")
def intake(
    seconds: Annotated[float, typer.Option(min=1, max=60, help="Seconds a round.")] = 5.0,
    clients: Annotated[int, typer.Option(min=1, max=512, help="Clients at once.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds of each server.")] = 3,
    as_json: JsonFlag = False,
) -> None:
    """Durable intake beside an async FastAPI endpoint with a pool of ten."""
    with answering(as_json=as_json):
        _answer(_bench("intake").run(seconds=seconds, clients=clients, rounds=rounds), as_json=as_json)


@app.command("post")
def post(
    payments: Annotated[int, typer.Option(min=1_000, max=2_000_000, help="Payments a round.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds.")] = 3,
    grow: Annotated[bool, typer.Option("--grow", help="Also at 100,000 and 1,000,000 payments already there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Record, apply and receipt beside django-hordak."""
    with answering(as_json=as_json):
        _answer(_bench("post").run(payments=payments, rounds=rounds, grow=grow), as_json=as_json)


@app.command("statement")
def statement(
    lines: Annotated[int, typer.Option(min=1_000, max=500_000, help="Lines of the longer statement.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds of each reader.")] = 3,
    full: Annotated[bool, typer.Option("--full", help="Also pycamt at every size: minutes a reading.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Bank statements read and proved, beside mt-940 and pycamt; the shorter one has a tenth of the lines."""
    with answering(as_json=as_json):
        _answer(_bench("statement").run(sizes=(lines // 10, lines), rounds=rounds, full=full), as_json=as_json)


@app.command("match")
def match(
    payments: Annotated[list[int] | None, typer.Option(min=1_000, max=10_000_000, help="A size; repeatable.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds at each size.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Matching from files to files beside DuckDB's plain join and bankstatementparser."""
    with answering(as_json=as_json):
        sizes = tuple(payments or (2_000, 100_000, 1_000_000))
        _answer(_bench("match").run(payments=sizes, rounds=rounds), as_json=as_json)


@app.command("world")
def world(
    keep: Annotated[Path, typer.Option(help="Folder that keeps the books and their servers; a build goes on there.")],
    payments: Annotated[int, typer.Option(min=1_000, max=10_000_000, help="Payments of two years.")] = 1_000_000,
    chunks: Annotated[
        int | None, typer.Option(min=1, help="End after so many chunks; go on with another call.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Books of a county after so many payments: built once, gone on with, then used by other measurements."""
    with answering(as_json=as_json):
        say = (
            (lambda line: err.print(line, highlight=False))
            if as_json
            else (lambda line: out.print(line, highlight=False))
        )
        _answer(_bench("world").run(payments=payments, keep=keep, chunks=chunks, say=say), as_json=as_json)


@app.command("all")
def everything(as_json: JsonFlag = False) -> None:
    """Every measurement at its usual size."""
    with answering(as_json=as_json):
        results = {
            "intake": _bench("intake").run(seconds=5.0, clients=64, rounds=3),
            "post": _bench("post").run(payments=20_000, rounds=3, grow=False),
            "statement": _bench("statement").run(),
            "match": _bench("match").run(payments=(2_000, 100_000), rounds=1),
        }
        _answer(results, as_json=as_json)


def _answer(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    _lines("", result)


def _lines(before: str, result: dict[str, Any]) -> None:
    for name, value in result.items():
        if isinstance(value, dict):
            _lines(f"{before}{name}.", value)
        elif isinstance(value, list) and value and isinstance(value[0], str):
            for line in value:
                out.print(f"{before}{name}: {line}", highlight=False)
        else:
            out.print(f"{before + name:44} {value}", highlight=False)
