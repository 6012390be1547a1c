"""The :86: field: what the bank tells the owner, free or in one of the structures banks agreed on.

Three structures are known: German (``166?00...?20...?32...``, in Poland with ``~`` or ``<``, at one Dutch bank with
``>``), Dutch (``/NAME/.../REMI/...``) and free text. What is in none of them is text, and no text is ever lost.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

LINE_WIDTH: Final = 65
_FIELD_WIDTH: Final = 27
_NUMBERED: Final = re.compile(r"\s?(?:\d{3})?([?~<>])(?=[0-6]\d)", re.ASCII)
_PURPOSE: Final = frozenset(f"{tens}{ones}" for tens in (2, 6) for ones in range(10))
_FIELDS: Final = frozenset(f"{tens}{ones}" for tens in range(7) for ones in range(10))
"""What follows a sign that begins a field; a sign before anything else is text."""
_MARKS: Final = re.compile(r"(?:(?<=\s)|(?<![A-Z]))(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC|COAM|OAMT)\+")
_WORDS: Final = re.compile(
    r"/(TRTP|IBAN|BBAN|BIC|NAME|REMI|EREF|KREF|PREF|MARF|CSID|ISDT|CNTP|ORDP|BENM|ADDR|PURP|RTRN|SVCL|UDTR|UCRD|SWOC|"
    r"CREF|OCMT|EXCH|CHGS|NRTX|ULTC|ULTB|ULTD|ACNO|BAI)/"
)
_NAMES: Final = frozenset({"32", "33"})
_OTHER_ACCOUNTS: Final = frozenset({"31", "38"})
_ROUTING: Final = frozenset({"10", "30", "34"})
"""A number of the bank's own, its code, a text key: nothing a person reads."""
_REFERENCES: Final = frozenset({"EREF", "KREF", "MREF", "PREF", "MARF", "CREF", "CRED", "CSID"})
_ACCOUNTS: Final = frozenset({"IBAN", "BBAN", "ACNO"})
_ISSUER: Final = re.compile(r"^(?:USTD|STRD)/[^/]*/")
_NOTHING: Final = frozenset({"", "NOTPROVIDED", "NONREF", "NOTAVAIL"})


class Narrative(NamedTuple):
    """What a :86: field says."""

    text: str
    remittance: str
    """What the payer wrote, where the structure has a place for it."""
    name: str
    """The other side."""
    references: list[tuple[str, str]]


def joined(lines: list[str], width: int = LINE_WIDTH) -> str:
    """Lines as one text. Banks cut inside words at the full width, so a full line is joined to the next with nothing.

    A shorter line was ended on purpose, and a space stands for its end.
    """
    text = lines[0]
    if len(lines) == 1:
        return text.strip()
    glue = len(text) >= width
    if glue and len(lines) == 2:
        return (text + lines[1]).strip()
    for line in lines[1:]:
        if glue:
            text += line
        elif line and not line.isspace():
            text = f"{text.rstrip()} {line.lstrip()}"
        glue = len(line) >= width
    return text.strip()


def read(lines: list[str]) -> Narrative:
    """What the lines of one :86: field say."""
    first = lines[0]
    if first[:1] != "/":
        found = _NUMBERED.match(first)
        if found is not None:
            return _numbered("".join(lines), found[1])
        if first[:2] != " /":
            return Narrative(joined(lines), "", "", [])
    return _worded(joined(lines))


def _numbered(whole: str, sign: str) -> Narrative:
    """German and Polish: two-digit fields after a sign. 20-29 and 60-69 are the purpose, 32 and 33 the name."""
    fields = whole.split(sign)
    del fields[0]  # what stands before the first is no field
    booking = name = account = said = ""
    glue = True
    rest = ""
    if not _FIELDS.issuperset([field[:2] for field in fields]):
        fields = _glued(fields, sign)
    for field in fields:
        number = field[:2]
        if number in _PURPOSE:
            said = said + field[2:] if glue or not said else f"{said.rstrip()} {field[2:].lstrip()}"
            glue = len(field) >= _FIELD_WIDTH + 2
        elif number in _ROUTING:
            continue
        elif number in _NAMES:
            value = field[2:]
            name = name + value if len(name) >= _FIELD_WIDTH or not name else f"{name.rstrip()} {value.lstrip()}"
        elif number == "00":
            booking = field[2:].strip()
        elif number in _OTHER_ACCOUNTS:
            account = field[2:].strip() or account
        else:
            rest += " " + field[2:].strip()
    said = remittance = said.strip()
    references = []
    if "+" in said and (marked := _marked(said)):
        remittance = dict(marked).get("SVWZ", "")
        references = [(mark, value) for mark, value in marked if mark in _REFERENCES]
    if account:
        references.append(("account", account))
    return Narrative(f"{booking} {said}{rest}".strip() or whole.strip(), remittance, name.strip(), references)


def _glued(pieces: list[str], sign: str) -> list[str]:
    """The fields, where the sign stands inside the text of some: the first piece always begins one."""
    fields: list[str] = []
    for piece in pieces:
        if piece[:2] in _FIELDS:
            fields.append(piece)
        else:
            fields[-1] += sign + piece
    return fields


def _marked(said: str) -> list[tuple[str, str]]:
    pieces = _MARKS.split(said)
    found = [(pieces[at], pieces[at + 1].strip()) for at in range(1, len(pieces), 2)]
    return [(mark, value) for mark, value in found if value not in _NOTHING]


def _worded(whole: str) -> Narrative:
    """Dutch: ``/NAME/...``. A slash inside a value ends nothing; only a word of the list does."""
    name = remittance = ""
    references: list[tuple[str, str]] = []
    pieces = _WORDS.split(whole)
    if pieces[0]:  # it begins with a word nobody knows, so it is free
        return Narrative(whole, "", "", references)
    for at in range(1, len(pieces), 2):
        word, value = pieces[at], pieces[at + 1].strip()
        if not value or value in _NOTHING:
            continue
        if word == "NAME":
            name = name or value
        elif word == "REMI":
            # One bank writes USTD or STRD, a slash, the issuer and another before the text.
            remittance = _ISSUER.sub("", value).strip(" /") if "/" in value else value
        elif word in _REFERENCES:
            references.append((word, value))
        elif word == "CNTP":  # account, bank, name and town, each ended by a slash
            parts = value.split("/")
            name = name or (parts[2].strip() if len(parts) > 2 else "")
        elif word in _ACCOUNTS:
            references.append(("account", value))
    return Narrative(whole, remittance, name, references)
