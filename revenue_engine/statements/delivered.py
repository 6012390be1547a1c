"""What becomes of files that a bank delivered: no person stands beside them, so each refusal is a break."""

from __future__ import annotations

from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine.channels import deliveries
from revenue_engine.channels.deliveries import Arrived
from revenue_engine.ports.statements import StatementFault
from revenue_engine.statements import drops
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind


def not_read(session: Session, arrived: Arrived, reason: str) -> str:
    """Leave a file unread: it waits with its reason, and a break says whose it is. Answers the reason."""
    named = deliveries.filename(session, arrived.id) or "without a name"
    other = deliveries.header(session, arrived.id, "fault") == drops.OTHER_ACCOUNT
    deliveries.write_outcomes(session, [(arrived.id, "waiting", reason)])
    breaks.open_many(
        session,
        [
            NewBreak(
                break_keys.of_delivery(arrived.id),
                BreakReason.WRONG_SHORTCODE_OR_STREAM if other else BreakReason.UNPARSEABLE,
                f"the file {named[:100]} that the bank delivered is not read: {reason}",
                arrived.received_at,
                delivery_id=arrived.id,
                channel_account_id=arrived.channel_account_id,
            )
        ],
    )
    return reason


def was_read(session: Session, arrived: Arrived, *, brought: bool) -> tuple[list[NewBreak], list[str]]:
    """The breaks to open and to close after a delivered file was read.

    ``brought``: the file brought a statement, so files of the account that waited for one between are tried again.
    """
    opened: list[NewBreak] = []
    foreign = deliveries.header(session, arrived.id, "foreign")
    if foreign:
        opened.append(
            NewBreak(
                break_keys.foreign(arrived.id),
                BreakReason.WRONG_SHORTCODE_OR_STREAM,
                "the file also holds statements of accounts that its drop does not speak for, and they are not read: "
                + foreign,
                arrived.received_at,
                delivery_id=arrived.id,
                channel_account_id=arrived.channel_account_id,
            )
        )
    if brought:
        waiting = deliveries.ended_so(
            session,
            drops.delivered(session, arrived.channel_account_id),
            channel_account_id=arrived.channel_account_id,
            beginning=f"refused, {StatementFault.SKIPPED.value}:",
        )
        jobs.add_absent(session, kind=Kind.STATEMENT, refs=[one for one in waiting if one != arrived.id])
    return opened, [break_keys.of_delivery(arrived.id)]
