"""What the simulated provider posts by itself, with every switch: who pays, what is told, what is lost on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from adapters.mpesa import MpesaSettings, adapter
from adapters.mpesa.outbound import client
from adapters.sandbox.mpesa_posts import Faults, Post
from adapters.sandbox.mpesa_provider import Provider
from revenue_engine.errors import NotFound
from revenue_engine.ports.callbacks import Answer, Ignored, Paid, Purpose, Unknown
from revenue_engine.ports.outbound import Sent
from tests.adapters.mpesa.conftest import PAYBILL, World

PAY: dict[str, Any] = {"amount_minor": 80_000, "account": "123456789"}
PUSH: dict[str, Any] = {
    "phone": "+254700000101",
    "amount_minor": 80_000,
    "account_reference": "1",
    "description": "Rates",
}


@pytest.fixture
def registered(world: World) -> World:
    assert isinstance(world.client.register(), Sent)
    return world


def fault(world: World, **switches: object) -> None:
    for name, value in switches.items():
        assert hasattr(world.provider.faults, name)
        setattr(world.provider.faults, name, value)


def confirmations(world: World) -> list[Mapping[str, Any]]:
    world.settle()
    return [json.loads(body) for body in world.kept.of(Purpose.CONFIRMATION)]


# --- validation ---


def test_nothing_is_asked_until_validation_is_switched_on(registered: World) -> None:
    moved = registered.provider.pay(PAYBILL, **PAY)
    (told,) = confirmations(registered)
    assert told["TransID"] == moved.reference
    assert registered.kept.of(Purpose.VALIDATION) == []


def test_a_payment_is_asked_about_first_and_may_be_refused(registered: World) -> None:
    registered.provider.validating.add(PAYBILL)
    registered.kept.answers[Purpose.VALIDATION] = adapter.answer(Answer.ACCEPT)
    taken = registered.provider.pay(PAYBILL, **PAY)
    registered.kept.answers[Purpose.VALIDATION] = adapter.answer(Answer.UNKNOWN_ACCOUNT)
    refused = registered.provider.pay(PAYBILL, **PAY)
    assert (taken.state, refused.state) == ("Completed", "Cancelled")
    assert [one["TransID"] for one in confirmations(registered)] == [taken.reference]
    first, second = registered.kept.of(Purpose.VALIDATION)
    assert adapter.asked(first) == adapter.asked(second)
    assert isinstance(adapter.interpret(first, purpose=Purpose.VALIDATION), Ignored)
    assert registered.provider.withheld == (), "what was refused did not happen"


@pytest.mark.parametrize(("when_silent", "state"), [("Completed", "Completed"), ("Cancelled", "Cancelled")])
def test_an_answer_that_comes_too_late_is_the_registered_default(world: World, when_silent: Any, state: str) -> None:
    world.client.register(when_silent=when_silent)
    world.provider.validating.add(PAYBILL)
    fault(world, validation_ms=100)
    world.kept.waits[Purpose.VALIDATION] = 400
    world.kept.answers[Purpose.VALIDATION] = adapter.answer(Answer.REFUSE)
    assert world.provider.pay(PAYBILL, **PAY).state == state
    assert len(confirmations(world)) == (state == "Completed")


# --- switches ---


def test_lost_posts_leave_a_withheld_payment(registered: World) -> None:
    fault(registered, lose=1000)
    moved = registered.provider.pay(PAYBILL, **PAY)
    assert confirmations(registered) == []
    (kept_back,) = registered.provider.withheld
    assert (kept_back.reference, kept_back.pushed) == (moved.reference, False)


def test_a_withheld_push_is_known_by_its_query_and_found_by_pull(registered: World) -> None:
    fault(registered, withhold=1000)
    registered.client.register_pull()
    sent = registered.client.push(**PUSH)
    assert isinstance(sent, Sent)
    registered.settle()
    assert registered.kept.bodies == []
    (kept_back,) = registered.provider.withheld
    assert (kept_back.pushed, kept_back.request_id) == (True, sent.request_id)
    told = adapter.interpret(registered.client.query(sent.request_id).body, purpose=Purpose.QUERY)
    assert isinstance(told, Unknown)
    assert told.request_state == "paid"
    (page, _) = registered.client.pull(since=registered.clock().replace(hour=0), until=registered.clock())
    (found,) = adapter.interpret_all(page.body, purpose=Purpose.PULL)
    assert isinstance(found, Paid)
    assert found.reference == kept_back.reference


def test_a_prompt_is_answered_once(registered: World) -> None:
    fault(registered, hold_prompts=True)
    sent = registered.client.push(**PUSH)
    assert isinstance(sent, Sent)
    registered.provider.answer(sent.request_id)
    for request_id in (sent.request_id, "ws_CO_nobody"):
        with pytest.raises(NotFound):
            registered.provider.answer(request_id, "1032")
    assert len(registered.provider.books.movements) == 1


def test_copies_come_at_once(registered: World) -> None:
    fault(registered, duplicate=1000, copies=10)
    registered.provider.pay(PAYBILL, **PAY)
    told = confirmations(registered)
    assert len(told) == 10
    assert len({json.dumps(one) for one in told}) == 1


def test_late_posts_are_overtaken(registered: World) -> None:
    fault(registered, late=1000, late_ms=500)
    first = registered.provider.pay(PAYBILL, **PAY)
    fault(registered, late=0)
    second = registered.provider.pay(PAYBILL, **PAY)
    assert [one["TransID"] for one in confirmations(registered)] == [second.reference, first.reference]


def test_messages_about_one_payment_come_in_either_order(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Provider({PAYBILL: "Sample County"}, seed=5).sender
    begun: list[str] = []
    monkeypatch.setattr(sender, "run", lambda work, url, body, wait: begun.append(url))
    pair = [Post("result", b"{}"), Post("confirmation", b"{}")]
    for shuffle in (False, True):
        monkeypatch.setattr(sender, "_faults", lambda shuffle=shuffle: Faults(shuffle=shuffle))
        begun.clear()
        for _ in range(20):
            assert sender.send(pair)
        assert set(begun[::2]) == ({"result", "confirmation"} if shuffle else {"result"})
    sender.close()


@pytest.mark.parametrize(("form", "told"), [("masked", "2547 ***** 101"), ("clear", "254700000101")])
def test_numbers_of_payers_are_told_as_switched(registered: World, form: str, told: str) -> None:
    fault(registered, msisdn=form)
    registered.provider.pay(PAYBILL, **PAY)
    assert confirmations(registered)[0]["MSISDN"] == told


def test_version_one_of_the_registration_tells_numbers_hashed(world: World) -> None:
    http = httpx2.Client(base_url=world.url, trust_env=False)
    token = http.get(
        "/oauth/v1/generate",
        params={"grant_type": "client_credentials"},
        auth=(world.provider.keys.consumer_key, world.provider.keys.consumer_secret),
    ).json()
    assert token["expires_in"] == "3599"
    bearer = {"authorization": f"Bearer {token['access_token']}"}
    body = {
        "ShortCode": PAYBILL,
        "ResponseType": "Completed",
        "ConfirmationURL": world.kept.addresses[Purpose.CONFIRMATION],
        "ValidationURL": world.kept.addresses[Purpose.VALIDATION],
    }
    assert http.post("/mpesa/c2b/v1/registerurl", json=body, headers=bearer).json()["ResponseCode"] == "0"
    paid = {"ShortCode": PAYBILL, "CommandID": "CustomerPayBillOnline", "Amount": "800", "Msisdn": "254700000101"}
    paid["BillRefNumber"] = "AB 1"
    assert http.post("/mpesa/c2b/v1/simulate", json=paid, headers=bearer).status_code == 200
    (told,) = confirmations(world)
    assert len(told["MSISDN"]) == 64
    assert (told["TransAmount"], told["BillRefNumber"]) == ("800.00", "AB 1")
    body["ConfirmationURL"] = "https://pay.example/mpesa"
    refused = http.post("/mpesa/c2b/v1/registerurl", json=body, headers=bearer)
    assert refused.json()["errorCode"] == "400.002.02"
    http.close()


@pytest.mark.parametrize("switch", ["numbers_as_text", "shortcode_as_number", "extra_keys"])
def test_bodies_in_another_dress_say_the_same(registered: World, switch: str) -> None:
    fault(registered, **{switch: True})
    registered.client.push(**PUSH)
    registered.settle()
    found = [adapter.interpret(body, purpose=purpose) for purpose, body in registered.kept.bodies]
    assert {(one.reference, one.amount_minor) for one in found if isinstance(one, Paid)} == {
        (registered.provider.books.movements[0].reference, 80_000)
    }
    assert len(found) == 2
    raw = b"".join(body for _, body in registered.kept.bodies)
    marks = {
        "numbers_as_text": b'"Amount","Value":"800.00"',
        "shortcode_as_number": b'"BusinessShortCode":600100,',
        "extra_keys": b'"Extra"',
    }
    assert marks[switch] in raw


def test_results_with_codes_nobody_knows_stay_unknown(registered: World) -> None:
    fault(registered, result_code="R000009")
    sent = registered.client.balance()
    assert isinstance(sent, Sent)
    registered.settle()
    found = adapter.interpret(registered.kept.of(Purpose.RESULT)[0], purpose=Purpose.RESULT)
    assert isinstance(found, Unknown)
    assert found.request_id == sent.request_id


# --- its own process ---


def test_it_runs_alone_with_its_own_paths(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "adapters.sandbox.mpesa_server", "--port", "0", "--seed", "7"]
    process = subprocess.Popen(
        [*command, "--secrets", str(tmp_path), "--callbacks", "http://127.0.0.1:9/cb"],
        stdout=subprocess.PIPE,
        text=True,
    )
    http = httpx2.Client(trust_env=False, timeout=20)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        settings = MpesaSettings.model_validate_json(json.dumps({"shortcode": PAYBILL, "asking": said["asking"]}))
        asking = client(settings, secret=lambda name: (tmp_path / name).read_bytes(), http=http)
        assert isinstance(asking.register_pull(), Sent)
        own = f"{said['url']}/simulator"
        paid = http.post(f"{own}/pay", json={"shortcode": PAYBILL, "amount_minor": 5_000, "account": "1"}).json()
        assert http.get(f"{own}/truth").json()[0]["reference"] == paid["reference"]
        day = paid["occurred_at"][:10]
        stated = http.get(f"{own}/statement", params={"shortcode": PAYBILL, "first": day})
        assert paid["reference"] in stated.text
        assert http.get(f"{own}/statement", params={"shortcode": "1"}).status_code == 400
        assert http.post(f"{own}/faults", json={"no_such": 1}).status_code == 400
        assert http.post(f"{own}/faults", json={"hold_prompts": True}).json()["hold_prompts"] is True
        sent = asking.push(**PUSH)
        assert isinstance(sent, Sent)
        ended = http.post(f"{own}/answer", json={"request_id": sent.request_id, "code": "1032"})
        assert ended.json()["code"] == "1032"
        told = adapter.interpret(asking.query(sent.request_id).body, purpose=Purpose.QUERY)
        assert isinstance(told, Ignored)
        assert told.request_state == "cancelled"
    finally:
        process.terminate()
        process.wait(timeout=20)
        http.close()
        if process.stdout is not None:
            process.stdout.close()
