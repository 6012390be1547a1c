"""Bodies that are not JSON: forms read strictly, and their spelling for rehearsals.

A strict reader has one meaning a body: where a library picks one (the last of two equal fields, a broken escape
left as it stands), this one refuses, so that two readers of the same body can never see two amounts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus

from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import BodyFormat, Pairs
from revenue_engine.ports.strict_json import MAX_BYTES, name_shown, storable

MOST_FIELDS: Final = 200
"""Most fields of a form. A payment notice has about ten."""

_FORM = re.compile(rb"(?:[A-Za-z0-9*._~+&=/:,;@!$'()?-]|%[0-9A-Fa-f]{2})+")
"""What an encoder may leave in a form. A quote, a brace or a byte beyond ASCII stands there only by an accident."""


def form(body: bytes) -> dict[str, str]:
    """The fields of an ``application/x-www-form-urlencoded`` body in UTF-8, each of them once, empty ones included.

    Raises InvalidValue for a field that stands twice, a part without ``=``, a byte or escape no encoder writes, text
    that is not UTF-8, more than ``MOST_FIELDS`` fields and bodies longer than a JSON one may be.
    """
    return once([(storable(name), storable(text)) for name, text in _fields(body)])


def once(pairs: Pairs) -> dict[str, str]:
    """Fields by their names. Raises InvalidValue where a name stands twice: it has two meanings, and none is taken."""
    found: dict[str, str] = {}
    for name, text in pairs:
        if name in found:
            raise InvalidValue(f"the field {name_shown(name)} stands twice")
        found[name] = text
    return found


def _fields(body: bytes) -> Pairs:
    if len(body) > MAX_BYTES:
        raise InvalidValue(f"the body has {len(body)} bytes, more than the {MAX_BYTES} allowed", bytes=len(body))
    if _FORM.fullmatch(body) is None:
        raise InvalidValue("the body is no form-encoded text")
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise InvalidValue("the body is no form-encoded UTF-8 with few fields") from None


def _encode(pairs: Pairs) -> bytes:
    return "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in pairs).encode("ascii")


def _layouts(pairs: Pairs) -> Sequence[bytes]:
    every = [[f"%{byte:02X}" for byte in text.encode()] for pair in pairs for text in pair]
    escaped = "&".join(f"{''.join(every[n])}={''.join(every[n + 1])}" for n in range(0, len(every), 2))
    blanks = "&".join(f"{quote(name, safe='')}={quote(text, safe='/:,')}" for name, text in pairs)
    return escaped.encode(), escaped.lower().encode(), blanks.encode()


FORM: Final = BodyFormat(_fields, _encode, layouts=_layouts, content_type="application/x-www-form-urlencoded")
"""Form-encoded bodies as a provider writes them: for ``Rehearsal(body=FORM)``."""
