"""Bills and payments of the books as rows, and the engine's tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa

from reconciliation.engine import columns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BILL_COLUMNS = ("invoice_number", "payer_id", "payer_name", "msisdn", "object_ref", "due_on", "status")
PAYMENT_COLUMNS = ("payment_id", "account_reference", "payer_name", "msisdn", "narrative")


class BillRow(NamedTuple):
    """A bill as the engine reads it; ``open_minor`` is what is left of it, in cents."""

    invoice_id: int
    number: str
    payer_id: str
    payer_name: str
    phone: str
    object_ref: str
    due_on: str
    open_minor: int
    cancelled: bool = False


class PaymentRow(NamedTuple):
    """Money in suspense as the engine reads it, in cents."""

    payment_id: int
    reference: str
    typed: str
    payer_name: str
    phone: str
    narrative: str
    amount_minor: int
    occurred_at: datetime
    link: str = ""
    """The link by which its payer is known, where its words are known to mean one."""


def bill_table(bills: Sequence[BillRow]) -> pa.Table:
    """Bills as the engine's table; nothing is open of a paid or cancelled one."""
    texts = zip(*[(*one[1:7], _state(one)) for one in bills], strict=True)
    made = _texts(BILL_COLUMNS, texts if bills else [[]] * len(BILL_COLUMNS))
    return made.append_column("amount_minor", columns.ints([one.open_minor for one in bills]))


def _state(one: BillRow) -> str:
    if one.open_minor:
        return "open"
    return "cancelled" if one.cancelled else "paid"


def payment_table(payments: Sequence[PaymentRow]) -> pa.Table:
    """Payments as the engine's table."""
    texts = zip(*[one[1:6] for one in payments], strict=True)
    made = _texts(PAYMENT_COLUMNS, texts if payments else [[]] * len(PAYMENT_COLUMNS))
    made = made.append_column("amount_minor", columns.ints([one.amount_minor for one in payments]))
    moments = [(one.occurred_at - _EPOCH) // timedelta(microseconds=1) for one in payments]
    return made.append_column("paid_at_us", columns.ints(moments))


def _texts(names: Sequence[str], values: Iterable[Iterable[Any]]) -> pa.Table:
    return columns.table({name: columns.texts(column) for name, column in zip(names, values, strict=True)})
