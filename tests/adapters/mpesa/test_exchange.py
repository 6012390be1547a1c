"""Answers that only a broken gateway gives: what each proves, and pull rows and balances read one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from adapters.mpesa import MpesaSettings, adapter, requests
from adapters.mpesa.balances import balances
from adapters.mpesa.exchange import Exchange, Proof, judge
from adapters.mpesa.outbound import MpesaOutbound, client
from adapters.receipts import receipt_day
from adapters.sandbox.mpesa_keys import Keys
from adapters.sandbox.mpesa_provider import Provider
from revenue_engine import bootstrap
from revenue_engine.errors import ConfigurationError, InvalidValue, Rejected, Retryable
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Ignored, Interpretation, ManyAdapter, Paid, Party, Purpose, Strength, Unknown
from revenue_engine.ports.outbound import NotKnown, NotSent, OutboundClient, Sent
from tests.adapters.mpesa.conftest import NOON, PAYBILL, PURPOSES

TOKEN = {"access_token": "abc", "expires_in": "3599"}
FAULT = '{"fault":{"faultstring":"x","detail":{"errorcode":"%s"}}}'
ERROR = '{"requestId":"1","errorCode":"%s","errorMessage":"x"}'


@pytest.mark.parametrize(
    ("status", "body", "proof"),
    [
        (200, '{"ResponseCode":"0"}', Proof.TAKEN),
        (200, "<html>maintenance</html>", Proof.OPEN),
        (200, "[]", Proof.OPEN),
        (200, "", Proof.OPEN),
        (200, ERROR % "500.001.1001", Proof.OPEN),
        (200, ERROR % "400.002.02", Proof.REFUSED),
        (302, "", Proof.OPEN),
        (400, ERROR % "400.002.02", Proof.REFUSED),
        (400, "bad request", Proof.REFUSED),
        (401, ERROR % "401.002.01", Proof.REFUSED),
        (404, ERROR % "404.001.03", Proof.REFUSED),
        (429, "", Proof.BUSY),
        (500, ERROR % "500.003.02", Proof.BUSY),
        (500, ERROR % "500.003.03", Proof.BUSY),
        (500, ERROR % "500.001.1001", Proof.OPEN),
        (500, ERROR % "500.002.1001", Proof.OPEN),
        (500, ERROR % "500.999.9999", Proof.OPEN),
        (500, ERROR.replace('"%s"', "500"), Proof.OPEN),
        (500, FAULT % "policies.ratelimit.SpikeArrestViolation", Proof.BUSY),
        (401, FAULT % "oauth.v2.InvalidAccessToken", Proof.REFUSED),
        (500, FAULT % "steps.oauth.v2.Other", Proof.OPEN),
        (500, '{"fault":"down"}', Proof.OPEN),
        (502, "<html>Bad Gateway</html>", Proof.OPEN),
        (504, "", Proof.OPEN),
    ],
)
def test_what_an_answer_proves(status: int, body: str, proof: Proof) -> None:
    assert judge(status, body.encode()).proof is proof


def answering(*answers: httpx2.Response | type[Exception], token: Any = TOKEN) -> tuple[MpesaOutbound, list[str]]:
    """A client whose provider gives the answers in turn, the last one for ever; and the paths it was asked."""
    left, asked = list(answers), []

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/oauth/v1/generate":
            return httpx2.Response(200, json=token)
        asked.append(request.url.path)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, type):
            raise answer("x")
        return httpx2.Response(answer.status_code, content=answer.content)

    secrets = {
        "k": b"key", "s": b"secret", "p": b"passkey", "w": b"password",
        "c": Provider({PAYBILL: "County"}).keys.certificate,
        "a": json.dumps({one.value: f"https://pay.example/cb/v1/{one}" for one in PURPOSES}).encode(),
    }  # fmt: skip
    asking = {"consumer_key": "k", "consumer_secret": "s", "passkey": "p", "initiator": "op", "initiator_password": "w"}
    asking |= {"certificate": "c", "addresses": "a"}
    settings = MpesaSettings.model_validate({"shortcode": PAYBILL, "asking": asking})
    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    made = client(settings, secret=lambda name: secrets[name], http=http, clock=lambda: NOON, sleep=lambda _: None)
    return made, asked


def push(made: MpesaOutbound) -> Any:
    return made.push(phone="254700000101", amount_minor=100, account_reference="1", description="")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (httpx2.Response(200, json={"ResponseCode": "0"}), NotKnown),
        (httpx2.Response(200, json={"ResponseCode": "1", "CheckoutRequestID": "ws_CO_1"}), NotKnown),
        (httpx2.Response(200, json={"ResponseCode": "00000000", "CheckoutRequestID": "ws_CO_1"}), Sent),
        (httpx2.Response(200, content=b"<html>"), NotKnown),
        (httpx2.Response(502, content=b"<html>"), NotKnown),
        (httpx2.Response(400, content=b"<html>"), NotSent),
        (httpx2.ReadTimeout, NotKnown),
        (httpx2.WriteError, NotKnown),
        (httpx2.RemoteProtocolError, NotKnown),
    ],
)
def test_a_push_is_sent_once_whatever_is_answered(answer: Any, found: type) -> None:
    made, asked = answering(answer)
    assert type(push(made)) is found
    assert len(asked) == 1


@pytest.mark.parametrize(
    "refused",
    [
        httpx2.Response(401),
        httpx2.Response(400, content=(ERROR % "400.003.01").encode()),
        httpx2.Response(401, content=(ERROR % "401.002.01").encode()),
        httpx2.Response(404, content=(ERROR % "404.001.03").encode()),
        httpx2.Response(401, content=(FAULT % "keymanagement.service.invalid_access_token").encode()),
    ],
)
def test_every_word_for_a_refused_token_renews_it_once(refused: httpx2.Response) -> None:
    good = httpx2.Response(200, json={"ResponseCode": "0", "CheckoutRequestID": "w"})
    made, asked = answering(refused, good)
    assert push(made) == Sent("w")
    assert (len(asked), made.exchange.token.renewals) == (2, 2)
    made, asked = answering(refused)
    assert isinstance(push(made), NotSent)
    assert (len(asked), made.exchange.token.renewals) == (2, 2)


@pytest.mark.parametrize("fault", [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout])
def test_a_push_that_never_left_is_tried_again(fault: type[Exception]) -> None:
    made, asked = answering(fault, fault, httpx2.Response(200, json={"ResponseCode": "0", "CheckoutRequestID": "w"}))
    assert push(made) == Sent("w")
    assert len(asked) == 3


def test_a_question_is_asked_again_until_it_is_answered() -> None:
    made, asked = answering(httpx2.ReadTimeout, httpx2.Response(503), httpx2.Response(200, json={"ResponseCode": "0"}))
    assert made.query("ws_CO_1").body == b'{"ResponseCode":"0"}'
    assert len(asked) == 3
    made, asked = answering(httpx2.Response(503))
    with pytest.raises(Retryable):
        made.query("ws_CO_1")
    assert len(asked) == 4


@pytest.mark.parametrize("token", [{}, {"access_token": ""}, {"access_token": "a\r\nX: y"}, {"access_token": 5}, []])
def test_an_answer_without_a_token_sends_nothing(token: Any) -> None:
    made, asked = answering(httpx2.Response(200, json={}), token=token)
    found = push(made)
    assert isinstance(found, NotSent)
    assert found.retry
    assert asked == []


@pytest.mark.parametrize(("lives", "renewals"), [("3599", 1), (3599, 1), ("60", 2), ("soon", 2), (None, 2), (-5, 2)])
def test_the_life_of_a_token_is_read_or_not_relied_on(lives: Any, renewals: int) -> None:
    made, _ = answering(httpx2.Response(200, json={}), token={"access_token": "abc", "expires_in": lives})
    push(made)
    push(made)
    assert made.exchange.token.renewals == renewals


def test_a_pull_that_repeats_itself_is_not_the_end() -> None:
    page = {"ResponseRefID": "1", "ResponseCode": "1000", "Response": [[row()]]}
    made, asked = answering(httpx2.Response(200, json=page))
    pages = made.pull(since=NOON - timedelta(hours=1), until=NOON)
    next(pages)
    next(pages)
    with pytest.raises(Retryable, match="repeats"):
        next(pages)
    assert len(asked) == 2


# --- pull rows ---


def row(**other: Any) -> dict[str, Any]:
    return {
        "transactionId": "ukk1a2b3c4",
        "trxDate": "2026-11-20T11:00:00Z",
        "msisdn": 700000101,
        "sender": "UAT2",
        "transactiontype": "c2b-pay-bill-debit",
        "billreference": "37207636392",
        "amount": "168.00",
        "organizationname": "Sample",
    } | other


def read(*rows: dict[str, Any], purpose: Purpose | None = Purpose.PULL, **other: Any) -> list[Interpretation]:
    doc = {"ResponseRefID": "1", "ResponseCode": "1000", "Response": [list(rows)]} | other
    return list(adapter.interpret_all(json.dumps(doc).encode(), purpose=purpose))


def test_rows_are_read_in_their_order_and_a_bad_one_alone_is_unknown() -> None:
    one, bad, other = read(row(), row(amount="1,000.00"), row(transactionId="UKK1A2B3C5", billreference=None))
    assert one == Paid(
        reference="UKK1A2B3C4",
        amount_minor=16_800,
        occurred_at=datetime(2026, 11, 20, 11, tzinfo=NAIROBI),
        account_reference="37207636392",
        strength=Strength.PROVES,
        message="Pull row",
        party=Party("UAT2", "700000101"),
    )
    assert isinstance(bad, Unknown)
    assert isinstance(other, Paid)
    assert isinstance(adapter, ManyAdapter)


@pytest.mark.parametrize(
    "wrong",
    [
        {"transactiontype": "c2b-pay-bill-reversal"},
        {"transactiontype": "b2c-payment"},
        {"transactiontype": None},
        {"trxDate": "05/08/2026 10:13"},
        {"trxDate": "2026-11-20T11:00:00-05:00"},
        {"trxDate": 20261120110000},
        {"transactionId": 5},
        {"amount": "-5.00"},
        {"amount": None},
    ],
)
def test_a_row_that_is_not_plainly_a_payment_is_unknown(wrong: dict[str, Any]) -> None:
    (found,) = read(row(**wrong))
    assert isinstance(found, Unknown)


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("2026-11-20T11:00:00Z", "2026-11-20T11:00:00+03:00"),
        ("2026-11-19T22:30:00Z", "2026-11-20T01:30:00+03:00"),  # only as UTC does it fall on the receipt's day
        ("2026-11-20T23:30:00Z", "2026-11-20T23:30:00+03:00"),
        ("2026-11-20T11:00:00+03:00", "2026-11-20T11:00:00+03:00"),
        ("2026-11-20 11:00:00.123", "2026-11-20T11:00:00+03:00"),
        ("2026-11-25T22:30:00Z", "2026-11-25T22:30:00+03:00"),  # neither reading fits the receipt: it decides nothing
    ],
)
def test_the_time_of_a_row(told: str, at: str) -> None:
    (found,) = read(row(trxDate=told))
    assert isinstance(found, Paid)
    assert found.occurred_at.isoformat() == at


@pytest.mark.parametrize("receipt", ["yzlyrEsRG1".upper(), "UKK1", "UMK1A2B3C4", "UBV1A2B3C4", "1KK1A2B3C4"])
def test_a_receipt_without_a_day(receipt: str) -> None:
    assert receipt_day(receipt) is None


@pytest.mark.parametrize("empty", [{"Response": "[[]]"}, {"Response": [[]]}, {"ResponseCode": "1001"}])
def test_no_rows_is_nothing(empty: dict[str, Any]) -> None:
    (found,) = read(**empty)
    assert isinstance(found, Ignored)


@pytest.mark.parametrize(
    "strange", [{"Response": "x"}, {"Response": None}, {"Response": [[5]]}, {"ResponseCode": "500"}]
)
def test_an_answer_that_was_not_given_is_not_nothing(strange: dict[str, Any]) -> None:
    (found,) = read(row(), **strange)
    assert isinstance(found, Unknown)


def test_rows_written_as_text_or_under_the_other_name_are_rows() -> None:
    assert isinstance(read(Response=json.dumps([[row()]]))[0], Paid)
    doc = {"ResponseRefID": "1", "ResponseCode": "1000", "Transaction": [[row()]]}
    assert isinstance(adapter.interpret_all(json.dumps(doc).encode(), purpose=Purpose.PULL)[0], Paid)


@pytest.mark.parametrize("purpose", [Purpose.CONFIRMATION, Purpose.RESULT, Purpose.PUSH_RESULT, Purpose.QUERY])
def test_a_pull_answer_that_nobody_asked_for_is_no_payment(purpose: Purpose) -> None:
    (found,) = read(row(), purpose=purpose)
    assert isinstance(found, Unknown)


def test_an_answer_to_a_pull_is_never_read_as_a_confirmation() -> None:
    body = (Path(__file__).parent / "c2b_v2_masked.json").read_bytes()
    for purpose in (Purpose.PULL, Purpose.QUERY):
        assert isinstance(adapter.interpret(body, purpose=purpose), Unknown)
        (found,) = adapter.interpret_all(body, purpose=purpose)
        assert isinstance(found, Unknown)
    (found,) = adapter.interpret_all(body, purpose=Purpose.CONFIRMATION)
    assert isinstance(found, Paid)
    (found,) = adapter.interpret_all(b"<html>", purpose=Purpose.PULL)
    assert isinstance(found, Unknown)


# --- balances, credentials, secrets ---


@pytest.mark.parametrize(
    "text",
    [None, "", "Utility Account|KES|1.00|1.00|0.00", "Utility Account|KES|1.0e3|1|1|1", "|KES|1|1|1|1", "U|K|1|1|1|1"],
)
def test_balances_that_cannot_be_read_are_refused(text: str | None) -> None:
    params = {"ResultParameter": [{"Key": "AccountBalance", "Value": text}]}
    with pytest.raises(InvalidValue):
        balances(json.dumps({"Result": {"ResultParameters": params}}).encode())


def test_charges_may_be_below_zero() -> None:
    params = {"ResultParameter": {"Key": "AccountBalance", "Value": "Charges Paid Account|KES|-1540.00|-1540.00|0|0"}}
    (found,) = balances(json.dumps({"Result": {"ResultParameters": params}}).encode())
    assert (found.account, found.current_minor) == ("Charges Paid Account", -154_000)


def test_only_a_certificate_with_an_rsa_key_encrypts() -> None:
    keys: Keys = Provider({PAYBILL: "County"}).keys
    assert keys.opens(requests.security_credential(keys.initiator_password, keys.certificate))
    assert not keys.opens(requests.security_credential("other", keys.certificate))
    for broken in (b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ConfigurationError):
            requests.security_credential("x", broken)


def test_the_composition_root_makes_a_client(tmp_path: Path) -> None:
    keys = Provider({PAYBILL: "County"}).keys
    settings = {"shortcode": PAYBILL, "asking": keys.asking("http://127.0.0.1:9")}
    with httpx2.Client() as http:
        made = bootstrap.outbound_client("mpesa", settings, http=http, secrets_dir=tmp_path)
        assert isinstance(made, OutboundClient)
        with pytest.raises(ConfigurationError, match="mpesa_passkey"):
            made.query("ws_CO_1")
        with pytest.raises(Rejected, match="no way to ask"):
            bootstrap.outbound_client("nobody", settings, http=http)
        with pytest.raises(ConfigurationError, match=r"asking\.consumer_key") as refused:
            bootstrap.outbound_client("mpesa", {"shortcode": PAYBILL, "asking": {"consumer_key": "../x"}}, http=http)
        assert "../x" not in str(refused.value)


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "absent", "empty"])
def test_a_secret_is_a_plain_file_that_holds_something(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "good").write_text("found")
    assert bootstrap.secret("good", folder=tmp_path) == b"found"
    with pytest.raises(ConfigurationError):
        bootstrap.secret(name, folder=tmp_path)


def test_nothing_is_shown_of_an_exchange() -> None:
    shown: Callable[[], str] = lambda: "hunter2"  # noqa: E731
    assert repr(Exchange(httpx2.Client(), host="https://x.example", key=shown, secret=shown)) == (
        "Exchange('https://x.example')"
    )
