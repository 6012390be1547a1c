"""The key of every break: what makes two breaks the same one, so that a fact opens its break once and closes it.

A key is a family and what the break is about: ids, and references that a provider gave. Nothing personal stands in one.
Whoever opens a break and whoever closes it may stand in different rooms; both take the key from here.
"""

from __future__ import annotations

from datetime import date, datetime

_REQUEST = "request:"
SUSPENSE_PREFIX = "suspense:"
"""For a query that builds the key of a row that it joins; what follows is the id of the payment."""
_UNCONFIRMED = "unconfirmed:"


def of_delivery(delivery_id: int, item: int = 0) -> str:
    """A delivery, or one movement of a delivery that tells of several, that could not be read or kept."""
    return _of("delivery", delivery_id, item)


def clock(delivery_id: int, item: int = 0) -> str:
    """A movement whose provider's time is later than ours."""
    return _of("clock", delivery_id, item)


def conflict(channel_account_id: int, kind: str, reference: str, field: str) -> str:
    """Messages about one movement that disagree on a field of it, whichever of them came first."""
    return f"conflict:{channel_account_id}:{kind}:{reference}:{field}"


def wrong_address(channel_account_id: int, purpose: str, day: date) -> str:
    """Messages of a day that came to an address of ours which was registered for other ones."""
    return f"wrong-address:{channel_account_id}:{purpose}:{day:%Y%m%d}"


def dead(kind: str, ref_id: int) -> str:
    """Work that was given up after all its tries."""
    return f"dead:{kind}:{ref_id}"


def before_books(channel_account_id: int, reference: str) -> str:
    """Money of a time before the books were opened."""
    return f"before-books:{channel_account_id}:{reference}"


def doubt(channel_account_id: int, reference: str) -> str:
    """Certain money with a doubt: of its time, or one that the adapter tells."""
    return f"doubt:{channel_account_id}:{reference}"


def unconfirmed(channel_account_id: int, reference: str) -> str:
    """A movement that a message told, and no message that is proof."""
    return f"{_UNCONFIRMED}{channel_account_id}:{reference}"


def unconfirmed_of(key: str) -> tuple[int, str] | None:
    """The channel account and the reference that a key of :func:`unconfirmed` is about; None for another family."""
    account, _, reference = key.removeprefix(_UNCONFIRMED).partition(":")
    return (int(account), reference) if key.startswith(_UNCONFIRMED) else None


def request(request_id: str) -> str:
    """A push request of ours that got no clear answer."""
    return f"{_REQUEST}{request_id}"


def request_of(key: str) -> str:
    """The request id that a key of :func:`request` is about; empty for a key of another family."""
    return key.removeprefix(_REQUEST) if key.startswith(_REQUEST) else ""


def not_asked(channel_account_id: int, since: datetime) -> str:
    """Time of a channel account that its provider can no longer be asked about."""
    return f"not-asked:{channel_account_id}:{since:%Y%m%dT%H%M%S}"


def reversal(channel_account_id: int, reference: str) -> str:
    """A reversal that takes nothing back yet."""
    return f"reversal:{channel_account_id}:{reference}"


def reversal_twice(channel_account_id: int, payment_reference: str) -> str:
    """A payment that more than one reversal takes back; by the payment, whichever reversal came first."""
    return f"reversed-twice:{channel_account_id}:{payment_reference}"


def reversal_amount(channel_account_id: int, reference: str) -> str:
    """A reversal of another amount than was paid."""
    return f"{reversal(channel_account_id, reference)}:amount"


def settlement(channel_account_id: int, reference: str) -> str:
    """A payout to our bank that no bank's statement shows yet."""
    return f"settlement:{channel_account_id}:{reference}"


def settlement_told(delivery_id: int) -> str:
    """A settlement that a message told as somebody's payment of a bill."""
    return f"settlement-told:{delivery_id}"


def banked(bank_id: int, reference: str) -> str:
    """A bank's credit from a channel of ours whose payout nobody told yet."""
    return f"banked:{bank_id}:{reference}"


def returned(channel_account_id: int, reference: str) -> str:
    """Money that a bank took back, such as a cheque that was not paid."""
    return f"returned:{channel_account_id}:{reference}"


def outflow(channel_account_id: int, reference: str) -> str:
    """Money that left a collection account, and no transfer to the Fund is it."""
    return f"outflow:{channel_account_id}:{reference}"


def found(channel_account_id: int, reference: str) -> str:
    """A payment that no message told and a statement shows."""
    return f"found:{channel_account_id}:{reference}"


def missing(channel_account_id: int, kind: str, reference: str) -> str:
    """A movement in the books that the statement of its day does not show."""
    return f"missing:{channel_account_id}:{kind}:{reference}"


def repeated(channel_account_id: int, kind: str, reference: str) -> str:
    """A movement whose reference another movement bears."""
    return f"repeated:{channel_account_id}:{kind}:{reference}"


def drop_prefix(name: str) -> str:
    """What the keys of all breaks about one bank's drop begin with."""
    return f"drop:{name}:"


def drop(name: str, fault: str, look_id: int) -> str:
    """A bank's drop that could not be looked into: the fault, and the first look that met it."""
    return f"{drop_prefix(name)}{fault}:{look_id}"


def foreign(delivery_id: int) -> str:
    """Statements in a fetched file that are of accounts its drop does not speak for."""
    return f"foreign:{delivery_id}"


def file(delivery_id: int) -> str:
    """A statement file that one person brought and no other has agreed to."""
    return f"statement-file:{delivery_id}"


def suspense(payment_id: int) -> str:
    """A payment's money in suspense."""
    return f"{SUSPENSE_PREFIX}{payment_id}"


def credit(payment_id: int) -> str:
    """Money of a payment that its payer did not mean as credit: the bill was paid before, or cancelled."""
    return f"credit:{payment_id}"


def held(payment_id: int) -> list[str]:
    """All breaks about money of a payment that is held, in suspense or as credit."""
    return [suspense(payment_id), credit(payment_id)]


def _of(family: str, delivery_id: int, item: int) -> str:
    return f"{family}:{delivery_id}:{item}" if item else f"{family}:{delivery_id}"
