"""What a person of a sub-county sees: one builder of conditions, for every list of the command line, API and desk.

A bill is of its station's sub-county. A payment is of its bills, else of the station that its suspense names. A bill or
suspense of no station is the whole county's. Payers are found by all.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from revenue_engine.db import raw


@dataclass(frozen=True, slots=True)
class Scope:
    """The stations that who acts may look at; None is the whole county, and what belongs to no station too.

    The conditions are SQL for a WHERE clause and read one named parameter, which ``given`` holds::

        within = scope.of(session)
        raw(session).execute(f"SELECT … FROM invoice i WHERE {within.station('i.station_code')}", within.given)
    """

    stations: tuple[str, ...] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything is seen."""
        return self.stations is None

    @property
    def given(self) -> dict[str, list[str] | None]:
        """The parameter that the conditions read."""
        return {"scope": None if self.stations is None else list(self.stations)}

    def holds(self, station_code: str | None) -> bool:
        """Whether a thing of this station is within."""
        return self.stations is None or station_code in self.stations

    def station(self, column: str) -> str:
        """The condition that a thing's own station (a bill's, a break's) is within; ``column`` is our own constant."""
        return f"(%(scope)s::text[] IS NULL OR {column} = ANY(%(scope)s::text[]))"

    def bill(self, column: str) -> str:
        """The condition that a bill (its id) is within, for a room that has no more of the bill than that."""
        return f"(%(scope)s::text[] IS NULL OR bill_is_at({column}, %(scope)s::text[]))"

    def payment(self, column: str) -> str:
        """The condition that a payment (its id) is within, by its bills or else its suspense."""
        return f"(%(scope)s::text[] IS NULL OR payment_is_at({column}, %(scope)s::text[]))"


WHOLE = Scope()
"""The whole county: what nobody's scope narrows, as for a worker and for whoever holds the machine."""


def of(session: Session, permission: str = "read") -> Scope:
    """Where who acts may do something. Raises NotSignedIn, and NotAllowed for who may do it nowhere."""
    row = raw(session).execute("SELECT access.stations(%s)", (permission,)).fetchone()
    found = row[0] if row else []
    return WHOLE if found is None else Scope(tuple(found))


def of_command(session: Session, permission: str = "read") -> Scope:
    """As ``of`` for a command: one that nobody signed in to reads with the machine's own right, as a backup does."""
    row = raw(session).execute("SELECT access.acting() IS NULL").fetchone()
    return WHOLE if row and row[0] else of(session, permission)
