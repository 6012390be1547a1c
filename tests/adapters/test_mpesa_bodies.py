"""The simulator's M-PESA bodies are read back by the adapter as the facts they were built from."""

from __future__ import annotations

import json
import random
import re
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mpesa import adapter
from adapters.sandbox import mpesa_bodies as bodies
from revenue_engine.errors import InvalidValue
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Ignored, Kind, Paid, Purpose, Reversed, Unknown

AT = datetime(2026, 2, 15, 0, 5, 9, tzinfo=NAIROBI)
PHONE = "254700000101"
amounts = st.integers(1, 10**12 - 1)
times = st.datetimes(datetime(2007, 3, 1), datetime(2031, 12, 31), timezones=st.just(NAIROBI)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=0, fold=0)
)


@given(
    amounts, times, st.text(st.characters(codec="utf-8"), max_size=20), st.sampled_from(["clear", "masked", "hashed"])
)
def test_confirmation(minor: int, at: datetime, account: str, form: bodies.Msisdn) -> None:
    body = bodies.c2b_confirmation(
        receipt="UBF1A2B3C4",
        at=at,
        amount_minor=minor,
        shortcode="600100",
        account=account,
        msisdn=PHONE,
        names=("Achieng", "", "Sample"),
        form=form,
        balance_minor=minor,
    )
    found = adapter.interpret(body, purpose=Purpose.CONFIRMATION)
    assert isinstance(found, Paid)
    assert (found.amount_minor, found.occurred_at, found.channel_account) == (minor, at, "600100")
    assert found.account_reference == account.replace("\0", "\ufffd")
    assert found.party.msisdn == bodies.told(PHONE, form)


def test_forms_of_the_phone_number() -> None:
    assert bodies.told(PHONE, "clear") == PHONE
    assert bodies.told(PHONE, "masked") == "2547 ***** 101"
    assert re.fullmatch(r"[0-9a-f]{64}", bodies.told(PHONE, "hashed"))


def test_validation_asks_and_moves_nothing() -> None:
    body = bodies.c2b_validation(
        receipt="UBF1A2B3C4", at=AT, amount_minor=5000, shortcode="600100", account="482913057", msisdn=PHONE
    )
    assert isinstance(adapter.interpret(body), Ignored)
    asked = adapter.asked(body)
    assert asked is not None
    assert (asked.account_reference, asked.amount_minor) == ("482913057", 5000)


@given(amounts, times)
def test_push_paid(minor: int, at: datetime) -> None:
    body = bodies.stk_success(
        merchant_request="7071-1",
        checkout_request="ws_CO_1",
        receipt="UBF1A2B3C4",
        at=at,
        amount_minor=minor,
        msisdn=PHONE,
    )
    found = adapter.interpret(body, purpose=Purpose.PUSH_RESULT)
    assert isinstance(found, Paid)
    assert (found.amount_minor, found.occurred_at, found.request_id) == (minor, at, "ws_CO_1")
    items = json.loads(body)["Body"]["stkCallback"]["CallbackMetadata"]["Item"]
    assert {"Name": "Balance"} in items


@pytest.mark.parametrize("code", [*bodies.STK_FAILURES, 31415])
def test_push_not_paid(code: int) -> None:
    found = adapter.interpret(bodies.stk_failure(merchant_request="7071-1", checkout_request="ws_CO_1", code=code))
    assert isinstance(found, Ignored if code in (1, 1019, 1032, 2001, 2028) else Unknown)
    assert found.request_id == "ws_CO_1"


@given(amounts, times)
def test_results(minor: int, at: datetime) -> None:
    back = adapter.interpret(
        bodies.reversal_result(
            conversation="AG_1",
            originator_conversation="7071-1",
            receipt="UBF9Z8Y7X6",
            reverses="UBF1A2B3C4",
            at=at,
            amount_minor=minor,
            shortcode="600100",
            organisation="Sample County",
            payer=f"{PHONE} - Achieng Sample",
        )
    )
    assert isinstance(back, Reversed)
    assert (back.reverses, back.amount_minor, back.occurred_at, back.channel_account) == (
        "UBF1A2B3C4",
        minor,
        at,
        "600100",
    )
    status = adapter.interpret(
        bodies.status_result(
            conversation="AG_1",
            originator_conversation="7071-1",
            receipt="UBF1A2B3C4",
            at=at,
            amount_minor=minor,
            credit_party="600100 - Sample County",
            debit_party=f"{PHONE} - Achieng Sample",
        )
    )
    assert isinstance(status, Paid)
    assert (status.kind, status.amount_minor, status.occurred_at) == (Kind.PAYMENT, minor, at)


def test_timeout() -> None:
    body = bodies.timeout(conversation="AG_1", originator_conversation="7071-1")
    found = adapter.interpret(body, purpose=Purpose.TIMEOUT)
    assert isinstance(found, Unknown)
    assert found.request_id == "AG_1"


def test_receipt_codes_carry_their_day() -> None:
    rng = random.Random(7)
    assert bodies.receipt_code(rng, date(2006, 1, 1)).startswith("AA1")
    assert bodies.receipt_code(rng, date(2025, 11, 6)).startswith("TK6")
    assert bodies.receipt_code(rng, date(2026, 12, 31)).startswith("ULV")
    many = {bodies.receipt_code(rng, date(2026, 2, 10)) for _ in range(5000)}
    assert len(many) == 5000
    assert all(re.fullmatch(r"UBA[A-Z0-9]{7}", code) for code in many)
    for year in (2005, 2032):
        with pytest.raises(InvalidValue, match="2006 to 2031"):
            bodies.receipt_code(rng, date(year, 1, 1))
