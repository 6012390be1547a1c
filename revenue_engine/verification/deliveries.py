"""Raw deliveries read again: what evidence and statements say against the bytes that providers sent.

Needs the adapters and statement readers, and the right to read bodies. What is read again is compared field by field;
what an adapter of another release would read otherwise shows here too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from revenue_engine.channels.accounts import Channel
from revenue_engine.channels.deliveries import Arrived
from revenue_engine.collection import interpretation, returns, same_payment
from revenue_engine.payments import Fact, typed_digest
from revenue_engine.payments.evidence import STATEMENT_MESSAGE
from revenue_engine.ports.callbacks import CallbackAdapter, Interpretation, Paid, Reversed
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementLine,
    StatementOpened,
    StatementReader,
    pick,
    proved,
)
from revenue_engine.statements.store import kind_of
from revenue_engine.verification.invariants import Check, Finding, Part, rows

_EVIDENCE = (
    "e.id, e.item, e.kind, e.reference, e.message, e.amount_minor, e.currency, e.occurred_at,"
    " coalesce(e.request_id, ''), coalesce(e.reverses, ''), e.strength, e.typed_digest"
)
_TOLD_SQL = f"""
SELECT d.id, d.channel_account_id, d.purpose, d.received_at, d.body, d.body_length = length(d.body),
       d.verdict = 'accepted', d.verdict_reason, {_EVIDENCE}
  FROM evidence e JOIN delivery d ON d.id = e.delivery_id
 WHERE d.purpose NOT IN ('statement', 'fetched') AND e.item >= 0 ORDER BY d.id, e.item
"""  # noqa: S608 - constants only

_FIELDS = (
    *("kind", "reference", "message", "amount", "currency", "time", "request", "payment taken back", "strength"),
    "account typed",
)


@dataclass(frozen=True, slots=True)
class Sources:
    """What reads deliveries: the installed adapters by name and the statement readers by name."""

    adapters: Mapping[str, CallbackAdapter]
    readers: Mapping[str, StatementReader]


def _said(fact: Fact) -> tuple[Any, ...]:
    return (
        *(fact.identity.kind, fact.identity.reference, fact.message, fact.amount_minor, fact.currency),
        *(fact.occurred_at, fact.request_id, fact.reverses, fact.strength.value, typed_digest(fact.typed)),
    )


def _differs(stored: tuple[Any, ...], said: tuple[Any, ...]) -> list[str]:
    return [name for name, was, now in zip(_FIELDS, stored, said, strict=True) if was != now]


def _channels(connection: psycopg.Connection[Any]) -> dict[int, Channel]:
    found = connection.execute("SELECT id, adapter, identifier, mode, clearing_account, settings FROM channel_account")
    return {row[0]: Channel(*row) for row in found}


def _compared(fact: Fact | None, stored: tuple[Any, ...]) -> list[str] | None:
    """The fields in which evidence differs from its delivery; None where the delivery tells of no money there."""
    return None if fact is None else _differs(stored, _said(fact))


def _callbacks(connection: psycopg.Connection[Any], sources: Sources) -> Iterator[Finding | None]:
    channels = _channels(connection)
    renamed: list[tuple[int, int, str, Fact]] = []
    told: tuple[Interpretation, ...] = ()
    last = 0  # the delivery read last, and what each of its movements means
    for row in rows(connection, _TOLD_SQL, binary=True):
        arrived = Arrived(*row[:8])
        channel = channels[arrived.channel_account_id]
        if arrived.id != last:
            last, told = arrived.id, _meanings(arrived, channel, sources)
        evidence_id, item, *stored = row[8:]
        meaning = told[item] if item < len(told) else None
        fact = interpretation.fact(arrived, channel, item, meaning) if isinstance(meaning, Paid | Reversed) else None
        differing = _compared(fact, tuple(stored))
        if differing == ["reference"] and fact is not None:
            renamed.append((evidence_id, channel.id, stored[1], fact))
            yield None
        elif differing is None:
            yield Finding("evidence", str(evidence_id), f"delivery {arrived.id} tells of no such movement of money")
        elif differing:
            what = ", ".join(differing)
            yield Finding("evidence", str(evidence_id), f"delivery {arrived.id} says otherwise: {what}")
        else:
            yield None
    for evidence_id, channel_id, reference, fact in renamed:
        names = same_payment.digests({fact.identity.reference, *fact.also_known_as})
        known = connection.execute(
            "SELECT 1 FROM movement_name WHERE channel_account_id = %s AND reference = %s AND digest = ANY(%s)",
            (channel_id, reference, names),
        ).fetchone()
        if known is None:
            yield Finding("evidence", str(evidence_id), f"delivery {fact.delivery_id} says otherwise: reference")


def _meanings(arrived: Arrived, channel: Channel, sources: Sources) -> tuple[Interpretation, ...]:
    adapter = sources.adapters.get(channel.adapter)
    return tuple(interpretation.meanings(arrived, adapter)) if adapter is not None else ()


_FILES_SQL = """
SELECT DISTINCT d.id, d.channel_account_id, coalesce(d.headers ->> 'filename', '')
  FROM delivery d JOIN statement s ON s.delivery_id = d.id ORDER BY d.id
"""


def _statements(connection: psycopg.Connection[Any], sources: Sources) -> Iterator[Finding | None]:
    for delivery_id, _, name in connection.execute(_FILES_SQL).fetchall():
        ((body,),) = connection.execute("SELECT body FROM delivery WHERE id = %s", (delivery_id,)).fetchall()
        try:
            heads, lines = _read(bytes(body), name, sources)
        except Exception as error:  # noqa: BLE001 - whatever a file of the books cannot be read for is a finding
            yield Finding("delivery", str(delivery_id), f"its statement cannot be read again: {type(error).__name__}")
            continue
        for public, *stored in connection.execute(
            "SELECT public_id, opening_minor, closing_minor, credits_minor, debits_minor, lines, first_day, last_day"
            " FROM statement WHERE delivery_id = %s ORDER BY id",
            (delivery_id,),
        ).fetchall():
            found = tuple(stored) in heads
            yield None if found else Finding("statement", public, f"delivery {delivery_id} holds no such statement")
        yield from _lines(connection, delivery_id, lines)
        yield from _returned(connection, delivery_id, lines)


Lines = dict[int, tuple[StatementLine, StatementOpened]]


def _read(body: bytes, name: str, sources: Sources) -> tuple[set[tuple[Any, ...]], Lines]:
    """The heads and feet of a file's statements, and its lines by number."""
    stream = io.BytesIO(body)
    reader = pick(sources.readers, stream, name)
    heads: set[tuple[Any, ...]] = set()
    lines: Lines = {}
    opened: StatementOpened | None = None
    for event in proved(reader.read(stream, filename=name)):
        if isinstance(event, StatementOpened):
            opened = event
        elif isinstance(event, StatementLine) and opened is not None:
            lines[event.number] = (event, opened)
        elif isinstance(event, StatementClosed) and opened is not None:
            sums = (event.closing_minor, event.credits_minor, event.debits_minor, event.lines)
            heads.add((opened.opening_minor, *sums, event.first_day, event.last_day))
    return heads, lines


def _lines(connection: psycopg.Connection[Any], delivery_id: int, lines: Lines) -> Iterator[Finding | None]:
    for line_id, number, *stored in connection.execute(
        "SELECT l.id, l.number, l.amount_minor, l.kind, l.booked_on, l.told_as FROM statement_line l"
        " JOIN statement s ON s.id = l.statement_id WHERE s.delivery_id = %s ORDER BY l.id",
        (delivery_id,),
    ).fetchall():
        line = lines[number][0] if number in lines else None
        said = None if line is None else [line.amount_minor, kind_of(line).value, line.booked_on, line.reference]
        if said is None or stored[:3] != said[:3] or stored[3] not in {None, said[3]}:
            yield Finding("statement_line", str(line_id), f"line {number} of delivery {delivery_id} says otherwise")
        else:
            yield None
    for evidence_id, item, kind, amount, at, typed in connection.execute(
        "SELECT id, item, kind, amount_minor, occurred_at, typed_digest FROM evidence"
        " WHERE delivery_id = %s AND item >= 0 AND message = %s ORDER BY id",
        (delivery_id, STATEMENT_MESSAGE),
    ).fetchall():
        told = interpretation.of_line(*lines[item]) if item in lines else None
        if not isinstance(told, Paid | Reversed):
            yield Finding("evidence", str(evidence_id), f"line {item} of delivery {delivery_id} tells of no money")
            continue
        words = told.account_reference if isinstance(told, Paid) else ""
        said_now = (told.amount_minor, told.occurred_at, typed_digest(words))
        same = said_now == (amount, at, bytes(typed)) or kind == "reversal"
        yield None if same else Finding("evidence", str(evidence_id), f"line {item} of {delivery_id} says otherwise")


_RETURNED_SQL = """
SELECT e.id, e.item, e.message, e.amount_minor, e.occurred_at, coalesce(e.reverses, ''), e.channel_account_id,
       EXISTS (SELECT FROM deposit_return r JOIN evidence u ON u.id = r.evidence_id
                 JOIN payment p ON p.id = r.payment_id AND p.reference = e.reverses
                WHERE u.reference = e.reference AND u.channel_account_id = e.channel_account_id
                  AND p.channel_account_id = e.channel_account_id)
  FROM evidence e WHERE e.delivery_id = %s AND e.kind = 'reversal' AND e.item < 0 AND e.message IN (%s, %s)
   AND e.reference NOT LIKE '%%/SETTLEMENT' ORDER BY e.id
"""


def _returned(connection: psycopg.Connection[Any], delivery_id: int, lines: Lines) -> Iterator[Finding | None]:
    """Money that the bank took back: what the line says, and that the line, or two persons, name the deposit."""
    for evidence_id, item, message, amount, at, reverses, account, by_two in connection.execute(
        _RETURNED_SQL, (delivery_id, STATEMENT_MESSAGE, returns.RECOGNISED)
    ).fetchall():
        number = returns.number_of(item)
        told = interpretation.of_line(*lines[number]) if number in lines else None
        if not isinstance(told, Reversed) or (told.amount_minor, told.occurred_at) != (amount, at):
            yield Finding("evidence", str(evidence_id), f"line {number} of {delivery_id} took no such money back")
            continue
        named = message != returns.RECOGNISED or by_two
        if not named:
            keys = returns.keys_of(lines[number][0])
            named = (
                reverses in keys.references
                or connection.execute(
                    "SELECT 1 FROM movement_name WHERE channel_account_id = %s AND reference = %s AND digest = ANY(%s)",
                    (account, reverses, sorted(keys.hashes)),
                ).fetchone()
                is not None
            )
        what = f"line {number} of {delivery_id} does not name {reverses}, and no two persons did"
        yield None if named else Finding("evidence", str(evidence_id), what)


_PARTY_SQL = """
SELECT y.payment_id, p.reference FROM payment_party y JOIN payment p ON p.id = y.payment_id
 WHERE (y.account_reference, y.name, y.msisdn) IS DISTINCT FROM ('', '', '') -- erased after the retention period
   AND NOT EXISTS (SELECT FROM evidence e
                    WHERE e.reference = p.reference AND e.kind = p.kind AND e.channel_account_id = p.channel_account_id
                      AND e.typed_digest = sha256(convert_to(y.account_reference, 'UTF8')))
"""
_LENGTH_SQL = "SELECT id, body_length::text, length(body)::text FROM delivery WHERE body_length < length(body)"
_VERDICT_SQL = """
SELECT id, verdict, verdict_reason FROM delivery WHERE (verdict = 'accepted') <> (verdict_reason = '')
"""


def checks(sources: Sources) -> tuple[Check, ...]:
    """The invariants that need adapters: evidence and statements as their raw deliveries say."""

    def reader(connection: psycopg.Connection[Any]) -> Iterator[Finding | None]:
        yield from _callbacks(connection, sources)
        yield from _statements(connection, sources)

    return (
        Check(
            "raw_deliveries_say_so",
            "Every message and file, read again from its raw bytes, says what the books keep of it: amount, time,"
            " reference, account typed.",
            (),
            (
                Part("payment_party", "what was typed for {} is in none of its evidence", _PARTY_SQL),
                Part("delivery", "says it is {} bytes long and holds {}", _LENGTH_SQL),
                Part("delivery", "its verdict {} does not go with the reason '{}'", _VERDICT_SQL),
            ),
            reader=reader,
        ),
    )
