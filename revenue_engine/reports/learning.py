"""A learner's certificate as it is printed and as a badge, read from the register of the programme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy.orm import Session

from revenue_engine import periods
from revenue_engine.access import audit, sessions
from revenue_engine.billing import registers, tariffs
from revenue_engine.departments.literacy import programme
from revenue_engine.errors import Conflict
from revenue_engine.papers import learning
from revenue_engine.papers.sheets import Paper
from revenue_engine.signed_notes import PublicKey, SigningKey

PRINTED = "learner_certificate.printed"
BADGE = "learner_certificate.badge"


def _learned(one: programme.Certified) -> learning.Learned:
    return learning.Learned(one.number, one.unit, one.attempt, one.issued_on)


def paper(session: Session, number: str, *, keys: Sequence[SigningKey]) -> Paper:
    """A certificate to print, with its signed QR; who prints it is kept. Raises NotFound, NotAllowed, Conflict where
    the name was erased or never registered, ConfigurationError without a key."""
    sessions.must(session, programme.RECORD)
    one, county = programme.certified(session, number), tariffs.county(session)
    name = registers.payer_name(session, one.payer_id) if one.payer_id is not None else ""
    if not name:
        raise Conflict(f"no name stands with the learner {one.learner}: register one with a payer", learner=one.learner)
    token = learning.sign(_learned(one), name=name, keys=keys)
    copy = len(audit.facts_of(session, action=PRINTED, subject=number)) + 1
    audit.record(session, action=PRINTED, subject=number, facts={"copy": copy})
    at = periods.now().astimezone(periods.NAIROBI)
    superseded = f"superseded by {one.superseded_by}: {one.superseded_why}" if one.superseded_by else ""
    return Paper(
        county=county.name,
        title="CERTIFICATE OF COMPETENCE",
        number=one.number,
        amount_minor=0,
        amount_label="",
        facts=(
            *(("Name", name), ("Result", "Competent"), ("Course", one.course), ("Unit", one.unit)),
            *(("Framework", one.framework), ("Given at", one.host)),
            ("Sessions attended", f"{one.attended} of {one.sessions}"),
            *(("Attempt", str(one.attempt)), ("Issued", one.issued_on.strftime("%-d %b %Y"))),
        ),
        notes=("The QR holds this certificate, signed by the county: it is checked without a network.",),
        verify=token,
        short=f"Verify: revenue-engine literacy verify {one.number}",
        copy=copy,
        test=county.mode == "test",
        cancelled=superseded,
        printed=f"Printed by {sessions.whoami(session).login}, {at:%-d %b %Y, %H:%M}",
    )


def badge(session: Session, number: str, *, keys: Sequence[SigningKey]) -> str:
    """The Open Badge 3.0 of a certificate. Raises NotFound, NotAllowed, Conflict for a superseded one, and
    ConfigurationError without a key."""
    sessions.must(session, programme.RECORD)
    one = programme.certified(session, number)
    if one.superseded_by:
        raise Conflict(f"{number} is superseded by {one.superseded_by}: issue the badge of that one", number=number)
    audit.record(session, action=BADGE, subject=number)
    county = tariffs.county(session).name
    course = learning.Course(county, one.course, one.framework, one.host, one.sessions, one.attended)
    return learning.badge(_learned(one), course, learner=one.learner, keys=keys)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a certificate is worth: ``signature`` is good or not asked; ``status`` is valid, superseded, unknown, or
    not asked where there was no register to ask."""

    number: str
    signature: str
    status: str
    unit: str = ""
    issued_on: str = ""

    def of(self, register: Verdict) -> Verdict:
        """This verdict of a signature with what the register says of the number."""
        return replace(self, status=register.status)

    def told(self) -> dict[str, str]:
        """What is said, without what is not known."""
        return {name: said for name, said in asdict(self).items() if said}


def verify_token(token: str, trusted: Iterable[PublicKey], *, name: str | None) -> Verdict:
    """What the QR of a certificate is worth without the register. Raises InvalidValue for what nobody signed."""
    told = learning.read(token.strip(), trusted, name=name)
    return Verdict(told.number, "good", "not asked", told.unit, told.issued_on.isoformat())


def verify_number(session: Session, number: str) -> Verdict:
    """What a number is worth in the register: valid, superseded or unknown, and no name."""
    return Verdict(number, "not asked", programme.verify(session, number))
