"""Messages about one movement that disagree: a break each, whatever the order in which the messages came.

Nothing is overwritten: what was posted first stays. A break is known by the movement and the field, never by the
message that happened to come last, so the same messages leave the same breaks in every order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from reconciliation import break_keys
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine.payments import Identity, Recorded, Stored
from revenue_engine.payments.evidence import STATEMENT_MESSAGE
from revenue_engine.ports.callbacks import Kind

_NOUNS = {
    Kind.PAYMENT.value: "payment",
    Kind.REVERSAL.value: "reversal",
    Kind.CHARGE.value: "charge",
    Kind.PAYOUT.value: "payout",
}


def among(
    weighed: Iterable[Stored],
    standing: Mapping[Identity, Recorded],
    accepted: Mapping[Identity, Collection[int]] | None = None,
) -> list[NewBreak]:
    """The breaks about movements whose messages disagree on the amount, the account typed, or the payment reversed.

    ``weighed`` holds all evidence of each movement. ``accepted`` names amounts in cents that agree with each other for
    a movement, such as what a message told and what a statement proved in the end; the amount that stands is added.
    A message that is silent on a field disagrees with nobody.
    """
    groups: dict[Identity, list[Stored]] = {}
    for one in weighed:
        groups.setdefault(one.identity, []).append(one)
    found = []
    for identity, group in groups.items():
        posted = standing.get(identity)
        if len(group) == 1 and (posted is None or group[0].amount_minor in (None, posted.amount_minor)):
            continue
        said = {one.amount_minor for one in group if one.amount_minor is not None}
        if posted is not None:
            said.add(posted.amount_minor)
        if len(said) > 1 and not said <= set((accepted or {}).get(identity, ())):
            found.append(_about(group, posted, "amount", max(said) - min(said)))
        if _differ_in_words(group):
            found.append(_about(group, posted, "account", 0))
        if len({one.reverses for one in group if one.reverses}) > 1:
            found.append(_about(group, posted, "payment", 0))
    return found


def _differ_in_words(group: Iterable[Stored]) -> bool:
    """Whether two messages of one kind tell two accounts typed: a statement may cut short what a message told whole."""
    typed: dict[str, bytes] = {}
    return any(typed.setdefault(one.message, one.typed_digest) != one.typed_digest for one in group)


_SAID = {
    "amount": "tell different amounts",
    "account": "tell different account references",
    "payment": "name different payments",
}


def _about(group: list[Stored], posted: Recorded | None, field: str, amount_minor: int) -> NewBreak:
    one = group[-1]
    identity = one.identity
    noun = _NOUNS[identity.kind]
    proved = field == "amount" and any(one.message == STATEMENT_MESSAGE for one in group)
    stays = f"the {noun} that was posted first stays posted" if posted is not None else "nothing is posted yet"
    return NewBreak(
        break_keys.conflict(*identity, field),
        BreakReason.AMOUNT_DIFFERS_FROM_STATEMENT if proved else BreakReason.DUPLICATE_CODE,
        f"two messages about the {noun} {identity.reference} {_SAID[field]}; {stays}",
        one.occurred_at,
        amount_minor=amount_minor,
        payment_id=posted.id if posted is not None else None,
        delivery_id=one.delivery_id,
        channel_account_id=identity.channel_account_id,
    )
