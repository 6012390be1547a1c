"""A bank described by a file: where its fields stand, how it proves itself and what it wants to hear.

``load`` reads a TOML file into a :class:`Bank` or raises ConfigurationError that names every wrong place at once.
A path is dotted (``transaction.amount``). A template is a table; a value ``$path`` repeats a field of the body,
``@shown_name`` a setting.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from revenue_engine.errors import ConfigurationError, in_plain_words
from revenue_engine.ports.callbacks import Strength

PathText: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
Template: TypeAlias = dict[str, Any]

BANKS: Final = Path(__file__).parent / "banks"
PASSWORD_FIELDS: Final = frozenset({"password", "pass", "hash", "secret"})


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Strict):
    """Where a text stands: the first of ``paths`` that holds one, or the texts of ``join`` put together as one."""

    paths: tuple[PathText, ...] = ()
    join: tuple[PathText, ...] = ()
    """Fields that are one text cut at a fixed width: joined without blanks."""
    split: str = ""
    """Cut the text at this separator and take part number ``part``, from 1."""
    part: Annotated[int, Field(ge=0)] = 0
    whole: bool = False
    """Take the whole text where it does not hold the separator; else it has no such part."""
    inside: bool = False
    """For mobile receipts: look for one among the words of the text."""

    @model_validator(mode="after")
    def _names_something(self) -> Source:
        if bool(self.paths) == bool(self.join):
            raise ValueError("a source names paths, or texts to join, and not both")
        if bool(self.split) != bool(self.part):
            raise ValueError("split and part belong together")
        return self


class Amount(_Strict):
    """Where the amount stands. Text and JSON numbers are read alike, exactly."""

    path: PathText
    grouped: bool = False
    """Whether thousands commas may stand in it."""
    signed: bool = False
    """Whether a minus sign marks a debit; where not, a minus sign is refused."""


class Words(_Strict):
    """A field whose value decides: a direction (yes: credit) or a status (yes: it succeeded). Case does not matter."""

    path: PathText
    yes: Annotated[tuple[str, ...], Field(min_length=1)]
    no: tuple[str, ...] = ()
    optional: bool = False
    """Whether a missing or empty field is a yes."""


class Moment(_Strict):
    """Where the time stands and how it is written: ``iso``, or codes of strptime. Nairobi where no zone is written."""

    paths: Annotated[tuple[PathText, ...], Field(min_length=1)]
    formats: Annotated[tuple[str, ...], Field(min_length=1)]
    days: tuple[PathText, ...] = ()
    """Where the bank says on what day it booked or valued the money, the best first: the day of a notice whose time
    cannot be read, and what a time is held against that can."""


class RsaProof(_Strict):
    """base64(RSA-SHA256) over the raw body in a header."""

    kind: Literal["rsa_sha256"]
    header: str


class HmacProof(_Strict):
    """HMAC-SHA256 over the raw body in a header."""

    kind: Literal["hmac_sha256"]
    header: str
    encoding: Literal["hex", "base64"] = "hex"


class SaltedProof(_Strict):
    """base64(SHA-256(secret + fields + suffix)) in a field of the body."""

    kind: Literal["salted_sha256"]
    field: PathText
    parts: Annotated[tuple[PathText, ...], Field(min_length=1)]
    suffix: str = ""
    widths: dict[PathText, int] = {}
    """How many characters a part has. Nothing divides the parts, so one proof fits every body whose characters moved
    from a part to the next: another reference, another amount. Of other widths, a notice only supports."""


class BasicProof(_Strict):
    """HTTP Basic credentials."""

    kind: Literal["basic"]


class BodyProof(_Strict):
    """A user name and a password among the fields of the body."""

    kind: Literal["body_credentials"]
    username: PathText
    password: PathText


class PeerProof(_Strict):
    """The address it comes from, and nothing else."""

    kind: Literal["peers"]


Proof: TypeAlias = Annotated[
    RsaProof | HmacProof | SaltedProof | BasicProof | BodyProof | PeerProof, Field(discriminator="kind")
]


class Answers(_Strict):
    """What the bank wants to hear to a question."""

    accept: Template
    unknown_account: Template
    wrong_amount: Template
    refuse: Template


class Form(_Strict):
    """One shape of body, known by the fields it has, the fields it lacks and the values that mark it."""

    name: str
    marks: Annotated[tuple[PathText, ...], Field(min_length=1)]
    lacks: tuple[PathText, ...] = ()
    when: dict[PathText, tuple[str, ...]] = {}
    meaning: Literal["payment", "question", "nothing", "unknown"] = "payment"
    reason: str = ""
    """What is said of a body that is no payment."""
    strength: Strength = Strength.CONFIRMS
    proof: Proof | None = None
    """Where this shape proves itself otherwise than the bank's others."""
    reference: Source | None = None
    amount: Amount | None = None
    status: Words | None = None
    direction: Words | None = None
    currency: PathText | None = None
    account: Source | None = None
    bill: Source | None = None
    occurred: Moment | None = None
    receipts: tuple[Source, ...] = ()
    """Copies of the mobile receipt: where two differ one is wrong, and which is not guessed."""
    party_name: Source | None = None
    party_phone: Source | None = None
    kept: Template
    refused: Template
    answers: Answers | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Form:
        if self.meaning == "payment":
            missing = [name for name in ("reference", "amount", "occurred") if getattr(self, name) is None]
            if missing:
                raise ValueError(f"a payment needs {', '.join(missing)}")
        elif self.meaning == "question":
            if self.bill is None or self.answers is None:
                raise ValueError("a question needs bill and answers")
        elif not self.reason:
            raise ValueError("a body that is no payment needs a reason")
        return self


class Bank(_Strict):
    """One bank: its proof, its forms, and an example notice for its engineers."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,19}$")]
    title: str
    proof: Proof
    includes: tuple[str, ...] = ()
    """Other banks' files whose forms this channel receives too."""
    forms: Annotated[tuple[Form, ...], Field(min_length=1, alias="form")]
    example: str
    """A notice of a payment as JSON text; ``ACCOUNT`` stands for the account of the channel."""

    @model_validator(mode="after")
    def _echoes_no_secret(self) -> Bank:
        for form in self.forms:
            for value in _echoed(form):
                if value.rpartition(".")[2].lower() in PASSWORD_FIELDS:
                    raise ValueError(f"the form {form.name!r} would repeat {value}")
        return self


def _echoed(form: Form) -> Iterator[str]:
    answers = form.answers
    templates = [form.kept, form.refused]
    if answers is not None:
        templates += [answers.accept, answers.unknown_account, answers.wrong_amount, answers.refuse]
    waiting: list[object] = list(templates)
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, str) and one.startswith("$"):
            yield one[1:]


def read_bank(text: str, *, where: str) -> Bank:
    """A bank from TOML text. Raises ConfigurationError with every wrong place, named as ``form.2.amount.path``."""
    try:
        return Bank.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{where} is not TOML: {error}", file=where) from None
    except ValidationError as error:
        lines = [f"{_place(one['loc'])}: {in_plain_words(one)}" for one in error.errors()]
        raise ConfigurationError(f"{where}: {'; '.join(lines)}", file=where, problems=lines) from None


def _place(steps: tuple[int | str, ...]) -> str:
    return ".".join(str(step + 1) if isinstance(step, int) else step for step in steps) or "the file"


def load(file: Path) -> Bank:
    """A bank from its file, with the forms of the files it includes after its own. Raises ConfigurationError."""
    try:
        bank = read_bank(file.read_text("utf-8"), where=file.name)
    except OSError as error:
        raise ConfigurationError(f"{file.name} cannot be read: {error.strerror}", file=file.name) from None
    forms = list(bank.forms)
    for other in bank.includes:
        included = load(file.parent / f"{other}.toml")
        forms += [form.model_copy(update={"proof": form.proof or included.proof}) for form in included.forms]
    return bank.model_copy(update={"forms": tuple(forms)})
