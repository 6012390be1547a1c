"""The bank simulator: what it tells, what it keeps back, and statements that add up to the truth."""

from __future__ import annotations

import csv
import re
from datetime import date
from typing import Any

import httpx2
import pytest
from defusedxml import ElementTree

from adapters.sandbox import bank
from revenue_engine.errors import InvalidValue
from revenue_engine.money import parse_wire
from revenue_engine.ports.callbacks import AckOutcome, Paid

DAY = date(2026, 9, 15)
ACCOUNTS = {"kcb": "1100100", "coop": "01120000000100", "ncba": "880000"}


@pytest.fixture(scope="module", params=sorted(ACCOUNTS))
def day(request: pytest.FixtureRequest) -> bank.BankDay:
    return bank.make_day(request.param, ACCOUNTS[request.param], DAY, payments=120, seed=7, sweep_minor=12_345_600)


def test_the_same_seed_plays_the_same_day(day: bank.BankDay) -> None:
    again = bank.make_day(
        day.bank, day.account, DAY, payments=120, seed=7, sweep_minor=12_345_600, secrets=day.rehearsal.secrets
    )
    other = bank.make_day(day.bank, day.account, DAY, payments=120, seed=8, sweep_minor=12_345_600)
    assert (again.movements, again.hits) == (day.movements, day.hits)
    assert other.movements != day.movements


def test_true_notices_tell_the_truth_and_forgeries_prove_nothing(day: bank.BankDay) -> None:
    adapter: Any = bank.BANKS[day.bank]
    settings = adapter.settings_model.model_validate(dict(day.rehearsal.settings))
    told: dict[str, int] = {}
    for hit in day.hits:
        verdict = adapter.verify(hit.sent.headers, hit.sent.body, hit.sent.peer, settings)
        assert verdict.accepted is hit.true, verdict
        meaning = adapter.interpret(hit.sent.body)
        if hit.true and isinstance(meaning, Paid):
            told[meaning.reference] = meaning.amount_minor
            (booked,) = [one for one in day.movements if one.reference == meaning.reference]
            assert (meaning.occurred_at, meaning.account_reference) == (booked.occurred_at, booked.bill)
            assert meaning.channel_account == day.account
    assert told == {one.reference: one.amount_minor for one in day.movements if one.told}
    assert sum(told.values()) == day.told_minor
    faults = {one.fault for one in day.movements}
    assert {"lost", "twice", "forged"} <= faults
    assert any(one.kind == "debit" for one in day.movements)


def test_statements_hold_every_movement_and_add_up(day: bank.BankDay) -> None:
    wanted = {one.reference: one.amount_minor for one in day.movements}

    text = bank.mt940(day).decode()
    found = re.findall(r"^:61:\d{10}([CD])([\d,]+)NTRF.*\r\n:86:(\S+)", text, re.MULTILINE)
    sign = {"C": 1, "D": -1}
    assert {ref: sign[mark] * parse_wire(amount.replace(",", ".")) for mark, amount, ref in found} == wanted
    ends = re.findall(r":6[02]F:([CD])\d{6}KES([\d,]+)", text)
    opening, closing = (sign[mark] * parse_wire(amount.replace(",", ".")) for mark, amount in ends)
    assert opening + sum(wanted.values()) == closing

    names = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"}
    root = ElementTree.fromstring(bank.camt053(day))
    sign = {"CRDT": 1, "DBIT": -1}
    entries = {
        entry.findtext("c:AcctSvcrRef", None, names): sign[entry.findtext("c:CdtDbtInd", None, names)]
        * parse_wire(entry.findtext("c:Amt", None, names))
        for entry in root.iterfind(".//c:Ntry", names)
    }
    assert entries == wanted

    rows = list(csv.reader(bank.csv(day).decode().splitlines()[5:]))
    assert {row[3]: parse_wire(row[5] or f"-{row[4]}") for row in rows[:-1]} == wanted
    assert parse_wire(rows[-1][6]) == day.closing_minor
    assert wanted[f"SWEEP{DAY:%y%m%d}"] == 12_345_600  # a day of M-PESA money is one credit


def test_a_notice_is_sent_again_until_it_is_answered_in_the_banks_form() -> None:
    day = bank.make_day("kcb", "1100100", DAY, payments=6, seed=3, faults=())
    adapter: Any = bank.BANKS["kcb"]
    seen: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        seen.append(body)
        first, last = day.hits[0].sent.body, day.hits[-1].sent.body
        if body == last:
            return httpx2.Response(200, content=b'{"ResultCode":0}')
        if body == first and seen.count(body) < 3:
            return httpx2.Response(200, content=b'{"ok":true}')
        return httpx2.Response(200, content=adapter.ack_for(AckOutcome.KEPT, body))

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        told = bank.post_day(day, "http://intake.test/cb/v1/x", client)
    assert seen.count(day.hits[0].sent.body) == 3
    assert told.given_up == [day.hits[-1].about]
    assert (told.acknowledged, told.calls) == (5, 2 + 5 + bank.ATTEMPTS)


def test_another_bank_is_refused() -> None:
    with pytest.raises(InvalidValue, match="kcb, coop, ncba"):
        bank.make_day("nobank", "1", DAY, payments=1, seed=1)
