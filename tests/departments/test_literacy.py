"""Digital literacy: no certificate without attendance, assessment and fee; one for each attempt; what one costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from revenue_engine.billing import registers
from revenue_engine.db import transaction
from revenue_engine.departments.literacy import programme
from revenue_engine.errors import Rejected
from tests.conftest import Database
from tests.secondary_ledgers.shelf import Shelf, nothing, share
from tests.support import people
from tests.support.books import DAY
from tests.support.commands import command

ON = date(2026, 9, 1)


def cohort(code: str = "BASIC-1", **more: Any) -> dict[str, Any]:
    return {
        "code": code,
        "programme_year": "2026",
        "course": "Basics",
        "unit": "DL/BC/01/3",
        "framework": "DigComp 3.0",
        "host": "Busia VTC",
        "sub_county": "Matayos",
        "ward": "Busibwabo",
        "starts_on": ON,
        "ends_on": date(2026, 9, 30),
        "sessions": 4,
        "attendance_parts": 7500,
        "capacity": 3,
    } | more


def does(shelf: Shelf, work: Callable[[Session], Any]) -> Any:
    who = people.somebody(shelf.url, "literacy.one", "department_officer", directorate="Digital Economy")
    with who.acts(), transaction(shelf.as_role("api")) as session:
        return work(session)


def refused(shelf: Shelf, work: Callable[[Session], Any]) -> str:
    with pytest.raises(Rejected) as caught:
        does(shelf, work)
    return str(caught.value)


@pytest.fixture
def county(database: Database) -> Iterator[Shelf]:
    """A county with a cohort of three places and two learners: one pays by a bill, one has a waiver."""
    shelf = Shelf(database.url)
    bill = shelf.bill(200)

    def register(session: Session) -> None:
        programme.add_cohort(session, cohort())
        for number in ("L-1", "L-2", "L-3", "L-4"):
            place = {"sub_county": "Matayos", "ward": "Busibwabo"}
            programme.add_learner(session, {"number": number, "sex": "F", "year_band": "2000-2004", **place})
        programme.enrol(session, "L-1", "BASIC-1", on=ON, invoice_id=bill.id)
        programme.enrol(session, "L-2", "BASIC-1", on=ON, waiver="CECM/W/9")

    does(shelf, register)
    shelf.fee = bill  # type: ignore[attr-defined]
    yield shelf
    shelf.close()


def finish(shelf: Shelf, *learners: str) -> None:
    """Three sessions of four, and a first attempt that found them competent."""

    def work(session: Session) -> None:
        for number in (1, 2, 3):
            programme.attend(session, "BASIC-1", number, dict.fromkeys(learners, True), on=date(2026, 9, number))
        for learner in learners:
            programme.assess(session, learner, "BASIC-1", attempt=1, competent=True, on=date(2026, 9, 20))

    does(shelf, work)


def certify(learner: str, attempt: int = 1) -> Callable[[Session], str]:
    return lambda session: programme.certify(session, learner, "BASIC-1", attempt=attempt, on=date(2026, 9, 25))


def test_a_certificate_needs_attendance_assessment_and_fee_and_the_refusal_names_the_missing(county: Shelf) -> None:
    assert "attendance: 0 of 4 sessions" in refused(county, certify("L-1"))
    finish(county, "L-1", "L-2")
    assert "assessment: attempt 2" in refused(county, certify("L-1", 2))
    assert "fee: KES 200.00 is unpaid" in refused(county, certify("L-1"))
    assert "not enrolled" in refused(county, certify("L-3"))
    # When the fee is paid
    county.pay(200, county.fee.pay_account_number)  # type: ignore[attr-defined]
    number = does(county, certify("L-1"))
    # Then there is one certificate, and never a second
    assert "kept already" in refused(county, certify("L-1"))
    assert does(county, lambda s: programme.verify(s, number)) == "valid"
    # And a corrected one supersedes the first, once
    again = does(county, lambda s: programme.reissue(s, number, reason="the name was misspelt", on=DAY))
    assert does(county, lambda s: [programme.verify(s, n) for n in (number, again, "DL26-X")]) == [
        *("superseded", "valid", "unknown")
    ]
    assert "kept already" in refused(county, lambda s: programme.reissue(s, number, reason="again", on=DAY))


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda s: programme.enrol(s, "L-1", "BASIC-1", on=ON, waiver="x"), "kept already"),
        (lambda s: programme.enrol(s, "L-3", "BASIC-1", on=ON), "funded is missing or wrong"),
        (lambda s: programme.enrol(s, "L-9", "BASIC-1", on=ON, waiver="x"), "no learner"),
        (lambda s: programme.attend(s, "BASIC-1", 5, {"L-1": True}, on=ON), "has 4 sessions"),
        (lambda s: programme.attend(s, "BASIC-1", 1, {"L-1": True}, on=date(2026, 10, 1)), "no session"),
        (lambda s: programme.attend(s, "BASIC-1", 1, {"L-3": True}, on=ON), "not enrolled"),
        (lambda s: programme.add_learner(s, {"number": "L-5", "sex": "?"}), "missing or wrong"),
        (lambda s: programme.add_cohort(s, cohort("X-1", ends_on=date(2026, 8, 1))), "days is missing or wrong"),
        (lambda s: programme.cost(s, "BASIC-1", "PV-404", amount_minor=1), "no voucher PV-404"),
    ],
)
def test_what_makes_no_sense_is_refused(county: Shelf, work: Any, said: str) -> None:
    assert said in refused(county, work)


def test_a_full_cohort_takes_nobody(county: Shelf) -> None:
    does(county, lambda s: programme.enrol(s, "L-3", "BASIC-1", on=ON, waiver="x"))
    assert "is full: 3 places" in refused(county, lambda s: programme.enrol(s, "L-4", "BASIC-1", on=ON, waiver="x"))


def test_one_command_answers_what_a_certified_learner_costs_by_sub_county(county: Shelf, tmp_path: Path) -> None:
    # Given a voucher of 1,000 shillings, of which the cohort cost 900, and one of two learners certified
    county.open("literacy", share("fees", "SBP", 1000, 5000), nothing())
    county.receipt(1_000_000, payment=1)
    county.derive("literacy")
    voucher = {"kind": "expense", "fund_class": "earmarked", "amount_minor": 100_000, "reference": "PV-1"}
    assert county.fund("literacy", **voucher, debit="51", credit="12", book_date=DAY) is None
    finish(county, "L-2")
    does(county, certify("L-2"))
    does(county, lambda s: programme.cost(s, "BASIC-1", "PV-1", amount_minor=90_000))
    does(county, lambda s: programme.add_cohort(s, cohort("BASIC-2", sub_county="Teso North")))
    assert "no more of that voucher" in refused(
        county, lambda s: programme.cost(s, "BASIC-2", "PV-1", amount_minor=10_001)
    )
    who = people.somebody(county.url, "literacy.one", "department_officer", directorate="Digital Economy")
    env = {"REVENUE_DATABASE_URL": county.url, **who.signed_in(tmp_path)}
    answer = command("literacy", "cost", "--json", env=env)
    assert answer.returncode == 0, answer.stderr
    first, second = json.loads(answer.stdout)
    assert (first["sub_county"], first["enrolled"], first["certified"], first["cost"]) == ("Matayos", 2, 1, "900.00")
    assert (first["per_enrolled"], first["per_certified"]) == ("450.00", "900.00")
    assert (second["sub_county"], second["per_certified"]) == ("Teso North", None)
    # And the figure names the vouchers behind it
    assert does(county, lambda s: programme.behind(s)) == [("Matayos", "BASIC-1", "PV-1", 90_000)]


def test_a_learner_is_enrolled_certified_printed_and_verified_by_commands_alone(county: Shelf, tmp_path: Path) -> None:
    who = people.somebody(county.url, "literacy.one", "department_officer", directorate="Digital Economy")
    seal = tmp_path / "seal"
    seal.mkdir(mode=0o700)
    env = {"REVENUE_DATABASE_URL": county.url, "REVENUE_SEAL_DIR": str(seal), **who.signed_in(tmp_path)}

    def says(*words: str, code: int = 0) -> Any:
        done = command("literacy", *words, "--json", env=env)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    assert command("close", "key", "new", "testland-2026", env=env).returncode == 0
    key = county.payer("Achieng' Odera")
    with transaction(county.as_role("api")) as session:
        payer = next(one.public_id for one in registers.payer_list(session) if one.id == key)
    file = tmp_path / "learner.toml"
    file.write_text(
        f'[[learner]]\nnumber = "L-9"\npayer = "{payer}"\nsex = "F"\nyear_band = "2000-2004"\n'
        'sub_county = "Matayos"\nward = "Busibwabo"\n'
    )
    says("add", str(file))
    assert "funded" in says("enrol", "L-9", "BASIC-1", code=1)["message"]
    says("enrol", "L-9", "BASIC-1", "--waiver", "CECM/W/10", "--on", "2026-09-01")
    # A sheet with bad rows: the good ones are previewed, nothing is written until accepted, the bad ones come back
    sheet, bad = tmp_path / "one.csv", tmp_path / "bad.csv"
    sheet.write_text("learner,present\nL-9,yes\nL-3,yes\n\nL-9,no\nL-1,maybe\nL-2\n=1+1,yes\n")
    attend = ("attend", "BASIC-1", "1", str(sheet), "--on", "2026-09-01", "--bad", str(bad))
    told = says(*attend, code=3)
    assert (told["good"], told["kept"], [one["row"] for one in told["bad"]]) == (1, 0, [3, 5, 6, 7, 8])
    assert bad.read_text().splitlines()[-1].startswith("'=1+1,yes,")
    assert says(*attend, "--accept", code=3)["kept"] == 1
    assert "kept before" in says(*attend, code=3)["bad"][0]["why"]
    for number in (2, 3):
        sheet.write_text("learner,present\nL-9,yes\n")
        says("attend", "BASIC-1", str(number), str(sheet), "--on", f"2026-09-0{number}", "--accept")
    assert "competent or not-yet" in says("assess", "L-9", "BASIC-1", "maybe", code=1)["message"]
    says("assess", "L-9", "BASIC-1", "competent", "--on", "2026-09-20")
    number = says("certify", "L-9", "BASIC-1", "--on", "2026-09-25")["certificate"]
    # The paper's QR is checked with the published key and no database, and with the register
    pdf, badge = tmp_path / "paper.pdf", tmp_path / "badge.jwt"
    token = says("paper", number, "--out", str(pdf))["token"]
    assert pdf.read_bytes().startswith(b"%PDF")
    keys = tmp_path / "keys.txt"
    keys.write_text("\n".join(json.loads(command("close", "key", "list", "--json", env=env).stdout)))
    offline = says("verify", token, "--name", "achieng' ODERA", "--keys", str(keys), code=3)
    assert (offline["number"], offline["signature"], offline["status"]) == (number, "good", "not asked")
    assert "name" in says("verify", token, "--name", "Other", "--keys", str(keys), code=1)["message"]
    assert says("verify", token)["status"] == says("verify", number)["status"] == "valid"
    says("badge", number, "--out", str(badge))
    assert badge.read_bytes().count(b".") == 2
    # When the name was misspelt, the certificate is issued anew and the former says so
    again = says("reissue", number, "--reason", "the name was misspelt")["certificate"]
    assert says("verify", token, code=1)["status"] == "superseded"
    assert says("verify", again)["status"] == "valid"
    assert says("verify", "DL26-0000000000", code=1)["status"] == "unknown"
    assert again in says("badge", number, "--out", str(badge), code=1)["message"]
    # And a learner without a name has no paper
    finish(county, "L-2")
    nameless = does(county, certify("L-2"))
    assert "no name stands" in says("paper", nameless, "--out", str(pdf), code=1)["message"]
