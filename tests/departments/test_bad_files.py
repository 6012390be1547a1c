"""Files of registers that make no sense are refused with a reason, and never end in a trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.support import people
from tests.support.commands import command

LEARNER = (
    '[[learner]]\nnumber = "L-1"\nsex = "F"\nyear_band = "2000-2004"\nsub_county = "Matayos"\nward = "Busibwabo"\n'
)
COHORT = (
    '[[cohort]]\ncode = "B-1"\nprogramme_year = "2026"\ncourse = "B"\nunit = "U"\nframework = "F"\nhost = "H"\n'
    'sub_county = "M"\nward = "W"\nstarts_on = 2026-09-01\nends_on = 2026-09-30\nsessions = 4\n'
    "attendance_parts = 7500\ncapacity = 3\n"
)
PARTNER = '[[partner]]\ncode = "P1"\nname = "P"\norganisation_type = "10"\niati_reference = "XM-DAC-12"\n'
AGREEMENT = (
    PARTNER + '[[agreement]]\npartner = "P1"\nreference = "A-1"\ntitle = "T"\ndescription = "D"\nkind = "grant"\n'
    "on_budget = false\nstarts_on = 2026-09-01\nends_on = 2027-09-30\n"
    'next_step = "s"\nnext_owner = "o"\nnext_on = 2026-12-31\n'
)
LINK = (
    '[[link]]\noffice = "MALABA"\nname = "M"\nsub_county = "T"\nsupplier = "F"\ncircuit = "C"\nlink_kind = "fibre"\n'
    'mbps = 20\nmonthly_charge = "30000.00"\ntarget_ppm = 999000\nclaim_days = 30\ncontract = "X"\n'
    'effective_from = 2026-07-01\nformula = { kind = "flat", percent = 25 }\n'
)
LITERACY, PARTNERS, ICT = ("literacy", "add"), ("partner", "add"), ("ict", "link")


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        *(
            (LITERACY, bad)
            for bad in ('cohort = "x"', "learner = 5", "cohort = [1]", "[cohort]\ncode = 1", "x = 1", "")
        ),
        *((LITERACY, bad) for bad in ("# nothing", "cohort = []", "a = " + "[" * 5000)),
        *((PARTNERS, bad) for bad in ('partner = "x"', "agreement = [1]", "[partner]\ncode = 1", "x = 1", "")),
        *((ICT, bad) for bad in ('link = "x"', "link = [1]", "[link]\noffice = 1")),
        (LITERACY, LEARNER.replace('"L-1"', "5")),
        (LITERACY, LEARNER.replace('"F"', "[1]")),
        (LITERACY, LEARNER + "disability = 3\n"),
        (LITERACY, LEARNER + "payer = 5\n"),
        (LITERACY, LEARNER + "payer_id = 99999\n"),
        (LITERACY, LEARNER.replace("Matayos", "a\\u0000b")),
        (LITERACY, COHORT.replace("2026-09-01", '"soon"')),
        (LITERACY, COHORT.replace("sessions = 4", 'sessions = "four"')),
        (LITERACY, COHORT.replace("capacity = 3", "capacity = 99999999999999999999")),
        (LITERACY, COHORT.replace("capacity = 3", "capacity = 1.5")),
        (PARTNERS, PARTNER.replace('"P"', "{ a = 1 }")),
        (PARTNERS, AGREEMENT.replace('partner = "P1"\n', "partner = 5\n")),
        (PARTNERS, AGREEMENT.replace("2026-09-01", '"soon"')),
        (PARTNERS, AGREEMENT + "goals = [4, 9]\n"),
        (PARTNERS, AGREEMENT + 'goals = { 4 = "all" }\n'),
        (PARTNERS, AGREEMENT + "goals = { 4 = 1.5, 9 = 9998.5 }\n"),
        (ICT, LINK.replace('"30000.00"', "30000.00")),
        (ICT, LINK.replace("mbps = 20", 'mbps = "fast"')),
        (ICT, LINK.replace('{ kind = "flat", percent = 25 }', '"flat"')),
        (ICT, LINK.replace("percent = 25", 'percent = "much"')),
        (ICT, LINK.replace("2026-07-01", '"soon"')),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_a_reason(
    testland: Database, tmp_path: Path, verb: tuple[str, str], text: str
) -> None:
    directorate = {"literacy": "Digital Economy", "partner": "Strategic Partnerships", "ict": "ICT"}[verb[0]]
    who = people.somebody(testland.url, f"{verb[0]}.one", "department_officer", directorate=directorate)
    file = tmp_path / "file.toml"
    file.write_text(text, encoding="utf-8")
    env = {"REVENUE_DATABASE_URL": testland.url, **who.signed_in(tmp_path)}
    done = command(*verb, str(file), "--json", env=env)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr[-600:])
    told = json.loads(done.stdout)
    assert (told["ok"], bool(told["message"])) == (False, True)
    assert told["code"] not in {"unexpected", "error"}, told


def test_the_files_that_they_are_changed_from_are_good(testland: Database, tmp_path: Path) -> None:
    for verb, text, of in (
        (LITERACY, LEARNER + COHORT, "Digital Economy"),
        (PARTNERS, AGREEMENT + "goals = { 4 = 6000, 9 = 4000 }\n", "Strategic Partnerships"),
        (ICT, LINK, "ICT"),
    ):
        who = people.somebody(testland.url, f"{verb[0]}.one", "department_officer", directorate=of)
        file = tmp_path / f"{verb[0]}.toml"
        file.write_text(text)
        done = command(*verb, str(file), env={"REVENUE_DATABASE_URL": testland.url, **who.signed_in(tmp_path)})
        assert done.returncode == 0, done.stderr
