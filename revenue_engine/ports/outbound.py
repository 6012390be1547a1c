"""The port for asking: what we send to a provider and what its answer may mean.

Every answer is kept as raw bytes before it is read, as a callback is. Only one thing is ever certain of a request that
got no clear answer: that nobody knows. So a sending ends as sent, as certainly not sent, or as unknown, and what is
unknown is asked about and never simply sent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider took the request; what came of it arrives at our result address."""

    request_id: str
    """The id its result will name (a CheckoutRequestID, a ConversationID)."""
    also: tuple[str, ...] = ()
    """Other ids the provider gave for the same request."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certain that nothing was done: the provider said no, or was never reached."""

    reason: str
    code: str = ""
    """The provider's own error code."""
    retry: bool = False
    """Whether the same request may succeed later (spike arrest, service down)."""


@dataclass(frozen=True, slots=True)
class NotKnown:
    """It may have been done: a time-out after sending, a code that proves nothing. Ask, never repeat."""

    reason: str
    code: str = ""


Sending: TypeAlias = Sent | NotSent | NotKnown


@dataclass(frozen=True, slots=True)
class Answered:
    """A provider's answer to a question, as it came; the adapter's ``interpret_all`` reads it."""

    body: bytes
    purpose: str
    """``pull`` or ``query``: what the stored delivery is marked with."""
    request_id: str = ""


@runtime_checkable
class OutboundClient(Protocol):
    """One channel account's way to ask its provider. A provider without an operation raises Rejected for it.

    Built by the bootstrap with the account's settings, its secrets and an HTTP client. Amounts are whole cents,
    instants aware, phones in E.164. Raises Retryable when the provider cannot be reached for a question, which
    changes nothing.
    """

    def push(self, *, phone: str, amount_minor: int, account_reference: str, description: str) -> Sending:
        """Ask a payer's handset for a payment."""
        ...

    def query(self, request_id: str) -> Answered:
        """What became of a push. Paid or not is known here first, the receipt often not."""
        ...

    def pull(self, *, since: datetime, until: datetime) -> Iterator[Answered]:
        """Every payment the provider has for the window, page by page."""
        ...

    def status(self, *, reference: str = "", request_id: str = "") -> Sending:
        """Ask for one transaction; the answer arrives at the result address."""
        ...

    def balance(self) -> Sending:
        """Ask for the account's balances; the answer arrives at the result address."""
        ...

    def reverse(self, *, reference: str, amount_minor: int, remarks: str) -> Sending:
        """Ask for a payment to be given back; the answer arrives at the result address."""
        ...
