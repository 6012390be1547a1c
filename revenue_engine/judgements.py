"""What two persons agreed to is done here, once, by the worker: each kind of request by the room that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog
from sqlalchemy.orm import Session

from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.collection.tools import Tools
from revenue_engine.errors import IntegrityFault
from revenue_engine.work.kinds import Kind, Work

log = structlog.get_logger("judgements")

DONE_BY_DATABASE = frozenset({"person_add", "person_reset", "role_grant", "role_end"})
"""Kinds whose whole work is a function of the database."""

DONE_HERE: Mapping[str, Callable[[Session, Agreed], object]] = {}
"""The other kinds. Their rows name the request, and a trigger looks for its execution in the same transaction."""


def do(session: Session, number: int) -> None:
    """Do an agreed request in this transaction. What is void by now is not done, and says why in its execution.

    Raises what the database refuses: not enough persons, done already. Raises IntegrityFault for a kind nobody does.
    """
    agreed = approvals.execute(session, number)
    if agreed is None:
        log.info("void", request=number)
        return
    if agreed.kind in DONE_HERE:
        DONE_HERE[agreed.kind](session, agreed)
    elif agreed.kind not in DONE_BY_DATABASE:
        raise IntegrityFault(f"nothing here does what was agreed to: {agreed.kind}", kind=agreed.kind)
    log.info("done", request=agreed.public_id, kind=agreed.kind)


APPROVED = Work[Tools](Kind.APPROVED, lambda session, number, _: do(session, number))
JOBS = (APPROVED,)
