"""Rules: which postings a book counts and how they are divided. Dated, versioned, previewed, agreed to by two persons.

A version applies to what the book has not derived yet; what was derived keeps its version until a remap. Shares of the
county's revenue are no law's: such a rule is a memorandum, shown as a claim, and none is in force until two agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import db, ledger, periods
from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.db import copy_rows, raw, rows, scalar
from revenue_engine.errors import Conflict, InvalidValue
from revenue_engine.money import parse_wire
from revenue_engine.secondary_ledgers import books
from revenue_engine.secondary_ledgers.allocation import WHOLE, Leg, allocate

KIND = "book_rule"
"""The kind of request that puts a version into force."""
KINDS = ("share", "flat", "earmark", "prefix", "course_fee", "split", "nothing", "ended")
CLASSES = ("claim", "appropriated", "earmarked", "off_budget")
"""A claim is no money to spend; appropriated money came by exchequer issue; earmarked money is kept by law or
agreement; off-budget support is the partner's to spend."""
PREVIEWED = 30
"""Past days whose postings a proposed version is tried on."""
_WHOLE_KINDS = frozenset({"split", "earmark", "prefix"})
_CRITERIA = ("stream", "station", "channel", "prefix", "item")


class Version(NamedTuple):
    """A version of a rule as it stands."""

    rule_code: str
    number: int
    kind: str
    event: str
    stream_code: str | None
    station_code: str | None
    channel_account_id: int | None
    reference_prefix: str | None
    item_code: str | None
    basis_of_law: str
    effective_from: date
    from_horizon: int
    approval_id: int
    legs: list[dict[str, Any]]


def versions(session: Session, book: str) -> list[Version]:
    """Every version of every rule of a book, by rule and number."""
    books.get(session, book)
    return rows(
        session,
        Version,
        """
        SELECT v.rule_code, v.number, v.kind, v.event, v.stream_code, v.station_code, v.channel_account_id,
               v.reference_prefix, v.item_code, v.basis_of_law, v.effective_from,
               v.from_horizon::text::bigint AS from_horizon, v.approval_id,
               coalesce((SELECT jsonb_agg(jsonb_build_object('debit', g.debit, 'credit', g.credit, 'parts', g.parts,
                                'flat_minor', g.flat_minor, 'fund_class', g.fund_class) ORDER BY g.leg)
                           FROM book_rule_leg g WHERE g.version_id = v.id), '[]') AS legs
          FROM book_rule_version v WHERE v.book_code = %s ORDER BY v.rule_code, v.number
        """,
        (book,),
    )


def ask(session: Session, book: str, described: Mapping[str, Any], *, reason: str) -> tuple[str, dict[str, Any]]:
    """Propose a version of a rule; returns the request's public id and the preview that the request shows.

    ``described`` has rule, kind, event, law, effective_from, criteria (stream, station, channel, prefix, item) and legs
    (debit, credit, fund_class, and ``share`` in parts of ten thousand or ``flat`` in shillings). Raises InvalidValue
    that names the field, and what ``approvals.ask`` raises.
    """
    payload = read(session, book, described)
    payload["preview"] = preview(session, payload)
    public = approvals.ask(
        session, KIND, subject=f"rule {payload['rule']} {payload['number']} of {book}", payload=payload, reason=reason
    )
    return public, payload["preview"]


def read(session: Session, book: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as a person describes it, checked, as the payload of a request without its preview.

    Raises InvalidValue.
    """
    row = books.get(session, book)
    known = {"rule", "kind", "event", "law", "effective_from", "legs", *_CRITERIA}
    unknown = sorted(set(described) - known)
    if unknown:
        raise InvalidValue(f"a rule has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    for field in ("rule", "kind", "event", "law", "effective_from"):
        if not described.get(field):
            raise InvalidValue(f"a rule says its {field}", field=field)
    kind, event = described["kind"], described["event"]
    if kind not in KINDS:
        raise InvalidValue(f"a rule is one of {', '.join(KINDS)}", kind=kind)
    if event not in row.events:
        raise InvalidValue(f"the book {book} counts {row.basis}: {' or '.join(row.events)}", event=event)
    effective = described["effective_from"]
    try:
        day = effective if isinstance(effective, date) else date.fromisoformat(str(effective))
    except ValueError:
        raise InvalidValue("effective_from is a day such as 2026-07-01", effective_from=effective) from None
    legs = [_leg(number, leg, kind) for number, leg in enumerate(described.get("legs") or (), start=1)]
    _check_legs(session, row.code, kind, legs)
    for field, wanted in (("prefix", kind == "prefix"), ("item", kind == "course_fee")):
        if bool(described.get(field)) != wanted:
            raise InvalidValue(f"a rule of the kind {kind} has {'a' if wanted else 'no'} {field}", field=field)
    newest = scalar(
        session,
        "SELECT coalesce(max(number), 0) FROM book_rule_version WHERE book_code = %s AND rule_code = %s",
        (book, described["rule"]),
    )
    return {
        "book": book,
        "rule": described["rule"],
        "number": newest + 1,
        "kind": kind,
        "event": event,
        **{field: described.get(field) for field in _CRITERIA},
        "law": described["law"],
        "effective_from": day.isoformat(),
        "legs": legs,
    }


def _leg(number: int, leg: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if set(leg) - {"debit", "credit", "share", "flat", "fund_class"}:
        raise InvalidValue(f"leg {number} has debit, credit, fund_class, and share or flat", leg=dict(leg))
    if leg.get("fund_class") not in CLASSES:
        raise InvalidValue(f"leg {number}: a fund class is one of {', '.join(CLASSES)}", field="fund_class")
    parts, flat = leg.get("share"), leg.get("flat")
    if (parts is None) == (flat is None) or (flat is not None) != (kind == "flat"):
        raise InvalidValue(f"leg {number}: a rule of the kind {kind} has {'flat' if kind == 'flat' else 'share'} alone")
    if parts is not None and (type(parts) is not int or not 0 < parts <= WHOLE):
        raise InvalidValue(f"leg {number}: a share is a whole number of parts of {WHOLE}: 70 % is 7000", share=parts)
    return {
        "debit": leg.get("debit"),
        "credit": leg.get("credit"),
        "parts": parts,
        "flat_minor": None if flat is None else parse_wire(flat),
        "fund_class": leg["fund_class"],
    }


def _check_legs(session: Session, book: str, kind: str, legs: Sequence[Mapping[str, Any]]) -> None:
    if (kind in {"nothing", "ended"}) == bool(legs):
        raise InvalidValue(f"a rule of the kind {kind} has {'no legs' if legs else 'at least one leg'}", kind=kind)
    total = sum(leg["parts"] or 0 for leg in legs)
    if total > WHOLE:
        raise InvalidValue(f"the shares are {total} of {WHOLE}: they pass 100 %", parts=total)
    if kind in _WHOLE_KINDS and total != WHOLE:
        raise InvalidValue(f"the shares of a rule of the kind {kind} make {WHOLE}, and these make {total}", parts=total)
    codes = {code for (code,) in raw(session).execute("SELECT code FROM book_account WHERE book_code = %s", (book,))}
    for number, leg in enumerate(legs, start=1):
        for side in ("debit", "credit"):
            if leg[side] not in codes:
                raise InvalidValue(f"leg {number}: the book {book} has no account {leg[side]!r}", field=side)
        if leg["debit"] == leg["credit"]:
            raise InvalidValue(f"leg {number} moves money between two accounts", account=leg["debit"])


_PREVIEWED = """
SELECT amount_minor, sum(sign)::bigint AS net, count(*) AS postings FROM book_source
 WHERE event = %(event)s AND xid < %(horizon)s::text::xid8 AND book_date BETWEEN %(first)s AND %(last)s
   AND (%(stream)s::text IS NULL OR stream_code = %(stream)s)
   AND (%(station)s::text IS NULL OR station_code = %(station)s)
   AND (%(channel)s::bigint IS NULL OR channel_account_id = %(channel)s)
   AND (%(prefix)s::text IS NULL OR starts_with(object_reference, %(prefix)s))
   AND (%(item)s::text IS NULL OR %(item)s = ANY (bill_items(invoice_id)))
 GROUP BY 1 ORDER BY 1
"""


def preview(session: Session, proposed: Mapping[str, Any]) -> dict[str, Any]:
    """What a version would have made of the last 30 past days, beside what the book holds of the rule; in cents.

    For course fees the whole of a bill is shown, of which the rule counts the item's part.
    """
    last = periods.today() - timedelta(days=1)
    first = last - timedelta(days=PREVIEWED - 1)
    given = {**proposed, "horizon": str(ledger.horizon(session)), "first": first, "last": last}
    legs = [Leg(number, leg["parts"], leg["flat_minor"]) for number, leg in enumerate(proposed["legs"], start=1)]
    then = [0] * len(legs)
    matched = postings = 0
    for minor, net, count in raw(session).execute(_PREVIEWED, given):
        matched += minor * net
        postings += count
        for number, cents in allocate(minor, legs).items():
            then[number - 1] += cents * net
    whole = db.first(
        session,
        "SELECT count(*), coalesce(sum(sign * amount_minor), 0)::bigint FROM book_source WHERE event = %(event)s"
        " AND xid < %(horizon)s::text::xid8 AND book_date BETWEEN %(first)s AND %(last)s",
        given,
    )
    assert whole is not None  # noqa: S101 - an aggregate is one row
    now = raw(session).execute(
        "SELECT debit, credit, sum(sign * amount_minor)::bigint FROM (SELECT CASE sign WHEN 1 THEN debit"
        " ELSE credit END AS debit, CASE sign WHEN 1 THEN credit ELSE debit END AS credit, sign, amount_minor"
        " FROM book_trace WHERE book_code = %(book)s AND rule_code = %(rule)s"
        " AND book_date BETWEEN %(first)s AND %(last)s) t"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        given,
    )
    return {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "horizon": given["horizon"],
        "sources": whole[0],
        "source_minor": whole[1],
        "postings": postings,
        "matched_minor": matched,
        "then": [
            {"debit": leg["debit"], "credit": leg["credit"], "minor": cents}
            for leg, cents in zip(proposed["legs"], then, strict=True)
        ],
        "now": [{"debit": debit, "credit": credit, "minor": minor} for debit, credit, minor in now],
    }


def put_in_force(session: Session, agreed: Agreed) -> int:
    """Put a version into force as two persons agreed; returns the version's id."""
    told = agreed.payload
    day = date.fromisoformat(told["effective_from"])
    number = scalar(
        session,
        "INSERT INTO book_rule_version (book_code, rule_code, number, kind, event, stream_code, station_code,"
        " channel_account_id, reference_prefix, item_code, basis_of_law, effective_from, from_horizon, approval_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '0', %s) RETURNING id",
        (
            *(told[name] for name in ("book", "rule", "number", "kind", "event", *_CRITERIA, "law")),
            day,
            agreed.number,
        ),
    )
    copy_rows(
        raw(session),
        "book_rule_leg",
        ("version_id", "leg", "book_code", "debit", "credit", "parts", "flat_minor", "fund_class"),
        ("int8", "int2", "text", "text", "text", "int8", "int8", "text"),
        [
            (number, leg, told["book"], one["debit"], one["credit"], one["parts"], one["flat_minor"], one["fund_class"])
            for leg, one in enumerate(told["legs"], start=1)
        ],
    )
    if not told["legs"] and told["kind"] not in {"nothing", "ended"}:
        raise Conflict("a rule without legs counts nothing: it is of the kind 'nothing'", rule=told["rule"])
    return int(number)
