"""Digital literacy as a list: what one certified learner costs, by sub-county."""

from __future__ import annotations

from sqlalchemy.orm import Session

from revenue_engine.departments.literacy import programme
from revenue_engine.reports.model import Column, Kind, Section


def place_section(session: Session, *, programme_year: str | None = None) -> Section:
    """Enrolled, attended, certified, cost, and the cost of each, by sub-county of the host."""
    columns = (
        *(Column("sub_county", "Sub-county"), Column("cohorts", "Cohorts", Kind.COUNT)),
        *(Column(key, key.capitalize(), Kind.COUNT) for key in ("enrolled", "attended", "certified")),
        Column("cost", "Cost", Kind.MONEY),
        Column("per_enrolled", "Each enrolled", Kind.MONEY, totalled=False),
        Column("per_certified", "Each certified", Kind.MONEY, totalled=False),
    )
    found = tuple(
        (*one, one.each(one.enrolled), one.each(one.certified))
        for one in programme.places(session, programme_year=programme_year)
    )
    return Section("literacy", "Digital literacy: cost of each learner", columns, found)


def behind_section(session: Session, *, programme_year: str | None = None) -> Section:
    """The vouchers behind the cost of each sub-county; each is a line of the book of literacy."""
    columns = (
        *(Column("sub_county", "Sub-county"), Column("cohort", "Cohort"), Column("voucher", "Voucher")),
        Column("amount", "Amount", Kind.MONEY),
    )
    found = tuple((*one,) for one in programme.behind(session, programme_year=programme_year))
    return Section("literacy_vouchers", "Digital literacy: vouchers behind the cost", columns, found)
