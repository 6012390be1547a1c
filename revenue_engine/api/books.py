"""The books of the directorates and the answers of their registers, to read: every figure opens to its postings."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as InQuery
from pydantic import Field
from sqlalchemy.orm import Session

from revenue_engine.api.calls import Door, Query, Rules, serve
from revenue_engine.api.shapes import Told
from revenue_engine.errors import InvalidValue
from revenue_engine.reports import literacy, partnerships
from revenue_engine.reports import secondary_ledgers as sections
from revenue_engine.reports.lists import plain
from revenue_engine.secondary_ledgers import books


class Books(Told):
    """The books there are."""

    data: list[dict[str, Any]]


class Book(Told):
    """A book as it stands: its trial balance, what it may spend by fund class, and the versions of its rules. Money as
    decimal strings."""

    book: str
    balances: list[dict[str, Any]]
    funds: list[dict[str, Any]]
    rules: list[dict[str, Any]]


class Rows(Told):
    """Rows by the keys of their columns, money as decimal strings."""

    data: list[dict[str, Any]]


class Figure(Told):
    """What a figure is made of; where ``whole`` is false there are more rows than are told: ask for fewer days."""

    whole: bool
    data: list[dict[str, Any]]


class Upto(Query):
    """Up to which day."""

    upto: Annotated[date | None, Field(description="The last day counted; all days where none is given")] = None


class Cell(Query):
    """Which figure."""

    account: Annotated[str | None, Field(description="An account of the book")] = None
    rule: Annotated[str | None, Field(description="A rule of the book")] = None
    first: Annotated[date | None, Field(description="The first day")] = None
    last: Annotated[date | None, Field(description="The last day")] = None


class Ending(Query):
    """Which agreements."""

    expiring: Annotated[bool, Field(description="Only those that end within 90 days")] = False


class Year(Query):
    """Which programme year."""

    year: Annotated[str | None, Field(description="A programme year; all where none is given", max_length=20)] = None


def list_books(session: Session) -> Books:
    """The books of the directorates."""
    return Books(data=plain(sections.book_section(session)))


def show_book(session: Session, book: str, asked: Annotated[Upto, InQuery()]) -> Book:
    """A book: balances, funds and rules."""
    books.get(session, book)
    return Book(
        book=book,
        balances=plain(sections.balance_section(session, book, upto=asked.upto)),
        funds=plain(sections.fund_section(session, book)),
        rules=plain(sections.rule_section(session, book)),
    )


def open_figure(session: Session, book: str, asked: Annotated[Cell, InQuery()]) -> Figure:
    """What a figure of a book is made of: the postings of the revenue ledger, each with its rule and version."""
    books.get(session, book)
    if asked.account is None and asked.rule is None:
        raise InvalidValue("a figure is of an account or of a rule", field="account")
    if asked.first and asked.last and asked.last < asked.first:
        raise InvalidValue("the last day is before the first", field="last")
    found = sections.cell_section(
        session,
        book,
        account=asked.account,
        rule=asked.rule,
        first=asked.first,
        last=asked.last,
        limit=books.TRACED,
    )
    return Figure(whole=not found.note, data=plain(found))


def list_agreements(session: Session, asked: Annotated[Ending, InQuery()]) -> Rows:
    """Pledged, received and used by agreement, and what expires with the money at risk."""
    return Rows(data=plain(partnerships.agreement_section(session, expiring=asked.expiring)))


def list_literacy(session: Session, asked: Annotated[Year, InQuery()]) -> Rows:
    """What one enrolled and one certified learner cost, by sub-county."""
    return Rows(data=plain(literacy.place_section(session, programme_year=asked.year)))


def router() -> APIRouter:
    """The endpoints of this page: books are of the whole county."""
    made = APIRouter(route_class=Door, tags=["books"])
    reading = Rules("read", snapshot=True)
    serve(made, "GET", "/books", list_books, rules=reading, answer=Books)
    serve(made, "GET", "/books/{book}", show_book, rules=reading, answer=Book, refusals=("not_found",))
    serve(
        made,
        "GET",
        "/books/{book}/figure",
        open_figure,
        rules=reading,
        answer=Figure,
        refusals=("not_found", "invalid_value"),
    )
    serve(made, "GET", "/agreements", list_agreements, rules=reading, answer=Rows)
    serve(made, "GET", "/literacy", list_literacy, rules=reading, answer=Rows)
    return made
