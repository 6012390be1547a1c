"""Shapes that several endpoints share: money as decimal strings, ids, pages with opaque cursors."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from revenue_engine import periods
from revenue_engine.api.calls import Query
from revenue_engine.api.problems import Problem
from revenue_engine.errors import InvalidValue
from revenue_engine.money import parse_wire

Item = TypeVar("Item")


class Asked(BaseModel):
    """A body that is sent: nothing unknown in it, and nothing turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Told(BaseModel):
    """A body that is answered: exactly what its schema says."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _no_number(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError('an amount is a string such as "1250.00", never a JSON number')  # noqa: TRY004 - pydantic
    return value


def _exact(value: str) -> str:
    try:
        parse_wire(value)
    except InvalidValue as error:
        raise ValueError(error.message) from error
    return value


Money = Annotated[
    str,
    BeforeValidator(_no_number),
    Field(pattern=r"^-?\d{1,12}(\.\d{1,2})?$", description="Shillings as a decimal string", examples=["1250.00"]),
    AfterValidator(_exact),
]
"""An amount on the wire."""
Words = Annotated[str, Field(min_length=1, max_length=500)]
Code = Annotated[str, Field(min_length=1, max_length=40)]
When = Annotated[str, Field(description="An instant, RFC 3339", examples=["2026-11-30T10:02:00+03:00"])]
Limit = Annotated[int, Field(ge=1, le=200, description="At most this many")]
Cursor = Annotated[str | None, Field(max_length=300, description="next_cursor of the page before")]


def instant(moment: datetime | None) -> str | None:
    """An instant as it is written: RFC 3339 at Nairobi's offset."""
    return None if moment is None else moment.astimezone(periods.NAIROBI).isoformat(timespec="milliseconds")


class Page(Query):
    """The parameters of every list."""

    limit: Limit = 50
    cursor: Cursor = None


class Paged(Told, Generic[Item]):
    """One page of a list; ``next_cursor`` asks for the next, with the same other parameters."""

    data: list[Item]
    has_more: bool
    next_cursor: str | None


def _filters(page: Page) -> str:
    said = page.model_dump(mode="json", exclude={"limit", "cursor"})
    return hashlib.sha256(json.dumps([type(page).__name__, said], sort_keys=True).encode()).hexdigest()[:16]


def after(page: Page) -> int | None:
    """The key that a page begins behind; None for the first. Raises Problem for a cursor of another list or filter."""
    found = _behind(page)
    if found is None:
        return None
    if type(found) is not int or not 0 <= found < LARGEST_KEY:
        raise Problem("invalid_cursor", _OTHER_LIST)
    return found


def after_instant(page: Page) -> tuple[datetime, int] | None:
    """As ``after``, for a list that is in the order of instants and keys."""
    found = _behind(page)
    if found is None:
        return None
    try:
        moment, key = found
        instant_ = datetime.fromisoformat(moment)
    except (TypeError, ValueError) as error:
        raise Problem("invalid_cursor", _OTHER_LIST) from error
    if type(key) is not int or not 0 <= key < LARGEST_KEY or instant_.tzinfo is None:
        raise Problem("invalid_cursor", _OTHER_LIST)
    return instant_, key


LARGEST_KEY = 2**63
_OTHER_LIST = "This cursor is of a list with other parameters: begin without a cursor."


def _behind(page: Page) -> Any:
    if page.cursor is None:
        return None
    try:
        key, filters = json.loads(base64.urlsafe_b64decode(page.cursor.encode("ascii")))
    except (ValueError, TypeError, binascii.Error) as error:
        raise Problem("invalid_cursor", "Give next_cursor of the page before, unchanged.") from error
    if filters != _filters(page):
        raise Problem("invalid_cursor", _OTHER_LIST)
    return key


def cut(page: Page, found: Sequence[Any], keys: Sequence[Any]) -> tuple[list[Any], bool, str | None]:
    """Of one more than ``limit`` rows and their keys: the page, whether there are more, and the cursor behind it."""
    more = len(found) > page.limit
    shown = list(found[: page.limit])
    cursor = None
    if more:
        raw = json.dumps([keys[page.limit - 1], _filters(page)]).encode()
        cursor = base64.urlsafe_b64encode(raw).decode("ascii")
    return shown, more, cursor
