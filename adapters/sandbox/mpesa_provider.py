"""The simulated M-PESA as a provider that is asked: every operation of the outbound API, without the HTTP.

One object holds the short codes, the credentials it takes, its books (:mod:`adapters.sandbox.mpesa_ledger`) and its
switches. It checks what the provider checks: token, password, operator's credential, spelling, sizes. Where a result
code of the provider is not known for certain, a code stands here that no reader may know either.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, DecimalException
from typing import Any, Final

from adapters.sandbox import mpesa_bodies as bodies
from adapters.sandbox import mpesa_statements
from adapters.sandbox.mpesa import Plan
from adapters.sandbox.mpesa_keys import Keys
from adapters.sandbox.mpesa_ledger import Books, Movement, payer
from adapters.sandbox.mpesa_posts import Faults, Post, Sender
from revenue_engine import periods
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.money import minor_from_decimal, wire
from revenue_engine.periods import NAIROBI, nairobi_date
from revenue_engine.ports.callbacks import Purpose

PAGE: Final = 100
PULL_WINDOW: Final = timedelta(hours=48)
NOT_FOUND: Final = "R000002"
"""The result code for an original transaction that does not fit, told for reversals; here also for a status, whose own
code for it is not known."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The addresses of one short code, and what becomes of a payment whose validation nobody answers."""

    confirmation: str
    validation: str
    when_silent: str
    hashed: bool
    """Version 1 of the registration sends numbers hashed."""


@dataclass
class Prompt:
    """One push. ``code`` is empty while it is open."""

    request_id: str
    merchant_id: str
    shortcode: str
    phone: str
    amount_minor: int
    account: str
    callback: str
    code: str = ""
    reference: str = ""
    ended_at: datetime | None = None
    """When it is answered, for a prompt of a plan: before that it is open."""


class Refusal(Exception):
    """An error answered at once: HTTP status, the provider's code, its words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came, for whoever looks at what a client sends."""

    path: str
    body: Mapping[str, Any] = field(repr=False)


class Provider:
    """M-PESA, simulated. Thread-safe as far as its books are; switches may be turned at any time."""

    def __init__(
        self,
        shortcodes: Mapping[str, str],
        *,
        seed: int = 0,
        clock: Callable[[], datetime] = periods.now,
    ) -> None:
        """``shortcodes`` says who holds each short code. ``seed`` draws receipts, faults and credentials."""
        self.rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.shortcodes = dict(shortcodes)
        self.clock = clock
        self.keys = Keys.drawn(self.rng)
        self.books = Books(self.rng)
        self.faults = Faults()
        self.sender = Sender(self.rng, lambda: self.faults)
        self.calls: list[Call] = []
        self.tokens: dict[str, int] = {}
        self.tokens_issued = 0
        self.registered: dict[str, Registration] = {}
        self.validating: set[str] = set()
        """Short codes for which external validation is switched on; it is off until the provider enables it."""
        self.pulling: set[str] = set()
        self.prompts: dict[str, Prompt] = {}
        self._numbers = itertools.count()
        self.about: dict[str, str] = {}
        """The receipt that a ConversationID ended in."""

    # --- what a test or a person does ---------------------------------------------------------------------------

    def load(self, plan: Plan) -> None:
        """Take over what happened in a plan: its payments can be pulled, its pushes queried, its days stated."""
        self.books.load(plan)
        paid = {one.request_id: one for one in self.books.movements if one.request_id}
        failed = {hit.about: hit for hit in plan.hits if hit.purpose is Purpose.PUSH_RESULT}
        for push in plan.pushes:
            prompt = Prompt(push.request_id, f"29115-{push.request_id[-6:]}-1", push.shortcode, "", 0, push.bill, "")
            prompt.amount_minor = push.amount_minor
            if push.request_id in paid:
                moved = paid[push.request_id]
                prompt.code, prompt.reference, prompt.ended_at = "0", moved.reference, moved.occurred_at
            elif push.request_id in failed:
                told = failed[push.request_id]
                prompt.code = str(json.loads(told.body)["Body"]["stkCallback"]["ResultCode"])
                prompt.ended_at = told.sent_at
            self.prompts[push.request_id] = prompt

    @property
    def withheld(self) -> tuple[Movement, ...]:
        """The payments that happened and that no callback tells of."""
        return self.books.withheld()

    def statement(self, shortcode: str, first: date, last: date, layout: mpesa_statements.Layout = "legacy") -> bytes:
        """The organisation portal's statement of some days, as the bytes of its CSV file."""
        holder = self.shortcodes.get(shortcode)
        if holder is None:
            raise NotFound(f"no short code {shortcode} is simulated")
        return mpesa_statements.statement(self.books, shortcode, first=first, last=last, layout=layout, holder=holder)

    def pay(
        self,
        shortcode: str,
        *,
        amount_minor: int,
        account: str,
        phone: str = "254700000101",
        at: datetime | None = None,
        told: bool = True,
    ) -> Movement:
        """A customer pays: validation where it is switched on, then the money moves, then the confirmation.

        Answers the movement, whose state is Cancelled where our validation refused it.
        """
        when = (at or self.clock()).astimezone(NAIROBI).replace(microsecond=0)
        reference = self.books.receipt(nairobi_date(when))
        name = payer(reference)[1]
        told = told and not self.sender.draw(self.faults.withhold)
        registration = self.registered.get(shortcode)
        moved = Movement(reference, "payment", amount_minor, when, shortcode, account, phone, name, told=False)
        if registration is not None and shortcode in self.validating and not self._accepted(moved, registration):
            return self.books.add(replace(moved, state="Cancelled"))
        self.books.add(moved)
        if registration is not None and told:
            return self._tell(moved, [self._confirmation(moved, registration)])
        return moved

    def _tell(self, moved: Movement, posts: list[Post]) -> Movement:
        """Send the messages about a payment; it is told when one of them was not lost."""
        return self.books.tell(moved.reference) if self.sender.send(posts) else moved

    def answer(self, request_id: str, code: str = "0", *, told: bool = True) -> Prompt:
        """The payer answers an open prompt: ``0`` pays, every other code is how it ended.

        Raises NotFound where no such prompt is open.
        """
        prompt = self.prompts.get(request_id)
        if prompt is None or prompt.code:
            raise NotFound(f"no prompt {request_id} is open", request_id=request_id)
        prompt.code = code
        told = told and not self.sender.draw(self.faults.withhold)
        posts, moved = [], None
        if code == "0":
            when = self.clock().astimezone(NAIROBI).replace(microsecond=0)
            prompt.reference = self.books.receipt(nairobi_date(when))
            moved = Movement(
                prompt.reference, "payment", prompt.amount_minor, when, prompt.shortcode, prompt.account, prompt.phone,
                payer(prompt.reference)[1], pushed=True, request_id=request_id, told=False,
            )  # fmt: skip
            self.books.add(moved)
            result = bodies.stk_success(
                merchant_request=prompt.merchant_id,
                checkout_request=request_id,
                receipt=prompt.reference,
                at=when,
                amount_minor=prompt.amount_minor,
                msisdn=prompt.phone,
            )
            posts.append(Post(prompt.callback, result))
            if (registration := self.registered.get(prompt.shortcode)) is not None:
                posts.append(self._confirmation(moved, registration))
        else:
            failed = bodies.stk_failure(
                merchant_request=prompt.merchant_id,
                checkout_request=request_id,
                code=int(code) if code.isdecimal() else code,
            )
            posts.append(Post(prompt.callback, failed))
        if told and moved is not None:
            self._tell(moved, posts)
        elif told:
            self.sender.send(posts)
        return prompt

    def _accepted(self, moved: Movement, registration: Registration) -> bool:
        """Ask our validation, and fall back on the registered default where no answer comes in time."""
        body = bodies.c2b_validation(
            receipt=moved.reference,
            at=moved.occurred_at,
            amount_minor=moved.amount_minor,
            shortcode=moved.shortcode,
            account=moved.typed,
            msisdn=moved.phone,
            names=(moved.name, "", ""),
            form="hashed" if registration.hashed else self.faults.msisdn,
        )
        said = self.sender.ask(registration.validation, body, self.faults.validation_ms)
        if not isinstance(said, dict) or "ResultCode" not in said:
            return registration.when_silent == "Completed"
        return str(said["ResultCode"]) == "0"

    def _confirmation(self, moved: Movement, registration: Registration) -> Post:
        body = bodies.c2b_confirmation(
            receipt=moved.reference,
            at=moved.occurred_at,
            amount_minor=moved.amount_minor,
            shortcode=moved.shortcode,
            account=moved.typed,
            msisdn=moved.phone,
            names=(moved.name, "", ""),
            form="hashed" if registration.hashed else self.faults.msisdn,
            balance_minor=max(0, self.books.balance(moved.shortcode, moved.occurred_at + timedelta(seconds=1))),
        )
        return Post(registration.confirmation, body)

    # --- the token ----------------------------------------------------------------------------------------------

    def token(self, authorization: str) -> dict[str, Any]:
        """A new access token for the consumer key and secret. The seconds it lives are told as text."""
        expected = base64.b64encode(f"{self.keys.consumer_key}:{self.keys.consumer_secret}".encode()).decode()
        if not secrets.compare_digest(authorization, f"Basic {expected}"):
            raise Refusal(400, "400.008.01", "Invalid Authentication passed")
        token = secrets.token_urlsafe(21)
        self.tokens_issued += 1
        self.tokens[token] = time.monotonic_ns() + self.faults.token_seconds * 1_000_000_000
        return {"access_token": token, "expires_in": str(self.faults.token_seconds)}

    def admit(self, authorization: str) -> None:
        """Check what the gateway checks before anything is done. Raises Refusal."""
        if self.faults.take("spike_arrest"):
            raise Refusal(500, "500.003.02", "Error Occurred: Spike Arrest Violation")
        until = self.tokens.get(authorization.removeprefix("Bearer "), 0)
        if self.faults.take("refuse_tokens") or time.monotonic_ns() >= until:
            raise Refusal(404, "404.001.03", "Invalid Access Token")
        if self.faults.take("service_down"):
            raise Refusal(500, "500.002.1001", "Service is currently unreachable. Please try again later.")

    # --- C2B ----------------------------------------------------------------------------------------------------

    def register(self, body: Mapping[str, Any], *, version: int) -> dict[str, Any]:
        """Keep the addresses of a short code."""
        shortcode = self._own(body, "ShortCode")
        for name in ("ConfirmationURL", "ValidationURL"):
            url = str(body.get(name, "")).lower()
            if any(word in url for word in ("mpesa", "m-pesa", "safaricom", "exe", "cmd", "sql", "query")):
                raise Refusal(400, "400.002.02", f"Bad Request - Invalid {name}")
        if body.get("ResponseType") not in ("Completed", "Cancelled"):
            raise Refusal(400, "400.002.02", "Bad Request - Invalid ResponseType")
        self.registered[shortcode] = Registration(
            str(body["ConfirmationURL"]), str(body["ValidationURL"]), str(body["ResponseType"]), version == 1
        )
        return {
            "OriginatorCoversationID": self._id(),
            "ConversationID": "",
            "ResponseCode": "0",
            "ResponseDescription": "success",
        }

    def simulate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The sandbox's way to let a customer pay."""
        shortcode, amount = self._own(body, "ShortCode"), _cents(body.get("Amount"))
        account, phone = str(body.get("BillRefNumber") or ""), str(body.get("Msisdn", ""))
        self.sender.run(lambda: self.pay(shortcode, amount_minor=amount, account=account, phone=phone))
        return {"OriginatorCoversationID": self._id(), "ResponseCode": "0", "ResponseDescription": _ACCEPTED}

    # --- pushes -------------------------------------------------------------------------------------------------

    def push(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Show a prompt, which is answered as the switches say."""
        self._signed(body)
        receiver, amount = self._own(body, "PartyB", code="500.001.1001"), _cents(body.get("Amount"))
        phone, account = str(body.get("PhoneNumber", "")), str(body.get("AccountReference", ""))
        if not (phone.isdecimal() and len(phone) == 12 and phone.startswith(("2547", "2541"))):
            raise Refusal(400, "400.002.02", "Bad Request - Invalid PhoneNumber")
        if amount < 100 or amount % 100 or not 1 <= len(account) <= 12:
            raise Refusal(400, "400.002.02", "Bad Request - Invalid Amount or AccountReference")
        at = self.clock().astimezone(NAIROBI)
        request_id = f"ws_CO_{at:%d%m%Y%H%M%S%f}{next(self._numbers):04d}"
        merchant = self._id()
        prompt = Prompt(request_id, merchant, receiver, phone, amount, account, str(body.get("CallBackURL", "")))
        self.prompts[request_id] = prompt
        if not self.faults.hold_prompts:
            self.sender.run(self._answered, request_id, self.faults.prompt_code, self.faults.prompt_ms)
        return {
            "MerchantRequestID": merchant,
            "CheckoutRequestID": request_id,
            "ResponseCode": "0",
            "ResponseDescription": "Success. Request accepted for processing",
            "CustomerMessage": "Success. Request accepted for processing",
        }

    def _answered(self, request_id: str, code: str, wait_ms: int) -> None:
        time.sleep(wait_ms / 1000)
        self.answer(request_id, code)

    def push_query(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What became of a prompt: an error while it is open, and never a receipt."""
        self._signed(body)
        prompt = self.prompts.get(str(body.get("CheckoutRequestID", "")))
        if prompt is None:
            raise Refusal(400, "400.002.02", "Bad Request - Invalid CheckoutRequestID")
        if not prompt.code or (prompt.ended_at is not None and prompt.ended_at > self.clock()):
            raise Refusal(500, "500.001.1001", "The transaction is being processed")
        known = bodies.STK_FAILURES.get(int(prompt.code), "") if prompt.code.isdecimal() else ""
        return {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successsfully",
            "MerchantRequestID": prompt.merchant_id,
            "CheckoutRequestID": prompt.request_id,
            "ResultCode": prompt.code,
            "ResultDesc": "The service request is processed successfully." if prompt.code == "0" else known,
        }

    # --- questions and orders of the operator -------------------------------------------------------------------

    def status(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Tell one transaction, later."""
        if not (body.get("TransactionID") or body.get("OriginalConversationID")):
            raise Refusal(400, "400.002.02", "Bad Request - Invalid TransactionID")
        return self._order(body, "PartyA", self._status)

    def _status(self, body: Mapping[str, Any], ids: Mapping[str, str]) -> bytes:
        reference = str(body.get("TransactionID") or self.about.get(str(body.get("OriginalConversationID")), ""))
        found = self.books.find(reference)
        if found is None or found.shortcode != str(body["PartyA"]) or found.occurred_at > self.clock():
            return bodies.failed_result(**ids, code=NOT_FOUND, text="The transaction was not found.")
        ours, theirs = f"{found.shortcode} - {self.shortcodes[found.shortcode]}", f"{found.phone} - {found.name}"
        into = found.what == "payment"
        reason = ("Pay Bill Online" if found.pushed else "Pay Utility") if into else "Pay Bill Reversal"
        return bodies.status_result(
            **ids,
            receipt=found.reference,
            at=found.occurred_at,
            amount_minor=found.amount_minor,
            credit_party=ours if into else theirs,
            debit_party=theirs if into else ours,
            status=found.state,
            reason=reason,
        )

    def balance(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the balances, later."""
        return self._order(body, "PartyA", self._balance)

    def _balance(self, body: Mapping[str, Any], ids: Mapping[str, str]) -> bytes:
        at = self.clock()
        held = self.books.balance(str(body["PartyA"]), at + timedelta(seconds=1))
        receipt = self.books.receipt(nairobi_date(at))
        return bodies.balance_result(**ids, receipt=receipt, at=at, balance_minor=held)

    def reverse(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give a payment back, later."""
        if str(body.get("RecieverIdentifierType")) != "11":
            raise Refusal(400, "400.002.02", "Bad Request - Invalid RecieverIdentifierType")
        _cents(body.get("Amount"))
        return self._order(body, "ReceiverParty", self._reverse)

    def _reverse(self, body: Mapping[str, Any], ids: Mapping[str, str]) -> bytes:
        paid = self.books.find(str(body["TransactionID"]))
        mine = paid is not None and paid.shortcode == str(body["ReceiverParty"])
        if paid is None or not mine or paid.amount_minor != _cents(body["Amount"]):
            return bodies.failed_result(**ids, code=NOT_FOUND, text="No such transaction can be reversed.")
        try:
            at = self.clock().astimezone(NAIROBI).replace(microsecond=0)
            back = self.books.reverse(paid.reference, at, told=not self.faults.time_out)
        except NotFound:
            return bodies.failed_result(**ids, code=NOT_FOUND, text="The transaction was reversed before.")
        self.about[ids["conversation"]] = self.about[ids["originator_conversation"]] = back.reference
        return bodies.reversal_result(
            **ids,
            receipt=back.reference,
            reverses=paid.reference,
            at=back.occurred_at,
            amount_minor=paid.amount_minor,
            shortcode=paid.shortcode,
            organisation=self.shortcodes[paid.shortcode],
            payer=f"{paid.phone} - {paid.name}",
        )

    def _order(
        self, body: Mapping[str, Any], party: str, work: Callable[[Mapping[str, Any], Mapping[str, str]], bytes]
    ) -> dict[str, Any]:
        """Take a request of an operator: its result goes to ResultURL, or to QueueTimeOutURL saying success."""
        self._own(body, party)
        for name in ("Initiator", "SecurityCredential", "CommandID", "ResultURL", "QueueTimeOutURL", "Remarks"):
            if not body.get(name):
                raise Refusal(400, "400.002.02", f"Bad Request - Invalid {name}")
        ids = {
            "conversation": f"AG_{self.clock():%Y%m%d}_{secrets.token_hex(10)}",
            "originator_conversation": self._id(),
        }
        self.sender.run(self._ordered, dict(body), ids, work)
        return {
            "OriginatorConversationID": ids["originator_conversation"],
            "ConversationID": ids["conversation"],
            "ResponseCode": "0",
            "ResponseDescription": _ACCEPTED,
        }

    def _ordered(
        self,
        body: Mapping[str, Any],
        ids: Mapping[str, str],
        work: Callable[[Mapping[str, Any], Mapping[str, str]], bytes],
    ) -> None:
        trusted = self.keys.opens(str(body["SecurityCredential"])) and body["Initiator"] == self.keys.initiator
        if not trusted:
            result = bodies.failed_result(**ids, code=2001, text="The initiator information is invalid.")
        elif self.faults.result_code:
            result = bodies.failed_result(**ids, code=self.faults.result_code, text="Request failed.")
        else:
            result = work(body, ids)
        if self.faults.time_out:
            self.sender.send([Post(str(body["QueueTimeOutURL"]), bodies.timeout(**ids))])
        else:
            self.sender.send([Post(str(body["ResultURL"]), result)])

    # --- pull ---------------------------------------------------------------------------------------------------

    def pull_register(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Let a short code pull."""
        shortcode = self._own(body, "ShortCode")
        known = shortcode in self.pulling
        self.pulling.add(shortcode)
        return {
            "ResponseRefID": self._id(),
            "Response Status": "1001" if known else "1000",
            "ShortCode": shortcode,
            "Response Description": "ShortCode already Registered" if known else "ShortCode Registered Successfully",
        }

    def pull(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A page of the payments of a window within the last 48 hours, oldest first."""
        shortcode = self._own(body, "ShortCode")
        if shortcode not in self.pulling:
            raise Refusal(400, "400.002.02", "Bad Request - ShortCode not registered for pull")
        head = {"ResponseRefID": self._id()}
        if self.faults.take("pull_errors"):
            return head | {"ResponseCode": "500", "ResponseMessage": "Error"}
        since, until = _moment(body.get("StartDate")), _moment(body.get("EndDate"))
        offset = str(body.get("OffSetValue", ""))
        if not offset.isdecimal():
            raise Refusal(400, "400.002.02", "Bad Request - Invalid OffSetValue")
        since = max(since, self.clock() - PULL_WINDOW)
        paid = [
            one
            for one in self.books.between(shortcode, since, until)
            if one.what == "payment" and one.state == "Completed"
        ]
        page = paid[int(offset) : int(offset) + PAGE]
        if not page:
            return head | {"ResponseCode": "1001", "ResponseMessage": "No transactions", "Response": "[[]]"}
        return head | {
            "ResponseCode": "1000",
            "ResponseMessage": "Success",
            "Response": [[self._pull_row(one) for one in page]],
        }

    def _pull_row(self, one: Movement) -> dict[str, Any]:
        at = one.occurred_at.astimezone(UTC if self.faults.pull_utc else NAIROBI)
        return {
            "transactionId": one.reference.lower() if self.faults.lower_case_ids else one.reference,
            "trxDate": f"{at:%Y-%m-%dT%H:%M:%S}Z",
            "msisdn": int(one.phone[3:] or 0),
            "sender": "MPESA",
            "transactiontype": "c2b-pay-bill-debit",
            "billreference": one.typed,
            "amount": wire(one.amount_minor),
            "organizationname": self.shortcodes[one.shortcode],
        }

    # --- checks -------------------------------------------------------------------------------------------------

    def _own(self, body: Mapping[str, Any], name: str, *, code: str = "400.002.02") -> str:
        shortcode = str(body.get(name, ""))
        if shortcode not in self.shortcodes:
            message = "Merchant does not exist" if code.startswith("500") else f"Bad Request - Invalid {name}"
            raise Refusal(int(code[:3]), code, message)
        return shortcode

    def _signed(self, body: Mapping[str, Any]) -> None:
        """Check the password of a push. Raises Refusal."""
        expected = f"{body.get('BusinessShortCode')}{self.keys.passkey}{body.get('Timestamp')}"
        try:
            given = base64.b64decode(str(body.get("Password", "")), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            given = ""
        if given != expected:
            raise Refusal(500, "500.001.1001", "Wrong credentials")
        if body.get("TransactionType", "CustomerPayBillOnline") not in _PUSH_TYPES:
            raise Refusal(400, "400.002.02", "Bad Request - Invalid TransactionType")

    def _id(self) -> str:
        return f"{self.rng.randrange(1000, 99999)}-{self.rng.randrange(10**6, 10**8)}-1"


_ACCEPTED: Final = "Accept the service request successfully."
_PUSH_TYPES: Final = frozenset({"CustomerPayBillOnline", "CustomerBuyGoodsOnline"})


def _cents(value: object) -> int:
    try:
        minor = minor_from_decimal(Decimal(str(value)))
    except (DecimalException, InvalidValue):
        minor = 0
    if minor <= 0:
        raise Refusal(400, "400.002.02", "Bad Request - Invalid Amount")
    return minor


def _moment(value: object) -> datetime:
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=NAIROBI)
    except ValueError:
        raise Refusal(400, "400.002.02", "Bad Request - Invalid StartDate or EndDate") from None
