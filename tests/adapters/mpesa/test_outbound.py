"""Every operation of the M-PESA client against the simulated provider over loopback HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from adapters.mpesa import MpesaSettings, adapter
from adapters.mpesa.balances import balances
from adapters.mpesa.outbound import MpesaOutbound, client
from revenue_engine.errors import ConfigurationError, InvalidValue, Rejected, Retryable
from revenue_engine.ports.callbacks import Ignored, Interpretation, Kind, Paid, Purpose, Reversed, Strength, Unknown
from revenue_engine.ports.outbound import NotKnown, NotSent, OutboundClient, Sending, Sent
from tests.adapters.mpesa.conftest import NOON, OTHER, PAYBILL, World

PUSH: dict[str, Any] = {
    "phone": "+254700000101",
    "amount_minor": 125_000,
    "account_reference": "123456789",
    "description": "Rates of the year",
}
HOUR = timedelta(hours=1)


def pulled(world: World, **window: Any) -> list[Interpretation]:
    """Everything the default window holds, read by the adapter."""
    window = {"since": NOON - HOUR, "until": NOON + HOUR} | window
    return [
        one
        for page in world.client.pull(**window)
        for one in adapter.interpret_all(page.body, purpose=Purpose(page.purpose))
        if not isinstance(one, Ignored)
    ]


def heard(world: World, purpose: Purpose) -> list[Interpretation]:
    world.settle()
    return [adapter.interpret(body, purpose=purpose) for body in world.kept.of(purpose)]


def test_the_port_is_kept(world: World) -> None:
    assert isinstance(world.client, OutboundClient)


# --- pushes ---


def test_a_push_is_paid_and_told_twice(world: World) -> None:
    assert isinstance(world.client.register(), Sent)
    sent = world.client.push(**PUSH)
    assert isinstance(sent, Sent)
    (result,) = heard(world, Purpose.PUSH_RESULT)
    (confirmed,) = heard(world, Purpose.CONFIRMATION)
    assert isinstance(result, Paid)
    assert isinstance(confirmed, Paid)
    assert result.request_id == sent.request_id
    assert result.reference == confirmed.reference
    assert confirmed.amount_minor == result.amount_minor == 125_000
    body = world.sent("/mpesa/stkpush/v1/processrequest")
    assert body["PhoneNumber"] == body["PartyA"] == "254700000101"
    assert (body["Amount"], body["TransactionDesc"], body["Timestamp"]) == ("1250", "Rates of the ", "20261120120000")
    assert world.provider.withheld == ()


def test_a_till_pushes_through_its_store(world: World) -> None:
    with pytest.raises(ConfigurationError, match=r"asking\.store"):
        till(world).push(**PUSH)
    assert isinstance(till(world, store="600100").push(**PUSH), Sent)
    body = world.sent("/mpesa/stkpush/v1/processrequest")
    assert (body["BusinessShortCode"], body["PartyB"]) == ("600100", OTHER)
    assert body["TransactionType"] == "CustomerBuyGoodsOnline"


def till(world: World, **asking: str) -> MpesaOutbound:
    made = world.make(OTHER, **asking)
    made._settings = made._settings.model_copy(update={"kind": "till"})
    return made


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"phone": "+256700000101"}, "phone"),
        ({"phone": "0700000101"}, "phone"),
        ({"amount_minor": 125_050}, "amount_minor"),
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": 250_001_00}, "amount_minor"),
        ({"account_reference": ""}, "account_reference"),
        ({"account_reference": "1234567890123"}, "account_reference"),
    ],
)
def test_what_the_provider_would_refuse_is_never_sent(world: World, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        world.client.push(**(PUSH | wrong))
    assert refused.value.facts["field"] == field
    assert world.provider.calls == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("1032", Ignored("", request_state="cancelled")),
        ("1", Ignored("", request_state="failed")),
        ("1037", Unknown("")),
        ("SFC_IC0003", Unknown("")),
        ("0", Unknown("", request_state="paid")),
    ],
)
def test_a_query_tells_how_a_prompt_ended(world: World, code: str, found: Ignored | Unknown) -> None:
    world.provider.faults.prompt_code = code
    sent = world.client.push(**PUSH)
    assert isinstance(sent, Sent)
    world.settle()
    told = world.client.query(sent.request_id)
    meaning = adapter.interpret(told.body, purpose=Purpose(told.purpose))
    assert type(meaning) is type(found)
    assert isinstance(meaning, Ignored | Unknown)
    assert meaning.request_state == found.request_state
    assert meaning.request_id == told.request_id == sent.request_id


def test_an_open_prompt_is_pending_and_asked_once(world: World) -> None:
    world.provider.faults.hold_prompts = True
    sent = world.client.push(**PUSH)
    assert isinstance(sent, Sent)
    told = world.client.query(sent.request_id)
    meaning = adapter.interpret(told.body, purpose=Purpose.QUERY)
    assert meaning == Unknown(
        "error 500.001.1001: the push is still being processed, ask again", request_state="pending"
    )
    assert told.request_id == sent.request_id
    assert world.pauses == []
    world.provider.answer(sent.request_id)
    again = adapter.interpret(world.client.query(sent.request_id).body, purpose=Purpose.QUERY)
    assert isinstance(again, Unknown)
    assert again.request_state == "paid"


def test_a_refused_query_says_nothing_about_the_push(world: World) -> None:
    told = world.client.query("ws_CO_nobody_knows")
    meaning = adapter.interpret(told.body, purpose=Purpose.QUERY)
    assert isinstance(meaning, Unknown)
    assert "400.002.02" in meaning.reason
    assert "tells nothing" in meaning.reason


# --- error codes ---


def questions(world: World) -> list[Callable[[], Sending]]:
    return [world.client.balance, lambda: world.client.status(reference="UKK1234567")]


def orders(world: World) -> list[Callable[[], Sending]]:
    return [
        lambda: world.client.push(**PUSH),
        lambda: world.client.reverse(reference="UKK1234567", amount_minor=100, remarks="Wrong"),
    ]


def test_a_refused_token_is_renewed_once_and_the_call_made_again(world: World) -> None:
    for operation in [*questions(world), *orders(world)]:
        world.provider.faults.refuse_tokens = 1
        issued = world.provider.tokens_issued
        assert isinstance(operation(), Sent)
        assert world.provider.tokens_issued - issued in (1, 2)  # the first call of all needs one to begin with
    assert world.pauses == []


def test_a_token_refused_twice_sends_nothing(world: World) -> None:
    world.provider.faults.refuse_tokens = 2
    found = world.client.push(**PUSH)
    assert found == NotSent("M-PESA answered 404, error '404.001.03'", "404.001.03")
    assert world.provider.calls == []


def test_spike_arrest_is_waited_out_by_questions_and_orders(world: World) -> None:
    for operation in [*questions(world), *orders(world)]:
        world.provider.faults.spike_arrest = 3
        assert isinstance(operation(), Sent)
    assert len(world.pauses) == 12
    assert all(0 <= pause <= 8 for pause in world.pauses)
    pushes = [call for call in world.provider.calls if "stkpush" in call.path]
    assert len(pushes) == 1


def test_spike_arrest_that_lasts_certainly_sent_nothing(world: World) -> None:
    world.provider.faults.spike_arrest = 100
    for operation in [*questions(world), *orders(world)]:
        found = operation()
        assert isinstance(found, NotSent)
        assert (found.code, found.retry) == ("500.003.02", True)
    with pytest.raises(Retryable, match=r"500\.003\.02"):
        world.client.query("ws_CO_1")
    assert world.provider.calls == []


def test_a_service_that_is_down_proves_nothing_about_an_order(world: World) -> None:
    for operation in orders(world):
        world.provider.faults.service_down = 1
        assert operation() == NotKnown("M-PESA answered 500, error '500.002.1001'", "500.002.1001")
    assert world.pauses == []
    for operation in questions(world):
        world.provider.faults.service_down = 2
        assert isinstance(operation(), Sent)


@pytest.mark.parametrize("operation", [0, 1])
def test_an_order_without_an_answer_is_not_known_and_not_sent_again(world: World, operation: int) -> None:
    world._client = world.make(read=0.25)  # type: ignore[attr-defined]
    world.provider.faults.hang_ms = 600
    found = orders(world)[operation]()
    assert isinstance(found, NotKnown)
    assert "no answer came" in found.reason
    world.settle()
    assert len(world.provider.calls) == 1


def test_nobody_listening_means_certainly_not_sent(world: World) -> None:
    world._client = world.make(base_url="http://127.0.0.1:9")  # type: ignore[attr-defined]
    for operation in orders(world):
        found = operation()
        assert isinstance(found, NotSent)
        assert found.retry
    with pytest.raises(Retryable):
        world.client.query("ws_CO_1")
    with pytest.raises(Retryable):
        list(world.client.pull(since=NOON - HOUR, until=NOON))


def test_a_wrong_merchant_is_not_known_for_the_code_has_other_meanings(world: World) -> None:
    found = world.make("600999").push(**PUSH)
    assert isinstance(found, NotKnown)
    assert found.code == "500.001.1001"


# --- the token ---


def test_one_token_serves_until_a_minute_before_its_end(world: World) -> None:
    for _ in range(3):
        world.client.balance()
    assert world.provider.tokens_issued == 1
    world.provider.faults.token_seconds = 59
    other = world.make()
    other.balance()
    other.balance()
    assert world.provider.tokens_issued == 3


def test_many_threads_renew_a_refused_token_once(world: World) -> None:
    world.client.balance()
    world.provider.tokens.clear()
    start = threading.Barrier(8)
    found: list[Sending] = []

    def ask() -> None:
        start.wait()
        found.append(world.client.balance())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(one) for one in found] == [Sent] * 8
    assert world.provider.tokens_issued == 2


def test_refused_credentials_name_no_secret(world: World) -> None:
    (world.secrets / "mpesa_consumer_secret").write_text("hunter2hunter2")
    for operation in (lambda: world.client.push(**PUSH), lambda: world.client.query("ws_CO_1")):
        with pytest.raises(ConfigurationError, match="refuses the consumer key") as refused:
            operation()
        assert "hunter2" not in repr(refused.value) + str(refused.value.facts)


def test_a_changed_secret_needs_no_restart(world: World) -> None:
    good = (world.secrets / "mpesa_passkey").read_text()
    (world.secrets / "mpesa_passkey").write_text("wrong")
    assert isinstance(world.client.push(**PUSH), NotKnown)
    (world.secrets / "mpesa_passkey").write_text(good + "\n")
    assert isinstance(world.client.push(**PUSH), Sent)


# --- status, balance, reversal ---


def test_a_withheld_payment_is_found_by_status(world: World) -> None:
    moved = world.provider.pay(PAYBILL, amount_minor=80_000, account="123456789", told=False)
    assert world.provider.withheld == (moved,)
    sent = world.client.status(reference=moved.reference.lower())
    assert isinstance(sent, Sent)
    (found,) = heard(world, Purpose.RESULT)
    assert isinstance(found, Paid)
    assert (found.reference, found.amount_minor, found.occurred_at) == (moved.reference, 80_000, moved.occurred_at)
    assert (found.request_id, found.channel_account, found.strength) == (sent.request_id, PAYBILL, Strength.SUPPORTS)
    assert world.sent("/mpesa/transactionstatus/v1/query")["TransactionID"] == moved.reference


def test_a_status_by_request_finds_what_the_request_did(world: World) -> None:
    moved = world.provider.pay(PAYBILL, amount_minor=80_000, account="123456789")
    world.provider.faults.time_out = True
    sent = world.client.reverse(reference=moved.reference, amount_minor=80_000, remarks="Twice")
    assert isinstance(sent, Sent)
    (late,) = heard(world, Purpose.TIMEOUT)
    assert isinstance(late, Unknown), "a time-out that says success is not known"
    assert late.request_id == sent.request_id
    world.provider.faults.time_out = False
    world.client.status(request_id=sent.request_id)
    (found,) = heard(world, Purpose.RESULT)
    assert isinstance(found, Unknown), "a reversal is no plain payment, so the statement decides"
    assert "'revers'" in found.reason


def test_a_status_names_one_thing(world: World) -> None:
    for wrong in ({}, {"reference": "UKK1234567", "request_id": "AG_1"}):
        with pytest.raises(InvalidValue):
            world.client.status(**wrong)


def test_an_unknown_transaction_stays_unknown(world: World) -> None:
    world.client.status(reference="UKK1234567")
    (found,) = heard(world, Purpose.RESULT)
    assert isinstance(found, Unknown)


def test_balances_are_told(world: World) -> None:
    world.provider.pay(PAYBILL, amount_minor=100_000, account="x")
    sent = world.client.balance()
    assert isinstance(sent, Sent)
    (found,) = heard(world, Purpose.RESULT)
    assert isinstance(found, Ignored)
    assert found.request_id == sent.request_id
    told = {one.account: one.current_minor for one in balances(world.kept.of(Purpose.RESULT)[0])}
    assert told == {"Working Account": 0, "Utility Account": 99_000, "Charges Paid Account": 0}


def test_a_reversal_is_told_under_its_own_receipt_and_happens_once(world: World) -> None:
    moved = world.provider.pay(PAYBILL, amount_minor=80_000, account="123456789")
    sent = world.client.reverse(reference=moved.reference, amount_minor=80_000, remarks="Paid twice")
    assert isinstance(sent, Sent)
    (found,) = heard(world, Purpose.RESULT)
    assert isinstance(found, Reversed)
    assert (found.reverses, found.amount_minor, found.request_id) == (moved.reference, 80_000, sent.request_id)
    assert found.reference != moved.reference
    world.client.reverse(reference=moved.reference, amount_minor=80_000, remarks="Again")
    assert isinstance(heard(world, Purpose.RESULT)[1], Unknown)
    assert sum(one.what == "reversal" for one in world.provider.books.movements) == 1
    assert world.sent("/mpesa/reversal/v1/request")["RecieverIdentifierType"] == "11"


def test_an_operator_with_a_wrong_password_fails_for_certain(world: World) -> None:
    (world.secrets / "mpesa_initiator_password").write_text("wrong")
    world.client.balance()
    (found,) = heard(world, Purpose.RESULT)
    assert isinstance(found, Ignored)
    assert found.request_state == "failed"


# --- pull ---


def test_nothing_is_pulled_before_the_registration(world: World) -> None:
    with pytest.raises(Rejected, match=r"400\.002\.02"):
        pulled(world)
    assert isinstance(world.client.register_pull(), Sent)
    assert isinstance(world.client.register_pull(), Sent), "registered before is as good"
    assert pulled(world) == []


@pytest.mark.parametrize("lower", [False, True])
def test_a_withheld_payment_is_found_by_pull(world: World, lower: bool) -> None:
    world.client.register_pull()
    world.provider.faults.lower_case_ids = lower
    moved = world.provider.pay(PAYBILL, amount_minor=80_000, account=" ab-1 ", told=False)
    world.provider.pay(OTHER, amount_minor=10_000, account="another", told=False)
    (found,) = pulled(world)
    assert isinstance(found, Paid)
    assert (found.reference, found.amount_minor, found.occurred_at) == (moved.reference, 80_000, moved.occurred_at)
    assert (found.account_reference, found.kind, found.strength) == (" ab-1 ", Kind.PAYMENT, Strength.PROVES)


@pytest.mark.parametrize("count", [100, 101, 250])
def test_pages_follow_each_other_to_the_end(world: World, count: int) -> None:
    world.client.register_pull()
    for number in range(count):
        world.provider.pay(PAYBILL, amount_minor=100 * (number + 1), account=f"{number}", at=NOON - HOUR / 2)
    found = pulled(world)
    assert len(found) == count
    assert {one.reference for one in found if isinstance(one, Paid)} == set(world.provider.books.by_reference)
    offsets = [call.body["OffSetValue"] for call in world.provider.calls if call.path.endswith("v1/query")]
    assert offsets == [str(min(count, number * 100)) for number in range(len(offsets))]


def test_a_window_older_than_the_provider_remembers_is_refused_with_its_limit(world: World) -> None:
    with pytest.raises(InvalidValue) as refused:
        world.client.pull(since=NOON - timedelta(hours=49), until=NOON)
    assert refused.value.facts["earliest"] == NOON - timedelta(hours=48)
    with pytest.raises(InvalidValue):
        world.client.pull(since=NOON, until=NOON)


def test_a_page_that_is_not_given_is_kept_and_said(world: World) -> None:
    world.client.register_pull()
    world.provider.faults.pull_errors = 1
    pages = world.client.pull(since=NOON - HOUR, until=NOON)
    kept = next(pages)
    assert isinstance(adapter.interpret_all(kept.body, purpose=Purpose.PULL)[0], Unknown)
    with pytest.raises(Retryable, match="cannot be read"):
        next(pages)


@pytest.mark.parametrize("utc", [False, True])
@pytest.mark.parametrize("hour", [0, 2, 3, 12, 20, 22, 23])
def test_the_receipt_decides_the_day_of_a_time_with_a_doubtful_zone(world: World, utc: bool, hour: int) -> None:
    world.client.register_pull()
    world.provider.faults.pull_utc = utc
    at = NOON.replace(hour=hour) - timedelta(days=1)
    world.provider.pay(PAYBILL, amount_minor=80_000, account="1", at=at)
    (found,) = pulled(world, since=NOON - timedelta(hours=47))
    assert isinstance(found, Paid)
    assert found.occurred_at.date() == at.date()
    if not utc or hour < 3:
        assert found.occurred_at == at


# --- registration ---


def test_the_registration_is_version_two_and_takes_the_payment_by_default(world: World) -> None:
    sent = world.client.register()
    assert isinstance(sent, Sent)
    assert sent.request_id
    registered = world.provider.registered[PAYBILL]
    assert not registered.hashed
    assert (registered.confirmation, registered.when_silent) == (f"{world.kept.url}/confirmation", "Completed")


def test_an_address_the_provider_forbids_is_not_sent(world: World) -> None:
    addresses = {"confirmation": "https://pay.example/cb/v1/aSQLb", "validation": "https://pay.example/cb/v1/b"}
    (world.secrets / "mpesa_addresses.json").write_text(json.dumps(addresses))
    with pytest.raises(ConfigurationError, match="contains 'sql'") as refused:
        world.client.register()
    assert "aSQLb" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="has none for push_result"):
        world.client.push(**PUSH)
    assert world.provider.calls == []


# --- settings ---


@pytest.mark.parametrize(
    "asking",
    [
        {"base_url": "http://provider.example"},
        {"base_url": "https://user:pw@provider.example"},
        {"consumer_key": "../etc/passwd"},
        {"consumer_key": ".hidden"},
        {"passkey": "a/b"},
        {"nominated_number": "0700000100"},
        {"password": "in the database"},
    ],
)
def test_settings_that_could_leak_or_miss_are_refused(asking: dict[str, str]) -> None:
    good = {"consumer_key": "k", "consumer_secret": "s"}
    MpesaSettings.model_validate({"shortcode": PAYBILL, "asking": good})
    with pytest.raises(ValueError, match="asking"):
        MpesaSettings.model_validate({"shortcode": PAYBILL, "asking": good | asking})


@pytest.mark.parametrize(
    "left_out", ["passkey", "initiator", "initiator_password", "certificate", "addresses", "nominated_number"]
)
def test_what_is_left_out_is_named_when_it_is_needed(world: World, left_out: str) -> None:
    made = world.make(**{left_out: None})
    needing: dict[str, Callable[[], Sending]] = {
        "passkey": lambda: made.push(**PUSH),
        "addresses": made.register,
        "nominated_number": made.register_pull,
    }
    with pytest.raises(ConfigurationError, match=rf"asking\.{left_out}"):
        needing.get(left_out, made.balance)()


def test_an_account_that_never_asks_has_no_client() -> None:
    with pytest.raises(ConfigurationError, match="says nothing about asking"):
        client(MpesaSettings(shortcode=PAYBILL), secret=lambda name: b"", http=None)  # type: ignore[arg-type]


def test_production_is_the_providers_own_host() -> None:
    asking = {"consumer_key": "k", "consumer_secret": "s", "environment": "production"}
    settings = MpesaSettings.model_validate({"shortcode": PAYBILL, "asking": asking})
    assert settings.asking is not None
    assert settings.asking.host == "https://api.safaricom.co.ke"


def test_nothing_secret_is_shown(world: World) -> None:
    world.client.balance()
    (token,) = world.provider.tokens
    shown = repr(world.client) + repr(world.client.exchange) + repr(world.client.exchange.token)
    shown += repr(world.client._settings) + str(vars(world.client._settings))
    for secret in (token, world.provider.keys.consumer_secret, world.provider.keys.passkey):
        assert secret not in shown
