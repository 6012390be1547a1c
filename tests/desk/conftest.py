"""The real desk on a real database, walked over HTTP as a browser without JavaScript walks it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import Engine
from starlette.testclient import TestClient

from revenue_engine import db
from revenue_engine.access import passwords, sessions
from revenue_engine.desk import application
from tests.conftest import Database
from tests.support import people
from tests.support.books import Books

ORIGIN = "https://desk.example"


@dataclass
class Browser:
    """One person's browser; forms are sent with the hidden fields that the page holds."""

    client: TestClient
    who: people.Someone

    def see(self, address: str) -> Response:
        return self.client.get(address, follow_redirects=False)

    def send(self, form_at: str, address: str, **fields: str) -> Response:
        """Fill the form of a page and send it."""
        return self.post(address, **{**hidden(self.see(form_at).text, address), **fields})

    def post(self, address: str, **fields: str) -> Response:
        return self.client.post(address, data=fields, headers={"Origin": ORIGIN}, follow_redirects=False)


def hidden(text: str, action: str) -> dict[str, str]:
    """The hidden fields of the form with an action."""
    (form,) = re.findall(rf'<form method="post" action="{re.escape(action)}".*?</form>', text, re.DOTALL)
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)
    }


@dataclass
class County:
    """The books, the desk on them, and browsers of persons."""

    books: Books
    app: FastAPI

    def browser(self, login: str, *roles: str, sub_county: str | None = None) -> Browser:
        who = people.somebody(self.books.url, login, *roles, sub_county=sub_county)
        client = TestClient(self.app, base_url=ORIGIN, raise_server_exceptions=False)
        client.cookies.set("__Host-sid", who.secret, domain="desk.example")
        return Browser(client, who)


def opened(database: Database) -> Iterator[County]:
    """The books and the desk on a database, closed after."""
    books = Books(database.url)
    engine = db.make_engine(database.role_url("api"), pool_size=5)
    yield County(books, application.make(engine, https=True))
    engine.dispose()
    books.close()


@pytest.fixture
def county(database: Database) -> Iterator[County]:
    yield from opened(database)


def enrolled(url: str, engine: Engine, login: str) -> bytes:
    """A person who enrolled with ``people.PASSWORD``; the seed of their second factor."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT access.first_administrator(%s, 'Ada Odera', 'A-1')", (login,)).fetchone()
    assert row is not None
    seed = passwords.fresh_seed()
    with db.transaction(engine) as session:
        sessions.enrol(
            session,
            login=login,
            enrolment=row[0],
            password=people.PASSWORD,
            seed=seed,
            code=passwords.code_now(seed),
        )
    forget_steps(url)
    return seed


def forget_steps(url: str) -> None:
    """Let the code of this half minute be used again, so that a test need not wait for the next."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE access.credential SET last_step = 0")
