"""``adapter new|test|list``: write an adapter for one more provider, and hold any adapter to the conformance kit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from revenue_engine.cli.output import FAILED, JsonFlag, answering, out, print_json, table_of

if TYPE_CHECKING:
    from revenue_engine.ports.callbacks import CallbackAdapter


app = typer.Typer(help="Adapters of providers.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Adapters of providers."""


@app.command("list")
def listing(as_json: JsonFlag = False) -> None:
    """List the adapters that are installed."""
    from revenue_engine import bootstrap

    with answering(as_json=as_json):
        found = {name: type(adapter).__module__ for name, adapter in sorted(bootstrap.adapters().items())}
        if as_json:
            print_json(found)
        else:
            for name, module in found.items():
                out.print(f"{name:12} {module}", highlight=False)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Small letters and digits, such as family.")],
    directory: Annotated[Path | None, typer.Option(file_okay=False, help="Where; ./revenue-adapter-NAME else.")] = None,
    body: Annotated[Literal["json", "form", "text", "xml"], typer.Option(help="What the provider posts.")] = "json",
    as_json: JsonFlag = False,
) -> None:
    """Write a package for a new adapter: it passes the kit once what is marked in it is filled in."""
    from adapters.conformance.skeleton import write_skeleton

    with answering(as_json=as_json):
        written = write_skeleton(name, directory or Path(f"revenue-adapter-{name.replace('_', '-')}"), body)
        if as_json:
            print_json({"ok": True, "files": [str(path) for path in written]})
        else:
            for path in written:
                out.print(str(path), highlight=False, soft_wrap=True)
            out.print("Its README.md says what comes next.", highlight=False)


@app.command("test")
def judge(
    name: Annotated[str, typer.Argument(help="An installed adapter.")],
    fixtures: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Its fixtures, where they are not beside it.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Hold an adapter to the conformance kit. Exit 1 when a check fails."""
    from adapters import conformance
    from revenue_engine import bootstrap
    from revenue_engine.errors import NotFound

    with answering(as_json=as_json):
        adapters = bootstrap.adapters()
        if name not in adapters:
            raise NotFound(f"no adapter {name!r}; installed: {', '.join(sorted(adapters))}", adapter=name)
        report = conformance.run(adapters[name], fixtures or _fixtures(name, adapters[name]))
        if as_json:
            print_json(report.as_dict())
        else:
            table = table_of("", "check", "what it holds the adapter to")
            marks = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "waiting": "…", "not applicable": "–"}
            for one in report.results:
                said = one.meaning if one.outcome == "passed" else f"{one.meaning} — {one.detail}"
                table.add_row(marks[one.outcome], one.check, escape(said))
            out.print(table)
            for warning in report.warnings:
                out.print(f"[yellow]![/] {escape(warning)}", highlight=False, soft_wrap=True)
            counts = report.as_dict()
            out.print(
                f"{name}: {counts['passed']} passed, {counts['failed']} failed, {counts['waiting']} waiting for those,"
                f" {counts['not_applicable']} not applicable",
                highlight=False,
            )
        if not report.ok:
            raise typer.Exit(FAILED)


def _fixtures(name: str, adapter: CallbackAdapter) -> Path:
    """The adapter's fixtures: beside its module, or in the tests of a source checkout."""
    from revenue_engine.errors import NotFound

    module = Path(sys.modules[type(adapter).__module__].__file__ or "").parent
    checkout = Path(__file__).parents[2] / "tests" / "adapters"
    places = (module / "fixtures", checkout / name, checkout / "signed_json" / name)
    for place in places:
        if place.is_dir():
            return place
    raise NotFound(f"no fixtures of {name} are beside it: say --fixtures FOLDER", adapter=name)
