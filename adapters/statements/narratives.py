"""The :86: field: what the bank tells the owner, free or in one of the structures banks agreed on.

Three structures are known: German (``166?00...?20...?32...``, in Poland with ``~`` or ``<``, at one Dutch bank with
``>``), Dutch (``/NAME/.../REMI/...``) and free text. What is in none of them is text, and no text is ever lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

LINE_WIDTH: Final = 65
_FIELD_WIDTH: Final = 27
_NUMBERED: Final = re.compile(r"\s?(?:\d{3})?([?~<>])(?=[0-6]\d)", re.ASCII)
_SPLITS: Final = {sign: re.compile(re.escape(sign) + r"([0-6]\d)", re.ASCII) for sign in "?~<>"}
_MARKS: Final = re.compile(r"(?:(?<=\s)|(?<![A-Z]))(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC|COAM|OAMT)\+")
_WORDS: Final = re.compile(
    r"/(TRTP|IBAN|BBAN|BIC|NAME|REMI|EREF|KREF|PREF|MARF|CSID|ISDT|CNTP|ORDP|BENM|ADDR|PURP|RTRN|SVCL|UDTR|UCRD|SWOC|"
    r"CREF|OCMT|EXCH|CHGS|NRTX|ULTC|ULTB|ULTD|ACNO|BAI)/"
)
_PURPOSE: Final = frozenset({*range(20, 30), *range(60, 70)})
_REFERENCES: Final = frozenset({"EREF", "KREF", "MREF", "PREF", "MARF", "CREF", "CRED", "CSID"})
_NOTHING: Final = frozenset({"", "NOTPROVIDED", "NONREF", "NOTAVAIL"})


@dataclass(slots=True)
class Narrative:
    """What a :86: field says."""

    text: str = ""
    remittance: str = ""
    """What the payer wrote, where the structure has a place for it."""
    name: str = ""
    """The other side."""
    references: list[tuple[str, str]] = field(default_factory=list)


def joined(lines: list[str], width: int = LINE_WIDTH) -> str:
    """Lines as one text. Banks cut inside words at the full width, so a full line is joined to the next with nothing.

    A shorter line was ended on purpose, and a space stands for its end.
    """
    if len(lines) == 1:
        return lines[0].strip()
    text = ""
    glue = False
    for line in lines:
        if not line.strip():
            continue
        text = text + line if glue or not text else f"{text.rstrip()} {line.lstrip()}"
        glue = len(line) >= width
    return text.strip()


def read(lines: list[str]) -> Narrative:
    """What the lines of one :86: field say."""
    found = _NUMBERED.match(lines[0])
    if found is not None:
        return _numbered("".join(lines), found[1])
    if lines[0][:1] == "/" or lines[0][:2] == " /":
        whole = joined(lines)
        if _WORDS.match(whole) is not None:
            return _worded(whole)
        return Narrative(whole)
    return Narrative(joined(lines))


def _numbered(whole: str, sign: str) -> Narrative:
    """German and Polish: two-digit fields after a sign. 20-29 and 60-69 are the purpose, 32 and 33 the name."""
    pieces = _SPLITS[sign].split(whole)
    booking, purpose, name, account = "", [], [], ""
    rest = []
    for at in range(1, len(pieces), 2):
        number, value = int(pieces[at]), pieces[at + 1]
        if number in _PURPOSE:
            purpose.append(value)
        elif number in {32, 33}:
            name.append(value)
        elif number == 0:
            booking = value.strip()
        elif number in {31, 38}:
            account = value.strip() or account
        elif number not in {10, 30, 34}:
            rest.append(value.strip())
    said = joined(purpose, _FIELD_WIDTH)
    narrative = Narrative(name=joined(name, _FIELD_WIDTH) if name else "")
    marked = dict(_marked(said))
    narrative.remittance = marked.get("SVWZ", "" if marked else said)
    narrative.references = [(mark, value) for mark, value in marked.items() if mark in _REFERENCES and value]
    if account:
        narrative.references.append(("account", account))
    narrative.text = " ".join(part for part in (booking, said, *rest) if part) or whole.strip()
    return narrative


def _marked(said: str) -> list[tuple[str, str]]:
    pieces = _MARKS.split(said)
    found = [(pieces[at], pieces[at + 1].strip()) for at in range(1, len(pieces), 2)]
    return [(mark, value) for mark, value in found if value not in _NOTHING]


def _worded(whole: str) -> Narrative:
    """Dutch: ``/NAME/...``. A slash inside a value ends nothing; only a word of the list does."""
    pieces = _WORDS.split(whole)
    narrative = Narrative(whole)
    for at in range(1, len(pieces), 2):
        word, value = pieces[at], pieces[at + 1].strip()
        if value in _NOTHING:
            continue
        if word == "NAME":
            narrative.name = narrative.name or value
        elif word == "CNTP":  # account, bank, name and town, each ended by a slash
            parts = value.split("/")
            narrative.name = narrative.name or (parts[2].strip() if len(parts) > 2 else "")
        elif word == "REMI":
            # One bank writes USTD or STRD, a slash, the issuer and another before the text.
            narrative.remittance = re.sub(r"^(?:USTD|STRD)/[^/]*/", "", value).strip(" /")
        elif word in _REFERENCES:
            narrative.references.append((word, value))
        elif word in {"IBAN", "BBAN", "ACNO"}:
            narrative.references.append(("account", value))
    return narrative
