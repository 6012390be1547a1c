"""The TOML files of the registers: each part described by type and size, so that a wrong one is refused and named.

A value is what it says it is: a number in quotes, a day that is a text and a weight with a point are refused and never
turned into something else.
"""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from revenue_engine.errors import InvalidValue

LARGEST = 4 * 1024 * 1024
"""Bytes of a file that is read."""


def _readable(text: str) -> str:
    if not text.strip() or any(ord(letter) < 32 and letter not in "\t\n" for letter in text):
        raise ValueError("words that people read, without control letters")
    return text


Words = Annotated[str, Field(max_length=2_000), AfterValidator(_readable)]
Whole = Annotated[int, Field(ge=0, le=2_147_483_647)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CohortPart(_Part):
    """A ``[[cohort]]``."""

    code: Words
    programme_year: Words
    course: Words
    unit: Words
    framework: Words
    host: Words
    sub_county: Words
    ward: Words
    starts_on: date
    ends_on: date
    sessions: Whole
    attendance_parts: Whole
    capacity: Whole


class LearnerPart(_Part):
    """A ``[[learner]]``; ``payer`` is the public id of who holds the name."""

    number: Words
    payer: Words | None = None
    sex: Words
    year_band: Words
    sub_county: Words
    ward: Words
    disability: bool | None = None


class PartnerPart(_Part):
    """A ``[[partner]]``."""

    code: Words
    name: Words
    organisation_type: Words
    iati_reference: Words


class AgreementPart(_Part):
    """An ``[[agreement]]``, with parts of ten thousand for each goal and target."""

    partner: Words
    reference: Words
    title: Words
    description: Words
    kind: Words
    on_budget: bool
    starts_on: date
    ends_on: date
    next_step: Words
    next_owner: Words
    next_on: date
    goals: dict[str, Whole] = {}
    targets: dict[str, Whole] = {}


class LinkPart(_Part):
    """A ``[[link]]``; the charge is an amount in quotes, the formula one of the four kinds."""

    office: Words
    name: Words
    sub_county: Words
    supplier: Words
    circuit: Words
    link_kind: Words
    mbps: Whole
    monthly_charge: Words
    target_ppm: Whole
    formula: dict[str, Any]
    claim_days: Whole
    contract: Words
    effective_from: date
    effective_to: date | None = None


class LiteracyFile(_Part):
    """Cohorts and learners."""

    cohort: list[CohortPart] = []
    learner: list[LearnerPart] = []


class PartnersFile(_Part):
    """Partners and agreements."""

    partner: list[PartnerPart] = []
    agreement: list[AgreementPart] = []


class LinksFile(_Part):
    """Links of offices."""

    link: list[LinkPart] = []


Kind = TypeVar("Kind", LiteracyFile, PartnersFile, LinksFile)


def read(file: Path, kind: type[Kind]) -> Kind:
    """Read a file of a register. Raises InvalidValue that names each part and field that is wrong."""
    written = file.read_bytes()
    if len(written) > LARGEST:
        raise InvalidValue(f"{file.name} has more than {LARGEST:,} bytes", file=file.name)
    try:
        told = tomllib.loads(written.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue(f"{file.name} is not TOML: {error}", file=file.name) from None
    try:
        found = kind.model_validate(told)
    except ValidationError as error:
        wrong = [f"{_place(one['loc'])}: {one['msg']}" for one in error.errors(include_input=False, include_url=False)]
        more = f"; and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise InvalidValue(f"{file.name}: {'; '.join(wrong[:10])}{more}", file=file.name) from None
    if not any(getattr(found, name) for name in kind.model_fields):
        parts = " or ".join(f"[[{name}]]" for name in kind.model_fields)
        raise InvalidValue(f"{file.name} describes nothing: a part begins with {parts}", file=file.name)
    return found


def _place(where: tuple[int | str, ...]) -> str:
    """Where in a file: the part, its number from 1, and the field."""
    return " ".join(str(one + 1) if isinstance(one, int) else one for one in where)
