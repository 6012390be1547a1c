"""A new adapter as a package of its own: everything but the two functions only its author can write."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

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
dependencies = ["revenue-engine"]

[project.entry-points."revenue_engine.adapters"]
@name@ = "revenue_adapter_@name@:adapter"

[tool.hatch.build.targets.wheel]
packages = ["revenue_adapter_@name@"]
"""

_MODULE: Final = '''\
"""@title@: its payment notices. Pure: no database, no network, no clock."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as randomness
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, SecretStr

from adapters import proofs, readings
from revenue_engine.channels import (
    AckOutcome,
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
from revenue_engine.strict_json import loads

HEADER = "X-Signature"


class Settings(BaseModel):
    """Settings of one account. A value file:NAME is read from REVENUE_SECRETS_DIR."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account: str
    secret: SecretStr


def read(doc: Mapping[str, object]) -> Interpretation:
    """Say what a notice means: Paid, Reversed, Ignored(reason) or Unknown(reason). FILL THIS IN.

    The readers of ``adapters.readings`` answer exact values or raise InvalidValue, which becomes Unknown.
    """
    return Unknown("read() of the adapter @name@ is not filled in")


def prove(headers: Mapping[str, str], body: bytes, settings: Settings) -> Verdict:
    """Judge the proof of origin; header names are lower case. FILL THIS IN: see ``adapters.proofs``."""
    return Verdict(accepted=False, reason="prove() of the adapter @name@ is not filled in: no header is judged")


class Adapter:
    """The notices of @title@."""

    name: str = "@name@"
    settings_model: type[BaseModel] = Settings
    kept_headers: tuple[str, ...] = (HEADER,)
    proof_in_words: str = f"header {HEADER}: HMAC-SHA256 of the raw body in hexadecimal, with the shared secret"

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        """Judge a delivery."""
        if not isinstance(settings, Settings):
            return Verdict(accepted=False, reason="the channel account has no @name@ settings")
        return prove(headers, body, settings)

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        """Say what a body means; never raises."""
        try:
            doc = loads(body)
            if not isinstance(doc, dict):
                return Unknown("the body is no JSON object")
            return read(doc)
        except InvalidValue as error:
            return Unknown(error.message)

    def ack(self, outcome: AckOutcome) -> bytes:
        """The bytes the provider wants to hear."""
        return b\'{"status":"0"}\' if outcome is AckOutcome.KEPT else b\'{"status":"1"}\'

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        """Play the provider for a test account."""
        given = dict(secrets) if secrets is not None else {"secret": randomness.token_urlsafe(24)}

        def sign(body: bytes) -> Signed:
            proof = hmac.new(given["secret"].encode(), body, hashlib.sha256).hexdigest()
            return Signed(body, {HEADER.lower(): proof})

        example = json.dumps(
            {
                "id": "TX00000001",
                "amount": "1500.00",
                "currency": "KES",
                "time": "2026-09-15T12:00:00",
                "account": identifier,
                "bill": "482915363",
                "name": "Sample Payer",
                "phone": "254700000101",
            }
        )
        return Rehearsal({"account": identifier, **given}, given, example.encode(), sign)


adapter = Adapter()
'''

_TEST: Final = '''\
"""The conformance kit on the adapter @name@."""

from adapters.conformance import suite
from revenue_adapter_@name@ import adapter

from pathlib import Path

TestConformance = suite(adapter, Path(__file__).parents[1] / "revenue_adapter_@name@" / "fixtures")
'''

_README: Final = """\
# @title@ for the revenue engine

1. Put bodies of the provider into `revenue_adapter_@name@/fixtures/NAME.json` (no real names, phones or accounts) and
   what each means into `NAME.expected.json`: the output of `revenue-engine callback parse -c @name@ --json NAME.json`,
   checked by you. Put the documented acknowledgements into `acks.expected.json`.
2. Fill in two functions of `revenue_adapter_@name@/__init__.py`: `read` and `prove`.
3. `pip install -e .`, then `revenue-engine adapter test @name@` and `pytest`.
4. `revenue-engine channel add @name@ ACCOUNT --name "..." --test` prints addresses and a call that works as pasted.
"""


def write_skeleton(name: str, directory: Path) -> list[Path]:
    """Write the package ``directory`` and answer its files.

    Raises InvalidValue for a name that fits no adapter and Conflict for a directory that holds something.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidValue("an adapter is named by 2 to 20 small letters, digits and _", field="name")
    if directory.exists() and any(directory.iterdir()):
        raise Conflict(f"{directory} is not empty", field="directory")
    package = Path(f"revenue_adapter_{name}")
    body = {
        "id": "TX00000001",
        "amount": "1500.00",
        "currency": "KES",
        "time": "2026-09-15T12:00:00",
        "account": ACCOUNT,
        "bill": "482915363",
        "name": "Sample Payer",
        "phone": "254700000101",
    }
    expected = {
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
    acks = {"kept": '{"status":"0"}', "refused": '{"status":"1"}'}
    files = {
        Path("pyproject.toml"): _PYPROJECT,
        Path("README.md"): _README,
        package / "__init__.py": _MODULE,
        package / "py.typed": "",
        package / "fixtures" / "notice.json": json.dumps(body, indent=2) + "\n",
        package / "fixtures" / "notice.expected.json": json.dumps(expected, indent=2) + "\n",
        package / "fixtures" / "acks.expected.json": json.dumps(acks, indent=2) + "\n",
        Path("tests") / f"test_{name}.py": _TEST,
    }
    words = {"@name@": name, "@dashed@": name.replace("_", "-"), "@title@": name.replace("_", " ").title()}
    written = []
    for file, text in files.items():
        for word, value in words.items():
            text = text.replace(word, value)  # noqa: PLW2901
        path = directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        written.append(path)
    return written
