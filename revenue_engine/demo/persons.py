"""The demo's own persons: five who work in revenue, enrolled as anybody is, with secrets that are shown once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Engine

from revenue_engine.access import passwords, persons, sessions
from revenue_engine.db import transaction

WHO = (
    ("demo.cashier", "Demo Cashier", "DEMO-1", "cashier"),
    ("demo.treasurer", "Demo Treasurer", "DEMO-2", "finance_officer"),
    ("demo.clerk", "Demo Clerk", "DEMO-3", "clerk"),
    ("demo.supervisor", "Demo Supervisor", "DEMO-4", "supervisor"),
    ("demo.auditor", "Demo Auditor", "DEMO-5", "auditor"),
)
_WORDS = (
    "amber",
    "barley",
    "cedar",
    "delta",
    "ember",
    "fig",
    "granite",
    "harbour",
    "indigo",
    "jasper",
    "kettle",
    "maize",
)


@dataclass(frozen=True, slots=True)
class Made:
    """A person of the demo, with what opens the door; ``authenticator`` is the seed in base 32."""

    login: str
    password: str
    authenticator: str
    session: str
    spare: tuple[str, ...] = ()
    """Recovery codes that are not used up; each is good once, in place of the authenticator's."""


def make(owner: Engine, api: Engine) -> list[Made]:
    """Make the demo's persons, enrol them and sign them in. ``owner`` holds the database, as ``init`` does."""
    with transaction(owner) as session:
        codes = [
            persons.first_of_demo(session, login=login, name=name, staff_number=number, role=role)
            for login, name, number, role in WHO
        ]
    made = []
    for (login, _, _, _), code in zip(WHO, codes, strict=True):
        password = " ".join(secrets.choice(_WORDS) for _ in range(5))
        seed = passwords.fresh_seed()
        with transaction(api) as session:
            spare = sessions.enrol(
                session, login=login, enrolment=code, password=password, seed=seed, code=passwords.code_now(seed)
            )
        # The authenticator's code is used up by the enrolment: the first sign-in takes one of the spare ones.
        secret = sessions.sign_in(api, login=login, password=password, code=spare.recovery_codes[0], source="demo")
        made.append(Made(login, password, passwords.as_typed(seed), secret, spare.recovery_codes[1:]))
    return made
