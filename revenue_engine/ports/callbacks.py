"""The port: what the engine asks of a channel adapter and what an adapter may answer.

Values and protocols only. An adapter is pure: it reads bytes and answers values, and touches no database,
no network and no clock. Money is whole cents, instants are aware (East Africa Time where the provider
writes local time), identifiers and phone numbers are text.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel

from revenue_engine.money import wire


class Kind(enum.StrEnum):
    """What happened to the money. Never the type of the message that told us."""

    PAYMENT = "payment"
    REVERSAL = "reversal"
    CHARGE = "charge"
    PAYOUT = "payout"


class Purpose(enum.StrEnum):
    """What an endpoint was registered for. Some providers send the same body shape for different purposes."""

    VALIDATION = "validation"
    CONFIRMATION = "confirmation"
    PUSH_RESULT = "push_result"
    RESULT = "result"
    TIMEOUT = "timeout"
    PULL = "pull"
    """No address: the answer to a question of ours, kept as a delivery. So are the next two."""
    QUERY = "query"
    STATEMENT = "statement"
    """A file that a person brought."""
    FETCHED = "fetched"
    """A file that a bank's own connection delivered. No address either."""


FILES = frozenset({Purpose.STATEMENT, Purpose.FETCHED})
"""Deliveries that are statement files: read by themselves, and proved by their sums."""


class Strength(enum.StrEnum):
    """How far a notice may be trusted alone.

    PROVES: what we fetched from the provider ourselves, or a line of a statement that adds up: enough at any amount.
    CONFIRMS: the provider's own statement that the money is ours (an M-PESA confirmation from its own network).
    SUPPORTS: agrees or disagrees with another notice, but does not post money by itself.
    """

    PROVES = "proves"
    CONFIRMS = "confirms"
    SUPPORTS = "supports"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a delivery proved itself. ``reason`` says which check failed, never the secret."""

    accepted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """Who paid, as the provider tells it: personal data, kept apart from every posting."""

    name: str = ""
    msisdn: str = ""
    """Clear, masked (``2547*****126``) or a SHA-256 in hexadecimal, exactly as received."""


@dataclass(frozen=True, slots=True)
class Paid:
    """Money moved: a payment to us, or a payout or charge when ``kind`` says so."""

    reference: str
    """The provider's own reference (an M-PESA receipt), upper case. With channel account and kind: the identity."""
    amount_minor: int
    occurred_at: datetime | None
    """None where the provider wrote a time nobody can read for certain: the money stands, the engine books it at the
    instant it received the delivery and opens a break. Never a guess."""
    currency: str = "KES"
    kind: Literal[Kind.PAYMENT, Kind.CHARGE, Kind.PAYOUT] = Kind.PAYMENT
    channel_account: str = ""
    """The shortcode, till or account named in the body, empty where the body names none."""
    account_reference: str = ""
    """What the payer typed, untouched."""
    request_id: str = ""
    """The id of our own request (an STK CheckoutRequestID), empty where there was none."""
    strength: Strength = Strength.CONFIRMS
    message: str = ""
    """The message type in the provider's words, for the timeline; never part of the identity."""
    party: Party = field(default_factory=Party)
    also_known_as: tuple[str, ...] = ()
    """Other names of the same money, upper case: the M-PESA receipt beside a bank's own number. No identity."""
    doubt: str = ""
    """What somebody should look at though the money is certain: a time that cannot be read, two copies of a receipt
    that differ. Holds no personal data."""
    time_in_doubt: bool = False
    """Whether the doubt is about the time that is told: another part of the message contradicts it."""
    wrong_address: bool = False
    """Whether the message belongs to another of our addresses: a question where confirmations are awaited (then the
    strength is SUPPORTS), or a confirmation where questions are."""


@dataclass(frozen=True, slots=True)
class Reversed:
    """The provider took a payment back."""

    reference: str
    """The reversal's own reference."""
    reverses: str
    """The reference of the payment taken back."""
    amount_minor: int | None
    """Whole cents, or None where the provider does not repeat the amount (then it is the whole payment)."""
    occurred_at: datetime
    currency: str = "KES"
    channel_account: str = ""
    request_id: str = ""
    strength: Strength = Strength.CONFIRMS
    message: str = ""
    doubt: str = ""
    """As of :class:`Paid`, and so is the next."""
    time_in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """Understood, and no money moved."""

    reason: str
    request_id: str = ""
    request_state: Literal["", "failed", "cancelled"] = ""
    """What this tells about our own request named by ``request_id``; empty when nothing."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not understood, or the outcome is not known: never read as a failure, somebody must look or we must ask."""

    reason: str
    request_id: str = ""
    request_state: Literal["", "paid", "pending"] = ""
    """What is known of our own request all the same. ``paid``: the provider says so and names no reference yet, so
    nothing can be posted and the reference must be asked for. ``pending``: it is still open, ask again later."""


Interpretation: TypeAlias = Paid | Reversed | Ignored | Unknown


def as_wire(found: Interpretation) -> dict[str, str | None]:
    """An interpretation as the plain data ``callback parse`` prints: always the same eleven keys.

    ``verdict`` is paid, reversed, ignored or unknown; ``amount`` a decimal string in major units;
    ``occurred_at`` ISO 8601 with its offset. What does not apply, or the body did not name, is None; ``reason`` says
    why there is no money, or what is doubtful about money that is certain. Personal data is left out.
    """
    facts: dict[str, str | None] = {
        "verdict": "unknown",
        "kind": None,
        "reference": None,
        "amount": None,
        "currency": None,
        "occurred_at": None,
        "channel_account": None,
        "account_reference": None,
        "request_id": found.request_id or None,
        "reverses": None,
        "reason": None,
    }
    if isinstance(found, Ignored | Unknown):
        facts["verdict"] = "ignored" if isinstance(found, Ignored) else "unknown"
        facts["reason"] = found.reason
        return facts
    facts["reference"] = found.reference
    facts["amount"] = None if found.amount_minor is None else wire(found.amount_minor)
    facts["currency"] = found.currency
    facts["occurred_at"] = None if found.occurred_at is None else found.occurred_at.isoformat()
    facts["channel_account"] = found.channel_account or None
    facts["reason"] = found.doubt or None
    if isinstance(found, Paid):
        facts["verdict"], facts["kind"] = "paid", found.kind.value
        facts["account_reference"] = found.account_reference or None
    else:
        facts["verdict"], facts["kind"] = "reversed", Kind.REVERSAL.value
        facts["reverses"] = found.reverses
    return facts


@dataclass(frozen=True, slots=True)
class Asked:
    """A provider asks, before it takes the money, whether it should."""

    account_reference: str
    amount_minor: int | None
    """Whole cents; None where the provider asks before the payer has said how much."""
    channel_account: str = ""


class Answer(enum.StrEnum):
    """Our answer to a provider that asks first."""

    ACCEPT = "accept"
    UNKNOWN_ACCOUNT = "unknown_account"
    WRONG_AMOUNT = "wrong_amount"
    REFUSE = "refuse"


class AckOutcome(enum.StrEnum):
    """What the acknowledgement tells the provider: the delivery is kept, or its proof failed."""

    KEPT = "kept"
    REFUSED = "refused"


@runtime_checkable
class CallbackAdapter(Protocol):
    """One provider's callbacks. Pure and total: no method may raise on any body.

    Its answers are sent as ``application/json`` unless it names another ``content_type``, a class attribute.

    An adapter whose proof stands in headers names them in ``kept_headers`` (see :class:`HeaderProved`), or a delivery
    that was refused can never be judged again. One whose provider calls a movement by one and the same reference in
    every message and in its statements says so by ``one_name = True``; of the others, a bank's notice and its statement
    may tell of one payment under two names, and the engine looks for that.
    """

    name: str
    settings_model: type[BaseModel]

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        """Judge the proof of origin (peer address, signature); header names are lower case."""
        ...

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        """Say what the body means. ``purpose`` is what the endpoint was registered for, None when it is not known."""
        ...

    def ack(self, outcome: AckOutcome) -> bytes:
        """The exact bytes the provider expects after a delivery is kept or refused."""
        ...


@runtime_checkable
class ManyAdapter(CallbackAdapter, Protocol):
    """A provider one of whose bodies may tell of many movements: a pull answer, a batched advice."""

    def interpret_all(self, body: bytes, *, purpose: Purpose | None = None) -> Sequence[Interpretation]:
        """What each movement in the body means, in its order; one Unknown or Ignored where there is none."""
        ...


@runtime_checkable
class AskingAdapter(CallbackAdapter, Protocol):
    """A provider that asks before it takes the payer's money."""

    def asked(self, body: bytes) -> Asked | None:
        """What is asked, or None when the body cannot be read."""
        ...

    def answer(self, answer: Answer) -> bytes:
        """Our answer in the provider's form."""
        ...


@runtime_checkable
class HeaderProved(Protocol):
    """A provider whose proof stands in headers."""

    kept_headers: Sequence[str]
    """Headers stored with each delivery so that its proof can be judged again. A header that is itself a secret
    (``authorization``, cookies) is never stored, whatever stands here."""


@runtime_checkable
class EchoingAdapter(CallbackAdapter, Protocol):
    """A provider whose acknowledgement repeats ids of the body it answers."""

    def ack_for(self, outcome: AckOutcome, body: bytes) -> bytes:
        """The exact bytes for this body. Where the body cannot be read, the same form with empty ids; never raises."""
        ...


@runtime_checkable
class DetailedAskingAdapter(AskingAdapter, Protocol):
    """A provider whose answer repeats ids of the question or names our account."""

    def answer_for(self, answer: Answer, body: bytes, settings: BaseModel) -> bytes:
        """Our answer to this question in the provider's form; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """A notice as the provider would send it: body and headers (lower-case names), from an address."""

    body: bytes
    headers: Mapping[str, str]
    peer: str = "127.0.0.1"


Pairs: TypeAlias = Sequence[tuple[str, str]]
"""The fields of a body as names and texts, in its order; a name may stand twice."""


@dataclass(frozen=True, slots=True)
class BodyFormat:
    """How a provider that posts no JSON spells its fields, so that a rehearsal can send other values in them.

    It plays the provider and is no reader of the adapter: it writes what it is told, a name twice included.
    """

    fields: Callable[[bytes], Pairs]
    """The fields of a body this format wrote. Nested ones may be named by a path; the names need only be stable."""
    encode: Callable[[Pairs], bytes]
    """The body with these fields, escaped as the provider escapes them."""
    layouts: Callable[[Pairs], Sequence[bytes]] | None = None
    """Other spellings of the same fields (other escapes, blanks, line ends); None where there is only one."""
    free_order: bool = True
    """Whether the fields may stand in any order: not where their place gives them their meaning."""
    free_fields: bool = True
    """Whether the provider may add fields of its own one day."""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old a proof may be that carries its own time. An adapter has no clock: it compares with the body's time."""

    sign: Callable[[bytes, int], Signed] = field(repr=False)
    """The proof the provider would make so many seconds after the time the body tells; negative is before it."""
    seconds: int | None
    """The longest time apart, either way, that is accepted; None where the provider sets no limit."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Everything needed to play the provider against a test channel account. Never for a live one."""

    settings: Mapping[str, Any]
    """Settings of the test account, as a settings file would hold them."""
    secrets: Mapping[str, str]
    """What makes the same rehearsal again: a throw-away private key, a password. Not stored with the account."""
    example: bytes
    """One notice of a payment, not yet signed, addressed to the account."""
    sign: Callable[[bytes], Signed] = field(repr=False)
    """Give a body the proof the provider would give it."""
    covers_body: bool = True
    """Whether the proof fails when what the body says of the money is changed; an address or a password does not."""
    body: BodyFormat | None = None
    """How bodies are spelled; None where they are JSON."""
    write_amount: Callable[[int], str] = wire
    """Whole cents as the provider writes them in the one field of the amount: ``1500.00`` unless it says otherwise."""
    direction: str = ""
    """The field that says whether money came or went (a dotted path in JSON), empty where no field does."""
    pays: Collection[str] = ()
    """The words in ``direction`` with which money came. Every other word is none."""
    takes_back: Collection[str] = ()
    """The words in ``direction`` with which a payment was taken back."""
    freshness: Freshness | None = None
    """How old a proof may be; None where it carries no time."""
    both_valid: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = field(default=None, repr=False)
    """Settings of this account in which the key of those other settings, the one it replaces, is valid as well; None
    where an account holds one key at a time."""

    def __repr__(self) -> str:
        return f"Rehearsal(settings={sorted(self.settings)})"


@runtime_checkable
class RehearsingAdapter(CallbackAdapter, Protocol):
    """An adapter that can play its provider: for onboarding, the conformance kit and the simulator."""

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        """A rehearsal for the test account ``identifier``; fresh throw-away keys unless ``secrets`` brings them."""
        ...
