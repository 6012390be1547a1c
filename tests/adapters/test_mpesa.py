"""The M-PESA adapter: fixtures, the shared corpus, and what no body may ever do to it."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.mpesa import PUBLISHED_PEERS, MpesaSettings, adapter
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import (
    AckOutcome,
    Answer,
    Asked,
    AskingAdapter,
    Ignored,
    Kind,
    Paid,
    Party,
    Purpose,
    Reversed,
    Strength,
    Unknown,
    as_wire,
)

HERE = Path(__file__).parent / "mpesa"
CASES = sorted(path.stem for path in HERE.glob("*.json") if not path.name.endswith(".expected.json"))
SHARED = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[3] / "shared")) / "corpus" / "callbacks"


def body_of(case: str) -> bytes:
    return (HERE / f"{case}.json").read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_fixture(case: str) -> None:
    expected: dict[str, str | None] = json.loads((HERE / f"{case}.expected.json").read_text("utf-8"))
    purpose = expected.pop("purpose", None)
    found = as_wire(adapter.interpret(body_of(case), purpose=Purpose(purpose) if purpose else None))
    reason, wanted = found.pop("reason"), expected.pop("reason")
    assert found == expected
    if wanted is None:
        assert reason is None
    else:
        assert reason is not None
        assert reason.startswith(wanted)


def test_the_port_is_kept() -> None:
    assert isinstance(adapter, AskingAdapter)
    assert adapter.name == "mpesa"
    assert adapter.settings_model is MpesaSettings


# --- the shared corpus ---

PAID, PAYOUT = ("paid", "payment"), ("paid", "payout")
IGNORED, UNKNOWN = ("ignored", None), ("unknown", None)
CORPUS: dict[str, tuple[str, str | None, str | None, str | None, str | None]] = {
    # file without prefix: verdict, kind, reference, amount, time of day or day
    "account_balance_result_2017": (*IGNORED, None, None, None),
    "account_balance_result_string_codes": (*IGNORED, None, None, None),
    "b2b_result_2017": (*PAYOUT, "LGR519G2QV", "10.00", "2017-07-27T10:25:24+03:00"),
    "b2c_result_2017": (*PAYOUT, "LGH3197RIB", "8000.00", "2017-07-17T10:54:57+03:00"),
    "b2c_result_2024": (*PAYOUT, "SG632NMUAB", "10.00", "2024-07-06T22:48:52+03:00"),
    "b2c_result_failure_2001": (*IGNORED, None, None, None),
    "bill_manager_payment_notification": (*PAID, "RJB53MYR1N", "5000.00", "2021-09-15T00:00:00+03:00"),
    "c2b_confirmation_hashed_msisdn_2025": (*PAID, "TK60708BHZ", "1.00", "2025-11-06T23:02:12+03:00"),
    "c2b_confirmation_v1_2017": (*PAID, "LGR219G3EY", "10.00", "2017-07-27T10:42:47+03:00"),
    "c2b_v2_masked_msisdn": (*PAID, "RKL51ZDR4F", "5.00", "2023-11-21T12:13:25+03:00"),
    "c2b_validation_v1_2017": (*IGNORED, None, None, None),
    "pull_query_response": (*UNKNOWN, None, None, None),
    "pull_register_response": (*IGNORED, None, None, None),
    "reversal_result_2017": (*UNKNOWN, None, None, None),
    "stk_cancelled_1032_2017": (*IGNORED, None, None, None),
    "stk_cancelled_2024_uuid_ids": (*IGNORED, None, None, None),
    "stk_fail_1": (*IGNORED, None, None, None),
    "stk_fail_1001": (*UNKNOWN, None, None, None),
    "stk_fail_1019": (*IGNORED, None, None, None),
    "stk_fail_1037": (*UNKNOWN, None, None, None),
    "stk_fail_17": (*UNKNOWN, None, None, None),
    "stk_fail_2001": (*IGNORED, None, None, None),
    "stk_fail_26": (*UNKNOWN, None, None, None),
    "stk_query_response_1032": (*IGNORED, None, None, None),
    "stk_success_2017": (*PAID, "LGR7OWQX0R", "1.00", "2017-07-27T15:48:00+03:00"),
    "stk_success_2019": (*PAID, "NLJ7RT61SV", "1.00", "2019-12-19T10:21:15+03:00"),
    "sync_error_500.001.1001": (*UNKNOWN, None, None, None),
    "transaction_status_result_2017": (*PAYOUT, "LGR919G2AV", "10.00", "2017-07-27T10:14:15+03:00"),
}
needs_corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpus is not beside the repository")


@needs_corpus
def test_the_corpus_table_is_complete() -> None:
    found = {path.stem.removeprefix("daraja_") for path in SHARED.glob("daraja_*.json")}
    assert found == set(CORPUS)


@needs_corpus
@pytest.mark.parametrize("name", sorted(CORPUS))
def test_corpus(name: str) -> None:
    found = as_wire(adapter.interpret((SHARED / f"daraja_{name}.json").read_bytes()))
    keys = ("verdict", "kind", "reference", "amount", "occurred_at")
    assert tuple(found[key] for key in keys) == CORPUS[name]
    # The portal's sample of a notice has a receipt of 2023 beside a day of 2021.
    assert (found["reason"] is None) == (found["verdict"] == "paid" and not name.startswith("bill_manager"))


# --- what the wire form leaves out ---


@pytest.mark.parametrize(("code", "state"), [(1, "failed"), (1019, "failed"), (1032, "cancelled"), (2001, "failed")])
def test_a_definite_failure_tells_the_state_of_our_push(code: int, state: str) -> None:
    found = adapter.interpret(body_of(f"stk_failed_{code}"))
    assert isinstance(found, Ignored)
    assert found.request_state == state


def test_a_failed_request_and_a_failed_transaction_differ() -> None:
    failed = adapter.interpret(body_of("b2c_failed_1"))
    assert isinstance(failed, Ignored)
    assert failed.request_state == "failed"
    # The question was answered well; it is the transaction asked about that failed.
    answered = adapter.interpret(body_of("status_failed"))
    assert isinstance(answered, Ignored)
    assert answered.request_state == ""


@pytest.mark.parametrize(
    ("case", "strength", "party"),
    [
        ("c2b_v2_masked", Strength.CONFIRMS, Party("Achieng Sample", "2547 ***** 101")),
        ("c2b_clear_number_full_name_in_first", Strength.CONFIRMS, Party("ACHIENG SAMPLE PAYER", "254700000101")),
        ("c2b_names_missing", Strength.CONFIRMS, Party()),
        ("stk_paid", Strength.CONFIRMS, Party("", "254700000101")),
        ("bill_manager_day_only", Strength.SUPPORTS, Party("", "254700000101")),
        ("status_pay_in", Strength.SUPPORTS, Party("Achieng Sample", "254700000101")),
        ("status_payout_with_charge", Strength.SUPPORTS, Party()),
        ("b2c_paid", Strength.CONFIRMS, Party()),
    ],
)
def test_strength_and_party(case: str, strength: Strength, party: Party) -> None:
    found = adapter.interpret(body_of(case))
    assert isinstance(found, Paid)
    assert found.strength is strength
    assert found.party == party
    assert found.message


def test_one_payment_seen_four_ways_has_one_identity() -> None:
    cases = ("c2b_v2_masked", "stk_paid", "bill_manager_day_only", "status_pay_in")
    seen = [adapter.interpret(body_of(case)) for case in cases]
    assert {(one.kind, one.reference, one.amount_minor) for one in seen if isinstance(one, Paid)} == {
        (Kind.PAYMENT, "UBF1A2B3C4", 125_000)
    }
    assert len([one for one in seen if isinstance(one, Paid)]) == 4


def test_no_personal_data_in_reasons() -> None:
    for case in CASES:
        found = adapter.interpret(body_of(case))
        if isinstance(found, Ignored | Unknown):
            assert "254700000" not in found.reason
            assert "Achieng" not in found.reason


# --- answers ---


def test_acknowledgements() -> None:
    assert adapter.ack(AckOutcome.KEPT) == b'{"ResultCode":0,"ResultDesc":"Success"}'
    assert adapter.ack(AckOutcome.REFUSED) == b'{"ResultCode":1,"ResultDesc":"Rejected"}'


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer.ACCEPT, "0"),
        (Answer.UNKNOWN_ACCOUNT, "C2B00012"),
        (Answer.WRONG_AMOUNT, "C2B00013"),
        (Answer.REFUSE, "C2B00016"),
    ],
)
def test_answers(answer: Answer, code: str) -> None:
    assert json.loads(adapter.answer(answer))["ResultCode"] == code


def test_asked() -> None:
    assert adapter.asked(body_of("validation_by_empty_balance")) == Asked("482913057", 125_000, "600100")
    for case in ("c2b_amount_zero", "empty_body", "a_list", "stk_paid", "c2b_amount_nan", "c2b_reference_is_object"):
        assert adapter.asked(body_of(case)) is None


# --- proof of origin ---

OURS = MpesaSettings(shortcode="600100")


@pytest.mark.parametrize("peer", [*PUBLISHED_PEERS, "::ffff:196.201.214.200", "::FFFF:c4c9:d6c8"])
def test_published_peers_pass(peer: str) -> None:
    assert adapter.verify({}, b"", peer, OURS).accepted


@pytest.mark.parametrize(
    "peer",
    ["196.201.214.201", "127.0.0.1", "::1", "::196.201.214.200", "", "localhost", "196.201.214.200:443", "1" * 999],
)
def test_other_peers_fail_with_a_reason(peer: str) -> None:
    verdict = adapter.verify({"x-forwarded-for": "196.201.214.200"}, b"", peer, OURS)
    assert not verdict.accepted
    assert "peer address" in verdict.reason
    assert len(verdict.reason) < 100


def test_networks_and_settings() -> None:
    wide = MpesaSettings(shortcode="600100", kind="till", peers=("10.1.0.0/16", "2001:db8::/32"), confirm_limit_minor=1)
    for peer in ("10.1.2.3", "2001:db8::7", "::ffff:10.1.255.255"):
        assert adapter.verify({}, b"", peer, wide).accepted
    assert not adapter.verify({}, b"", "10.2.0.0", wide).accepted
    assert not adapter.verify({}, b"", "10.1.2.3", Unrelated()).accepted


class Unrelated(MpesaSettings.__base__):  # type: ignore[misc, name-defined]
    pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"peers": ()},
        {"peers": ("somewhere",)},
        {"peers": ("10.1.2.3/16",)},
        {"peers": ("0.0.0.0/0",)},
        {"peers": ("::/0",)},
        {"shortcode": "Shop 7"},
        {"shortcode": "６００１００"},
        {"kind": "bank"},
        {"confirm_limit_minor": 0},
        {"secret": "x"},
    ],
)
def test_settings_refuse(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MpesaSettings(**{"shortcode": "600100", **wrong})


# --- what holds for every body ---

purposes = st.sampled_from([None, *Purpose])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["0", "0.00", "1250.00", "UBF1A2B3C4", "20260215093015", "Completed", "600100 - X", 0, 1, 1032])
)
KEYS = [
    "TransID",
    "TransAmount",
    "TransTime",
    "BusinessShortCode",
    "BillRefNumber",
    "OrgAccountBalance",
    "MSISDN",
    "FirstName",
    "Body",
    "stkCallback",
    "CheckoutRequestID",
    "ResultCode",
    "ResponseCode",
    "CallbackMetadata",
    "Item",
    "Name",
    "Value",
    "Result",
    "ResultParameters",
    "ResultParameter",
    "Key",
    "OriginalTransactionID",
    "TransactionID",
    "TransactionStatus",
    "ReceiptNo",
    "Amount",
    "AccountBalance",
    "TransactionReceipt",
    "transactionId",
    "paidAmount",
    "dateCreated",
    "shortCode",
    "errorCode",
    "ResponseRefID",
    "Response",
    "ConversationID",
    "ReceiverPartyPublicName",
]
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=40,
)


def assert_sane(body: bytes, purpose: Purpose | None) -> None:
    found = adapter.interpret(body, purpose=purpose)
    if isinstance(found, Paid | Reversed):
        assert purpose is not Purpose.TIMEOUT
        assert found.reference.isascii()
        assert found.reference.isupper() or found.reference.isdigit()
        assert found.amount_minor is None or 0 < found.amount_minor < 10**12
        assert found.occurred_at.utcoffset() is not None
        as_text = json.dumps(as_wire(found), ensure_ascii=False)
    else:
        assert found.reason
        assert len(found.reason) < 700
        as_text = found.reason
    as_text.encode("utf-8")
    adapter.asked(body)


@given(st.binary(max_size=300), purposes)
def test_total_on_any_bytes(body: bytes, purpose: Purpose | None) -> None:
    assert_sane(body, purpose)


@given(trees, purposes)
@settings(max_examples=400)
def test_total_on_any_json(tree: object, purpose: Purpose | None) -> None:
    assert_sane(json.dumps(tree).encode(), purpose)


@given(st.sampled_from([c for c in CASES if not c.startswith("c2b_not_utf8")]), st.data(), purposes)
@settings(max_examples=400)
def test_total_when_any_value_is_replaced(case: str, data: st.DataObject, purpose: Purpose | None) -> None:
    try:
        doc = json.loads(body_of(case))
    except ValueError:
        return
    holders = list(walk(doc))
    if not holders:
        return
    holder = data.draw(st.sampled_from(holders))
    key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = data.draw(trees)
    assert_sane(json.dumps(doc).encode(), purpose)


def walk(node: Any) -> Any:
    if isinstance(node, dict | list) and node:
        yield node
        for child in node.values() if isinstance(node, dict) else node:
            yield from walk(child)


@pytest.mark.parametrize(
    ("case", "text"), [("c2b_v2_masked", b'"1250.00"'), ("stk_paid_amount_with_cents", b"1250.00")]
)
@given(data=st.data())
@settings(max_examples=500)
def test_no_slip_elsewhere_changes_the_amount(case: str, text: bytes, data: st.DataObject) -> None:
    body = body_of(case)
    start = body.index(text)
    # The blank before a bare number is inside too: a digit in its place is another number.
    outside = [at for at in range(len(body)) if not start - 1 <= at <= start + len(text)]
    changed = bytearray(body)
    for at in sorted(data.draw(st.sets(st.sampled_from(outside), min_size=1, max_size=3)), reverse=True):
        slip = data.draw(st.sampled_from(["replace", "insert", "delete"]))
        new = data.draw(
            st.binary(min_size=1, max_size=1) | st.sampled_from([b'"', b",", b":", b"}", b"0", b"9", b"\\"])
        )
        changed[at : at + (slip != "insert")] = b"" if slip == "delete" else new
    found = adapter.interpret(bytes(changed), purpose=Purpose.CONFIRMATION)
    if isinstance(found, Paid):
        assert found.amount_minor == 125_000
    else:
        assert not isinstance(found, Reversed)


@given(st.integers(1, 10**12 - 1), st.sampled_from(["text", "number"]))
def test_every_amount_is_read_exactly(minor: int, form: str) -> None:
    amount = f"{minor // 100}.{minor % 100:02d}"
    body = body_of("c2b_v2_masked").replace(b'"1250.00"', (f'"{amount}"' if form == "text" else amount).encode())
    found = adapter.interpret(body)
    assert isinstance(found, Paid)
    assert found.amount_minor == minor
    assert as_wire(found)["amount"] == amount


@given(st.integers(1, 10**14), st.integers(3, 9), st.sampled_from(["text", "number"]))
def test_no_fraction_of_a_cent_is_ever_read(units: int, places: int, form: str) -> None:
    if units % 10 == 0:
        units += 1
    digits = str(units).rjust(places + 1, "0")
    amount = f"{digits[:-places]}.{digits[-places:]}"
    body = body_of("c2b_v2_masked").replace(b'"1250.00"', (f'"{amount}"' if form == "text" else amount).encode())
    found = adapter.interpret(body)
    assert isinstance(found, Unknown)
    assert "TransAmount" in found.reason


@given(st.data(), st.dictionaries(st.text(max_size=12), st.integers() | st.text(max_size=12), max_size=5))
def test_order_and_extra_keys_do_not_matter(data: st.DataObject, extra: dict[str, object]) -> None:
    doc: dict[str, object] = json.loads(body_of("c2b_v2_masked"))
    reserved = {"Result", "Body"}
    mixed = {**{k: v for k, v in extra.items() if k not in reserved}, **doc}
    order = data.draw(st.permutations(sorted(mixed)))
    found = adapter.interpret(json.dumps({key: mixed[key] for key in order}).encode())
    assert found == adapter.interpret(body_of("c2b_v2_masked"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 100_000,
        b"[" * 250_000,
        b'{"TransID":"' + b"A" * 300_000 + b'"}',
        b'{"TransID":' + b"9" * 100_000 + b"}",
        json.dumps({f"key number {i} \ud83d": i for i in range(5000)}).encode(),
        json.dumps({"TransID": {"deep": ["x" * 5000]}, "TransAmount": ["y" * 5000]}).encode(),
    ],
)
def test_hostile_bodies_are_unknown_with_a_short_reason(body: bytes) -> None:
    found = adapter.interpret(body)
    assert isinstance(found, Unknown)
    assert 0 < len(found.reason) < 500


def test_wire_form_of_an_instant_keeps_its_offset() -> None:
    at = datetime(2026, 2, 15, 0, 5, tzinfo=NAIROBI)
    found = as_wire(Paid(reference="UBF1A2B3C4", amount_minor=5, occurred_at=at, kind=Kind.CHARGE))
    assert found["occurred_at"] == "2026-02-15T00:05:00+03:00"
    assert found["amount"] == "0.05"
    assert found["kind"] == "charge"
    assert found["account_reference"] is None
    assert list(found) == [
        "verdict",
        "kind",
        "reference",
        "amount",
        "currency",
        "occurred_at",
        "channel_account",
        "account_reference",
        "request_id",
        "reverses",
        "reason",
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"resultCode": "4001", "transactionID": "UIF0000099"}, "look at the statement"),
        ({"resultCode": "4102", "status": "SUCCESS"}, "look at the statement"),
        ({"resultCode": "0", "transactionID": "UIF0000099", "currency": "USD"}, "currency"),
    ],
)
def test_an_express_result_that_contradicts_itself_waits(changes: dict[str, str], says: str) -> None:
    body = {"resultCode": "0", "resultDesc": "x", "amount": "1250.00", "requestId": "0b9e-12", **changes}
    read = adapter.interpret(json.dumps(body).encode())
    assert isinstance(read, Unknown)
    assert says in read.reason
