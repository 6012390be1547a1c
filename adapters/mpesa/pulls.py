"""Pull answers: every payment of a window, told by the provider because we asked.

``Response`` is a list of lists, the text ``[[]]`` when there is nothing, and ``Transaction`` in some answers. A row is
the provider's own statement that the money is ours, fetched by us over TLS from its host, so it confirms (a body that
somebody posts to a callback address never does: only the purpose ``pull`` reads rows).

``trxDate`` ends in ``Z``, and whether it is UTC was never verified. A receipt carries its Nairobi day in its first
three characters, and in Daraja bodies receipts and times use one zone, so the time is read as Nairobi time unless only
the reading as UTC falls on the receipt's day. Either way the booking day is right; the hour may be three off where both
readings fall on one day, and the statement tells it exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from adapters import readings
from adapters.mpesa import fields
from adapters.receipts import receipt_day
from revenue_engine.errors import InvalidValue
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Ignored, Interpretation, Paid, Party, Strength, Unknown
from revenue_engine.ports.strict_json import loads

_NOTHING: Final = "a pull answer with no transactions"
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.\d{1,6})?(Z|\+03:00)?", re.ASCII | re.IGNORECASE
)


def rows(doc: Mapping[str, object]) -> list[Mapping[str, object]] | None:
    """The transactions of one answer, in its order; None when the answer gives none and does not say that there are
    none."""
    code = fields.code(doc.get("ResponseCode"))
    if code == "1001":
        return []
    given = doc.get("Response", doc.get("Transaction"))
    if isinstance(given, str):
        try:
            given = loads(given.encode())
        except (InvalidValue, UnicodeEncodeError):
            return None
    if code != "1000" or not isinstance(given, list):
        return None
    flat = [row for group in given for row in (group if isinstance(group, list) else [group])]
    return flat if all(isinstance(row, dict) for row in flat) else None


def reference(row: Mapping[str, object]) -> str:
    """The receipt of a row in upper case, for telling rows apart; its text as it came where it is no receipt."""
    return str(row.get("transactionId")).upper()


def pulled(doc: Mapping[str, object]) -> list[Interpretation]:
    """What each row means; one Ignored when there is none, one Unknown when the answer was not given."""
    found = rows(doc)
    if found is None:
        code = readings.code_shown(fields.code(doc.get("ResponseCode")))
        return [Unknown(f"a pull answer that was not given (ResponseCode {code}): pull again")]
    return [_row(row) for row in found] or [Ignored(_NOTHING)]


def _row(row: Mapping[str, object]) -> Interpretation:
    try:
        _check_kind(row.get("transactiontype"))
        receipt = fields.receipt(row.get("transactionId"), "transactionId")
        return Paid(
            reference=receipt,
            amount_minor=fields.cents(row.get("amount"), "amount"),
            occurred_at=_moment(row.get("trxDate"), receipt),
            account_reference=fields.typed(row.get("billreference"), "billreference"),
            strength=Strength.PROVES,
            message="Pull row",
            party=Party(fields.lenient(row.get("sender")), fields.lenient(row.get("msisdn"))),
        )
    except InvalidValue as error:
        return Unknown(f"pull row: {error.message}")


def _check_kind(kind: object) -> None:
    plain = kind.strip().lower() if isinstance(kind, str) else ""
    if not plain.startswith("c2b-") or "revers" in plain or "charge" in plain:
        raise InvalidValue(f"transactiontype {readings.shown(kind)} is not a known payment to an organisation")


def _moment(value: object, receipt: str) -> datetime:
    found = _TIME.fullmatch(value) if type(value) is str else None
    if found is None:
        raise InvalidValue(f"trxDate must be a time as yyyy-mm-ddTHH:MM:SSZ, found {readings.shown(value)}")
    *parts, zone = found.groups()
    local = fields.stamp("".join(parts), "trxDate")
    if zone is None or zone == "+03:00":
        return local
    as_utc = local.replace(tzinfo=UTC).astimezone(NAIROBI)
    day = receipt_day(receipt)
    return as_utc if day is not None and as_utc.date() == day != local.date() else local
