"""Opening accounts of the chart: once, in one statement, never changed after."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from revenue_engine.ledger.chart import AccountSpec
from revenue_engine.ledger.tables import Account


def open_accounts(session: Session, specs: Iterable[AccountSpec]) -> int:
    """Open the accounts that are not open yet; answers how many. A parent may stand anywhere among ``specs``."""
    rows = [
        {
            "code": spec.code,
            "name": spec.name,
            "type": spec.type.value,
            "parent": spec.parent,
            "stream_code": spec.stream_code,
            "component": spec.component,
        }
        for spec in specs
    ]
    if not rows:
        return 0
    statement = insert(Account).values(rows).on_conflict_do_nothing(index_elements=["code"]).returning(Account.code)
    return len(session.execute(statement).all())
