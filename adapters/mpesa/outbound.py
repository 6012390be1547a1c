"""The outbound client of M-PESA: pushes, questions, reversals and registrations of one channel account.

:func:`client` makes one from the account's settings, a reader of secrets and an HTTP client. One client may be used by
many threads, and should be kept, since it keeps the access token. Decisions where the provider leaves room:

* A push or a reversal is sent again only when it certainly was not done (not connected, spike arrest, quota, a token
  renewed). A time-out after sending, a failing server and ``500.001.1001`` are `NotKnown`.
* Status and balance ask and change nothing, so they are repeated also after a time-out.
* An answer to a query is handed on as it came, errors included: ``500.001.1001`` there means that the prompt is open.
* A pull reads page after page, each from the row after the last one read, until a page brings nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

import httpx2

from adapters import readings
from adapters.mpesa import MpesaSettings, fields, pulls, requests
from adapters.mpesa.asking import LOOPBACK, MpesaAsking, check_registrable, read_addresses
from adapters.mpesa.exchange import PENDING, Exchange, Heard, Proof
from revenue_engine import periods
from revenue_engine.errors import ConfigurationError, InvalidValue, Rejected, Retryable
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.ports.outbound import Answered, NotKnown, NotSent, Sending, Sent

PULL_WINDOW: Final = timedelta(hours=48)
"""How far back the provider remembers for a pull. What is older stands in the statement."""
_PULL_SLACK: Final = timedelta(minutes=5)
MOST_PAGES: Final = 2_000

SecretReader = Callable[[str], bytes]
"""Answers the bytes of a secret by its name; raises ConfigurationError when there is none."""


class MpesaOutbound:
    """Asks M-PESA for one channel account; keeps the port `OutboundClient` and registers addresses beside it.

    Every method raises ConfigurationError when a setting it needs is left out or the provider refuses the credentials,
    and InvalidValue for what the provider would refuse; nothing has been sent then.
    """

    def __init__(
        self,
        settings: MpesaSettings,
        asking: MpesaAsking,
        *,
        secret: SecretReader,
        http: httpx2.Client,
        clock: Callable[[], datetime],
        sleep: Callable[..., None],
    ) -> None:
        self._settings = settings
        self._asking = asking
        self._secret = secret
        self._clock = clock
        self.exchange = Exchange(
            http,
            host=asking.host,
            key=lambda: self._text("consumer_key"),
            secret=lambda: self._text("consumer_secret"),
            sleep=sleep,
        )

    def __repr__(self) -> str:
        return f"MpesaOutbound({self._settings.shortcode!r} at {self._asking.host!r})"

    # --- pushes -------------------------------------------------------------------------------------------------

    def push(self, *, phone: str, amount_minor: int, account_reference: str, description: str) -> Sending:
        """Show a prompt on a handset. ``account_reference`` has 1 to 12 characters; of ``description`` 13 are shown.

        A push that is `NotKnown` has no request id: only its confirmation, a pull or the statement can tell.
        """
        body = requests.push(
            shortcode=self._signing_shortcode(),
            receiver=self._settings.shortcode,
            passkey=self._text("passkey"),
            at=self._clock(),
            phone=phone,
            amount_minor=amount_minor,
            account_reference=account_reference,
            description=description,
            callback=self._address(Purpose.PUSH_RESULT),
        )
        heard = self.exchange.send("/mpesa/stkpush/v1/processrequest", body, question=False)
        return _sending(heard, "CheckoutRequestID", "MerchantRequestID")

    def query(self, request_id: str) -> Answered:
        """What became of a push, by its CheckoutRequestID. Raises Retryable when no answer can be had now."""
        body = requests.push_query(
            shortcode=self._signing_shortcode(), passkey=self._text("passkey"), at=self._clock(), request_id=request_id
        )
        heard = self.exchange.send("/mpesa/stkpushquery/v1/query", body, question=True)
        if heard.proof in (Proof.TAKEN, Proof.REFUSED) or heard.code == PENDING:
            return Answered(heard.body, Purpose.QUERY.value, request_id)
        raise Retryable(f"the push was not queried: {heard.reason}", provider_code=heard.code)

    # --- what was paid ------------------------------------------------------------------------------------------

    def pull(self, *, since: datetime, until: datetime) -> Iterator[Answered]:
        """Every payment from ``since`` to ``until`` (aware), page by page, each page before the next is asked for.

        Raises InvalidValue for a window that begins more than 48 hours ago (the fact ``earliest`` says from when on it
        could be asked), Retryable when a page cannot be had, is unreadable, or repeats one that was read: then what
        was answered until there stands, and the window must be pulled again.
        """
        earliest = self._clock() - PULL_WINDOW
        if since < earliest - _PULL_SLACK or until <= since:
            raise InvalidValue(
                "M-PESA remembers 48 hours for a pull; what is older stands in the statement", earliest=earliest
            )
        return self._pages(since, until)

    def _pages(self, since: datetime, until: datetime) -> Iterator[Answered]:
        seen: set[str] = set()
        offset = 0
        for _ in range(MOST_PAGES):
            body = requests.pull(shortcode=self._settings.shortcode, since=since, until=until, offset=offset)
            heard = self._pull_page(body)
            yield Answered(heard.body, Purpose.PULL.value)
            rows = pulls.rows(heard.doc)
            if rows is None:
                raise Retryable(f"the page after {offset} transactions of the pull cannot be read")
            if not rows:
                return
            named = {pulls.reference(row) for row in rows}
            if named <= seen:
                raise Retryable(f"the page after {offset} transactions of the pull repeats what was read before")
            seen |= named
            offset += len(rows)
        raise Retryable(f"the pull did not end within {MOST_PAGES} pages")

    def _pull_page(self, body: Mapping[str, str]) -> Heard:
        heard = self.exchange.send("/pulltransactions/v1/query", body, question=True)
        if heard.proof is Proof.REFUSED:
            raise Rejected(f"M-PESA refuses the pull: {heard.reason}", provider_code=heard.code)
        if heard.proof is not Proof.TAKEN:
            raise Retryable(f"the pull was not answered: {heard.reason}", provider_code=heard.code)
        return heard

    def status(self, *, reference: str = "", request_id: str = "") -> Sending:
        """Ask for one transaction by its receipt, or by the ConversationID of our request."""
        body = requests.status(
            self._command("Transaction status"),
            shortcode=self._settings.shortcode,
            till=self._till,
            reference=reference,
            request_id=request_id,
        )
        return self._commanded("/mpesa/transactionstatus/v1/query", body, question=True)

    def balance(self) -> Sending:
        """Ask for the balances of the account."""
        body = requests.balance(self._command("Account balance"), shortcode=self._settings.shortcode, till=self._till)
        return self._commanded("/mpesa/accountbalance/v1/query", body, question=True)

    def reverse(self, *, reference: str, amount_minor: int, remarks: str) -> Sending:
        """Ask for a payment to be given back. It may take hours, and charges are not returned."""
        body = requests.reversal(
            self._command(remarks), shortcode=self._settings.shortcode, reference=reference, amount_minor=amount_minor
        )
        return self._commanded("/mpesa/reversal/v1/request", body, question=False)

    # --- registrations ------------------------------------------------------------------------------------------

    def register(self, *, when_silent: Literal["Completed", "Cancelled"] = "Completed") -> Sending:
        """Register the addresses of customers' payments (C2B, version 2). In production it counts once.

        ``when_silent`` is what becomes of a payment whose validation we do not answer in about eight seconds. Money is
        never refused by accident, so it is taken by default.
        """
        confirmation, validation = self._address(Purpose.CONFIRMATION), self._address(Purpose.VALIDATION)
        check_registrable(Purpose.CONFIRMATION, confirmation)
        check_registrable(Purpose.VALIDATION, validation)
        body = requests.register(
            shortcode=self._settings.shortcode,
            confirmation=confirmation,
            validation=validation,
            when_silent=when_silent,
        )
        heard = self.exchange.send("/mpesa/c2b/v2/registerurl", body, question=False)
        return _sending(heard, "OriginatorCoversationID", "OriginatorConversationID", "ConversationID")

    def register_pull(self) -> Sending:
        """Register for pulls; that it was registered before is as good."""
        number = self._asking.nominated_number
        if number is None:
            raise _missing("nominated_number")
        body = requests.pull_register(
            shortcode=self._settings.shortcode, number=number, callback=self._address(Purpose.CONFIRMATION)
        )
        heard = self.exchange.send("/pulltransactions/v1/register", body, question=False)
        if heard.proof is Proof.TAKEN and fields.code(heard.doc.get("Response Status")) in ("1000", "1001"):
            return Sent(fields.request_id(heard.doc.get("ResponseRefID")))
        return _sending(heard, "ResponseRefID")

    # --- what they share ----------------------------------------------------------------------------------------

    @property
    def _till(self) -> bool:
        return self._settings.kind == "till"

    def _signing_shortcode(self) -> str:
        if self._till and self._asking.store is None:
            raise _missing("store")
        return self._asking.store or self._settings.shortcode

    def _commanded(self, path: str, body: Mapping[str, str], *, question: bool) -> Sending:
        return _sending(self.exchange.send(path, body, question=question), "ConversationID", "OriginatorConversationID")

    def _command(self, remarks: str) -> requests.Body:
        if self._asking.initiator is None:
            raise _missing("initiator")
        certificate = self._secret(self._named("certificate"))
        return requests.command(
            initiator=self._asking.initiator,
            credential=requests.security_credential(self._text("initiator_password"), certificate),
            remarks=remarks,
            result=self._address(Purpose.RESULT),
            timeout=self._address(Purpose.TIMEOUT),
        )

    def _address(self, purpose: Purpose) -> str:
        local = httpx2.URL(self._asking.host).host in LOOPBACK
        found = read_addresses(self._secret(self._named("addresses")), local=local).get(purpose)
        if found is None:
            raise ConfigurationError(f"the file of callback addresses has none for {purpose}: add it")
        return found

    def _named(self, setting: str) -> str:
        name: str | None = getattr(self._asking, setting)
        if name is None:
            raise _missing(setting)
        return name

    def _text(self, setting: str) -> str:
        try:
            text = self._secret(self._named(setting)).decode().strip()
        except UnicodeDecodeError:
            text = ""
        if not text:
            raise ConfigurationError(f"the secret that asking.{setting} names is empty or no text: write it anew")
        return text


def client(
    settings: MpesaSettings,
    *,
    secret: SecretReader,
    http: httpx2.Client,
    clock: Callable[[], datetime] = periods.now,
    sleep: Callable[..., None] = time.sleep,
) -> MpesaOutbound:
    """The client of a channel account. ``secret`` answers the bytes of a secret file by name; ``sleep`` waits seconds.

    ``http`` brings its own time limits and must not follow redirects. Raises ConfigurationError when the account has
    no settings for asking.
    """
    if settings.asking is None:
        raise ConfigurationError(
            f"the channel account {settings.shortcode} says nothing about asking: add the settings `asking`"
        )
    return MpesaOutbound(settings, settings.asking, secret=secret, http=http, clock=clock, sleep=sleep)


def _missing(setting: str) -> ConfigurationError:
    return ConfigurationError(f"the settings of the channel account lack asking.{setting}: add it", field=setting)


def _sending(heard: Heard, *ids: str) -> Sending:
    """What became of a request. Success without an id cannot be tied to its result, so it is not known."""
    if heard.proof is Proof.REFUSED:
        return NotSent(heard.reason, heard.code)
    if heard.proof is Proof.BUSY:
        return NotSent(heard.reason, heard.code, retry=True)
    if heard.proof is Proof.OPEN:
        return NotKnown(heard.reason, heard.code)
    accepted = fields.code(heard.doc.get("ResponseCode"))
    found = [one for one in (fields.request_id(heard.doc.get(name)) for name in ids) if one]
    if accepted != "0":
        return NotKnown(f"the answer says ResponseCode {readings.code_shown(accepted)}, which is not success", accepted)
    if not found:
        return NotKnown("the answer says success and names no request id", accepted)
    return Sent(found[0], tuple(found[1:]))
