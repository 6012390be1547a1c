"""A new adapter as a package of its own: everything but what only its author can write, which is marked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final, Literal, TypeAlias

from adapters.bodies import FORM
from adapters.conformance.subject import ACCOUNT
from revenue_engine.errors import Conflict, InvalidValue

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,19}", re.ASCII)

_PYPROJECT: Final = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "revenue-adapter-@dashed@"
version = "0.1.0"
description = "@title@ for the revenue engine"
requires-python = ">=3.11"
dependencies = [@dependencies@]

[project.entry-points."revenue_engine.adapters"]
@name@ = "revenue_adapter_@name@:adapter"

[tool.hatch.build.targets.wheel]
packages = ["revenue_adapter_@name@"]
"""

_MODULE: Final = '''\
"""@title@: its payment notices. Pure: no database, no network, no clock.

Marked FILL THIS IN: the acknowledgement, decode(), read(), prove() and, where the provider signs otherwise, sign().
"""

from __future__ import annotations

import hashlib
import hmac
@imports@import secrets as randomness
from collections.abc import @collections@
@html@
@xml_import@from pydantic import BaseModel, ConfigDict, Field, SecretStr

from adapters import @readers@
from revenue_engine.ports.callbacks import (
    AckOutcome,
@format_import@    Ignored,
    Interpretation,
    Paid,
    Party,
    Purpose,
    Rehearsal,
    Signed,
    Unknown,
    Verdict,
)
from revenue_engine.errors import InvalidValue
@strict@
HEADER = "X-Signature"

KEPT = @kept@
REFUSED = @refused@
"""What the provider wants to hear, byte for byte as documented. FILL THIS IN, and fixtures/acks.expected.json with it.

Where the answer repeats an id of the body, give the adapter ack_for(outcome, body) as well: it checks the id by a
pattern and falls back to an empty one, and never raises.
"""


class Settings(BaseModel):
    """Settings of one account. A value file:NAME is read from REVENUE_SECRETS_DIR."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account: str
    """For answers that name it. The engine itself compares the account a notice names with the channel account."""
    secret: SecretStr = Field(min_length=8)
    previous_secret: SecretStr = SecretStr("")
    """The secret it replaces, while the provider may still sign with it; empty at all other times."""


def decode(body: bytes) -> Mapping[str, object]:
    """The fields of a body, each with one meaning, or InvalidValue. @decode_note@"""
@decode@

def read(doc: Mapping[str, object]) -> Interpretation:
    """Say what a notice means: Paid, Reversed, Ignored(reason) or Unknown(reason). FILL THIS IN.

    The readers of ``adapters.readings`` answer exact values or raise InvalidValue, which becomes Unknown; raise
    InvalidValue("why") yourself for what they do not read. A word you do not know is never a payment.
    """
    return Unknown("read() of the adapter @name@ is not filled in")


def prove(headers: Mapping[str, str], body: bytes, settings: Settings) -> Verdict:
    """Judge the proof of origin; header names are lower case. FILL THIS IN: see ``adapters.proofs``.

    Who sent it, and nothing else: a right proof over a body nobody can read is accepted, so that it is kept and seen.
    """
    return Verdict(accepted=False, reason="prove() of the adapter @name@ is not filled in: no header is judged")


class Adapter:
    """The notices of @title@."""

    name: str = "@name@"
    settings_model: type[BaseModel] = Settings
    kept_headers: tuple[str, ...] = (HEADER,)
    content_type: str = "@content_type@"
    """What KEPT and REFUSED are, as the provider is told."""
    proof_in_words: str = f"header {HEADER}: HMAC-SHA256 of the raw body in hexadecimal, with the shared secret"

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        """Judge a delivery."""
        if not isinstance(settings, Settings):
            return Verdict(accepted=False, reason="the channel account has no @name@ settings")
        return prove(headers, body, settings)

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        """Say what a body means; never raises."""
        try:
            return read(decode(body))
        except InvalidValue as error:
            return Unknown(error.message)

    def ack(self, outcome: AckOutcome) -> bytes:
        """The bytes the provider wants to hear."""
        return KEPT if outcome is AckOutcome.KEPT else REFUSED

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        """Play the provider for a test account."""
        given = dict(secrets) if secrets is not None else {"secret": randomness.token_urlsafe(24)}
        settings = {"account": identifier, **given}

        def sign(body: bytes) -> Signed:
            """The proof as the provider makes it, over any bytes. FILL THIS IN where it signs otherwise."""
            proof = hmac.new(given["secret"].encode(), body, hashlib.sha256).hexdigest()
            return Signed(body, {HEADER.lower(): proof})

        fields = [
            ("id", "TX00000001"),
            ("amount", "1500.00"),
            ("currency", "KES"),
            ("time", "2026-09-15T12:00:00"),
            ("account", identifier),
            ("bill", "482915363"),
            ("name", "Sample Payer"),
            ("phone", "254700000101"),
        ]
        return Rehearsal(
            settings,
            given,
            example=@example@,
            sign=sign,
            body=@format@,
            both_valid=lambda old: {**settings, "previous_secret": old["secret"]},
        )

@more@
adapter = Adapter()
'''

_DECODE: Final = {
    "json": """\
    doc = loads(body)
    if not isinstance(doc, dict):
        raise InvalidValue("the body is no JSON object")
    return doc
""",
    "form": """\
    return bodies.form(body)
""",
    "text": """\
    if len(body) > MAX_BYTES:
        raise InvalidValue("the body is longer than any notice")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidValue("the body is not UTF-8") from None
    pairs = []
    for number, line in enumerate(text.replace("\\r\\n", "\\n").rstrip("\\n").split("\\n"), 1):
        name, mark, value = line.partition("=")
        if not mark or LABEL.fullmatch(name) is None:
            raise InvalidValue(f"line {number} is not NAME=VALUE")
        pairs.append((name, storable(value)))
    return bodies.once(pairs)
""",
}

_XML_DECODE: Final = """\
    try:
        if len(body) > MAX_BYTES:
            raise InvalidValue("the body is longer than any notice")
        root = fromstring(body.decode("utf-8"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        raise InvalidValue("the body is no XML in UTF-8") from None
    if any(len(element) for element in root):
        raise InvalidValue("a field of the body holds others")
    return bodies.once([(element.tag, storable(element.text or "")) for element in root])
"""

_XML_FORMAT: Final = '''

def fields_of(body: bytes) -> list[tuple[str, str]]:
    """The fields of a body the provider wrote, for the rehearsal alone."""
    return [(element.tag, element.text or "") for element in fromstring(body)]


def written(pairs: Sequence[tuple[str, str]], between: str = "") -> bytes:
    """The body with these fields as the provider writes it. FILL THIS IN with decode()."""
    # A letter that XML cannot hold at all is no letter of the provider's.
    texts = [(name, "".join(one for one in text if one.isprintable() or one in "\\t\\r\\n")) for name, text in pairs]
    inside = between.join(f"<{name}>{escape(text, quote=False)}</{name}>" for name, text in texts)
    return f"<notice>{inside}</notice>".encode("utf-8", "replace")


FORMAT = BodyFormat(
    fields_of, written, layouts=lambda pairs: [written(pairs, "\\n  ")], content_type="application/xml"
)
"""How the provider spells a body: with it the conformance kit sends other values. No reader of the adapter."""

'''

_TEXT_FORMAT: Final = '''

def lines(body: bytes) -> list[tuple[str, str]]:
    """The fields of a body the provider wrote, for the rehearsal alone."""
    text = body.decode().replace("\\r\\n", "\\n")
    return [(name, value) for name, _, value in (line.partition("=") for line in text.split("\\n"))]


def written(pairs: Sequence[tuple[str, str]]) -> bytes:
    """The body with these fields as the provider writes it. FILL THIS IN with decode()."""
    return "\\n".join(f"{name}={value}" for name, value in pairs).encode("utf-8", "replace")


LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
FORMAT = BodyFormat(lines, written, layouts=lambda pairs: [written(pairs).replace(b"\\n", b"\\r\\n")])
"""How the provider spells a body: with it the conformance kit sends other values. No reader of the adapter."""

'''

_STRICT: Final = {
    "json": "from revenue_engine.ports.strict_json import loads\n",
    "form": "",
    "text": "from revenue_engine.ports.strict_json import MAX_BYTES, storable\n",
    "xml": "from revenue_engine.ports.strict_json import MAX_BYTES, storable\n",
}
_FILLED_IN: Final = {
    "json": ("FILL THIS IN where the body is no plain object.", "json.dumps(dict(fields)).encode()", "None"),
    "form": ("A form needs nothing more.", "bodies.FORM.encode(fields)", "bodies.FORM"),
    "text": ("FILL THIS IN: this reads one NAME=VALUE a line.", "FORMAT.encode(fields)", "FORMAT"),
    "xml": ("FILL THIS IN: this reads one element a field.", "FORMAT.encode(fields)", "FORMAT"),
}
_ANSWERS: Final = {
    "json": "application/json",
    "form": "text/plain; charset=utf-8",
    "text": "text/plain; charset=utf-8",
    "xml": "application/xml; charset=utf-8",
}
_XML_IMPORT: Final = """\
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
"""
"""Of each kind of body: what the author is told, the example, and the format of the rehearsal."""

_TEST: Final = '''\
"""The conformance kit on the adapter @name@."""

from adapters.conformance import suite
from revenue_adapter_@name@ import adapter

from pathlib import Path

TestConformance = suite(adapter, Path(__file__).parents[1] / "revenue_adapter_@name@" / "fixtures")
'''

_README: Final = """\
# @title@ for the revenue engine

1. Put bodies of the provider, byte for byte as posted, into `revenue_adapter_@name@/fixtures/` as `NAME.@ending@` (any
   ending will do; no real names, phones or accounts) and what each means into `NAME.expected.json`: the output of
   `revenue-engine callback parse -c @name@ --json NAME.@ending@`, checked by you. Put the documented acknowledgements
   into `acks.expected.json`: `kept`, `refused` and, where they repeat ids, `kept:NAME` and `refused:NAME`.
2. Fill in what is marked in `revenue_adapter_@name@/__init__.py`: the acknowledgement, `decode`, `read` and
   `prove`, and `sign` with the rehearsal's example where the provider's are other ones.
3. `pip install -e .`, then `revenue-engine adapter test @name@`; `pytest` runs the same checks one test each
   (`tests/test_@name@.py`), beside tests of your own.
4. `revenue-engine channel add @name@ ACCOUNT --name "..." --test` prints addresses and a call that works as pasted.
"""

_FIELDS: Final = {
    "id": "TX00000001",
    "amount": "1500.00",
    "currency": "KES",
    "time": "2026-09-15T12:00:00",
    "account": ACCOUNT,
    "bill": "482915363",
    "name": "Sample Payer",
    "phone": "254700000101",
}
_EXPECTED: Final = {
    "verdict": "paid",
    "kind": "payment",
    "reference": "TX00000001",
    "amount": "1500.00",
    "currency": "KES",
    "occurred_at": "2026-09-15T12:00:00+03:00",
    "channel_account": ACCOUNT,
    "account_reference": "482915363",
    "request_id": None,
    "reverses": None,
    "reason": None,
}

BodyKind: TypeAlias = Literal["json", "form", "text", "xml"]


def write_skeleton(name: str, directory: Path, body: BodyKind = "json") -> list[Path]:
    """Write the package ``directory`` for a provider whose bodies are of that kind, and answer its files.

    Raises InvalidValue for a name that fits no adapter and Conflict for a directory that holds something.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidValue("an adapter is named by 2 to 20 small letters, digits and _", field="name")
    if directory.exists() and any(directory.iterdir()):
        raise Conflict(f"{directory} is not empty", field="directory")
    package = Path(f"revenue_adapter_{name}")
    acks = {"kept": '{"status":"0"}', "refused": '{"status":"1"}'}
    if body in ("form", "text"):
        acks = {"kept": "OK", "refused": "REFUSED"}
    elif body == "xml":
        acks = {"kept": "<status>0</status>", "refused": "<status>1</status>"}
    note, example, form = _FILLED_IN[body]
    ending = {"json": "json", "xml": "xml"}.get(body, "body")
    words = {
        "@dependencies@": '"revenue-engine", "defusedxml>=0.7"' if body == "xml" else '"revenue-engine"',
        "@content_type@": _ANSWERS[body],
        "@html@": "from html import escape\n" if body == "xml" else "",
        "@xml_import@": _XML_IMPORT if body == "xml" else "",
        "@decode@": _DECODE[body] if body != "xml" else _XML_DECODE,
        "@decode_note@": note,
        "@example@": example,
        "@format@": form,
        "@more@": {"text": _TEXT_FORMAT, "xml": _XML_FORMAT}.get(body, ""),
        "@imports@": {"json": "import json\n", "text": "import re\n"}.get(body, ""),
        "@readers@": "proofs, readings" if body == "json" else "bodies, proofs, readings",
        "@format_import@": "    BodyFormat,\n" if body in ("text", "xml") else "",
        "@strict@": _STRICT[body],
        "@collections@": "Mapping, Sequence" if body in ("text", "xml") else "Mapping",
        "@kept@": repr(acks["kept"].encode()),
        "@refused@": repr(acks["refused"].encode()),
        "@ending@": ending,
        "@name@": name,
        "@dashed@": name.replace("_", "-"),
        "@title@": name.replace("_", " ").title(),
    }
    files = {
        Path("pyproject.toml"): _PYPROJECT,
        Path("README.md"): _README,
        package / "__init__.py": _MODULE,
        package / "py.typed": "",
        package / "fixtures" / f"notice.{ending}": _notice(body),
        package / "fixtures" / "notice.expected.json": json.dumps(_EXPECTED, indent=2) + "\n",
        package / "fixtures" / "acks.expected.json": json.dumps(acks, indent=2) + "\n",
        Path("tests") / f"test_{name}.py": _TEST,
    }
    written = []
    for file, text in files.items():
        for word, value in words.items():
            text = text.replace(word, value)  # noqa: PLW2901
        path = directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="")
        written.append(path)
    return written


def _notice(body: BodyKind) -> str:
    if body == "json":
        return json.dumps(_FIELDS, indent=2) + "\n"
    if body == "form":
        return FORM.encode(tuple(_FIELDS.items())).decode()
    if body == "xml":
        inside = "\n  ".join(f"<{name}>{value}</{name}>" for name, value in _FIELDS.items())
        return f"<notice>\n  {inside}\n</notice>\n"
    return "\n".join(f"{name}={value}" for name, value in _FIELDS.items())
