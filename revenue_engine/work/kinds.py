"""Kinds of work: their names in one list, and how a room says that it does one of them.

A new kind is a name here and a :class:`Work` in the list ``JOBS`` of the room that does the work.
``worker.WORK`` gathers the lists of the rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from revenue_engine.errors import ConfigurationError


@unique
class Kind(StrEnum):
    """What is to be done with the row that a job names; the word stands in the table ``job``."""

    INTERPRET = "interpret"
    """Read a delivery and decide what becomes of it. Done in batches; every other kind is done a row a transaction."""
    STATEMENT = "statement"
    """Import a statement file."""
    APPLY_CREDIT = "apply_credit"
    """Set a payer's unapplied credit against a bill that was just issued."""
    PAY_REOPENED = "pay_reopened"
    """Set other money that named a bill against the bill, which is open again."""
    APPROVED = "approved"
    """Do what two persons agreed to."""
    FETCH_LOOK = "fetch_look"
    """Say of a bank's drop that it cannot be looked into, or can be again."""
    PULL = "pull"
    """Ask a channel account for what its provider received."""
    QUERY = "query"
    """Ask how a push request of ours ended."""
    STATUS = "status"
    """Ask what became of a transaction that a weak message told of."""

    @property
    def repeats(self) -> bool:
        """Whether the work is put off rather than done: a question to a provider."""
        return self in {Kind.PULL, Kind.QUERY, Kind.STATUS}


Lent = TypeVar("Lent")


@dataclass(frozen=True)
class Work(Generic[Lent]):
    """One kind of work that a worker does, a row a transaction, with the tools that the worker lends.

    ``at_once`` jobs are claimed at a time. A file that takes minutes asks for a lease of its own, in seconds.
    """

    kind: Kind
    do: Callable[[Session, int, Lent], object]
    at_once: int = 50
    lease_seconds: int = 0
    spared: Callable[[Session, Sequence[int]], set[int]] | None = None
    """Which of the rows that were claimed together need no work, told in one transaction that ends their jobs."""


def gather(*rooms: Iterable[Work[Lent]]) -> tuple[Work[Lent], ...]:
    """The work of all rooms, in the order given. Raises ConfigurationError where two rooms do one kind."""
    found: dict[Kind, Work[Lent]] = {}
    for work in (work for room in rooms for work in room):
        if work.kind in found:
            raise ConfigurationError(f"two rooms do the work {work.kind.value!r}: a kind of work has one room")
        found[work.kind] = work
    return tuple(found.values())
