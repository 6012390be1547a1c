"""``literacy``: cohorts and learners of a file, attendance, certificates, and what one certified learner costs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from revenue_engine.cli import days, signing
from revenue_engine.cli.output import FormatOption, JsonFlag, OutFile, answering, chosen, give, out, print_json
from revenue_engine.errors import InvalidValue

app = typer.Typer(help="Digital literacy.", no_args_is_help=True)

_Learner = Annotated[str, typer.Argument(help="The learner's number.")]
_Cohort = Annotated[str, typer.Argument(help="The cohort's code.")]
_On = Annotated[str | None, typer.Option("--on", help=f"Day: {days.DAY_HELP}; today if not said.")]


@app.callback()
def _nouns() -> None:
    """Digital literacy."""


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="TOML of [[cohort]] and [[learner]].", exists=True, dir_okay=False)],
    as_json: JsonFlag = False,
) -> None:
    """Register cohorts and learners of a file, all or none."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.departments.literacy import programme

    with answering(as_json=as_json), signing.signed_in():
        try:
            told = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidValue(f"{file.name} is not TOML: {error}", file=file.name) from None
        with transaction(bootstrap.engine("api")) as session:
            for one in told.get("cohort", []):
                programme.add_cohort(session, one)
            for one in told.get("learner", []):
                programme.add_learner(session, one)
        _said({"cohorts": len(told.get("cohort", [])), "learners": len(told.get("learner", []))}, as_json=as_json)


@app.command("certify")
def certify(
    learner: _Learner,
    cohort: _Cohort,
    attempt: Annotated[int, typer.Option(help="The attempt that found the learner competent.", min=1)] = 1,
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Certify a learner. Without attendance, assessment or fee the refusal says which is missing."""
    from revenue_engine import bootstrap, periods
    from revenue_engine.db import transaction
    from revenue_engine.departments.literacy import programme

    with answering(as_json=as_json), signing.signed_in():
        day = days.day(on, field="on") or periods.today()
        with transaction(bootstrap.engine("api")) as session:
            number = programme.certify(session, learner, cohort, attempt=attempt, on=day)
        _said({"certificate": number}, as_json=as_json)


@app.command("cost")
def cost(
    year: Annotated[str | None, typer.Option(help="Only this programme year.")] = None,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """What one enrolled and one certified learner cost, by sub-county."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import literacy

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("report")) as session:
            section = literacy.place_section(session, programme_year=year)
        give(section, written_as, out_file)


def _said(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, **answer})
        return
    for name, value in answer.items():
        out.print(f"{name:16} {value}", highlight=False)
