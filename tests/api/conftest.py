"""The real application on a real database, asked as its callers ask it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.testclient import TestClient

from revenue_engine import db
from revenue_engine.api import application
from tests.conftest import Database
from tests.support import people
from tests.support.books import Books

_keys = itertools.count(1)
BILL = {"items": [{"item": "TRL.NIGHT", "quantity": 2}], "station": "MALABA"}


@dataclass
class Desk:
    """The API and persons who call it by bearer."""

    books: Books
    app: Any
    client: TestClient
    secrets: dict[str, str] = field(default_factory=dict)

    def headers(self, *roles: str, sub_county: str | None = None, **more: str) -> dict[str, str]:
        """What a person of these roles sends; a new Idempotency-Key each time."""
        login = f"of.{'.'.join(roles) or 'none'}{'.' + sub_county[:3].lower() if sub_county else ''}"
        if login not in self.secrets:
            directorate = "ICT" if "department_officer" in roles else None
            self.secrets[login] = people.somebody(
                self.books.url, login, *roles, sub_county=sub_county, directorate=directorate
            ).secret
        return {"Authorization": f"Bearer {self.secrets[login]}", "Idempotency-Key": f"key-{next(_keys)}", **more}

    def issue(self, **more: Any) -> dict[str, Any]:
        """A bill, issued by a clerk."""
        answered = self.client.post("/api/v1/invoices", json={**BILL, **more}, headers=self.headers("clerk"))
        assert answered.status_code == 201, answered.text
        told: dict[str, Any] = answered.json()
        return told


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    """The application by the api's own login."""
    books = Books(database.url)
    engine = db.make_engine(database.role_url("api"), pool_size=10)
    app = application.make(engine)
    with TestClient(app, base_url="https://revenue.example", raise_server_exceptions=False) as client:
        yield Desk(books, app, client)
    engine.dispose()
    books.close()
