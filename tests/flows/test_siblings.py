"""Sixty texts as an enemy writes them, each a relative of one that was once answered wrongly.

In one world of bills they come as callbacks with a run behind them and as rows of `match`, and end in the same place.

Each text has an amount of its own, so that no two of them contest a bill.
"""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import NamedTuple
from unittest import mock

import pytest
from sqlalchemy.orm import Session
from stdnum import damm

from reconciliation.engine import matching
from reconciliation.engine.policy import Policy
from reconciliation.runs import running
from revenue_engine import db, identifiers
from revenue_engine.billing import invoices, payers
from revenue_engine.billing.tariffs import AssessedLine
from tests.matching import worlds
from tests.support.books import DAY, NOON, Books, confirmation

PAYER, STRANGER = "payer", "stranger"


class Text(NamedTuple):
    """One text. ``thing`` is the object of the bill; ``beside`` that of another payer's bill of the same amount."""

    typed: str
    sender: str
    pays: bool
    thing: str = ""
    beside: str = ""
    number: str = ""
    """Digits that the bill's number is made of, with a check digit; drawn where there are none."""
    part: int = 0
    """Shillings below what is open."""


def damm_true(body: str) -> str:
    return body + str(damm.calc_check_digit(body))


def phones() -> list[Text]:
    """A stranger's bill has the number that a phone makes: issued before such numbers were no longer drawn."""
    forms = (
        "+254 {0} {1} {2}", "+254({0}){1}{2}", "00254-{0}-{1}-{2}", "sim {0}{1}{2}", "faiba {0} {1} {2}", "O{0}{1}{2}",
        "mpesa no. {0}{1}{2}", "acc holder {0}{1}{2}", "K.E {0}{1}{2}", "kadi yangu {0}{1}{2}", "(0){0} {1}-{2}",
        "simu ya mwenyewe {0}{1}{2}", "call {0}.{1}.{2}", "whatsapp: 254{0}{1}{2}",
    )  # fmt: skip
    found = []
    for place, form in enumerate(forms):
        number = damm_true(f"71{1000 + 37 * place:04}{place:02}")
        found.append(Text(form.format(number[:3], number[3:6], number[6:]), STRANGER, False, number=number[:8]))
    return found


def chances() -> list[Text]:
    """A bill of the amount has the number that a permit, a cheque, a date or stars make by chance."""
    forms = (
        ("lic. {0}/{1}", "20260"), ("UBP-{0}-{1}", "20261"), ("permit FY {0} {1}", "20262"),
        ("leseni no {0}{1}", "20263"),
        ("CHQ {0}/{1}", "41790"), ("slip no {0}-{1}", "41791"), ("hundi {0} {1}", "41792"), ("BR {0}/{1} DEP", "41793"),
        ("teller {0} {1}", "41794"), ("2547{0}***{1}", "41795"), ("{0}xx{1}", "41796"), ("voucher {0}/{1}", "41797"),
    )  # fmt: skip
    found = []
    for place, (form, head) in enumerate(forms):
        number = damm_true(f"{head}{place:03}")
        typed = form.format(number[:4], number[4:])
        found.append(Text(typed, STRANGER, False, number=number[:8]))
    dated = damm_true("12082026")
    return [*found, Text(f"12-08 2026 {dated[8]}", STRANGER, False, number=dated[:8])]


OBJECTS = (
    # another thing, written with the same characters, or the name goes on
    Text("stall 1045 B", STRANGER, False, "STALL-1045"),
    Text("stall 1046-B", STRANGER, False, "STALL-1046"),
    Text("stall 1047 na 1048", STRANGER, False, "STALL-1047"),
    Text("stall 1051 then stall 1061", STRANGER, False, "STALL-1051"),
    Text("plot 1077 sehemu ya pili", STRANGER, False, "PLOT-1077"),
    Text("plot 1078 balance", STRANGER, False, "PLOT-1078"),
    Text("shamba 1079/3", STRANGER, False, "PLOT-1079"),
    Text("NASEWA/2500/4", STRANGER, False, "NASEWA/2500"),
    Text("Nasewa 2501 remainder", STRANGER, False, "NASEWA/2501"),
    Text("Block 21/345", STRANGER, False, "BLOCK 2/1345"),
    Text("Matayos 21/7", STRANGER, False, "MATAYOS/2/17"),
    Text("LR 209/77/12", STRANGER, False, "209/7712"),
    Text("kibanda 1062", STRANGER, False, "STALL-1062A"),
    Text("nyumba 1063B", STRANGER, False, "HOUSE-1063"),
    # a neighbour owes the same, two debtors in one text
    Text("stall 2070", STRANGER, False, "STALL-2070", beside="STALL-2071"),
    Text("KDA 201A na KDB 301B", STRANGER, False, "KDA 201A", beside="KDB 301B"),
    Text("KDC 202A KDD302B", PAYER, False, "KDC 202A", beside="KDD 302B"),
    Text("Bukhayo 4321", STRANGER, False, "BUKHAYO/LUPIDA/4321", beside="BUKHAYO/BUGENGI/4321"),
    Text("kibanda 1064A", PAYER, False, "STALL-1064A", beside="KIOSK-1064A"),
    # another amount from somebody else
    Text("stall 1065", STRANGER, False, "STALL-1065", part=300),
    Text("KDE203A rent", STRANGER, False, "KDE 203A", part=300),
    # what a clerk would call plainly right
    Text("kibanda 1080A", PAYER, True, "STALL-1080A"),
    Text("nyumba 1081B", PAYER, True, "HOUSE-1081B"),
    Text("hse no 1082 B", PAYER, True, "HOUSE-1082B"),
    Text("duka namba 1083C", PAYER, True, "SHOP-1083C"),
    Text("kiwanja 1084", PAYER, True, "PLOT-1084"),
    Text("rent ya kibanda no. 1085", PAYER, True, "STALL-1085"),
    Text("stall1086", PAYER, True, "STALL-1086"),
    Text("Lupida 5432 rates", PAYER, True, "BUKHAYO/LUPIDA/5432"),
    Text("L.R. 209/88/12", PAYER, True, "209/88/12"),
    Text("busiaKDF204A", PAYER, True, "KDF 204A"),
    Text("kdg 205 a parking", PAYER, True, "KDG 205A"),
    Text("KDH206A +254 711 000 345", PAYER, True, "KDH 206A"),
    Text("leseni 457/2026", PAYER, True, "SBP/2026/00457"),
    Text("Matayos 1/19", PAYER, True, "MATAYOS/1/19"),
)
TEXTS = (*phones(), *chances(), *OBJECTS)
_SENT = {PAYER: ("254711000345", "ACHIENG"), STRANGER: ("254700000901", "PETER")}


def _issue(session: Session, shillings: int, payer: int, thing: str, number: str) -> str:
    with mock.patch.object(identifiers, "draw_pay_account_number", return_value=damm_true(number)):
        added = None
        if thing:
            added = payers.add_object(
                session, stream_code="RENT", reference=thing, kind="stall", payer_id=payer, standing_number=False
            )
        request = invoices.InvoiceRequest(
            stream_code="RENT",
            lines=[AssessedLine(None, "RENT", "principal", "principal", 1, shillings * 100)],
            due_on=DAY + timedelta(days=30),
            payer_id=payer,
            object_id=added.id if added else None,
            at=NOON,
        )
        return invoices.issue_invoice(session, request, issued_by="clerk").pay_account_number


Ended = dict[str, set[tuple[str, int]]]
"""Of each text the bills that it pays and the shillings."""


@pytest.fixture
def world(books: Books) -> tuple[Ended, Ended, dict[str, str]]:
    """How every text ends by callback with a run behind it, how by files, and the bill that each text is about."""
    rows, sent, about = [], [], {}
    numbers = itertools.count(30_000_001)
    with db.transaction(books.as_role("api")) as session:
        own = payers.add_payer(session, name="Achieng Odera", phone="+254711000345").id
        other = payers.add_payer(session, name="Juma Were", phone="+254733000781").id
        people = {
            own: {"payer_id": "P1", "msisdn": "254711000345"},
            other: {"payer_id": "P2", "payer_name": "Juma Were", "msisdn": "254733000781"},
        }
        for place, text in enumerate(TEXTS):
            shillings = 1001 + 7 * place
            for who, thing, number in ((own, text.thing, text.number), (other, text.beside, "")):
                if who == own or thing:
                    issued = _issue(session, shillings, who, thing, number or str(next(numbers)))
                    about.setdefault(text.typed, issued)
                    rows.append(worlds.bill(issued, f"{shillings}.00", object_ref=thing, **people[who]))
            sent.append((f"UI{place:08}", text, shillings - text.part, *_SENT[text.sender]))
    books.deliver(
        *(
            confirmation(shillings, text.typed, reference=key, msisdn=phone, names=(first, "", ""))
            for key, text, shillings, phone, first in sent
        )
    )
    books.work()
    running.run(books.as_role("worker"), by="t")
    by_callback: Ended = {}
    for typed, number, minor in books.rows(
        "SELECT y.account_reference, i.pay_account_number, sum(a.amount_minor)::bigint FROM application a"
        " JOIN payment_party y ON y.payment_id = a.payment_id JOIN invoice i ON i.id = a.invoice_id GROUP BY 1, 2"
    ):
        by_callback.setdefault(typed, set()).add((number, minor // 100))
    paid = [
        worlds.paid(key, f"{shillings}.00", text.typed, payer_name=first, msisdn=f"{phone[:4]}*****{phone[-3:]}")
        for key, text, shillings, phone, first in sent
    ]
    typed_of = {key: text.typed for key, text, *_ in sent}
    by_files: Ended = {}
    found = matching.match(*worlds.tables(rows, paid), Policy())
    for row in found.matches.to_pylist():
        minor = int(float(row["amount"]))
        by_files.setdefault(typed_of[row["payment_id"]], set()).add((row["invoice_number"], minor))
    return by_callback, by_files, about


def test_sixty_texts_end_in_the_same_place_whichever_way_they_come(world: tuple[Ended, Ended, dict[str, str]]) -> None:
    by_callback, by_files, about = world
    assert len({text.typed for text in TEXTS}) == len(TEXTS) >= 60
    right: Ended = {
        text.typed: {(about[text.typed], 1001 + 7 * place - text.part)} for place, text in enumerate(TEXTS) if text.pays
    }
    assert by_files == right
    assert by_callback == right
