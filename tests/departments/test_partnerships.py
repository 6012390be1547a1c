"""Agreements: gates with their papers, pledges at a day's rate, and nothing received but what is proved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session

from revenue_engine import periods
from revenue_engine.db import transaction
from revenue_engine.departments.partnerships import agreements, iati
from revenue_engine.errors import InvalidValue, NotAllowed, Rejected
from tests.conftest import Database
from tests.support import people
from tests.support.books import Books, reversal
from tests.support.commands import command

IATI = Path(__file__).parents[3] / "shared" / "corpus" / "iati" / "schema" / "iati-activities-schema.xsd"
TODAY = periods.today()
PARTNER = {"code": "UKDAP", "name": "Digital Access", "organisation_type": "10", "iati_reference": "XM-DAC-12"}


def agreement(reference: str = "DAP-2026", **more: Any) -> dict[str, Any]:
    return {
        "reference": reference,
        "title": "Digital access",
        "description": "Links and champions",
        "kind": "grant",
        "on_budget": False,
        "starts_on": TODAY - timedelta(days=300),
        "ends_on": TODAY + timedelta(days=60),
        "next_step": "report",
        "next_owner": "partnerships officer",
        "next_on": TODAY + timedelta(days=10),
    } | more


@pytest.fixture
def county(database: Database) -> Iterator[Books]:
    """A county with a signed agreement of 10,000 pounds at 170.25 shillings."""
    books = Books(database.url)

    def register(session: Session) -> None:
        agreements.add_partner(session, PARTNER)
        agreements.add_agreement(session, "UKDAP", agreement())
        agreements.weigh(session, "DAP-2026", "goal", {"4": 6000, "9": 4000})
        agreements.weigh(session, "DAP-2026", "target", {"4.4": 6000, "9.c": 4000})
        agreements.pass_gate(session, "DAP-2026", "cecm_approval", paper="CECM/12", on=TODAY - timedelta(days=310))
        agreements.pass_gate(session, "DAP-2026", "signature", paper="MOU/3", on=TODAY - timedelta(days=300))
        day = TODAY - timedelta(days=299)
        agreements.keep_rate(session, "GBP", day, kes_micro=170_250_000, source="Central Bank, mean")
        kes = agreements.pledge(session, "DAP-2026", currency="GBP", amount_minor=1_000_000, value_date=day)
        assert kes == 170_250_000

    does(books, register)
    yield books
    books.close()


def does(books: Books, work: Callable[[Session], Any], login: str = "partners.one") -> Any:
    """Let an officer of the directorate do something."""
    who = people.somebody(books.url, login, "department_officer", directorate="Strategic Partnerships")
    with who.acts(), transaction(books.as_role("api")) as session:
        return work(session)


def refused(books: Books, work: Callable[[Session], Any], login: str = "partners.one") -> str:
    with pytest.raises(Rejected) as caught:
        does(books, work, login)
    return str(caught.value)


def stands(books: Books) -> agreements.Standing:
    with transaction(books.as_role("report")) as session:
        return agreements.standing(session)[0]


def test_pledged_received_used_and_what_expires_with_the_money_at_risk(county: Books) -> None:
    # Given a payment that the channel proved, and goods that two persons saw
    reference = county.pay(50_000, "DAP-2026")
    assert does(county, lambda s: agreements.receive_payment(s, "DAP-2026", reference)) == 5_000_000
    goods = does(
        county,
        lambda s: agreements.receive_goods(
            s, "DAP-2026", item="tablets", quantity=10, value_minor=1_000_000, basis="invoice", on=TODAY
        ),
    )
    assert "another person confirms" in refused(
        county, lambda s: agreements.confirm_goods(s, "DAP-2026", goods, certificate="SC/1")
    )
    assert stands(county).received_minor == 5_000_000
    does(county, lambda s: agreements.confirm_goods(s, "DAP-2026", goods, certificate="SC/1"), "partners.two")
    does(
        county, lambda s: agreements.use(s, "DAP-2026", kes_minor=4_000_000, on=TODAY, voucher="PV-1", activity="links")
    )
    one = stands(county)
    assert (one.state, one.days_left) == ("active", 60)
    assert (one.pledged_minor, one.received_minor, one.used_minor) == (170_250_000, 6_000_000, 4_000_000)
    assert (one.unbanked_minor, one.unused_minor, one.at_risk_minor) == (164_250_000, 2_000_000, 166_250_000)
    # When the provider takes the payment back, it was not received
    county.deliver(reversal(reference, 50_000))
    county.work()
    assert stands(county).received_minor == 1_000_000


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda s: agreements.pass_gate(s, "DAP-2026", "fund_deposit", paper=" ", on=TODAY), "say its reference"),
        (lambda s: agreements.pass_gate(s, "DAP-2026", "signature", paper="again", on=TODAY), "kept already"),
        (lambda s: agreements.pass_gate(s, "DAP-2026", "party", paper="x", on=TODAY), "gate is missing or wrong"),
        (
            lambda s: agreements.pledge(s, "DAP-2026", currency="EUR", amount_minor=1, value_date=TODAY),
            "no rate of EUR",
        ),
        (
            lambda s: agreements.pledge(s, "DAP-2026", currency="KES", amount_minor=-170_250_001, value_date=TODAY),
            "more than was pledged",
        ),
        (lambda s: agreements.receive_payment(s, "DAP-2026", "UINOTHERE1"), "UINOTHERE1"),
        (
            lambda s: agreements.use(s, "DAP-2026", kes_minor=1, on=TODAY, voucher="PV-1", activity="x"),
            "0.00 was received and not used",
        ),
        (lambda s: agreements.weigh(s, "DAP-2026", "goal", {"4": 6000, "9": 3900}), "make 9900 and not 10000"),
        (lambda s: agreements.weigh(s, "DAP-2026", "goal", {"18": 10_000}), "no such goal"),
        (lambda s: agreements.add_agreement(s, "NOBODY", agreement("X-1")), "no partner"),
        (
            lambda s: agreements.add_agreement(s, "UKDAP", agreement("X-1", ends_on=date(2020, 1, 1))),
            "days is missing or wrong",
        ),
        (lambda s: agreements.add_agreement(s, "UKDAP", agreement("X-1", next_step=None)), "next_step is missing"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(county: Books, work: Any, said: str) -> None:
    assert said in refused(county, work)


def test_nothing_is_received_before_signature_and_no_signature_before_approval(county: Books) -> None:
    does(county, lambda s: agreements.add_agreement(s, "UKDAP", agreement("NEW-1")))
    reference = county.pay(100, "NEW-1")
    assert "not signed" in refused(county, lambda s: agreements.receive_payment(s, "NEW-1", reference))
    assert "after the gate cecm_approval" in refused(
        county, lambda s: agreements.pass_gate(s, "NEW-1", "signature", paper="MOU/4", on=TODAY)
    )


def test_one_payment_is_one_disbursement(county: Books) -> None:
    reference = county.pay(100, "DAP-2026")
    does(county, lambda s: agreements.receive_payment(s, "DAP-2026", reference))
    assert "kept already" in refused(county, lambda s: agreements.receive_payment(s, "DAP-2026", reference))


def test_the_database_keeps_the_weights_and_the_amounts(county: Books) -> None:
    who = people.somebody(county.url, "partners.one", "department_officer", directorate="Strategic Partnerships")
    with psycopg.connect(county.url) as connection:
        connection.execute("SET ROLE revenue_api")
        connection.execute("SELECT set_config('revenue.session', %s, false)", (who.secret,))
        with pytest.raises(psycopg.Error, match="make 9900 and not 10000"), connection.transaction():
            connection.execute(
                "INSERT INTO agreement_sdg (agreement_id, number, vocabulary, code, parts, kept_by)"
                " VALUES (1, 9, 'goal', '4', 9900, '')"
            )
        with pytest.raises(psycopg.Error, match="no such receipt of goods"), connection.transaction():
            connection.execute(
                "INSERT INTO agreement_disbursement (agreement_id, kes_minor, came_on, kept_by)"
                " VALUES (1, 100, '2026-10-01', '')"
            )
    with county.treasurer.acts(), pytest.raises(NotAllowed), transaction(county.as_role("api")) as session:
        agreements.add_partner(session, PARTNER | {"code": "OTHER"})


def published(county: Books) -> bytes:
    with transaction(county.as_role("report")) as session:
        return iati.document(session, organisation="KE-COA-999", name="Testland", now=periods.now())


def test_what_is_published_is_valid_by_the_official_schema(county: Books) -> None:
    if not IATI.exists():
        pytest.skip("the official schema is not beside the project")
    from lxml import etree

    reference = county.pay(50_000, "DAP-2026")
    does(county, lambda s: agreements.receive_payment(s, "DAP-2026", reference))
    does(county, lambda s: agreements.use(s, "DAP-2026", kes_minor=100, on=TODAY, voucher="PV-1", activity="links"))
    county.deliver(reversal(county.pay(10, "x"), 10))
    county.work()
    schema = etree.XMLSchema(etree.parse(str(IATI)))
    document = etree.fromstring(published(county))
    schema.assertValid(document)
    assert [t.get("code") for t in document.iter("transaction-type")] == ["11", "1", "4"]
    values = [(v.text, v.get("currency")) for v in document.iter("value")]
    assert values == [("10000.00", "GBP"), ("50000.00", "KES"), ("1.00", "KES")]
    sums = {"7": 0, "8": 0}
    for sector in document.iter("sector"):
        sums[sector.get("vocabulary")] += int(sector.get("percentage").replace(".", ""))
    assert sums == {"7": 10_000, "8": 10_000}
    assert [t.get("code") for t in document.iter("tag")] == ["4", "9", "4.4", "9.c"]


def test_what_cannot_be_published_is_refused_with_agreement_and_field(county: Books) -> None:
    does(county, lambda s: agreements.add_agreement(s, "UKDAP", agreement("NEW-1")))
    with pytest.raises(InvalidValue, match="NEW-1: sdg: an activity says its goals"):
        published(county)
    does(county, lambda s: agreements.weigh(s, "NEW-1", "goal", {"17": 10_000}))
    later = TODAY + timedelta(days=5)
    does(county, lambda s: agreements.pledge(s, "NEW-1", currency="KES", amount_minor=100, value_date=later))
    with pytest.raises(InvalidValue, match=r"NEW-1: commitment 2: .* has not come"):
        published(county)


def test_what_could_not_be_published_is_not_approved(county: Books) -> None:
    does(county, lambda s: agreements.add_agreement(s, "UKDAP", agreement("NEW-1")))
    told = refused(county, lambda s: agreements.pass_gate(s, "NEW-1", "cecm_approval", paper="CECM/1", on=TODAY))
    assert "NEW-1: sdg: an activity says its goals" in told


def test_codes_follow_each_other_as_the_goals_do() -> None:
    ordered = ["1.2", "1.10", "2", "9.5", "9.c", "10"]
    assert sorted(sorted(ordered), key=iati.sort_key) == ordered


def test_one_command_answers_what_was_pledged_received_used_and_what_expires(county: Books, tmp_path: Path) -> None:
    who = people.somebody(county.url, "partners.one", "department_officer", directorate="Strategic Partnerships")
    env = {"REVENUE_DATABASE_URL": county.url, **who.signed_in(tmp_path)}
    reference = county.pay(50_000, "DAP-2026")
    assert command("partner", "received", "DAP-2026", reference, env=env).returncode == 0
    answer = command("partner", "agreements", "--expiring", "--json", env=env)
    assert answer.returncode == 0, answer.stderr
    (one,) = json.loads(answer.stdout)
    assert (one["pledged"], one["received"], one["used"], one["at_risk"]) == (
        *("1702500.00", "50000.00", "0.00"),
        "1702500.00",
    )
    file = tmp_path / "iati.xml"
    done = command("partner", "iati", "--organisation", "KE-COA-999", "--name", "Testland", "--out", str(file), env=env)
    assert done.returncode == 0, done.stderr
    assert b"<iati-identifier>KE-COA-999-DAP-2026</iati-identifier>" in file.read_bytes()


def test_an_agreement_is_run_by_commands_alone(county: Books, tmp_path: Path) -> None:
    def env(login: str) -> dict[str, str]:
        who = people.somebody(county.url, login, "department_officer", directorate="Strategic Partnerships")
        return {"REVENUE_DATABASE_URL": county.url, **who.signed_in(tmp_path)}

    def says(verb: str, *words: str, code: int = 0, login: str = "partners.one") -> Any:
        done = command("partner", verb, "--json", *words, env=env(login))
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    assert "no rate of EUR" in says("pledge", "DAP-2026", "1.00", "--currency", "EUR", code=1)["message"]
    for wrong in ("0", "-1", "1.2345678", "1e3", "150,25", ""):
        assert "no rate" in says("rate", "EUR", "--source", "Central Bank", "--", wrong, code=1)["message"]
    says("rate", "EUR", "150.25", "--source", "Central Bank")
    assert says("pledge", "DAP-2026", "1.00", "--currency", "EUR")["kes"] == "150.25"
    assert "make 9900" in says("weigh", "DAP-2026", "goal", "4=6000", "9=3900", code=1)["message"]
    assert "each code once" in says("weigh", "DAP-2026", "goal", "4=5000", "4=5000", code=1)["message"]
    says("weigh", "DAP-2026", "goal", "4=10000")
    number = says("require", "DAP-2026", "audited report", "--due", TODAY.isoformat())["condition"]
    assert stands(county).conditions_open == 1
    says("meet", str(number), "--evidence", "AUD/7")
    assert stands(county).conditions_open == 0
    told = ("goods", "DAP-2026", "tablets", "--quantity", "10", "--value", "10000.00", "--basis", "invoice 17")
    goods = str(says(*told)["goods"])
    confirm = ("confirm", "DAP-2026", goods, "--certificate", "SC/1")
    assert "another person" in says(*confirm, code=1)["message"]
    assert says(*confirm, login="partners.two")["received"] == "10000.00"
    used = ("used", "DAP-2026", "--voucher", "PV-1", "--activity", "links")
    assert "was received and not used" in says(*used, "10000.01", code=1)["message"]
    says(*used, "10000.00")
    assert (stands(county).received_minor, stands(county).used_minor) == (1_000_000, 1_000_000)
