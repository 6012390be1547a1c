"""What two persons agreed to is done here, once, by the worker: each kind of request by the room that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from reconciliation.runs import payer_links, policies, running
from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.billing import invoices
from revenue_engine.collection import money_moves, returns
from revenue_engine.collection.tools import Tools
from revenue_engine.db import refusal
from revenue_engine.errors import IntegrityFault, Rejected
from revenue_engine.secondary_ledgers import books, funds, remaps, rules
from revenue_engine.treasury import remittances
from revenue_engine.work.kinds import Kind, Work

log = structlog.get_logger("judgements")

DONE_BY_DATABASE = frozenset(
    {
        *("person_add", "person_reset", "role_grant", "role_end", "scope_grant", "statement_drop"),
        *("bank_account", "county_set"),
        *("channel_add", "channel_open", "channel_rotate", "channel_set", "channel_disable", "channel_revoke"),
    }
)
"""Kinds whose whole work is a function of the database."""

DONE_HERE: Mapping[str, Callable[[Session, Agreed], object]] = {
    "match": running.set_agreed,
    running.SET_FIRST: running.set_agreed,
    "match_reversal": running.take_back_agreed,
    "policy": policies.activate_agreed,
    "link": payer_links.use_agreed,
    invoices.CANCEL: invoices.cancel_agreed,
    money_moves.KIND: money_moves.move_agreed,
    returns.KIND: returns.return_agreed,
    books.KIND: books.open_agreed,
    rules.KIND: rules.put_in_force,
    remaps.KIND: remaps.remap_agreed,
    funds.KIND: funds.note_agreed,
    remittances.KIND: remittances.send_agreed,
}
"""The other kinds. Their rows name the request, and a trigger looks for its execution in the same transaction."""


def do(session: Session, number: int) -> None:
    """Do an agreed request in this transaction. What does not hold any more is void, and its execution says why.

    Raises what the database refuses: not enough persons, done already. Raises IntegrityFault for a kind nobody does.
    """
    try:
        with session.begin_nested():
            _do(session, number)
    except (Rejected, psycopg.Error, DBAPIError) as error:
        refused = error if isinstance(error, Rejected) else refusal(error)
        if refused is None or not approvals.is_agreed(session, number):
            raise
        approvals.void(session, number, why=refused.message)
        log.info("void", request=number, why=refused.message)


def _do(session: Session, number: int) -> None:
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
