"""The balances of an account, as the result of a balance request tells them in one text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapters import readings
from adapters.mpesa import fields
from revenue_engine.errors import InvalidValue
from revenue_engine.money import parse_wire
from revenue_engine.ports.strict_json import loads

_FIELDS: Final = 6


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """One account of a short code (``Utility Account``), whole cents. The order of the four figures is the
    provider's habit (current, available, reserved, uncleared), not its documented promise."""

    account: str
    currency: str
    current_minor: int
    available_minor: int
    reserved_minor: int
    uncleared_minor: int


def balances(body: bytes) -> tuple[AccountBalance, ...]:
    """The balances in a result body. Raises InvalidValue when it holds none or one cannot be read."""
    doc = loads(body)
    inner = doc.get("Result") if isinstance(doc, dict) else None
    holder = inner.get("ResultParameters") if isinstance(inner, dict) else None
    if not isinstance(holder, dict):
        raise InvalidValue("not the result of a balance request: it has no parameters")
    params: Mapping[str, object] = fields.pairs(holder.get("ResultParameter"), "Key", "ResultParameter")
    text = params.get("AccountBalance")
    if type(text) is not str or not text:
        raise InvalidValue("not the result of a balance request: it has no AccountBalance")
    return tuple(_one(part) for part in text.split("&"))


def _one(part: str) -> AccountBalance:
    name, *rest = part.split("|")
    if len(rest) != _FIELDS - 1 or not name:
        raise InvalidValue(f"a balance has {_FIELDS} fields, found {readings.shown(part)}")
    currency, *figures = rest
    current, available, reserved, uncleared = (parse_wire(figure) for figure in figures)
    return AccountBalance(name, fields.currency(currency, "currency"), current, available, reserved, uncleared)
